/* SPDX-License-Identifier: GPL-2.0-only */
/* sockets.h - sends a run by UDP sockets, as any program would: one for each flow, bound
 * to its address and port and to the interface. Needs no privilege; addresses must be
 * this host's. */
#ifndef RINGWAY_LOAD_SOCKETS_H
#define RINGWAY_LOAD_SOCKETS_H

#include "load/run.h"

#define LOAD_SOCKET_COUNT_MAX 4096

/* Datagrams in a row of one flow leave in one system call, and of one size as segments
 * of one message (UDP_SEGMENT), where the kernel can. Until count or seconds are reached
 * or SIGINT or SIGTERM comes, which it blocks. 0, or a negative errno and a sentence in
 * error[]: too many flows, an address that is not this host's, a port that is taken, or
 * what the kernel says. A refusal by the destination's host is no failure. */
int load_sockets_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		      size_t error_size);

#endif
