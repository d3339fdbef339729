/* SPDX-License-Identifier: GPL-2.0-only */
/* match.h - is a datagram ours, and which way does it go?
 *
 * The rules that XDP and userspace share. Each brings its own lookup (a BPF map,
 * a hash table); the keys and the verdict are here. Service traffic is matched
 * by its destination first, return traffic by its source. Service traffic whose
 * source is itself a service or a backend is nobody's: were it forwarded under
 * that name, the backend's answer would be forwarded to the named one in turn, and
 * two that answer everything would never stop. */
#ifndef RINGWAY_MATCH_H
#define RINGWAY_MATCH_H

#include "ringway/abi.h"
#include "ringway/parse.h"

enum match_verdict {
	MATCH_OURS,
	MATCH_SPOOFED, /* a backend's address from where that backend is not */
};

/* One of ipv4 and ipv6 is NULL. */
PARSE_INLINE void match_addr_set(__u8 addr[16], const __u8 *ipv4, const __u8 *ipv6)
{
	if (ipv4) {
		__builtin_memset(addr, 0, 10);
		addr[10] = addr[11] = 0xff;
		__builtin_memcpy(addr + 12, ipv4, 4);
	} else {
		__builtin_memcpy(addr, ipv6, 16);
	}
}

PARSE_INLINE void match_key_service(const struct udp_view *view, struct match_key *ret_key)
{
	if (view->ip_version == 4)
		match_addr_set(ret_key->addr, view->ipv4->dst, 0);
	else
		match_addr_set(ret_key->addr, 0, view->ipv6->dst);
	ret_key->port_be = view->udp->dst_be;
	ret_key->protocol = WIRE_PROTOCOL_UDP;
	ret_key->pad = 0;
}

PARSE_INLINE void match_key_return(const struct udp_view *view, struct match_key *ret_key)
{
	if (view->ip_version == 4)
		match_addr_set(ret_key->addr, view->ipv4->src, 0);
	else
		match_addr_set(ret_key->addr, 0, view->ipv6->src);
	ret_key->port_be = view->udp->src_be;
	ret_key->protocol = WIRE_PROTOCOL_UDP;
	ret_key->pad = 0;
}

/* A switch floods frames for a MAC address that it does not know, and a capture makes
 * the interface take them: they are another host's to forward. */
PARSE_INLINE int match_mac_equals(const __u8 a[6], const __u8 b[6])
{
	__u8 differs = 0;

	for (int i = 0; i < 6; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* ::, or ::1 */
PARSE_INLINE int match_is_unspecified_or_loopback(const __u8 ipv6[16])
{
	const __u16 *words = (const __u16 *)ipv6;

	return !(words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6]) &&
	       ipv6[14] == 0 && ipv6[15] <= 1;
}

/* Addresses that are no single host's, or this host's own: 0.0.0.0/8, 127.0.0.0/8,
 * 224.0.0.0/3, ::, ::1, ff00::/8. The kernel would drop what comes from them. But for
 * this host talking to itself: loopback to loopback, which only sockets get. */
PARSE_INLINE int match_source_is_martian(const struct udp_view *view)
{
	if (view->ip_version == 4)
		return view->ipv4->src[0] == 0 || view->ipv4->src[0] >= 224 ||
		       (view->ipv4->src[0] == 127 && view->ipv4->dst[0] != 127);
	return view->ipv6->src[0] == 0xff ||
	       (match_is_unspecified_or_loopback(view->ipv6->src) &&
		!(view->ipv6->src[15] && match_is_unspecified_or_loopback(view->ipv6->dst)));
}

/* Whoever may send from a backend's address could use the service's address as a
 * reflector and teach lies about who owns a connection. So the datagram must
 * arrive where the route to that backend leads, and where clients are reached
 * through the same port, from the backend's own next hop: from nowhere, while
 * that is not known. */
PARSE_INLINE enum match_verdict match_return(const struct return_rule *rule, __u32 port,
					     const struct wire_eth *eth)
{
	__u8 known = 0, differs = 0;

	if (rule->port != port)
		return MATCH_SPOOFED;
	if (!(rule->flags & RETURN_CHECK_MAC))
		return MATCH_OURS;
	for (int i = 0; i < 6; i++) {
		known |= rule->next_hop_mac[i];
		differs |= rule->next_hop_mac[i] ^ eth->src[i];
	}
	return known && !differs ? MATCH_OURS : MATCH_SPOOFED;
}

#endif
