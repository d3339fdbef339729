/* SPDX-License-Identifier: GPL-2.0-only */
/* daemon.h - one running ringway: what there is of it, and the order in which it
 * comes up and goes down. Belongs to the main thread. */
#ifndef RINGWAY_CONTROL_DAEMON_H
#define RINGWAY_CONTROL_DAEMON_H

#include <time.h>

#include "control/attach.h"
#include "control/config.h"
#include "control/control_socket.h"
#include "control/host.h"
#include "control/link_watch.h"
#include "control/next_hop.h"
#include "dataplane/worker.h"

/* A backend as the table counts it off: by slot. */
struct daemon_backend {
	const struct config_service *service;
	const struct config_backend *config;
	struct next_hop next_hop[FAMILY_COUNT]; /* as last reported */
	uint8_t silent_ticks[FAMILY_COUNT];	/* that a MAC address has been asked for */
};

struct daemon {
	struct config *config;
	const struct io_engine *engine;
	struct host_link links[PORT_COUNT_MAX]; /* of config->interfaces */
	bool generic[PORT_COUNT_MAX];		/* XDP runs in the stack on this port */
	struct attach *attach;			/* NULL: an engine without XDP */
	struct next_hops *hops;			/* likewise */
	struct link_watch *link_watch;		/* likewise */
	struct table_ref table;
	struct daemon_backend *backends; /* by slot */
	size_t backend_count;
	uint32_t silence_count; /* messages on silent backends since the last tick */
	struct io *ios[WORKER_COUNT_MAX];
	struct worker *workers[WORKER_COUNT_MAX];
	uint32_t worker_count;
	struct control_socket *control;
	struct timespec started; /* CLOCK_MONOTONIC */
};

struct daemon_options {
	const struct io_engine *engine;
	const char *replay_in, *replay_out; /* replay engine only */
};

/* Bring everything up. 0 and *ret_daemon is the caller's (daemon_stop); on
 * failure a negative errno, *ret_daemon untouched, the reason logged. Takes config
 * in both cases. */
int daemon_start(struct config *config, const struct daemon_options *options,
		 struct daemon **ret_daemon);

/* Serve until SIGTERM or SIGINT, which must be blocked, the end of a replay, or until
 * an interface is not any more what it was (link_watch.h). 0, or a negative errno
 * and the reason logged. */
int daemon_run(struct daemon *daemon);

/* Detach, let the workers finish, free. NULL and half-started ones are fine. */
void daemon_stop(struct daemon *daemon);

#endif
