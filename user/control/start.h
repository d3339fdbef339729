/* SPDX-License-Identifier: GPL-2.0-only */
/* start.h - what is done once: links, sockets, XDP, privileges, workers, in the order
 * in which they need each other. daemon_stop() takes down whatever has come up.
 * Control; the main thread. */
#ifndef RINGWAY_CONTROL_START_H
#define RINGWAY_CONTROL_START_H

#include "control/daemon.h"

/* Before there is a table: look at the links of the lineup's configuration, and
 * whether the kernel forwards between them. All four: 0, or a negative errno and a
 * sentence in error[DAEMON_ERROR_SIZE]. */
int start_links(struct daemon *daemon, char *error);

/* The same for a replay: one port that takes every frame. */
void start_links_invented(struct daemon *daemon);

/* With table and lineup: everything else, until datagrams flow. */
int start_forwarding(struct daemon *daemon, const struct daemon_options *options, char *error);
int start_replay(struct daemon *daemon, const struct daemon_options *options, char *error);

/* Afterwards: warn of service addresses that nobody answers for. */
void start_addresses_check(const struct daemon *daemon);

#endif
