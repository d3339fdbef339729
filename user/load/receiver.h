/* SPDX-License-Identifier: GPL-2.0-only */
/* receiver.h - one way to take load datagrams in, and what was counted of them.
 *
 * Two implementations with one contract: a program on an interface, which takes what no
 * socket gets to see, and a UDP socket, for where that cannot be. One thread; control
 * only, except that a socket's datagrams are taken in by wait(). */
#ifndef RINGWAY_LOAD_RECEIVER_H
#define RINGWAY_LOAD_RECEIVER_H

#include <signal.h>

#include "load/sink.h"

struct load_receiver; /* opaque, each implementation's own */

struct load_receiver_ops {
	/* Count from now on, and say so on stderr. 0 and *ret_receiver is the caller's
	 * (close), or a negative errno and a sentence in error[]. */
	int (*open)(const struct load_sink_config *config, struct load_receiver **ret_receiver,
		    char *error, size_t error_size);

	/* Some 10 ms, or until one of the signals, which are blocked: 1 if so, else 0. */
	int (*wait)(struct load_receiver *receiver, const sigset_t *signals);

	/* Of a result the counters; those and the streams; destinations, latencies and
	 * span. Datagrams that arrive meanwhile may be in a stream's one number and not yet
	 * in the other. What they do not read they leave. 0, or a negative errno. */
	int (*counters_read)(const struct load_receiver *receiver, struct load_sink_result *result);
	int (*tallies_read)(const struct load_receiver *receiver, struct load_sink_result *result);
	int (*details_read)(const struct load_receiver *receiver, struct load_sink_result *result);

	/* Byte n is 1 if connection n was there; LOAD_CONNECTION_COUNT_MAX, the receiver's. */
	const uint8_t *(*connections)(const struct load_receiver *receiver);

	void (*stop)(struct load_receiver *receiver);  /* the numbers stand still from here */
	void (*close)(struct load_receiver *receiver); /* accepts NULL */
};

extern const struct load_receiver_ops load_receiver_xdp;
extern const struct load_receiver_ops load_receiver_socket;

/* For load_receiver_xdp's only, while nothing arrives: counters, streams, latencies and
 * span are 0 again, destinations and connections stay. And the latencies alone. 0, or a
 * negative errno. */
int load_receiver_xdp_reset(struct load_receiver *receiver);
int load_receiver_xdp_latency_read(const struct load_receiver *receiver,
				   struct load_sink_result *result);

/* What tallies_read() says of a stream, and the order it says it in. */
void load_receiver_stream_set(struct load_sink_stream *ret_stream, uint32_t number,
			      const struct load_stream *stream);
void load_receiver_streams_sort(struct load_sink_result *result);
void load_receiver_destinations_sort(struct load_sink_result *result);

#endif
