/* SPDX-License-Identifier: GPL-2.0-only */
/* nat.h - rewrite a datagram in place, to a backend or back to its client.
 *
 * Out: the destination becomes the backend's; back: the source becomes the
 * service's. The client's address stays as it is. TTL or hop limit goes down by
 * one. Checksums are updated by RFC 1624, or completed where the sender left the
 * work to a network card; a UDP checksum of 0 over IPv4 stays 0. */
#ifndef RINGWAY_CORE_NAT_H
#define RINGWAY_CORE_NAT_H

#include "table.h"

enum nat_direction {
	NAT_OUT,
	NAT_BACK,
};

/* May this datagram be forwarded? The reason against it (enum drop_reason), or
 * -1. mtu: of the way out, in bytes. Writes nothing. Hot. */
int nat_check(const struct udp_view *view, uint32_t mtu);

/* Rewrite what nat_check() has let pass; the Ethernet header is not touched.
 * True if the checksum had to be completed over the whole datagram. Hot. */
bool nat_rewrite(const struct udp_view *view, const struct target *target,
		 enum nat_direction direction);

#endif
