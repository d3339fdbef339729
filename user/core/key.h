/* SPDX-License-Identifier: GPL-2.0-only */
/* key.h - what a connection is known by, hashed: its 4-tuple, a Connection ID. */
#ifndef RINGWAY_CORE_KEY_H
#define RINGWAY_CORE_KEY_H

#include "hash.h"
#include "table.h"

/* Both headers have addresses and ports side by side, so the 4-tuple of a client's
 * datagram is hashed where it lies: client, service, client port, service port. */
#define KEY_TUPLE_LEN_IPV4 12
#define KEY_TUPLE_LEN_IPV6 36
_Static_assert(offsetof(struct wire_ipv4, src) + 8 == sizeof(struct wire_ipv4), "ports follow");
_Static_assert(offsetof(struct wire_ipv6, src) + 32 == sizeof(struct wire_ipv6), "ports follow");

static inline uint64_t key_tuple(const struct udp_view *view, const struct hash_secret *secret)
{
	if (view->ip_version == 4)
		return hash_bytes(view->ipv4->src, KEY_TUPLE_LEN_IPV4, secret);
	return hash_bytes(view->ipv6->src, KEY_TUPLE_LEN_IPV6, secret);
}

/* The same for a backend's answer: as if the client had sent it to the service. */
static inline uint64_t key_tuple_back(const struct udp_view *view, const struct target *target,
				      const struct hash_secret *secret)
{
	uint8_t bytes[KEY_TUPLE_LEN_IPV6];

	if (view->ip_version == 4) {
		memcpy(bytes, view->ipv4->dst, 4);
		memcpy(bytes + 4, target->service_addr + 12, 4);
		memcpy(bytes + 8, &view->udp->dst_be, 2);
		memcpy(bytes + 10, &target->service_port_be, 2);
		return hash_bytes(bytes, KEY_TUPLE_LEN_IPV4, secret);
	}
	memcpy(bytes, view->ipv6->dst, 16);
	memcpy(bytes + 16, target->service_addr, 16);
	memcpy(bytes + 32, &view->udp->dst_be, 2);
	memcpy(bytes + 34, &target->service_port_be, 2);
	return hash_bytes(bytes, KEY_TUPLE_LEN_IPV6, secret);
}

/* Who named the Connection ID: a backend, in an answer, or only a client. Kept
 * apart, because to use what a server has named proves that one hears it. */
enum key_cid_origin {
	KEY_CID_OF_SERVER,
	KEY_CID_OF_CLIENT,
};

/* len: 1..QUIC_CID_LEN_MAX readable bytes of cid, hashed where they lie; whose they are
 * is mixed in afterwards. */
static inline uint64_t key_cid(uint16_t service_slot, enum key_cid_origin origin,
			       const uint8_t *cid, uint8_t len, const struct hash_secret *secret)
{
	uint64_t whose = (uint64_t)service_slot << 1 | origin;
	uint64_t hash = hash_bytes(cid, len, secret) ^ whose * 0x9e3779b97f4a7c15ull;

	return (hash ^ hash >> 32) * 0xd6e8feb86659fd93ull;
}

#endif
