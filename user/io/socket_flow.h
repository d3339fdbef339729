/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_flow.h - a client at a backend: one connected UDP socket upstream.
 *
 * In a lock-free table (liburcu's) that all workers share. Any worker sends on a flow's
 * socket; the one that opened it reads the answers and closes it when nothing has passed
 * for its service's idle time, or its service is gone. Its memory and its file last until
 * every worker has passed a quiescent point: nobody ever sends on a number that has
 * become another flow's. Threads that call this are registered with QSBR. */
#ifndef RINGWAY_IO_SOCKET_FLOW_H
#define RINGWAY_IO_SOCKET_FLOW_H

#include <stdint.h>
#include <urcu-qsbr.h>
#include <urcu/list.h>
#include <urcu/rculfhash.h>

#include "io/socket_end.h"
#include "io/socket_group.h"

struct socket_flow_key {
	struct socket_addr client, backend;
};

struct socket_flow {
	struct socket_end end; /* first: an end that is a flow's is the flow */
	struct socket_flow_key key;
	uint16_t slot;
	uint32_t serial;	     /* of its service */
	uint32_t touched_ms;	     /* atomic: the last datagram of either direction */
	uint32_t dropped;	     /* of its receive queue, as last seen; the owner's */
	uint32_t index;		     /* in struct socket_flows; the owner's */
	bool is_published;	     /* atomic */
	bool is_ending;		     /* io_uring: retired when its receive has ended */
	struct cds_list_head ending; /* io_uring: of flows that are, in one of its lists */
	struct socket_group *group;
	struct cds_lfht_node node;
	struct rcu_head rcu;
};

/* The flows that one worker owns. */
struct socket_flows {
	struct socket_flow **flows;
	uint32_t count, capacity;
	uint32_t hand;	/* where looking for idle ones goes on */
	uint32_t asked; /* whose drops were counted last */
	uint32_t swept_ms;
};

/* NULL: there is none. Valid until the next quiescent point. Hot. */
struct socket_flow *socket_flow_find(struct socket_group *group, const struct socket_flow_key *key);

/* Open one, for the service in slot, to be read by the worker that owns `flows`; the
 * caller has found none. Allocates and makes system calls: the one thing on a datagram's
 * way that does, once a flow. 0 and *ret_flow, which is another worker's if that was
 * first (*ret_is_own then false); or a negative errno, counted but for -ENOENT: the
 * service has gone since the datagram came in. */
int socket_flow_open(struct socket_group *group, struct socket_flows *flows,
		     const struct socket_flow_key *key, uint16_t slot, uint32_t now_ms,
		     struct socket_flow **ret_flow, bool *ret_is_own);

static inline void socket_flow_touch(struct socket_flow *flow, uint32_t now_ms)
{
	if (__atomic_load_n(&flow->touched_ms, __ATOMIC_RELAXED) != now_ms)
		__atomic_store_n(&flow->touched_ms, now_ms, __ATOMIC_RELAXED);
}

/* The next flow that is to be closed, taken out of the table and of `flows`, or NULL;
 * look at *budget flows at most. Then stop reading it and socket_flow_retire() it. */
struct socket_flow *socket_flows_idle(struct socket_group *group, struct socket_flows *flows,
				      uint32_t now_ms, uint32_t *budget);

/* Take one out as socket_flows_idle() does, counted as expired, with what it dropped. */
void socket_flows_remove(struct socket_group *group, struct socket_flows *flows,
			 struct socket_flow *flow);

/* How many flows to look at now, so that each is seen once a second. Counts what some of
 * them have dropped: of up to 80,000, each every 5 s, even by a worker that only wakes ten
 * times a second. */
uint32_t socket_flows_budget(struct socket_flows *flows, uint32_t now_ms);

/* Close it once no worker can be using it. Returns at once. */
void socket_flow_retire(struct socket_flow *flow);

/* The table, and an end of it with all that is in it. Control; no worker runs. */
int socket_flows_open(struct socket_group *group);
void socket_flows_close(struct socket_group *group);

#endif
