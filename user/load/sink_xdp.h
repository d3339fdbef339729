/* SPDX-License-Identifier: GPL-2.0-only */
/* sink_xdp.h - the receiving side in the kernel: load_sink.bpf.c on an interface, and
 * what it counted. Control only; one thread. */
#ifndef RINGWAY_LOAD_SINK_XDP_H
#define RINGWAY_LOAD_SINK_XDP_H

#include "load/sink.h"

struct load_sink_xdp; /* opaque */

/* Attach, and say so on stderr. Counts from now on. 0 and *ret_sink is the caller's
 * (load_sink_xdp_close), or a negative errno and a sentence in error[]. */
int load_sink_xdp_open(const struct load_sink_config *config, struct load_sink_xdp **ret_sink,
		       char *error, size_t error_size);

void load_sink_xdp_detach(struct load_sink_xdp *sink); /* the numbers stand still from here */
void load_sink_xdp_close(struct load_sink_xdp *sink);  /* accepts NULL */

/* Of a result the counters; those and the streams, which are copied while they change,
 * so that their loss may be off by what is just coming; the latencies; destinations,
 * latencies and span. 0, or a negative errno. What they do not read they leave. */
int load_sink_xdp_counters_read(const struct load_sink_xdp *sink, struct load_sink_result *result);
int load_sink_xdp_tallies_read(const struct load_sink_xdp *sink, struct load_sink_result *result);
int load_sink_xdp_latency_read(const struct load_sink_xdp *sink, struct load_sink_result *result);
int load_sink_xdp_details_read(const struct load_sink_xdp *sink, struct load_sink_result *result);

/* Byte n is 1 if connection n was there; LOAD_CONNECTION_COUNT_MAX of them, the sink's. */
const uint8_t *load_sink_xdp_connections(const struct load_sink_xdp *sink);

/* Begin anew: counters, streams, latencies and span are 0 again, destinations and
 * connections stay. For when nothing arrives. 0, or a negative errno. */
int load_sink_xdp_reset(struct load_sink_xdp *sink);

#endif
