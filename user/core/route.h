/* SPDX-License-Identifier: GPL-2.0-only */
/* route.h - which backend gets a datagram of a client.
 *
 * In two steps, so that a burst's memory accesses overlap: route_begin() names
 * the memory that decides, and asks for it; route_end() reads it. */
#ifndef RINGWAY_CORE_ROUTE_H
#define RINGWAY_CORE_ROUTE_H

#include "table.h"

/* A decision on its way. */
struct route {
	const uint16_t *entry; /* of the service's Maglev table; NULL: nobody takes it */
};

/* slot: a service of table. A connection belongs to the backend that Maglev names
 * for its 4-tuple: whatever is known of a connection by its Connection ID or from
 * earlier datagrams goes before that. Hot. */
struct route route_begin(const struct table *table, uint16_t slot, const struct udp_view *view);

/* The backend's slot, or -1. Hot. */
static inline int route_end(const struct route *route)
{
	return route->entry ? *route->entry : -1;
}

#endif
