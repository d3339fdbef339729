/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_group.h - what the workers of the socket engine share: services' sockets, and
 * the table of flows (socket_flow.h). Inside the engine only; for others socket.h.
 *
 * Which services there are is a struct socket_set, immutable, published as tables are:
 * a worker loads it once a call and keeps no pointer from it over a quiescent point. */
#ifndef RINGWAY_IO_SOCKET_GROUP_H
#define RINGWAY_IO_SOCKET_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu-call-rcu.h>

#include "core/hash.h"
#include "io/socket.h"
#include "io/socket_end.h"
#include "ringway/limits.h"

/* Twice the addresses, so that probing ends soon. A power of two. */
#define SOCKET_INDEX_SIZE (2 * SOCKET_ENDPOINT_COUNT_MAX)

struct io;
struct cds_lfht;

/* An address that is listened on, with a socket a worker. */
struct socket_service {
	struct socket_addr addr;
	uint16_t slot;		    /* its own as long as it is there */
	uint32_t serial;	    /* no other service's, ever */
	uint32_t idle_ms;	    /* atomic */
	bool is_quic;		    /* atomic */
	struct socket_steer *steer; /* NULL: the kernel's choice */
	uint32_t end_count;
	struct socket_end ends[]; /* by worker */
};

struct socket_set {
	uint32_t serial;					    /* no other set's; never 0 */
	uint32_t slot_limit;					    /* every slot is below it */
	struct socket_service *services[SOCKET_ENDPOINT_COUNT_MAX]; /* by slot; NULL: none */
	uint16_t index[SOCKET_INDEX_SIZE]; /* open addressing by address: slot + 1; 0: empty */
};

/* Of an address family: a flow found no port to send from. Atomic. */
struct socket_no_port {
	bool is_so;
	uint32_t since_ms;
};

struct socket_group {
	struct socket_group_config config;
	struct socket_source *sources;
	struct hash_secret secret; /* of addresses: clients choose theirs */
	const struct socket_set *set;
	uint32_t next_serial;	  /* of services and of sets */
	pthread_mutex_t mutex;	  /* between control, that changes set, and who reads statistics */
	uint64_t service_dropped; /* in sockets of services that are gone */
	struct io *ios[WORKER_COUNT_MAX]; /* open ones */

	/* Atomic, written by all: none of these is counted for an ordinary datagram. */
	struct cds_lfht *flows;
	struct rcu_head closer; /* until it has no privileges any more */
	uint64_t flow_count;	/* upstream sockets open */
	uint64_t flow_dropped;
	uint32_t next_source[2];	  /* of IPv6, of IPv4; atomic */
	struct socket_no_port no_port[2]; /* IPv4, IPv6 */
	uint64_t counts[SOCKET_COUNTER_COUNT];
};

static inline void socket_count(struct socket_group *group, enum socket_counter counter,
				uint64_t amount)
{
	(void)__atomic_fetch_add(&group->counts[counter], amount, __ATOMIC_RELAXED);
}

/* Valid until the next quiescent point. Hot. */
static inline const struct socket_set *socket_set_of(const struct socket_group *group)
{
	/* Pairs with the exchange in socket_group_listen(). */
	return __atomic_load_n(&group->set, __ATOMIC_ACQUIRE);
}

/* NULL: nothing listens there. Hot. */
const struct socket_service *socket_set_find(const struct socket_group *group,
					     const struct socket_set *set,
					     const struct socket_addr *addr);

static inline struct socket_service *socket_set_slot(const struct socket_set *set, uint16_t slot)
{
	return slot < set->slot_limit ? set->services[slot] : NULL;
}

/* A worker's io comes and goes: its sockets are, or are no more, to be read. Control. */
int socket_group_attach(struct socket_group *group, uint32_t worker, struct io *io);
void socket_group_detach(struct socket_group *group, uint32_t worker);

#endif
