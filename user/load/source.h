/* SPDX-License-Identifier: GPL-2.0-only */
/* source.h - sends load datagrams out of an interface, counted and paced.
 *
 * The kernel's live test run of load_source.bpf.c makes the frames; one CPU is busy
 * for as long as it lasts, also at low rates. Or they leave by AF_XDP, from queues of
 * one's choice (queues.h). Every run ends by itself. */
#ifndef RINGWAY_LOAD_SOURCE_H
#define RINGWAY_LOAD_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/template.h"

struct load_source_config {
	const char *ifname;
	struct load_shape shape;
	const uint8_t *from; /* as in match_key; NULL: the kernel's choice */
	const uint8_t *mac;  /* next hop; NULL: the kernel's neighbour */
	uint64_t count;	     /* frames */
	uint64_t rate;	     /* frames a second at most; 0: as fast as it goes */
	uint32_t seconds;    /* the run's end, whatever has been sent */
	uint32_t cpu;	     /* where the run takes place; frames arrive on queue cpu mod queues */
	uint32_t queues;     /* transmit by AF_XDP from so many instead; 0: don't */
	uint32_t first_queue;
};

struct load_source_result {
	uint64_t sent;	  /* frames given to the interface, which may drop them unseen */
	uint64_t skipped; /* frames that pacing let go by */
	double seconds;	  /* from the first frame to the last */
};

/* Tell on stderr what is going to happen, then do it, until count or seconds are
 * reached or SIGINT or SIGTERM comes. Pins the calling thread, takes SIGALRM, SIGINT
 * and SIGTERM over; once a process. 0, or a negative errno and a sentence in error[]. */
int load_source_run(const struct load_source_config *config, struct load_source_result *ret_result,
		    char *error, size_t error_size);

#endif
