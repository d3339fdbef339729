/* SPDX-License-Identifier: GPL-2.0-only */
/* queues.h - sends a run by AF_XDP, from several transmit queues in turn: a veth
 * interface's peer gets them on as many receive queues. */
#ifndef RINGWAY_LOAD_QUEUES_H
#define RINGWAY_LOAD_QUEUES_H

#include "load/run.h"

/* Frame n leaves from queue (first_queue + n / LOAD_BURST_FRAMES) mod queues. Until
 * count or seconds are reached or SIGINT or SIGTERM comes, which it blocks. 0, or a
 * negative errno and a sentence in error[]. */
int load_queues_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		     size_t error_size);

#endif
