/* SPDX-License-Identifier: GPL-2.0-only */
/* worker.h - a pinned thread that moves datagrams through one engine.
 *
 * The table it reads is published to all workers at once (table_publish) and
 * retired with RCU: a worker passes a quiescent point every round. */
#ifndef RINGWAY_DATAPLANE_WORKER_H
#define RINGWAY_DATAPLANE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/forward.h"
#include "io/io.h"

/* Owned by the control plane; what the workers read now. */
struct table_ref {
	struct table *table;
};

/* Readers see the new table from their next burst on. Returns the old one once no
 * worker reads it any more: it is the caller's to free. Control; the calling
 * thread must not be an RCU reader. */
struct table *table_publish(struct table_ref *ref, struct table *table);

/* Likewise for what is traced; NULL stops it. The old filter is the caller's. */
const struct trace_filter *trace_publish(const struct trace_filter **place,
					 const struct trace_filter *filter);

struct worker_stats {
	uint64_t received; /* frames taken from the engine */
	uint64_t sent;	   /* frames the engine took for transmission */
	uint64_t rounds, empty_rounds;
	uint64_t busy_ns;    /* in rounds that were not empty, the kernel's part included */
	uint64_t forward_ns; /* of busy_ns: parsing, deciding, rewriting */
};

struct worker_config {
	uint32_t index;
	int cpu; /* -1: not pinned */
	const struct io_engine *engine;
	struct io *io; /* the worker's while it runs; its owner closes it afterwards */
	const struct table_ref *table;
	struct router *router;			 /* shared by all workers (router_memory.h) */
	const struct trace_filter *const *trace; /* atomic; what it points to: NULL, nobody looks */
};

struct worker;

/* Start the thread. 0 and *ret_worker, or a negative errno. Control. */
int worker_start(const struct worker_config *config, struct worker **ret_worker);

/* Has the engine ended (a replay)? */
bool worker_done(const struct worker *worker);

/* Ask to stop, and return at once: of many workers, ask all before the first
 * worker_stop(), so that they stop together. NULL is a no-op. */
void worker_stop_ask(struct worker *worker);

/* Ask to stop, wait until it has, free. What the engine had received is still
 * sent, within 100 ms, so stop the source first. NULL is a no-op. The io is then idle. */
void worker_stop(struct worker *worker);

/* Any thread; read with counter_read(). Valid until worker_stop(). */
const struct worker_stats *worker_stats(const struct worker *worker);
const struct forward_stats *worker_forward_stats(const struct worker *worker);
const struct trace_ring *worker_trace(const struct worker *worker);
const struct router_worker *worker_router(const struct worker *worker);

#endif
