/* SPDX-License-Identifier: GPL-2.0-only */
/* link_watch.h - the ports after the start.
 *
 * A carrier that goes and comes is logged. A port that is deleted, or gets another
 * MAC address or MTU, is not the one that sockets are bound to and frames are made
 * for: that ends ringwayd, and its supervisor starts it anew. Control; one thread;
 * never blocks. */
#ifndef RINGWAY_HOST_LINK_WATCH_H
#define RINGWAY_HOST_LINK_WATCH_H

#include "host/host.h"

struct link_watch;

/* Watch links[0..count), at most PORT_COUNT_MAX, for changes from what is in them;
 * those that came before are noticed at the first tick. Names and links are copied. 0
 * and *ret_watch is the caller's (link_watch_close), or a negative errno and a sentence
 * in error[]. */
int link_watch_open(const char *const *ifnames, const struct host_link *links, size_t count,
		    struct link_watch **ret_watch, char *error, size_t error_size);

/* Readable when links changed: then call link_watch_read(). 0, or -ESTALE and a
 * sentence in error[] when a port is not what it was. */
int link_watch_fd(const struct link_watch *watch);
int link_watch_read(struct link_watch *watch, char *error, size_t error_size);

/* Once a second: looks again if events were lost. As link_watch_read(). */
int link_watch_tick(struct link_watch *watch, char *error, size_t error_size);

void link_watch_close(struct link_watch *watch); /* accepts NULL */

#endif
