/* SPDX-License-Identifier: GPL-2.0-only */
/* datagram.h - build frames for tests from their fields, slowly and obviously. */
#ifndef RINGWAY_TESTS_DATAGRAM_H
#define RINGWAY_TESTS_DATAGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "ringway/wire.h"

enum datagram_checksum {
	CHECKSUM_VALID,
	CHECKSUM_PARTIAL, /* the pseudo-header's sum only */
	CHECKSUM_ZERO,
};

struct datagram {
	uint8_t eth_dst[6], eth_src[6];
	unsigned int vlan_tags; /* 0..3 */
	bool is_ipv6;
	uint8_t src[16], dst[16]; /* IPv4 in the first four bytes */
	uint16_t src_port, dst_port;
	uint8_t ttl;
	enum datagram_checksum checksum;
	const uint8_t *payload;
	uint16_t payload_len;
};

#define DATAGRAM_SIZE_MAX 2048

static inline uint8_t *put_be16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static inline uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len)
{
	if (len)
		memcpy(at, bytes, len);
	return at + len;
}

/* RFC 1071, a byte at a time. */
static inline uint64_t slow_sum(const uint8_t *bytes, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
	return sum;
}

static inline uint16_t slow_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t datagram_udp_checksum(const struct datagram *d, const uint8_t *udp,
					     uint16_t udp_len)
{
	size_t addr_len = d->is_ipv6 ? 16 : 4;
	uint64_t pseudo = slow_sum(d->src, addr_len) + slow_sum(d->dst, addr_len) +
			  WIRE_PROTOCOL_UDP + udp_len;
	uint16_t sum;

	if (d->checksum == CHECKSUM_ZERO)
		return 0;
	if (d->checksum == CHECKSUM_PARTIAL)
		return slow_fold(pseudo);
	sum = (uint16_t)~slow_fold(pseudo + slow_sum(udp, udp_len));
	return sum ? sum : 0xffff;
}

/* Returns the length. */
static inline size_t datagram_build(const struct datagram *d, uint8_t *frame)
{
	uint16_t udp_len = (uint16_t)(8 + d->payload_len);
	uint8_t *at = frame, *ip, *udp;

	at = put_bytes(at, d->eth_dst, 6);
	at = put_bytes(at, d->eth_src, 6);
	for (unsigned int i = 0; i < d->vlan_tags; i++) {
		at = put_be16(at, i + 1 < d->vlan_tags ? 0x88a8 : 0x8100);
		at = put_be16(at, (uint16_t)(100 + i));
	}
	at = put_be16(at, d->is_ipv6 ? 0x86dd : 0x0800);
	ip = at;
	if (d->is_ipv6) {
		at = put_bytes(at, "\x60\x12\x34\x56", 4);
		at = put_be16(at, udp_len);
		*at++ = WIRE_PROTOCOL_UDP;
		*at++ = d->ttl;
		at = put_bytes(at, d->src, 16);
		at = put_bytes(at, d->dst, 16);
	} else {
		at = put_bytes(at, "\x45\x02", 2);
		at = put_be16(at, (uint16_t)(20 + udp_len));
		at = put_bytes(at, "\xab\xcd\x40\x00", 4);
		*at++ = d->ttl;
		*at++ = WIRE_PROTOCOL_UDP;
		at = put_be16(at, 0);
		at = put_bytes(at, d->src, 4);
		at = put_bytes(at, d->dst, 4);
		put_be16(ip + 10, (uint16_t)~slow_fold(slow_sum(ip, 20)));
	}
	udp = at;
	at = put_be16(at, d->src_port);
	at = put_be16(at, d->dst_port);
	at = put_be16(at, udp_len);
	at = put_be16(at, 0);
	at = put_bytes(at, d->payload, d->payload_len);
	put_be16(udp + 6, datagram_udp_checksum(d, udp, udp_len));
	return (size_t)(at - frame);
}

#endif
