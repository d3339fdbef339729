/* SPDX-License-Identifier: GPL-2.0-only */
#include "forward.h"

#include <assert.h>

#include "counter.h"
#include "nat.h"
#include "ringway/quic.h"
#include "route.h"

#define KEEP (-1)

/* One packet between the stages. */
struct flight {
	struct udp_view view;
	struct route route;
	struct target *target; /* of a return datagram */
	int verdict;	       /* KEEP or an enum drop_reason */
};

static void headers_prefetch(const struct packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(packets[i].data);
}

/* Metadata is XDP's word, but it came through memory that frames lie in, and may
 * be of a service or backend that has been removed meanwhile. */
static bool metadata_holds(const struct table *table, const struct packet *packet,
			   const struct udp_view *view)
{
	if (packet->kind == FRAME_SERVICE)
		return packet->slot < SERVICE_COUNT_MAX &&
		       table->services[packet->slot].maglev[FAMILY_IPV4];
	return packet->slot < BACKEND_COUNT_MAX && packet->tx_port < table->port_count &&
	       table_target(table, packet->slot, udp_view_family(view))->present;
}

static void quic_count(const struct forward_ctx *ctx, const struct packet *packet,
		       const struct udp_view *view)
{
	struct quic_header header;

	if (!ctx->table->services[packet->slot].is_quic ||
	    quic_parse((const uint8_t *)(view->udp + 1), view->udp_len - sizeof(*view->udp),
		       &header))
		return;
	counter_add(&ctx->stats->new_connections, header.type == QUIC_INITIAL);
}

/* Stage 1: headers, and the address of the memory that decides. */
static int flight_begin(const struct forward_ctx *ctx, struct packet *packet, struct flight *flight)
{
	struct cursor cursor = { packet->data, packet->data + packet->len };

	if (parse_udp(&cursor, &flight->view) != PARSE_OK)
		return DROP_MALFORMED;
	if (packet->kind == FRAME_UNCLASSIFIED) {
		int err = table_classify(ctx->table, packet, &flight->view);

		if (err)
			return -1 - err;
	} else if (!metadata_holds(ctx->table, packet, &flight->view)) {
		return DROP_NOT_OURS;
	}
	if (packet->kind == FRAME_SERVICE) {
		flight->route = route_begin(ctx->table, packet->slot, &flight->view);
		quic_count(ctx, packet, &flight->view);
	} else {
		flight->target =
			table_target(ctx->table, packet->slot, udp_view_family(&flight->view));
		__builtin_prefetch(flight->target);
	}
	return KEEP;
}

/* Stage 2: the decision, and what rewriting needs of it. */
static int flight_decide(const struct forward_ctx *ctx, struct packet *packet,
			 struct flight *flight)
{
	int slot;

	if (packet->kind == FRAME_RETURN)
		return KEEP;
	slot = route_end(&flight->route);
	if (slot < 0)
		return DROP_NO_BACKEND;
	packet->slot = (uint16_t)slot;
	flight->target = table_target(ctx->table, packet->slot, udp_view_family(&flight->view));
	__builtin_prefetch(flight->target);
	return KEEP;
}

static void traffic_add(struct traffic *traffic, uint64_t bytes)
{
	counter_add(&traffic->datagrams, 1);
	counter_add(&traffic->bytes, bytes);
}

/* Stage 3: the packet as it leaves. */
static int flight_end(const struct forward_ctx *ctx, struct packet *packet, struct flight *flight)
{
	const struct udp_view *view = &flight->view;
	struct backend_traffic *traffic = &ctx->stats->backends[packet->slot];
	bool is_out = packet->kind == FRAME_SERVICE;
	uint64_t next_hop = 0;
	int verdict;

	if (is_out) {
		next_hop = target_next_hop(flight->target);
		if (!next_hop)
			return DROP_NO_NEIGHBOUR;
		packet->tx_port = next_hop_port(next_hop);
	}
	verdict = nat_check(view, ctx->table->ports[packet->tx_port].mtu);
	if (verdict != KEEP)
		return verdict;
	if (is_out)
		next_hop_write(ctx->table, next_hop, view->eth);
	counter_add(&ctx->stats->checksums_completed,
		    nat_rewrite(view, flight->target, is_out ? NAT_OUT : NAT_BACK));
	traffic_add(is_out ? &traffic->out : &traffic->back, view->ip_len);
	return KEEP;
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

size_t forward_burst(const struct forward_ctx *ctx, struct packet *packets, size_t count)
{
	struct flight flights[BURST_MAX];
	size_t kept = 0;

	assert(count <= BURST_MAX);
	headers_prefetch(packets, count);
	for (size_t i = 0; i < count; i++)
		flights[i].verdict = flight_begin(ctx, &packets[i], &flights[i]);
	for (size_t i = 0; i < count; i++)
		if (flights[i].verdict == KEEP)
			flights[i].verdict = flight_decide(ctx, &packets[i], &flights[i]);

	for (size_t i = 0; i < count; i++) {
		int verdict = flights[i].verdict;

		if (verdict == KEEP)
			verdict = flight_end(ctx, &packets[i], &flights[i]);
		if (verdict != KEEP)
			counter_add(&ctx->stats->dropped[verdict], 1);
		else
			packet_keep(packets, kept++, i);
	}
	counter_add(&ctx->stats->forwarded, kept);
	return kept;
}
