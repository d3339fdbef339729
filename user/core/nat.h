/* SPDX-License-Identifier: GPL-2.0-only */
/* nat.h - rewrite a datagram in place, to a backend or back to its client.
 *
 * TABLE_L2: addresses, ports and TTL stay. TABLE_NAT:
 * out: the destination becomes the backend's; back: the source becomes the
 * service's. The client's address stays as it is. TTL or hop limit goes down by
 * one. Checksums are updated by RFC 1624, or completed where the sender left the
 * work to a network card; a UDP checksum of 0 over IPv4 stays 0. */
#ifndef RINGWAY_CORE_NAT_H
#define RINGWAY_CORE_NAT_H

#include "drop.h"
#include "hot.h"
#include "ringway/checksum.h"
#include "table.h"

enum nat_direction {
	NAT_OUT,
	NAT_BACK,
};

/* What changes in one direction: the same for both headers' checksums. */
struct nat_change {
	const uint8_t *addr;
	uint16_t port_be;
	uint16_t delta_addr, delta;
};

HOT_INLINE struct nat_change nat_change_of(const struct target *target,
					   enum nat_direction direction)
{
	if (direction == NAT_OUT)
		return (struct nat_change){ target->backend_addr, target->backend_port_be,
					    target->delta_addr_out, target->delta_out };
	return (struct nat_change){ target->service_addr, target->service_port_be,
				    target->delta_addr_back, target->delta_back };
}

/* May this datagram be forwarded? The reason against it (enum drop_reason), or
 * -1. mtu: of the way out, in bytes. Writes nothing. Hot. */
HOT_INLINE int nat_check(const struct udp_view *view, enum table_mode mode, uint32_t mtu)
{
	uint8_t ttl = view->ip_version == 4 ? view->ipv4->ttl : view->ipv6->hop_limit;

	if (ttl <= 1 && mode == TABLE_NAT)
		return DROP_TTL_EXPIRED;
	if (view->ip_len > mtu)
		return DROP_TOO_BIG;
	if (view->ip_version == 6 && !view->udp->checksum_be)
		return DROP_NO_CHECKSUM;
	return -1;
}

static inline uint64_t nat_udp_sum(const struct udp_view *view)
{
	const uint8_t *bytes = (const uint8_t *)view->udp;
	uint32_t whole = view->udp_len & ~3u, tail = 0;

	memcpy(&tail, bytes + whole, view->udp_len - whole); /* padded with zeros */
	return checksum_quads(bytes, whole) + tail;
}

static inline void nat_checksum_complete(const struct udp_view *view)
{
	uint16_t pseudo = checksum_udp_pseudo(view);

	view->udp->checksum_be = 0;
	view->udp->checksum_be =
		checksum_udp_nonzero(~checksum_fold_wide(nat_udp_sum(view) + pseudo));
}

HOT_INLINE void nat_ip_rewrite(const struct udp_view *view, const struct nat_change *change,
			       enum nat_direction direction)
{
	if (view->ip_version == 4) {
		struct wire_ipv4 *ip = view->ipv4;

		memcpy(direction == NAT_OUT ? ip->dst : ip->src, change->addr + 12, 4);
		ip->ttl--;
		ip->checksum_be = checksum_update(ip->checksum_be, (uint32_t)change->delta_addr +
									   CHECKSUM_TTL_DELTA);
	} else {
		struct wire_ipv6 *ip = view->ipv6;

		memcpy(direction == NAT_OUT ? ip->dst : ip->src, change->addr, 16);
		ip->hop_limit--;
	}
}

/* Rewrite what nat_check() has let pass; the Ethernet header is not touched.
 * True if the checksum had to be completed over the whole datagram. Hot. */
HOT_INLINE bool nat_rewrite(const struct udp_view *view, const struct target *target,
			    enum nat_direction direction)
{
	const struct nat_change change = nat_change_of(target, direction);
	struct wire_udp *udp = view->udp;
	uint16_t checksum = udp->checksum_be;
	bool is_partial = checksum == checksum_udp_pseudo(view);

	if (target->mode == TABLE_L2) {
		if (is_partial)
			nat_checksum_complete(view);
		return is_partial;
	}
	nat_ip_rewrite(view, &change, direction);
	if (direction == NAT_OUT)
		udp->dst_be = change.port_be;
	else
		udp->src_be = change.port_be;
	if (is_partial)
		nat_checksum_complete(view);
	else if (checksum)
		udp->checksum_be = checksum_udp_nonzero(checksum_update(checksum, change.delta));
	return is_partial;
}

#endif
