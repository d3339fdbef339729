/* SPDX-License-Identifier: GPL-2.0-only */
/* parse.h - from a frame to its UDP header, by a cursor that cannot overrun.
 *
 * Compiled for BPF and for userspace: no libc, no call, no state. Every length
 * comes from the IP and UDP headers, as a minimum-size frame carries Ethernet
 * padding. */
#ifndef RINGWAY_PARSE_H
#define RINGWAY_PARSE_H

#include "ringway/limits.h"
#include "ringway/wire.h"

#define PARSE_INLINE static inline __attribute__((always_inline))

enum parse_result {
	PARSE_OK,
	PARSE_NOT_IP,
	PARSE_NOT_UDP,
	PARSE_FRAGMENT,
	PARSE_OPTIONS,	 /* IPv4 options or IPv6 extension headers */
	PARSE_MALFORMED, /* truncated, contradictory lengths, impossible addresses */
};

/* end is the first byte past the frame. */
struct cursor {
	void *pos, *end;
};

/* Exactly one of ipv4 and ipv6 is set. ip_version says which: the verifier follows
 * a number, but takes any pointer into a frame for one that may be NULL. */
struct udp_view {
	struct wire_eth *eth;
	struct wire_ipv4 *ipv4;
	struct wire_ipv6 *ipv6;
	struct wire_udp *udp;
	__u16 ip_len;	 /* bytes, IP header included */
	__u16 udp_len;	 /* bytes, UDP header included */
	__u8 ip_version; /* 4 or 6 */
};

/* Consume len bytes; NULL if fewer remain. Written pos + len > end because only
 * that form teaches the verifier the bound. */
PARSE_INLINE void *cursor_take(struct cursor *cur, __u32 len)
{
	void *taken = cur->pos;

	if (taken + len > cur->end)
		return 0;
	cur->pos = taken + len;
	return taken;
}

/* Past Ethernet and up to two VLAN tags: the type of what follows, big endian;
 * 0 if the frame ends before. */
PARSE_INLINE __u16 parse_ethernet(struct cursor *cur, struct wire_eth **ret_eth)
{
	struct wire_eth *eth = cursor_take(cur, sizeof(*eth));
	__u16 type_be;

	if (!eth)
		return 0;
	type_be = eth->type_be;
	for (int i = 0; i < VLAN_TAG_COUNT_MAX; i++) {
		struct wire_vlan *tag;

		if (type_be == wire_be16(WIRE_ETHERTYPE_IPV4)) /* most are: no further look */
			break;
		if (type_be != wire_be16(WIRE_ETHERTYPE_VLAN) &&
		    type_be != wire_be16(WIRE_ETHERTYPE_QINQ))
			break;
		tag = cursor_take(cur, sizeof(*tag));
		if (!tag)
			return 0;
		type_be = tag->type_be;
	}
	*ret_eth = eth;
	return type_be;
}

/* What stands between an IPv4 header and its UDP header. */
PARSE_INLINE enum parse_result parse_ipv4_next(const struct wire_ipv4 *ip)
{
	int is_whole =
		!(ip->fragment_be & wire_be16(WIRE_IPV4_MORE_FRAGMENTS | WIRE_IPV4_OFFSET_MASK));

	if (ip->version_ihl == 0x45 && is_whole && ip->protocol == WIRE_PROTOCOL_UDP)
		return PARSE_OK;
	if (ip->version_ihl < 0x45 || ip->version_ihl > 0x4f)
		return PARSE_MALFORMED;
	if (!is_whole)
		return PARSE_FRAGMENT;
	return ip->protocol == WIRE_PROTOCOL_UDP ? PARSE_OPTIONS : PARSE_NOT_UDP;
}

PARSE_INLINE enum parse_result parse_ipv4(struct cursor *cur, struct udp_view *ret_view)
{
	struct wire_ipv4 *ip = cursor_take(cur, sizeof(*ip));
	enum parse_result next;

	if (!ip)
		return PARSE_MALFORMED;
	next = parse_ipv4_next(ip);
	if (next != PARSE_OK)
		return next;
	ret_view->ipv4 = ip;
	ret_view->ipv6 = 0;
	ret_view->ip_version = 4;
	ret_view->ip_len = wire_be16(ip->len_be);
	return PARSE_OK;
}

/* RFC 8200 section 4: the extension headers that may stand before UDP. */
PARSE_INLINE enum parse_result parse_ipv6_next(__u8 next_header)
{
	switch (next_header) {
	case WIRE_PROTOCOL_UDP: return PARSE_OK;
	case 44: return PARSE_FRAGMENT;
	case 0:	 /* hop-by-hop options */
	case 43: /* routing */
	case 51: /* authentication */
	case 60: /* destination options */
	case 135: /* mobility */ return PARSE_OPTIONS;
	default: return PARSE_NOT_UDP;
	}
}

/* ::ffff:0:0/96 stands for IPv4 in APIs (RFC 4291 section 2.5.5.2), and in match
 * keys; in a packet it would pass for the IPv4 address. */
PARSE_INLINE int parse_ipv6_is_mapped(const __u8 addr[16])
{
	const __u16 *words = (const __u16 *)addr;

	return !(words[0] | words[1] | words[2] | words[3] | words[4]) && words[5] == 0xffff;
}

PARSE_INLINE enum parse_result parse_ipv6(struct cursor *cur, struct udp_view *ret_view)
{
	struct wire_ipv6 *ip = cursor_take(cur, sizeof(*ip));
	enum parse_result next;
	__u32 len;

	if (!ip || ip->version_class_flow[0] >> 4 != 6)
		return PARSE_MALFORMED;
	next = parse_ipv6_next(ip->next_header);
	if (next != PARSE_OK)
		return next;
	len = sizeof(*ip) + wire_be16(ip->payload_len_be);
	if (len > 0xffff) /* no Ethernet frame holds it */
		return PARSE_MALFORMED;
	if (parse_ipv6_is_mapped(ip->src) || parse_ipv6_is_mapped(ip->dst))
		return PARSE_MALFORMED;
	ret_view->ipv4 = 0;
	ret_view->ipv6 = ip;
	ret_view->ip_version = 6;
	ret_view->ip_len = len;
	return PARSE_OK;
}

/* The frame [cur->pos, cur->end) as UDP. On PARSE_OK the whole IP packet is in
 * the frame, *ret_view is complete, and cur->end is the end of the packet;
 * otherwise *ret_view is undefined. */
PARSE_INLINE enum parse_result parse_udp(struct cursor *cur, struct udp_view *ret_view)
{
	enum parse_result result;
	__u32 ip_header_len;
	void *ip_start;

	switch (parse_ethernet(cur, &ret_view->eth)) {
	case 0: return PARSE_MALFORMED;
	case wire_be16(WIRE_ETHERTYPE_IPV4):
		ip_start = cur->pos;
		result = parse_ipv4(cur, ret_view);
		ip_header_len = sizeof(struct wire_ipv4);
		break;
	case wire_be16(WIRE_ETHERTYPE_IPV6):
		ip_start = cur->pos;
		result = parse_ipv6(cur, ret_view);
		ip_header_len = sizeof(struct wire_ipv6);
		break;
	default: return PARSE_NOT_IP;
	}
	if (result != PARSE_OK)
		return result;

	ret_view->udp = cursor_take(cur, sizeof(struct wire_udp));
	if (!ret_view->udp || ip_start + ret_view->ip_len > cur->end)
		return PARSE_MALFORMED;
	ret_view->udp_len = wire_be16(ret_view->udp->len_be);
	if (ret_view->udp_len < sizeof(struct wire_udp) ||
	    ip_header_len + ret_view->udp_len > ret_view->ip_len)
		return PARSE_MALFORMED;
	cur->end = ip_start + ret_view->ip_len;
	return PARSE_OK;
}

#endif
