/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_end.h - one UDP socket that a worker reads, and the headers that its
 * datagrams get to be frames.
 *
 * What a socket gives has but a payload. The headers before it are the socket's own,
 * written once: a service's lacks the client, a flow's is complete. Addresses are the
 * 16 bytes of match_key, ports in network order. The slot of the service's address
 * travels in the IPv4 identification or the IPv6 flow label, which core leaves as they
 * are: it tells which service opens a flow. Checksums are not right: nobody will look. */
#ifndef RINGWAY_IO_SOCKET_END_H
#define RINGWAY_IO_SOCKET_END_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/packet.h"

/* Before the payload: the longer headers, and the cache line they end. */
#define SOCKET_HEADROOM 64

#define SOCKET_HEADERS_IPV4 42
#define SOCKET_HEADERS_IPV6 62

/* Of a socket: an address family that both sockaddr_in and sockaddr_in6 fit. */
union socket_name {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

struct socket_addr {
	uint8_t addr[16];
	uint16_t port_be;
};

struct socket_end {
	int fd;
	uint8_t ip_version; /* 4 or 6 */
	bool is_flow;
	uint8_t header_size;
	uint8_t header[SOCKET_HEADERS_IPV6] __attribute__((aligned(2))); /* as on the wire */
};

/* Datagrams of this end go from src to dst; for a service src is not known yet: NULL. */
void socket_end_init(struct socket_end *end, const struct socket_addr *src,
		     const struct socket_addr *dst, uint16_t slot);

/* The payload of len bytes at payload is now a frame, headers before it. name: the
 * sender as the kernel told; only looked at for services. Hot. */
void socket_end_frame(const struct socket_end *end, const union socket_name *name, uint8_t *payload,
		      uint32_t len, uint64_t frame, struct packet *ret_packet);

/* What a frame of ours says, once core has rewritten it. */
struct socket_view {
	uint8_t ip_version;
	struct socket_addr src, dst;
	uint16_t slot;
	uint8_t *payload;
	uint32_t payload_len;
};

/* false: not of our making. Hot. */
bool socket_view_of(const struct packet *packet, struct socket_view *ret_view);

/* Returns the length of the name. */
socklen_t socket_name_set(union socket_name *name, uint8_t ip_version,
			  const struct socket_addr *addr);

static inline bool socket_addr_is_ipv4(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !__builtin_memcmp(addr, prefix, sizeof(prefix));
}

#endif
