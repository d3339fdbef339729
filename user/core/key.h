/* SPDX-License-Identifier: GPL-2.0-only */
/* key.h - what a connection is known by, hashed: its 4-tuple, a Connection ID. */
#ifndef RINGWAY_CORE_KEY_H
#define RINGWAY_CORE_KEY_H

#include "affinity.h"
#include "hash.h"
#include "hot.h"
#include "table.h"

/* Words for what was bytes: client's and service's addresses and ports, as they lie
 * in the headers of a datagram from the client. */
HOT_INLINE uint64_t key_tuple_ipv4(uint32_t client, uint32_t service, uint32_t ports,
				   const struct hash_secret *secret)
{
	return hash_pair((uint64_t)service << 32 | client, ports, 0, secret);
}

HOT_INLINE uint64_t key_tuple_ipv6(const uint8_t client[16], const uint8_t service[16],
				   uint32_t ports, const struct hash_secret *secret)
{
	uint64_t a = hash_half(hash_load8(client), hash_load8(client + 8), &secret->words[4]);
	uint64_t b = hash_half(hash_load8(service), hash_load8(service + 8), &secret->words[6]);

	return hash_pair(a ^ b, ports, 0, secret);
}

HOT_INLINE uint64_t key_tuple(const struct udp_view *view, const struct hash_secret *secret)
{
	uint32_t ports = hash_load4(&view->udp->src_be);

	if (view->ip_version == 4)
		return key_tuple_ipv4(hash_load4(view->ipv4->src), hash_load4(view->ipv4->dst),
				      ports, secret);
	return key_tuple_ipv6(view->ipv6->src, view->ipv6->dst, ports, secret);
}

/* The same for a backend's answer: as if the client had sent it to the service. */
HOT_INLINE uint64_t key_tuple_back(const struct udp_view *view, const struct target *target,
				   const struct hash_secret *secret)
{
	uint32_t ports = (uint32_t)target->service_port_be << 16 | view->udp->dst_be;

	if (view->ip_version == 4)
		return key_tuple_ipv4(hash_load4(view->ipv4->dst),
				      hash_load4(target->service_addr + 12), ports, secret);
	return key_tuple_ipv6(view->ipv6->dst, target->service_addr, ports, secret);
}

/* Who named the Connection ID: a backend, in an answer, or only a client. Kept
 * apart, because to use what a server has named proves that one hears it. */
enum key_cid_origin {
	KEY_CID_OF_SERVER,
	KEY_CID_OF_CLIENT,
};

/* Where it is kept of which origin: in the same lines, as who looks for one often looks
 * for the other next. key: key_cid(). */
HOT_INLINE struct affinity_key key_cid_place(const struct affinity *cids, uint64_t key,
					     enum key_cid_origin origin)
{
	struct affinity_key place = affinity_key(cids, key);

	if (unlikely(origin == KEY_CID_OF_CLIENT))
		place = affinity_key_twin(&place);
	return place;
}

/* len: 1..QUIC_CID_LEN_MAX readable bytes of cid. They are read as words that may
 * overlap, and so differ by the length, too. Hot. */
HOT_INLINE uint64_t key_cid(uint16_t service_slot, const uint8_t *cid, uint8_t len,
			    const struct hash_secret *secret)
{
	uint64_t salt = (uint64_t)service_slot << 8 | len;

	if (len > 16)
		return hash_pair(hash_half(hash_load8(cid), hash_load8(cid + 8), &secret->words[4]),
				 hash_load4(cid + len - 4), salt, secret);
	if (len >= 8)
		return hash_pair(hash_load8(cid), hash_load8(cid + len - 8), salt, secret);
	if (len >= 4)
		return hash_pair(hash_load4(cid), hash_load4(cid + len - 4), salt, secret);
	return hash_pair(cid[0] | (uint32_t)cid[len / 2] << 8, cid[len - 1], salt, secret);
}

#endif
