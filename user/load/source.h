/* SPDX-License-Identifier: GPL-2.0-only */
/* source.h - sends load datagrams out of an interface, counted and paced: they go when
 * they are due, whatever has become of those before. Every run ends by itself. */
#ifndef RINGWAY_LOAD_SOURCE_H
#define RINGWAY_LOAD_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/template.h"

/* What datagrams leave by; X(constant, name, meaning) */
#define LOAD_TRANSPORTS(X)                                               \
	X(LIVE, "live", "frames that a BPF program makes and redirects") \
	X(AF_XDP, "af_xdp", "AF_XDP transmit queues")                    \
	X(SENDMMSG, "sendmmsg", "sockets, one for each flow, with UDP segmentation")

enum load_transport {
#define X(constant, name, meaning) LOAD_BY_##constant,
	LOAD_TRANSPORTS(X)
#undef X
		LOAD_TRANSPORT_COUNT,
};

/* Never NULL for what is less than its count; static storage. */
const char *load_transport_name(enum load_transport transport);

struct load_source_config {
	const char *ifname;
	struct load_shape shape; /* of a capture: flows, kind and sizes are its own */
	const char *capture;	 /* a pcap file to send instead; NULL: none. Not by LIVE */
	enum load_transport by;
	const uint8_t *from; /* as in match_key; NULL: the kernel's choice */
	const uint8_t *mac;  /* next hop; NULL: the kernel's neighbour. Not by SENDMMSG */
	uint64_t count;	     /* datagrams; 0: a capture, once */
	uint64_t rate;	     /* datagrams a second at most; 0: as fast as it goes */
	uint32_t seconds;    /* the run's end, whatever has been sent */
	uint32_t cpu;	     /* where the run takes place */
	uint32_t queues;     /* of AF_XDP, at least 1 */
	uint32_t first_queue;
	bool is_as_captured; /* instead of a rate: at the times of the capture */
	bool is_told;	     /* say on stderr, once a second, how far it is */
};

struct load_source_result {
	uint64_t sent;	     /* datagrams given to the interface, which may drop them unseen */
	uint64_t skipped;    /* frames that pacing let go by */
	uint64_t bytes;	     /* of UDP payload, of those sent; and so are the next two */
	uint64_t initials;   /* that open a connection of a mix */
	uint64_t migrations; /* changes of a 4-tuple */
	uint64_t calls;	     /* of the kernel, by sockets; 0: not known */
	double seconds;	     /* from the first datagram to the last */
};

/* Tell on stderr what is going to happen, then do it, until count or seconds are
 * reached or SIGINT or SIGTERM comes. Pins the calling thread, takes SIGALRM, SIGINT
 * and SIGTERM over; once a process. 0, or a negative errno and a sentence in error[]. */
int load_source_run(const struct load_source_config *config, struct load_source_result *ret_result,
		    char *error, size_t error_size);

#endif
