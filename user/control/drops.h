/* SPDX-License-Identifier: GPL-2.0-only */
/* drops.h - every place where a datagram can be lost on its way through this machine, in
 * the order of that way, and what was lost there since the daemon started.
 *
 * Counters of the kernel that are older than the daemon are read once at start, and
 * what they say then is taken off. Control; the main thread. */
#ifndef RINGWAY_CONTROL_DROPS_H
#define RINGWAY_CONTROL_DROPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/drop.h"
#include "host/nic_stats.h"
#include "host/proc_net.h"
#include "io/io.h"
#include "io/socket.h"
#include "ringway/abi.h"

struct daemon;

/* What was counted since the daemon started. */
struct drops_counts {
	bool has_sockets; /* the engine is the kernel's UDP, not AF_XDP */
	bool has_generic; /* XDP runs in the stack on some interface */
	uint32_t port_count, worker_count;
	const char *ifnames[PORT_COUNT_MAX];
	const char *drivers[PORT_COUNT_MAX]; /* NULL: no XDP there */
	struct nic_stats nics[PORT_COUNT_MAX];
	struct proc_net net;
	uint64_t xdp[INGRESS_COUNTER_COUNT];
	struct io_stats ios[WORKER_COUNT_MAX];
	uint64_t reasons[DROP_REASON_COUNT]; /* sums of the workers */
	struct socket_stats sockets;
};

/* An array, in the order of the way: "place", "stage", "kind" ("loss" or "sign"), "count",
 * "meaning", "advice" and "sources" (each "name" and "count", an interface's "counters" by
 * name), those that are not 0. NULL: no memory. Pure. */
json_t *drops_places(const struct drops_counts *counts);

/* Begin to count: the interfaces of the engine, or those there are if it knows none. NULL:
 * no memory. */
struct drops *drops_open(const struct daemon *daemon);

/* The answer to `drops`: "engine", "uptime_s" and "places". NULL: no memory. Some system
 * calls an interface and socket; no privilege. */
json_t *drops_report(const struct drops *drops, const struct daemon *daemon);

void drops_close(struct drops *drops); /* accepts NULL */

#endif
