/* SPDX-License-Identifier: GPL-2.0-only */
/* table.h - everything a worker must know to forward a datagram.
 *
 * Built by the control plane from a configuration, then read by every worker
 * without locks. Immutable but for the next hops, which follow the kernel's
 * neighbours: one atomic word each. Pure. */
#ifndef RINGWAY_CORE_TABLE_H
#define RINGWAY_CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hash.h"
#include "maglev.h"
#include "packet.h"
#include "quic_lb.h"
#include "ringway/abi.h"
#include "ringway/match.h"

enum family {
	FAMILY_IPV4,
	FAMILY_IPV6,
	FAMILY_COUNT,
};

/* An address a family, as in match_key; present[f] says whether there is one. */
struct table_endpoint {
	bool present[FAMILY_COUNT];
	uint8_t addr[FAMILY_COUNT][16];
	uint16_t port_be;
};

/* The sum of its address as checksum_delta() takes it; the port may be added. */
uint32_t table_endpoint_sum(const struct table_endpoint *endpoint, enum family family);

struct table_port {
	uint8_t mac[6];
	uint16_t mtu; /* bytes of IP packet */
};

struct table_backend {
	uint16_t slot; /* the backend's for as long as anything remembers it; no two alike */
	struct table_endpoint endpoint;
	uint64_t id;	 /* maglev_member.id */
	uint16_t weight; /* of new connections; 0: takes none (drained, or down) */
};

enum table_mode {
	TABLE_NAT, /* destination rewritten, answers come back through here */
	TABLE_L2,  /* only MAC addresses change, answers go straight to the client */
};

struct table_service {
	uint16_t slot; /* likewise the service's; no two alike */
	struct table_endpoint endpoint;
	enum table_mode mode;
	bool is_quic;
	bool hash_connection_id;   /* new connections by Connection ID, not by 4-tuple */
	bool discovers;		   /* ask who owns an unknown Connection ID (TABLE_NAT only) */
	bool is_return_in_xdp;	   /* short headers of answers do not come by (TABLE_NAT only) */
	bool drops_gone;	   /* a removed backend's connections: drop, or give to others */
	uint8_t connection_id_len; /* of short headers; 0: learn it */
	uint16_t idle_ticks;	   /* AFFINITY_TICK_MS each: an older entry is forgotten */
	struct quic_lb *quic_lb;   /* NULL: none; belongs to the table once it is built */
	const struct table_backend *backends;
	size_t backend_count;
};

/* What a table is built from. */
struct table_spec {
	const struct table_port *ports;
	size_t port_count; /* 1..PORT_COUNT_MAX */
	const struct table_service *services;
	size_t service_count; /* 0..SERVICE_COUNT_MAX */
	uint8_t edition; /* not that of the last table in which a service had another address */
	uint8_t hash_key[16];

	/* Where the table is to be: size bytes of zeros on a cache line, for free(). */
	void *(*memory_new)(size_t size);
};

/* A next hop in one word: the MAC address in the first six bytes in memory, the
 * port in bits 48..54, NEXT_HOP_KNOWN. 0: not resolved. */
#define NEXT_HOP_KNOWN (1ull << 63)

/* All that rewriting needs, both ways, of one backend in one family: one line. */
struct target {
	uint64_t next_hop; /* atomic, relaxed */
	uint8_t backend_addr[16];
	uint8_t service_addr[16];
	uint16_t backend_port_be; /* 0: nobody, or one whose answers do not come by here */
	uint16_t service_port_be;
	uint16_t delta_ipv4_out; /* checksum_delta(service -> backend): addresses and TTL */
	uint16_t delta_out;	 /* addresses and ports */
	uint16_t delta_ipv4_back;
	uint16_t delta_back;
	uint16_t service_slot;
	bool present;	  /* has this address family */
	bool accepts_new; /* neither drained nor down */
	uint8_t mode;	  /* enum table_mode */
	uint8_t pad[3];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct target) == 64, "one cache line a decision");

/* The hot part of a service: one line. */
struct service {
	struct maglev maglev[FAMILY_COUNT]; /* of backend slots */
	struct quic_lb *quic_lb;	    /* NULL: none */
	const uint16_t *backends; /* slots, backend_count of them; NULL: no such service */
	uint16_t backend_count;
	uint16_t idle_ticks;
	uint8_t connection_id_len;
	bool is_quic, is_nat, hash_connection_id, discovers, drops_gone;
	bool client_keeps; /* 4-tuples fresh, as there are no answers that do */
	uint8_t edition;   /* of the services: which address has which slot */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct service) == 64, "one cache line, found by a shift");

/* One entry of the tables by which userspace classifies for itself. */
struct table_match {
	struct match_key key;
	uint8_t kind; /* enum frame_kind; FRAME_UNCLASSIFIED: empty */
	uint16_t slot;
};

#define TABLE_NOBODY 0xffff

/* The first of one piece of memory, so that all that is read of a lineup lies together:
 * what each pointer leads to follows, then the services' Maglev tables. */
struct table {
	struct hash_secret secret; /* of hash_key */
	struct table_port ports[PORT_COUNT_MAX];
	struct service services[SERVICE_COUNT_MAX];
	struct target *targets; /* [slot * FAMILY_COUNT + family] */
	uint64_t client_next_hop;
	struct table_match *matches; /* open addressing */
	uint32_t match_mask;
	uint32_t port_count;
	uint16_t idle_ticks_max;    /* of all services: what is older belongs to none */
	uint32_t slot_limit;	    /* every backend's slot is below it */
	uint16_t *service_backends; /* what services[].backends point into */
	/* As targets: the service's slot, TABLE_NOBODY if not present. */
	uint16_t owners[BACKEND_COUNT_MAX * FAMILY_COUNT];
};

/* 0 and *ret_table is the caller's (table_free), and so is every quic_lb of spec;
 * or, nothing taken and *ret_table untouched, -EINVAL (a count or slot out of
 * bounds, a slot twice, two backends with one id in a service, one (address, port)
 * twice in TABLE_NAT), -ENOMEM. No next hop is known yet. Control. */
int table_build(const struct table_spec *spec, struct table **ret_table);

/* NULL is a no-op. No worker may still hold it. */
void table_free(struct table *table);

/* Tell where a backend is reached: mac NULL means nowhere. Safe while workers
 * read. Control; one thread. */
void table_next_hop_set(struct table *table, uint16_t backend_slot, enum family family,
			uint8_t port, const uint8_t *mac);

/* The next hop of clients for frames that no XDP program has resolved: those of
 * an engine without XDP. Before the first worker runs. */
void table_client_next_hop_set(struct table *table, uint8_t port, const uint8_t *mac);

/* What XDP would have said of a packet that came without metadata, or with some that
 * is older than the table: sets kind, slot and, for FRAME_RETURN, tx_port and the
 * Ethernet addresses, unless XDP has set these. 0, or the reason to drop it, as
 * -1 - reason. Hot only for engines without metadata. */
int table_classify(const struct table *table, struct packet *packet, const struct udp_view *view);

static inline bool table_has_service(const struct table *table, uint16_t slot)
{
	return slot < SERVICE_COUNT_MAX && table->services[slot].backends;
}

static inline enum family udp_view_family(const struct udp_view *view)
{
	return view->ip_version >> 1 & 1; /* 4 or 6 */
}

static inline struct target *table_target(const struct table *table, uint16_t slot,
					  enum family family)
{
	return &table->targets[slot * FAMILY_COUNT + family];
}

/* Of targets that are there to be compared only, so that a line tells of many. slot:
 * below BACKEND_COUNT_MAX. */
static inline uint16_t table_owner(const struct table *table, uint16_t slot, enum family family)
{
	return table->owners[slot * FAMILY_COUNT + family];
}

/* Is the datagram of the backend that now has the slot, and on its way back? */
static inline bool table_has_sender(const struct table *table, uint16_t slot,
				    const struct udp_view *view)
{
	const struct target *target = &table->targets[(size_t)slot * FAMILY_COUNT];

	if (view->ip_version == 4)
		return view->udp->src_be == target->backend_port_be &&
		       hash_load4(view->ipv4->src) == hash_load4(target->backend_addr + 12);
	target += FAMILY_IPV6;
	return view->udp->src_be == target->backend_port_be &&
	       hash_load8(view->ipv6->src) == hash_load8(target->backend_addr) &&
	       hash_load8(view->ipv6->src + 8) == hash_load8(target->backend_addr + 8);
}

/* 0 while not known. */
static inline uint64_t target_next_hop(const struct target *target)
{
	return __atomic_load_n(&target->next_hop, __ATOMIC_RELAXED);
}

static inline uint8_t next_hop_port(uint64_t next_hop)
{
	return (uint8_t)(next_hop >> 48 & 0x7f);
}

/* Address the frame to a next hop that is known, by its port. */
static inline void next_hop_write(const struct table_port *port, uint64_t next_hop,
				  struct wire_eth *eth)
{
	const uint32_t first = (uint32_t)next_hop;
	const uint16_t last = (uint16_t)(next_hop >> 32);

	memcpy(eth->dst, &first, sizeof(first));
	memcpy(eth->dst + sizeof(first), &last, sizeof(last));
	memcpy(eth->src, port->mac, 6);
}

#endif
