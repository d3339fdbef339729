/* SPDX-License-Identifier: GPL-2.0-only */
#include "forward.h"

#include <assert.h>

#include "counter.h"
#include "hot.h"
#include "nat.h"

#define KEEP (-1)

/* One packet between the stages. */
struct flight {
	struct udp_view view;
	struct route route;
	struct target *target;
	int verdict; /* KEEP or an enum drop_reason */
};

static void headers_prefetch(const struct packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(packets[i].data);
}

/* Metadata is XDP's word, but it came through memory that frames lie in, and it is
 * as old as the frame: the backend may be gone, or be another slot's by now. */
static bool metadata_holds(const struct table *table, const struct packet *packet,
			   const struct udp_view *view)
{
	if (packet->kind == FRAME_SERVICE)
		return table_has_service(table, packet->slot);
	return packet->slot < table->slot_limit && packet->tx_port < table->port_count &&
	       table_target(table, packet->slot, udp_view_family(view))->present;
}

HOT_INLINE int packet_parse(const struct forward_ctx *ctx, struct packet *packet,
			    struct udp_view *view)
{
	struct cursor cursor = { packet->data, packet->data + packet->len };
	const struct table *table = ctx->route.table;

	if (parse_udp(&cursor, view) != PARSE_OK)
		return DROP_MALFORMED;
	if (packet->kind == FRAME_UNCLASSIFIED || !metadata_holds(table, packet, view)) {
		int err = table_classify(table, packet, view);

		return err ? -1 - err : KEEP;
	}
	return KEEP;
}

/* Connection IDs that may name servers, and whose they are. */
struct questions {
	struct quic_lb_query queries[BURST_MAX];
	uint8_t flights[BURST_MAX];
	size_t count;
};

/* Stage 1: headers, and asking for the memory that decides. */
static void flights_begin(const struct forward_ctx *ctx, struct packet *packets, size_t count,
			  struct flight *flights, struct questions *questions)
{
	for (size_t i = 0; i < count; i++) {
		struct flight *flight = &flights[i];
		struct route *route = &flight->route;

		route->view = NULL; /* no decision yet */
		route->step = ROUTE_STEP_END;
		flight->verdict = packet_parse(ctx, &packets[i], &flight->view);
		if (flight->verdict != KEEP)
			continue;
		if (packets[i].kind == FRAME_RETURN) {
			route_back_begin(&ctx->route, packets[i].slot, &flight->view, route);
			continue;
		}
		if (route_begin(&ctx->route, packets[i].slot, &flight->view, route,
				&questions->queries[questions->count]))
			questions->flights[questions->count++] = (uint8_t)i;
		if (route->quic.type == QUIC_INITIAL)
			counter_add(&ctx->stats->new_connections, 1);
	}
}

/* Between the stages: the Connection IDs that name servers, all at once. */
static void questions_answer(const struct forward_ctx *ctx, struct questions *questions,
			     struct flight *flights)
{
	if (!questions->count)
		return;
	quic_lb_decode(ctx->route.worker->quic_lb, questions->queries, questions->count);
	for (size_t i = 0; i < questions->count; i++)
		route_named(&ctx->route, &flights[questions->flights[i]].route,
			    questions->queries[i].slot);
}

/* Stage 2: what is known of the connection by its Connection ID; what an answer
 * teaches. */
static void flights_find(const struct forward_ctx *ctx, size_t count, struct flight *flights)
{
	for (size_t i = 0; i < count; i++) {
		struct flight *flight = &flights[i];

		if (flight->route.step == ROUTE_STEP_FIND)
			flight->verdict = route_find(&ctx->route, &flight->route);
		else if (flight->route.step == ROUTE_STEP_LEARN)
			flight->verdict = route_back_end(&ctx->route, &flight->route);
	}
}

/* Stage 3: the 4-tuple, for those that are still undecided. */
static void flights_settle(const struct forward_ctx *ctx, size_t count, struct flight *flights)
{
	for (size_t i = 0; i < count; i++) {
		struct flight *flight = &flights[i];

		if (route_is_unsettled(&flight->route) && flight->verdict == KEEP)
			flight->verdict = route_settle(&ctx->route, &flight->route);
	}
}

/* Stage 4: the backend, and asking for what rewriting needs of it. */
static void flights_decide(const struct forward_ctx *ctx, struct packet *packets, size_t count,
			   struct flight *flights)
{
	for (size_t i = 0; i < count; i++) {
		struct flight *flight = &flights[i];

		if (flight->verdict != KEEP)
			continue;
		if (packets[i].kind == FRAME_SERVICE) {
			int slot = route_end(&ctx->route, &flight->route);

			if (slot < 0) {
				flight->verdict = DROP_NO_BACKEND;
				continue;
			}
			packets[i].slot = (uint16_t)slot;
		}
		flight->target = table_target(ctx->route.table, packets[i].slot,
					      udp_view_family(&flight->view));
		__builtin_prefetch(flight->target);
	}
}

static void traffic_add(struct traffic *traffic, uint64_t bytes)
{
	counter_add(&traffic->datagrams, 1);
	counter_add(&traffic->bytes, bytes);
}

HOT_INLINE int packet_rewrite(const struct forward_ctx *ctx, struct packet *packet,
			      const struct udp_view *view, const struct target *target)
{
	struct backend_traffic *traffic = &ctx->stats->backends[packet->slot];
	const struct table *table = ctx->route.table;
	bool is_out = packet->kind == FRAME_SERVICE;
	uint64_t next_hop = 0;
	int verdict;

	if (is_out) {
		next_hop = target_next_hop(target);
		if (!next_hop)
			return DROP_NO_NEIGHBOUR;
		packet->tx_port = next_hop_port(next_hop);
	}
	verdict = nat_check(view, target->mode, table->ports[packet->tx_port].mtu);
	if (verdict != KEEP)
		return verdict;
	if (is_out)
		next_hop_write(table, next_hop, view->eth);
	counter_add(&ctx->stats->checksums_completed,
		    nat_rewrite(view, target, is_out ? NAT_OUT : NAT_BACK));
	traffic_add(is_out ? &traffic->out : &traffic->back, view->ip_len);
	return KEEP;
}

/* One more copy of the datagram, to the backend in slot. */
static void copy_make(struct forward_ctx *ctx, const struct packet *packet, uint16_t slot)
{
	struct packet *copy = &ctx->spares[ctx->copy_count];
	struct cursor cursor = { copy->data, copy->data + packet->len };
	struct udp_view view;
	struct target *target;
	int verdict;

	memcpy(copy->data, packet->data, packet->len);
	copy->len = packet->len;
	copy->kind = packet->kind;
	copy->slot = slot;
	if (parse_udp(&cursor, &view) != PARSE_OK) /* never: what has been parsed once */
		return;
	target = table_target(ctx->route.table, slot, udp_view_family(&view));
	if (!target->present)
		return;
	counter_add(&ctx->route.worker->counts[ROUTE_COUNT_COPIES], 1);
	verdict = packet_rewrite(ctx, copy, &view, target);
	if (verdict != KEEP) {
		counter_add(&ctx->stats->dropped[verdict], 1);
		return;
	}
	counter_add(&ctx->stats->forwarded, 1);
	ctx->copy_count++;
}

/* To all backends but the one that gets the datagram itself. */
RARE void copies_make(struct forward_ctx *ctx, const struct packet *packet,
		      const struct route *route)
{
	const struct service *service = &ctx->route.table->services[route->service_slot];

	if (packet->len > ctx->spare_size)
		return;
	for (uint16_t i = 0; i < service->backend_count && i <= DISCOVERY_COPIES_MAX; i++)
		if (service->backends[i] != packet->slot && ctx->copy_count < ctx->spare_count)
			copy_make(ctx, packet, service->backends[i]);
}

/* A swap, so that no frame is lost. */
static void packet_keep(struct packet *packets, size_t kept, size_t i)
{
	struct packet packet = packets[i];

	if (kept == i)
		return;
	packets[i] = packets[kept];
	packets[kept] = packet;
}

/* Stage 5: the packets as they leave. */
static size_t flights_end(struct forward_ctx *ctx, struct packet *packets, size_t count,
			  struct flight *flights)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct flight *flight = &flights[i];
		int verdict = flight->verdict;

		if (verdict == KEEP && flight->route.asks_all)
			copies_make(ctx, &packets[i], &flight->route);
		if (verdict == KEEP)
			verdict = packet_rewrite(ctx, &packets[i], &flight->view, flight->target);
		if (verdict != KEEP)
			counter_add(&ctx->stats->dropped[verdict], 1);
		else
			packet_keep(packets, kept++, i);
	}
	counter_add(&ctx->stats->forwarded, kept);
	return kept;
}

static void flights_trace(const struct forward_ctx *ctx, const struct packet *packets, size_t count,
			  const struct flight *flights)
{
	for (size_t i = 0; i < count; i++)
		if (packets[i].kind == FRAME_SERVICE && flights[i].route.view == &flights[i].view)
			trace_decision(ctx->trace_ring, ctx->trace, &ctx->route, &flights[i].route,
				       flights[i].verdict);
}

size_t forward_burst(struct forward_ctx *ctx, struct packet *packets, size_t count)
{
	struct flight flights[BURST_MAX];
	struct questions questions;

	assert(count <= BURST_MAX);
	ctx->copy_count = 0;
	ctx->route.now_ticks = affinity_ticks(ctx->route.now_ms);
	questions.count = 0;
	headers_prefetch(packets, count);
	flights_begin(ctx, packets, count, flights, &questions);
	questions_answer(ctx, &questions, flights);
	flights_find(ctx, count, flights);
	flights_settle(ctx, count, flights);
	flights_decide(ctx, packets, count, flights);
	if (ctx->trace)
		flights_trace(ctx, packets, count, flights);
	return flights_end(ctx, packets, count, flights);
}
