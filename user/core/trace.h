/* SPDX-License-Identifier: GPL-2.0-only */
/* trace.h - decisions for clients' datagrams, sampled, for somebody who looks.
 *
 * A ring a worker: it writes, one reader copies. Nobody waits: what the reader was
 * too slow for is overwritten, and counted by it. Off, it costs one test a burst. */
#ifndef RINGWAY_CORE_TRACE_H
#define RINGWAY_CORE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "route.h"

#define TRACE_RECORD_COUNT 1024 /* a power of two */

/* Which decisions: those for Connection IDs that begin with cid, or, where cid_len
 * is 0, those whose number is a multiple of every (1: all). The number is the first
 * 8 bytes of the Connection ID, of the 4-tuple's hash where there is none. A short
 * header's ends where it is known to: as configured, by QUIC-LB, or as learned. */
struct trace_filter {
	uint32_t every;
	uint8_t cid_len;
	uint8_t cid[QUIC_CID_LEN_MAX];
};

#define TRACE_KEPT 0xff

struct trace_record {
	uint64_t time_ms;
	uint8_t client[16]; /* as in match_key */
	uint16_t client_port_be;
	uint16_t service_slot;
	int16_t slot;	/* of the backend, or -1 */
	uint8_t rule;	/* enum route_rule */
	uint8_t reason; /* enum drop_reason, or TRACE_KEPT */
	uint8_t type;	/* enum quic_type; QUIC_TYPE_COUNT: not QUIC */
	uint8_t cid_len;
	uint8_t cid[QUIC_CID_LEN_MAX]; /* of a short header: as many bytes as are known to be */
	uint8_t pad[2];
};
_Static_assert(sizeof(struct trace_record) % sizeof(uint64_t) == 0, "copied word by word");

struct trace_ring {
	uint64_t head; /* atomic: records written so far */
	uint64_t records[TRACE_RECORD_COUNT][sizeof(struct trace_record) / sizeof(uint64_t)];
};

/* Write down a decision if the filter wants it. Hot only while somebody looks. */
void trace_decision(struct trace_ring *ring, const struct trace_filter *filter,
		    const struct route_ctx *ctx, const struct route *route, int verdict);

/* The tail from which only what is yet to come will be read. Any thread. */
static inline uint64_t trace_head(const struct trace_ring *ring)
{
	return __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
}

/* Copy up to max records from *tail on, which is moved behind them; the number that
 * were overwritten before is added to *ret_lost. Any thread. */
size_t trace_read(const struct trace_ring *ring, uint64_t *tail, struct trace_record *records,
		  size_t max, uint64_t *ret_lost);

#endif
