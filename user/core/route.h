/* SPDX-License-Identifier: GPL-2.0-only */
/* route.h - which backend gets a datagram of a client.
 *
 * In two steps, so that a burst's memory accesses overlap: route_begin() names
 * the memory that decides, and asks for it; route_end() reads it. */
#ifndef RINGWAY_CORE_ROUTE_H
#define RINGWAY_CORE_ROUTE_H

#include "table.h"

/* Both headers have addresses and ports side by side, so the 4-tuple is hashed
 * where it lies. */
#define ROUTE_TUPLE_LEN_IPV4 12
#define ROUTE_TUPLE_LEN_IPV6 36
_Static_assert(offsetof(struct wire_ipv4, src) + 8 == sizeof(struct wire_ipv4), "ports follow");
_Static_assert(offsetof(struct wire_ipv6, src) + 32 == sizeof(struct wire_ipv6), "ports follow");

static inline uint64_t route_tuple_hash(const struct udp_view *view,
					const struct hash_secret *secret)
{
	if (view->ip_version == 4)
		return hash_bytes(view->ipv4->src, ROUTE_TUPLE_LEN_IPV4, secret);
	return hash_bytes(view->ipv6->src, ROUTE_TUPLE_LEN_IPV6, secret);
}

/* A decision on its way. */
struct route {
	const uint16_t *entry; /* of the service's Maglev table; NULL: nobody takes it */
};

/* slot: a service of table. A connection belongs to the backend that Maglev names
 * for its 4-tuple: whatever is known of a connection by its Connection ID or from
 * earlier datagrams goes before that. Hot. */
static inline struct route route_begin(const struct table *table, uint16_t slot,
				       const struct udp_view *view)
{
	const struct maglev *maglev = table->services[slot].maglev[udp_view_family(view)];
	struct route route = { 0 };

	if (maglev->size) {
		route.entry = maglev_entry(maglev, route_tuple_hash(view, &table->secret));
		__builtin_prefetch(route.entry);
	}
	return route;
}

/* The backend's slot, or -1. Hot. */
static inline int route_end(const struct route *route)
{
	return route->entry ? *route->entry : -1;
}

#endif
