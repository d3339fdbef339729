/* SPDX-License-Identifier: GPL-2.0-only */
/* tracing.h - decisions for clients' datagrams, for one who asks again and again.
 *
 * `trace` with a filter switches the workers' tracing on and gives a lease; with the
 * lease it gets what was decided since; with the lease alone it ends it. Who has not
 * asked for TRACING_LEASE_S loses it, and tracing is switched off. Control; the main
 * thread. */
#ifndef RINGWAY_CONTROL_TRACING_H
#define RINGWAY_CONTROL_TRACING_H

#include <jansson.h>
#include <stdint.h>

#include "control/command.h"
#include "core/trace.h"

struct daemon;

#define TRACING_LEASE_S 5

struct tracing {
	struct trace_filter *filter; /* NULL: nobody looks */
	uint64_t lease;		     /* number of the last one given */
	uint64_t asked_ns;
	uint64_t tails[WORKER_COUNT_MAX]; /* read so far, of each worker's ring */
};

/* {"lease": number, "lost": count, "records": [...]}, in the order of their time. */
json_t *tracing_answer(struct daemon *daemon, const struct command_words *words);

/* Once a second: end a lease that has run out. */
void tracing_tick(struct daemon *daemon);

/* Nothing to end is fine. Waits until no worker reads the filter any more. */
void tracing_end(struct daemon *daemon);

#endif
