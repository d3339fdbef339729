/* SPDX-License-Identifier: GPL-2.0-only */
/* wire.h - headers as they lie on the wire, and their constants.
 *
 * aligned(2): a 14-byte Ethernet header leaves the IP header on a 2-byte
 * boundary. Every field is in network byte order. */
#ifndef RINGWAY_WIRE_H
#define RINGWAY_WIRE_H

#include <linux/types.h>

#define WIRE __attribute__((packed, aligned(2)))

struct wire_eth {
	__u8 dst[6];
	__u8 src[6];
	__u16 type_be;
} WIRE;
_Static_assert(sizeof(struct wire_eth) == 14, "wire format");

struct wire_vlan {
	__u16 tag_be;
	__u16 type_be;
} WIRE;
_Static_assert(sizeof(struct wire_vlan) == 4, "wire format");

struct wire_ipv4 {
	__u8 version_ihl;
	__u8 tos;
	__u16 len_be;
	__u16 id_be;
	__u16 fragment_be; /* flags and offset */
	__u8 ttl;
	__u8 protocol;
	__u16 checksum_be;
	__u8 src[4];
	__u8 dst[4];
} WIRE;
_Static_assert(sizeof(struct wire_ipv4) == 20, "wire format");

struct wire_ipv6 {
	__u8 version_class_flow[4];
	__u16 payload_len_be;
	__u8 next_header;
	__u8 hop_limit;
	__u8 src[16];
	__u8 dst[16];
} WIRE;
_Static_assert(sizeof(struct wire_ipv6) == 40, "wire format");

struct wire_udp {
	__u16 src_be;
	__u16 dst_be;
	__u16 len_be;
	__u16 checksum_be;
} WIRE;
_Static_assert(sizeof(struct wire_udp) == 8, "wire format");

/* Unprefixed names of the field, defined here because the kernel's headers that
 * have them cannot be included by every compiler that reads this file. */
enum {
	WIRE_ETHERTYPE_IPV4 = 0x0800,
	WIRE_ETHERTYPE_IPV6 = 0x86dd,
	WIRE_ETHERTYPE_VLAN = 0x8100, /* 802.1Q */
	WIRE_ETHERTYPE_QINQ = 0x88a8, /* 802.1ad */
	WIRE_PROTOCOL_UDP = 17,
	WIRE_IPV4_MORE_FRAGMENTS = 0x2000,
	WIRE_IPV4_OFFSET_MASK = 0x1fff,
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define wire_be16(x) __builtin_bswap16(x)
#define wire_be32(x) __builtin_bswap32(x)
#else
#define wire_be16(x) (x)
#define wire_be32(x) (x)
#endif

#endif
