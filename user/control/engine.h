/* SPDX-License-Identifier: GPL-2.0-only */
/* engine.h - what is different with each engine: what it needs of the host, how it
 * comes up, how it follows a reload. All else (daemon.h) is the same for all, and asks
 * no engine for its name.
 *
 * Functions return 0, or a negative errno and a sentence in error[DAEMON_ERROR_SIZE].
 * Control; the main thread. */
#ifndef RINGWAY_CONTROL_ENGINE_H
#define RINGWAY_CONTROL_ENGINE_H

#include "control/daemon.h"

/* What the loop waits for, by the number that epoll returns. */
enum event {
	EVENT_SIGNAL,
	EVENT_TICK, /* once a second */
	EVENT_HEALTH,
	EVENT_CONTROL,
	EVENT_NEXT_HOPS,
	EVENT_LINKS,
	EVENT_WANTED,
	EVENT_COUNT,
};

struct engine {
	const struct io_engine *io;
	bool is_finite;	     /* ends by itself, with a report: nobody asks or probes meanwhile */
	bool has_interfaces; /* ports are those of the configuration; false: one that is none */

	/* Before there is a table: links, port_count and worker_count. */
	int (*ports)(struct daemon *daemon, char *error);

	/* With lineup and table: everything else, until datagrams flow. daemon_stop()
	 * takes down whatever has come up. */
	int (*start)(struct daemon *daemon, const struct daemon_options *options, char *error);

	/* Put the next hops of a lineup's backends, as far as known, into its table. */
	void (*next_hops)(const struct daemon *daemon, const struct lineup *lineup,
			  struct table *table);

	/* The rest is not for finite ones, and NULL where there is nothing to be done.
	 * Add descriptors of events, -1 where there are none; serve them, and the tick. */
	void (*events)(const struct daemon *daemon, int fds[EVENT_COUNT]);
	int (*serve)(struct daemon *daemon, enum event event, char *error);

	/* A reload, in this order: take in what daemon->next_lineup has more, or fail with
	 * nothing changed; take that back, should another step fail; or, around the moment
	 * at which the workers have its table, let go of what it has not. */
	int (*reload_begin)(struct daemon *daemon, char *error);
	void (*reload_undo)(struct daemon *daemon);
	void (*reload_before)(struct daemon *daemon, const struct lineup *now,
			      const struct lineup *next);
	void (*reload_after)(struct daemon *daemon, const struct lineup *before,
			     const struct lineup *now);
};

extern const struct engine engine_af_xdp;
extern const struct engine engine_socket;
extern const struct engine engine_replay;

#endif
