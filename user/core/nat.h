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

/* May this datagram be forwarded? The reason against it (enum drop_reason), or
 * -1. mtu: of the way out, in bytes. Writes nothing. Hot. */
HOT_INLINE int nat_check(const struct udp_view *view, enum table_mode mode, uint32_t mtu)
{
	uint8_t ttl = view->ip_version == 4 ? view->ipv4->ttl : view->ipv6->hop_limit;

	if (unlikely(ttl <= 1) && mode == TABLE_NAT)
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

HOT_INLINE void nat_ipv4_rewrite(struct wire_ipv4 *ip, const struct target *target,
				 enum nat_direction direction)
{
	bool is_out = direction == NAT_OUT;
	uint16_t delta = is_out ? target->delta_ipv4_out : target->delta_ipv4_back;

	ip->checksum_be = checksum_update(ip->checksum_be, delta);
	ip->ttl--;
	if (is_out)
		memcpy(ip->dst, target->backend_addr + 12, 4);
	else
		memcpy(ip->src, target->service_addr + 12, 4);
}

HOT_INLINE void nat_ipv6_rewrite(struct wire_ipv6 *ip, const struct target *target,
				 enum nat_direction direction)
{
	ip->hop_limit--;
	if (direction == NAT_OUT)
		memcpy(ip->dst, target->backend_addr, 16);
	else
		memcpy(ip->src, target->service_addr, 16);
}

/* All but the UDP checksum. */
HOT_INLINE void nat_headers_rewrite(const struct udp_view *view, const struct target *target,
				    enum nat_direction direction)
{
	if (view->ip_version == 4)
		nat_ipv4_rewrite(view->ipv4, target, direction);
	else
		nat_ipv6_rewrite(view->ipv6, target, direction);
	if (direction == NAT_OUT)
		view->udp->dst_be = target->backend_port_be;
	else
		view->udp->src_be = target->service_port_be;
}

/* Rewrite what nat_check() has let pass; the Ethernet header is not touched.
 * True if the checksum had to be completed over the whole datagram. Hot. */
HOT_INLINE bool nat_rewrite(const struct udp_view *view, const struct target *target,
			    enum nat_direction direction)
{
	uint16_t checksum = view->udp->checksum_be;

	if (checksum == checksum_udp_pseudo(view)) {
		if (target->mode == TABLE_NAT)
			nat_headers_rewrite(view, target, direction);
		nat_checksum_complete(view);
		return true;
	}
	if (target->mode == TABLE_L2)
		return false;
	nat_headers_rewrite(view, target, direction);
	if (checksum)
		view->udp->checksum_be = checksum_udp_nonzero(checksum_update(
			checksum, direction == NAT_OUT ? target->delta_out : target->delta_back));
	return false;
}

#endif
