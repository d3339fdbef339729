/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/socket_end.h"

#include <string.h>

#include "ringway/wire.h"

/* Core takes one away; nobody on a wire sees it. */
#define HOP_LIMIT 64

/* IPv4 may have none. Of IPv6 core asks for one, and updates it. */
#define CHECKSUM_IPV4 0
#define CHECKSUM_IPV6 0xffff

struct headers_ipv4 {
	struct wire_eth eth;
	struct wire_ipv4 ip;
	struct wire_udp udp;
} WIRE;
_Static_assert(sizeof(struct headers_ipv4) == SOCKET_HEADERS_IPV4, "wire format");

struct headers_ipv6 {
	struct wire_eth eth;
	struct wire_ipv6 ip;
	struct wire_udp udp;
} WIRE;
_Static_assert(sizeof(struct headers_ipv6) == SOCKET_HEADERS_IPV6, "wire format");
_Static_assert(SOCKET_HEADERS_IPV6 <= SOCKET_HEADROOM, "headers fit before the payload");

static void header_ipv4_init(struct headers_ipv4 *header, const struct socket_addr *src,
			     const struct socket_addr *dst, uint16_t slot)
{
	*header = (struct headers_ipv4){
		.eth.type_be = wire_be16(WIRE_ETHERTYPE_IPV4),
		.ip = { .version_ihl = 0x45,
			.id_be = wire_be16(slot),
			.ttl = HOP_LIMIT,
			.protocol = WIRE_PROTOCOL_UDP },
		.udp = { .dst_be = dst->port_be, .checksum_be = CHECKSUM_IPV4 },
	};
	memcpy(header->ip.dst, dst->addr + 12, 4);
	if (!src)
		return;
	memcpy(header->ip.src, src->addr + 12, 4);
	header->udp.src_be = src->port_be;
}

static void header_ipv6_init(struct headers_ipv6 *header, const struct socket_addr *src,
			     const struct socket_addr *dst, uint16_t slot)
{
	*header = (struct headers_ipv6){
		.eth.type_be = wire_be16(WIRE_ETHERTYPE_IPV6),
		.ip = { .version_class_flow = { 0x60, 0, (uint8_t)(slot >> 8), (uint8_t)slot },
			.next_header = WIRE_PROTOCOL_UDP,
			.hop_limit = HOP_LIMIT },
		.udp = { .dst_be = dst->port_be, .checksum_be = CHECKSUM_IPV6 },
	};
	memcpy(header->ip.dst, dst->addr, 16);
	if (!src)
		return;
	memcpy(header->ip.src, src->addr, 16);
	header->udp.src_be = src->port_be;
}

void socket_end_init(struct socket_end *end, const struct socket_addr *src,
		     const struct socket_addr *dst, uint16_t slot)
{
	*end = (struct socket_end){ .fd = -1, .is_flow = src };
	if (socket_addr_is_ipv4(dst->addr)) {
		end->ip_version = 4;
		end->header_size = SOCKET_HEADERS_IPV4;
		header_ipv4_init((void *)end->header, src, dst, slot);
	} else {
		end->ip_version = 6;
		end->header_size = SOCKET_HEADERS_IPV6;
		header_ipv6_init((void *)end->header, src, dst, slot);
	}
}

void socket_end_frame(const struct socket_end *end, const union socket_name *name, uint8_t *payload,
		      uint32_t len, uint64_t frame, struct packet *ret_packet)
{
	uint8_t *data = payload - end->header_size;
	uint16_t udp_len_be = wire_be16((uint16_t)(sizeof(struct wire_udp) + len));

	memcpy(data, end->header, end->header_size);
	if (end->ip_version == 4) {
		struct headers_ipv4 *header = (void *)data;

		header->ip.len_be =
			wire_be16((uint16_t)(sizeof(header->ip) + sizeof(header->udp) + len));
		header->udp.len_be = udp_len_be;
		if (!end->is_flow) {
			memcpy(header->ip.src, &name->ipv4.sin_addr, 4);
			header->udp.src_be = name->ipv4.sin_port;
		}
	} else {
		struct headers_ipv6 *header = (void *)data;

		header->ip.payload_len_be = udp_len_be;
		header->udp.len_be = udp_len_be;
		if (!end->is_flow) {
			memcpy(header->ip.src, &name->ipv6.sin6_addr, 16);
			header->udp.src_be = name->ipv6.sin6_port;
		}
	}
	*ret_packet = (struct packet){ .data = data,
				       .frame = frame,
				       .len = end->header_size + len,
				       .kind = FRAME_UNCLASSIFIED };
}

static void addr_ipv4_set(struct socket_addr *addr, const uint8_t *ipv4, uint16_t port_be)
{
	*addr = (struct socket_addr){ .addr = { [10] = 0xff, [11] = 0xff }, .port_be = port_be };
	memcpy(addr->addr + 12, ipv4, 4);
}

static void view_ipv4_set(struct socket_view *view, const struct headers_ipv4 *header)
{
	view->ip_version = 4;
	view->slot = wire_be16(header->ip.id_be);
	addr_ipv4_set(&view->src, header->ip.src, header->udp.src_be);
	addr_ipv4_set(&view->dst, header->ip.dst, header->udp.dst_be);
}

static void view_ipv6_set(struct socket_view *view, const struct headers_ipv6 *header)
{
	const uint8_t *label = header->ip.version_class_flow + 2;

	view->ip_version = 6;
	view->slot = (uint16_t)(label[0] << 8 | label[1]);
	memcpy(view->src.addr, header->ip.src, 16);
	memcpy(view->dst.addr, header->ip.dst, 16);
	view->src.port_be = header->udp.src_be;
	view->dst.port_be = header->udp.dst_be;
}

bool socket_view_of(const struct packet *packet, struct socket_view *ret_view)
{
	const struct wire_eth *eth = (const void *)packet->data;
	uint32_t header_size;

	if (packet->len >= SOCKET_HEADERS_IPV4 && eth->type_be == wire_be16(WIRE_ETHERTYPE_IPV4)) {
		header_size = SOCKET_HEADERS_IPV4;
		view_ipv4_set(ret_view, (const void *)packet->data);
	} else if (packet->len >= SOCKET_HEADERS_IPV6 &&
		   eth->type_be == wire_be16(WIRE_ETHERTYPE_IPV6)) {
		header_size = SOCKET_HEADERS_IPV6;
		view_ipv6_set(ret_view, (const void *)packet->data);
	} else {
		return false;
	}
	ret_view->payload = packet->data + header_size;
	ret_view->payload_len = packet->len - header_size;
	return true;
}

socklen_t socket_name_set(union socket_name *name, uint8_t ip_version,
			  const struct socket_addr *addr)
{
	if (ip_version == 4) {
		name->ipv4 =
			(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = addr->port_be };
		memcpy(&name->ipv4.sin_addr, addr->addr + 12, 4);
		return sizeof(name->ipv4);
	}
	name->ipv6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = addr->port_be };
	memcpy(&name->ipv6.sin6_addr, addr->addr, 16);
	return sizeof(name->ipv6);
}
