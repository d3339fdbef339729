/* SPDX-License-Identifier: GPL-2.0-only */
#include "trace.h"

#include "key.h"

#define WORD_COUNT (sizeof(struct trace_record) / sizeof(uint64_t))

/* What follows a short header's Connection ID differs from datagram to datagram. */
static uint16_t number_len(const struct route_ctx *ctx, const struct route *route)
{
	const struct service *service = &ctx->table->services[route->service_slot];
	uint8_t len = service->connection_id_len;

	if (route->type != QUIC_SHORT)
		return route->dcid_len;
	if (!len && service->quic_lb)
		len = quic_lb_cid_len(service->quic_lb, route->dcid[0]);
	if (!len)
		len = route->cid_len;
	return len && len < route->dcid_len ? len : route->dcid_len;
}

static uint64_t number_of(const struct route_ctx *ctx, const struct route *route)
{
	uint64_t number = 0;
	uint16_t len;

	if (!route->is_quic || !route->dcid_len)
		return key_tuple(&route->view, &ctx->table->secret);
	len = number_len(ctx, route);
	for (unsigned int i = 0; i < 8 && i < len; i++)
		number = number << 8 | route->dcid[i];
	return number;
}

static bool filter_wants(const struct trace_filter *filter, const struct route_ctx *ctx,
			 const struct route *route)
{
	if (!filter->cid_len)
		return number_of(ctx, route) % filter->every == 0;
	return route->is_quic && route->dcid_len >= filter->cid_len &&
	       memcmp(route->dcid, filter->cid, filter->cid_len) == 0;
}

static void record_fill(struct trace_record *record, const struct route_ctx *ctx,
			const struct route *route, int verdict)
{
	const struct udp_view *view = &route->view;

	record->time_ms = ctx->now_ms;
	if (view->ip_version == 4)
		match_addr_set(record->client, view->ipv4->src, NULL);
	else
		match_addr_set(record->client, NULL, view->ipv6->src);
	record->client_port_be = view->udp->src_be;
	record->service_slot = route->service_slot;
	record->slot = (int16_t)route->slot;
	record->rule = route->rule;
	record->reason = verdict < 0 ? TRACE_KEPT : (uint8_t)verdict;
	record->type = route->is_quic ? route->type : QUIC_TYPE_COUNT;
	if (!route->is_quic)
		return;
	record->cid_len = route->cid_len;
	memcpy(record->cid, route->dcid, route->cid_len);
}

void trace_decision(struct trace_ring *ring, const struct trace_filter *filter,
		    const struct route_ctx *ctx, const struct route *route, int verdict)
{
	struct trace_record record = { 0 };
	uint64_t words[WORD_COUNT];
	uint64_t *place;

	if (!filter_wants(filter, ctx, route))
		return;
	record_fill(&record, ctx, route, verdict);
	memcpy(words, &record, sizeof(words));
	place = ring->records[ring->head & (TRACE_RECORD_COUNT - 1)];
	/* Pair with the acquires of words in trace_read(): who reads one of these knows
	 * that head has come so far. */
	for (size_t i = 0; i < WORD_COUNT; i++)
		__atomic_store_n(&place[i], words[i], __ATOMIC_RELEASE);
	/* Pairs with the acquire of head in trace_head(). */
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

/* Move *tail to the oldest record that can still be there. */
static void tail_catch_up(uint64_t *tail, uint64_t head, uint64_t *ret_lost)
{
	if (head - *tail < TRACE_RECORD_COUNT)
		return;
	*ret_lost += head - *tail - (TRACE_RECORD_COUNT - 1);
	*tail = head - (TRACE_RECORD_COUNT - 1);
}

size_t trace_read(const struct trace_ring *ring, uint64_t *tail, struct trace_record *records,
		  size_t max, uint64_t *ret_lost)
{
	uint64_t head = trace_head(ring);
	size_t count = 0;

	tail_catch_up(tail, head, ret_lost);
	while (*tail != head && count < max) {
		const uint64_t *place = ring->records[*tail & (TRACE_RECORD_COUNT - 1)];
		uint64_t words[WORD_COUNT], now;

		for (size_t i = 0; i < WORD_COUNT; i++)
			words[i] = __atomic_load_n(&place[i], __ATOMIC_ACQUIRE);
		/* Written over meanwhile? Then what was copied may be of two. */
		now = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
		if (now - *tail >= TRACE_RECORD_COUNT) {
			tail_catch_up(tail, now, ret_lost);
			continue;
		}
		memcpy(&records[count++], words, sizeof(words));
		(*tail)++;
	}
	return count;
}
