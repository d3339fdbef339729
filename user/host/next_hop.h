/* SPDX-License-Identifier: GPL-2.0-only */
/* next_hop.h - where an address is reached: interface and MAC address, as the
 * kernel's routes and neighbours have it, followed as they change.
 *
 * A set of addresses (those of the backends) is watched. libmnl; questions
 * to the kernel wait for its answer, which comes at once, for a second at the most.
 * One thread. */
#ifndef RINGWAY_HOST_NEXT_HOP_H
#define RINGWAY_HOST_NEXT_HOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/table.h"

struct next_hop {
	enum {
		NEXT_HOP_NO_ROUTE,   /* unreachable, prohibited, or none: the rest is 0 */
		NEXT_HOP_LOCAL,	     /* an address of this host: the rest is 0 */
		NEXT_HOP_UNRESOLVED, /* ifindex and gateway are known, the MAC is asked for */
		NEXT_HOP_RESOLVED,
	} state;
	uint32_t ifindex;
	uint8_t gateway[16]; /* the neighbour to ask for, as in match_key */
	uint8_t mac[6];
};

struct next_hops;

/* Called at every change of a watched address, with what was given to watch. Must
 * not watch, unwatch or close. */
typedef void next_hop_fn(void *arg, uint32_t id, const struct next_hop *hop);

int next_hops_open(next_hop_fn *changed, void *arg, struct next_hops **ret_hops, char *error,
		   size_t error_size);

/* Watch addr (as in match_key) under the caller's id; `changed` is called at once
 * with what is known now, and the neighbour is solicited if it is missing.
 * 0, -ENOMEM, or a negative errno of netlink. */
int next_hops_watch(struct next_hops *hops, uint32_t id, const uint8_t addr[16]);

/* Forget it. An id that is not watched is fine. */
void next_hops_unwatch(struct next_hops *hops, uint32_t id);

/* Solicit a neighbour that nobody watches, such as a client's: each once a tick and
 * at most NEIGHBOUR_WANTED_COUNT_MAX of them, then -EBUSY. Needs CAP_NET_ADMIN. */
int next_hops_solicit(struct next_hops *hops, uint32_t ifindex, const uint8_t addr[16]);

/* Readable when routes, neighbours or links changed: then call next_hops_read(). */
int next_hops_fd(const struct next_hops *hops);
void next_hops_read(struct next_hops *hops);

/* Once a second: asks again for what is missing, keeps what is used from going
 * stale, and looks up everything anew after a lost event or an answer that did not
 * come, and every 30 s besides. */
void next_hops_tick(struct next_hops *hops);

void next_hops_close(struct next_hops *hops); /* accepts NULL */

#endif
