/* SPDX-License-Identifier: GPL-2.0-only */
/* live.h - sends a run by the kernel's live test run of load_source.bpf.c: the program
 * makes the frames and paces them. One CPU is busy for as long as it lasts, also at low
 * rates; on a veth interface they arrive on receive queue CPU mod queues. */
#ifndef RINGWAY_LOAD_LIVE_H
#define RINGWAY_LOAD_LIVE_H

#include "load/run.h"

/* Until count or seconds are reached or SIGINT or SIGTERM comes. Takes SIGALRM, SIGINT and
 * SIGTERM over; once a process. 0, or a negative errno and a sentence in error[]. */
int load_live_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		   size_t error_size);

#endif
