/* SPDX-License-Identifier: GPL-2.0-only */
#include "forward.h"

#include <assert.h>

#include "counter.h"
#include "hot.h"
#include "nat.h"

#define KEEP ROUTE_FORWARD

/* Metadata is XDP's word, but it came through memory that frames lie in, and it is
 * as old as the frame: the backend may be gone, or be another slot's by now, and the
 * slot another address's, be it a backend's or a service's. */
static bool metadata_holds(const struct table *table, const struct packet *packet,
			   const struct udp_view *view)
{
	if (packet->kind == FRAME_SERVICE)
		return table_has_service(table, packet->slot) &&
		       table->services[packet->slot].edition == packet->edition;
	return packet->slot < table->slot_limit && packet->tx_port < table->port_count &&
	       table_has_sender(table, packet->slot, view);
}

HOT_INLINE int packet_parse(const struct forward_ctx *ctx, struct packet *packet,
			    struct udp_view *view)
{
	struct cursor cursor = { packet->data, packet->data + packet->len };
	const struct table *table = ctx->route.table;

	if (parse_udp(&cursor, view) != PARSE_OK)
		return DROP_MALFORMED;
	/* What lies behind the packet was for one link's smallest frame, or is nobody's. */
	packet->len = (uint32_t)((uint8_t *)cursor.end - packet->data);
	if (packet->kind == FRAME_UNCLASSIFIED || !metadata_holds(table, packet, view)) {
		int err = table_classify(table, packet, view);

		return err ? -1 - err : KEEP;
	}
	return KEEP;
}

static void packets_parse(const struct forward_ctx *ctx, struct packet *packets, size_t count,
			  struct route *routes)
{
	for (size_t i = 0; i < count; i++)
		routes[i].verdict = (int16_t)packet_parse(ctx, &packets[i], &routes[i].view);
}

static void traffic_add(struct traffic *traffic, uint64_t bytes)
{
	counter_add(&traffic->datagrams, 1);
	counter_add(&traffic->bytes, bytes);
}

HOT_INLINE int packet_rewrite_one_way(const struct forward_ctx *ctx, struct packet *packet,
				      const struct udp_view *view, const struct target *target,
				      enum nat_direction direction)
{
	struct backend_traffic *traffic = &ctx->stats->backends[packet->slot];
	uint64_t next_hop = 0;
	const struct table_port *port;
	int verdict;

	if (direction == NAT_OUT) {
		next_hop = target_next_hop(target);
		if (!next_hop)
			return DROP_NO_NEIGHBOUR;
		packet->tx_port = next_hop_port(next_hop);
	}
	port = &ctx->route.table->ports[packet->tx_port];
	verdict = nat_check(view, target->mode, port->mtu);
	if (verdict != KEEP)
		return verdict;
	if (direction == NAT_OUT)
		next_hop_write(port, next_hop, view->eth);
	if (nat_rewrite(view, target, direction))
		counter_add(&ctx->stats->checksums_completed, 1);
	traffic_add(direction == NAT_OUT ? &traffic->out : &traffic->back, view->ip_len);
	return KEEP;
}

/* Written once, compiled for each way. */
HOT_INLINE int packet_rewrite(const struct forward_ctx *ctx, struct packet *packet,
			      const struct udp_view *view, const struct target *target)
{
	if (packet->kind == FRAME_SERVICE)
		return packet_rewrite_one_way(ctx, packet, view, target, NAT_OUT);
	return packet_rewrite_one_way(ctx, packet, view, target, NAT_BACK);
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
	verdict = packet_rewrite_one_way(ctx, copy, &view, target, NAT_OUT);
	if (verdict != KEEP) {
		counter_add(&ctx->stats->dropped[verdict], 1);
		return;
	}
	counter_add(&ctx->stats->forwarded, 1);
	ctx->copy_count++;
}

/* To all backends but the one that gets the datagram itself; where they are too many, to
 * those next that were not asked the last time. */
RARE void copies_make(struct forward_ctx *ctx, const struct packet *packet,
		      const struct route *route)
{
	const struct service *service = &ctx->route.table->services[route->service_slot];
	uint64_t first = ctx->route.worker->counts[ROUTE_COUNT_COPIES];
	uint32_t end = ctx->copy_count + DISCOVERY_COPIES_MAX;

	if (packet->len > ctx->spare_size)
		return;
	if (end > ctx->spare_count)
		end = ctx->spare_count;
	for (uint16_t i = 0; i < service->backend_count && ctx->copy_count < end; i++) {
		uint16_t slot = service->backends[(first + i) % service->backend_count];

		if (slot != packet->slot)
			copy_make(ctx, packet, slot);
	}
}

static void packets_swap(struct packet *a, struct packet *b)
{
	struct packet packet = *a;

	*a = *b;
	*b = packet;
}

/* The packets as they leave. */
static size_t packets_end(struct forward_ctx *ctx, struct packet *packets, size_t count,
			  const struct route *routes)
{
	struct packet *kept = packets; /* behind the last one */

	for (struct packet *packet = packets; packet != packets + count; packet++, routes++) {
		int verdict = routes->verdict;

		if (verdict == KEEP && routes->asks_all)
			copies_make(ctx, packet, routes);
		if (verdict == KEEP)
			verdict = packet_rewrite(ctx, packet, &routes->view, routes->target);
		if (verdict != KEEP) {
			counter_add(&ctx->stats->dropped[verdict], 1);
			continue;
		}
		if (kept != packet) /* no frame is lost */
			packets_swap(kept, packet);
		kept++;
	}
	counter_add(&ctx->stats->forwarded, (size_t)(kept - packets));
	return (size_t)(kept - packets);
}

/* What packets_end() will say of a client's datagram. */
static int verdict_of(const struct forward_ctx *ctx, const struct route *route)
{
	uint64_t next_hop;

	if (route->verdict != KEEP)
		return route->verdict;
	next_hop = target_next_hop(route->target);
	if (!next_hop)
		return DROP_NO_NEIGHBOUR;
	return nat_check(&route->view, route->target->mode,
			 ctx->route.table->ports[next_hop_port(next_hop)].mtu);
}

/* Those that came to be decided; as long as frames are as they came. */
static void routes_trace(const struct forward_ctx *ctx, const struct packet *packets, size_t count,
			 const struct route *routes)
{
	for (size_t i = 0; i < count; i++)
		if (packets[i].kind == FRAME_SERVICE && routes[i].step != ROUTE_STEP_NONE)
			trace_decision(ctx->trace_ring, ctx->trace, &ctx->route, &routes[i],
				       verdict_of(ctx, &routes[i]));
}

size_t forward_burst(struct forward_ctx *ctx, struct packet *packets, size_t count)
{
	struct route routes[BURST_MAX];

	assert(count <= BURST_MAX);
	ctx->copy_count = 0;
	ctx->route.now_ticks = affinity_ticks(ctx->route.now_ms);
	packets_parse(ctx, packets, count, routes);
	counter_add(&ctx->stats->new_connections,
		    routes_decide(&ctx->route, packets, routes, count));
	if (ctx->trace)
		routes_trace(ctx, packets, count, routes);
	return packets_end(ctx, packets, count, routes);
}
