/* SPDX-License-Identifier: GPL-2.0-only */
#include "route.h"

/* Both headers have addresses and ports side by side, so the 4-tuple is hashed
 * where it lies. */
#define TUPLE_LEN_IPV4 12
#define TUPLE_LEN_IPV6 36
_Static_assert(offsetof(struct wire_ipv4, src) + 8 == sizeof(struct wire_ipv4), "ports follow");
_Static_assert(offsetof(struct wire_ipv6, src) + 32 == sizeof(struct wire_ipv6), "ports follow");

static uint64_t tuple_hash(const struct udp_view *view, const struct hash_secret *secret)
{
	if (view->ip_version == 4)
		return hash_bytes(view->ipv4->src, TUPLE_LEN_IPV4, secret);
	return hash_bytes(view->ipv6->src, TUPLE_LEN_IPV6, secret);
}

struct route route_begin(const struct table *table, uint16_t slot, const struct udp_view *view)
{
	const struct maglev *maglev = table->services[slot].maglev[udp_view_family(view)];
	struct route route = { 0 };

	if (maglev->size) {
		route.entry = maglev_entry(maglev, tuple_hash(view, &table->secret));
		__builtin_prefetch(route.entry);
	}
	return route;
}
