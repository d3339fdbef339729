/* SPDX-License-Identifier: GPL-2.0-only */
/* daemon.h - one running ringway: what there is of it, and its event loop. How it
 * comes up is its engine's (engine.h). Belongs to the main thread. */
#ifndef RINGWAY_CONTROL_DAEMON_H
#define RINGWAY_CONTROL_DAEMON_H

#include <time.h>

#include "config/config.h"
#include "control/attach.h"
#include "control/connections.h"
#include "control/control_socket.h"
#include "control/lineup.h"
#include "control/lookup.h"
#include "control/tracing.h"
#include "dataplane/router_memory.h"
#include "dataplane/worker.h"
#include "health/health.h"
#include "host/host.h"
#include "host/link_watch.h"
#include "host/next_hop.h"
#include "io/socket.h"

/* Room for a sentence about what went wrong. */
#define DAEMON_ERROR_SIZE 512

struct engine;

struct daemon {
	const char *config_path; /* read again at a reload */
	const struct engine *engine;
	struct host_link links[PORT_COUNT_MAX]; /* of the configuration's interfaces, if it has */
	uint32_t port_count;			/* of links */
	bool generic[PORT_COUNT_MAX];		/* XDP runs in the stack on this port */
	struct attach *attach;			/* af_xdp engine only */
	struct next_hops *hops;			/* likewise */
	struct link_watch *link_watch;		/* likewise */
	struct socket_group *sockets;		/* socket engine only */
	uint32_t flow_max;			/* likewise */
	struct health *health;			/* NULL: an engine that is finite */
	struct drops *drops;			/* likewise */
	struct lineup *lineup;			/* in force */
	struct lineup *next_lineup;		/* during a reload; otherwise NULL */
	struct table_ref table;			/* of the lineup in force */
	struct router *router;			/* what the workers remember */
	struct connections_sweep tuples_sweep, cids_sweep;
	const struct trace_filter *trace; /* atomic; NULL: nobody looks */
	struct tracing tracing;		  /* who looks */
	struct lookup *lookup;		  /* NULL until somebody asks */
	uint64_t generation;		  /* of the table: 1 for the first */
	uint32_t silence_count;		  /* messages on silent backends since the last tick */
	bool is_table_stale;		  /* a backend has gone up or down since it was built */
	struct io *ios[WORKER_COUNT_MAX];
	struct worker *workers[WORKER_COUNT_MAX];
	uint32_t worker_count;
	struct control_socket *control;
	struct timespec started; /* CLOCK_MONOTONIC */
};

struct daemon_options {
	const char *config_path;	    /* where config comes from; must stay */
	const struct engine *engine;	    /* NULL: as config says */
	const char *replay_in, *replay_out; /* replay engine only */
};

/* Bring everything up. 0 and *ret_daemon is the caller's (daemon_stop); on
 * failure a negative errno, *ret_daemon untouched, the reason logged. Takes config
 * in both cases. */
int daemon_start(struct config *config, const struct daemon_options *options,
		 struct daemon **ret_daemon);

/* Serve until SIGTERM or SIGINT, the end of a replay, or until an interface is not any
 * more what it was (link_watch.h); SIGHUP reloads. All three must be blocked. 0, or
 * a negative errno and the reason logged. */
int daemon_run(struct daemon *daemon);

/* Detach, let the workers finish, free. NULL and half-started ones are fine. */
void daemon_stop(struct daemon *daemon);

/* The CPU a worker runs on, or the thread that receives for it; -1: any, or no such thread.
 * A worker and what belongs to it take CPUs in a row. Only sockets have receivers, though
 * with engine auto the file may speak of them and XDP be had. */
static inline int daemon_thread_cpu(const struct daemon *daemon, uint32_t worker, bool is_receiver)
{
	const struct config *config = daemon->lineup->config;
	bool is_decoupled = daemon->sockets && config->sockets.is_decoupled;
	uint32_t thread = is_decoupled ? 2 * worker + is_receiver : worker;

	if (!config->cpu_count || (is_receiver && !is_decoupled))
		return -1;
	return config->cpus[thread % config->cpu_count];
}

#endif
