/* SPDX-License-Identifier: GPL-2.0-only */
/* forward.h - the whole way of a burst: parse, decide, rewrite.
 *
 * Pure: no system call, clock, log, global or allocation. */
#ifndef RINGWAY_CORE_FORWARD_H
#define RINGWAY_CORE_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "drop.h"
#include "packet.h"
#include "route.h"
#include "trace.h"

struct traffic {
	uint64_t datagrams;
	uint64_t bytes; /* of IP packets */
};

struct backend_traffic {
	struct traffic out;  /* to the backend */
	struct traffic back; /* to clients */
};

/* What one worker has forwarded. One writer; read with counter_read(). Every
 * datagram given to forward_burst(), and every copy it made, is in exactly one of
 * forwarded and dropped. */
struct forward_stats {
	uint64_t forwarded;
	uint64_t dropped[DROP_REASON_COUNT];
	uint64_t checksums_completed; /* arrived with the pseudo-header sum only */
	uint64_t new_connections;     /* QUIC Initials of clients */
	struct backend_traffic backends[BACKEND_COUNT_MAX];
};

struct forward_ctx {
	struct route_ctx route; /* table, what is remembered, the time */
	struct forward_stats *stats;
	const struct trace_filter *trace; /* NULL: nobody looks */
	struct trace_ring *trace_ring;

	/* Frames of the caller's for copies of datagrams: data and room for
	 * spare_size bytes each. The first copy_count of them are packets to send
	 * when forward_burst() returns. */
	struct packet *spares;
	uint32_t spare_count, spare_size, copy_count;
};

/* Forward count (at most BURST_MAX) packets in place; returns how many are kept.
 * Those move to the front in arrival order, rewritten, tx_port set. The rest,
 * packets[kept..count), are counted by reason and still the caller's to release.
 * No frame is read or written outside [data, data + len). Hot: headers that are not in
 * a cache yet should have been asked for. */
size_t forward_burst(struct forward_ctx *ctx, struct packet *packets, size_t count);

#endif
