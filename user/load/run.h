/* SPDX-License-Identifier: GPL-2.0-only */
/* run.h - one run of the source, whatever it sends by: its end, and when datagrams are
 * due and what they are. One thread, and one more that tells how far it is. */
#ifndef RINGWAY_LOAD_RUN_H
#define RINGWAY_LOAD_RUN_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "load/capture.h"
#include "load/source.h"

/* Datagrams that are built and sent at once. */
#define LOAD_BURST_MAX LOAD_BURST_FRAMES

struct load_run {
	const struct load_source_config *config;
	const struct load_template *template;
	const struct load_path *path;
	const struct load_capture *capture; /* NULL: datagrams of the template */
	uint64_t count;			    /* at most so many */
	const __u64 *progress;		    /* datagrams sent so far; set before the beginning */
	uint64_t start_ns, deadline_ns;
	/* Of those that userspace paces: */
	__u64 sent;
	uint64_t first_ns, last_ns;
	uint64_t due_ps; /* after start_ns */
	bool is_stopped;
	sigset_t signals;
	/* Of the one that tells: */
	pthread_t teller;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_told, is_ended;
};

/* Say on stderr what is going to happen, start the clock and, if wanted, the telling. */
void load_run_begin(struct load_run *run);
void load_run_end(struct load_run *run);

/* For transports that userspace paces, SIGINT and SIGTERM end the run: block them,
 * before the beginning. */
void load_run_signals_block(struct load_run *run);

/* Sleep until something is due, then how many datagrams may go at once: at most `most`
 * and LOAD_BURST_MAX; 0 when the run is over. Time missed beyond LOAD_BURST_FRAMES is
 * lost. */
uint32_t load_run_wait(struct load_run *run, uint32_t most);

/* Is the run over, whatever is left to send? A system call. */
bool load_run_is_over(struct load_run *run);

/* So many more were sent. */
void load_run_count(struct load_run *run, uint64_t count);
void load_run_result(const struct load_run *run, struct load_source_result *ret_result);

/* Datagram `sequence` of the run as a frame of at most LOAD_FRAME_LEN_MAX bytes, or its
 * payload and its flow. Returns the length. */
uint32_t load_run_frame(const struct load_run *run, uint64_t sequence, uint64_t now_ns,
			uint8_t *frame);
uint32_t load_run_payload(const struct load_run *run, uint64_t sequence, uint64_t now_ns,
			  uint8_t *payload, uint64_t *ret_flow);

#endif
