/* SPDX-License-Identifier: GPL-2.0-only */
/* frame.h - frames for tests, built from a description in which zero is normal.
 *
 * The checksums are left 0: neither the parser nor XDP reads them. */
#ifndef RINGWAY_TESTS_FRAME_H
#define RINGWAY_TESTS_FRAME_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ringway/wire.h"
#include "util/number.h"

#define FRAME_SIZE_MAX 2048

struct frame_spec {
	const char *src, *dst; /* both IPv4 or both IPv6 */
	uint16_t src_port, dst_port;
	uint8_t eth_dst[6], eth_src[6];
	uint16_t ethertype;	/* 0: of the addresses */
	uint16_t tags[3];	/* VLAN ethertypes from the outside in, 0 ends */
	uint8_t protocol;	/* next header; 0: UDP. FRAME_HOP_BY_HOP for a real 0 */
	uint16_t fragment;	/* IPv4 flags and offset */
	uint8_t ip_version_ihl; /* 0: right */
	uint16_t extra_len;	/* bytes of options or extension header before UDP */
	uint16_t payload_len;
	int ip_len_error, udp_len_error; /* added to the right values */
	uint16_t frame_len_min;		 /* padded up to it */
};

#define FRAME_HOP_BY_HOP 0xff /* reserved by IANA, so free for this */

struct frame {
	uint8_t bytes[FRAME_SIZE_MAX];
	size_t len;
	size_t ip_offset, udp_offset;
	uint16_t ip_len, udp_len; /* as written */
};

static inline void *frame_append(struct frame *frame, size_t len)
{
	void *taken = frame->bytes + frame->len;

	assert(frame->len + len <= FRAME_SIZE_MAX);
	frame->len += len;
	return taken;
}

static inline void frame_append_ethernet(struct frame *frame, const struct frame_spec *spec,
					 uint16_t type)
{
	struct wire_eth *eth = frame_append(frame, sizeof(*eth));
	__u16 *type_be = &eth->type_be;

	memcpy(eth->dst, spec->eth_dst, 6);
	memcpy(eth->src, spec->eth_src, 6);
	for (size_t i = 0; i < 3 && spec->tags[i]; i++) {
		struct wire_vlan *tag = frame_append(frame, sizeof(*tag));

		*type_be = wire_be16(spec->tags[i]);
		tag->tag_be = wire_be16(100 + i);
		type_be = &tag->type_be;
	}
	*type_be = wire_be16(type);
}

static inline void frame_append_ipv4(struct frame *frame, const struct frame_spec *spec,
				     const uint8_t src[16], const uint8_t dst[16])
{
	struct wire_ipv4 *ip = frame_append(frame, sizeof(*ip));

	frame->ip_len = sizeof(*ip) + spec->extra_len + sizeof(struct wire_udp) +
			spec->payload_len + spec->ip_len_error;
	ip->version_ihl = spec->ip_version_ihl ? spec->ip_version_ihl : 0x45 + spec->extra_len / 4;
	ip->len_be = wire_be16(frame->ip_len);
	ip->fragment_be = wire_be16(spec->fragment);
	ip->ttl = 64;
	ip->protocol = spec->protocol ? spec->protocol : WIRE_PROTOCOL_UDP;
	memcpy(ip->src, src + 12, 4);
	memcpy(ip->dst, dst + 12, 4);
}

static inline void frame_append_ipv6(struct frame *frame, const struct frame_spec *spec,
				     const uint8_t src[16], const uint8_t dst[16])
{
	struct wire_ipv6 *ip = frame_append(frame, sizeof(*ip));

	frame->ip_len = sizeof(*ip) + spec->extra_len + sizeof(struct wire_udp) +
			spec->payload_len + spec->ip_len_error;
	ip->version_class_flow[0] = spec->ip_version_ihl ? spec->ip_version_ihl : 0x60;
	ip->payload_len_be = wire_be16(frame->ip_len - sizeof(*ip));
	ip->next_header = spec->protocol == FRAME_HOP_BY_HOP ? 0
			  : spec->protocol		     ? spec->protocol
							     : WIRE_PROTOCOL_UDP;
	ip->hop_limit = 64;
	memcpy(ip->src, src, 16);
	memcpy(ip->dst, dst, 16);
}

static inline void frame_append_udp(struct frame *frame, const struct frame_spec *spec)
{
	struct wire_udp *udp = frame_append(frame, sizeof(*udp));

	frame->udp_len = sizeof(*udp) + spec->payload_len + spec->udp_len_error;
	udp->src_be = wire_be16(spec->src_port);
	udp->dst_be = wire_be16(spec->dst_port);
	udp->len_be = wire_be16(frame->udp_len);
	memset(frame_append(frame, spec->payload_len), 'x', spec->payload_len);
}

static inline void frame_build(const struct frame_spec *spec, struct frame *ret_frame)
{
	uint8_t src[16], dst[16];
	bool is_ipv4;

	memset(ret_frame, 0, sizeof(*ret_frame));
	if (!address_parse(spec->src, src) || !address_parse(spec->dst, dst))
		assert(!"both addresses parse");
	is_ipv4 = strchr(spec->dst, ':') == NULL;
	frame_append_ethernet(ret_frame, spec,
			      spec->ethertype ? spec->ethertype
			      : is_ipv4	      ? WIRE_ETHERTYPE_IPV4
					      : WIRE_ETHERTYPE_IPV6);
	ret_frame->ip_offset = ret_frame->len;
	if (is_ipv4)
		frame_append_ipv4(ret_frame, spec, src, dst);
	else
		frame_append_ipv6(ret_frame, spec, src, dst);
	frame_append(ret_frame, spec->extra_len);
	ret_frame->udp_offset = ret_frame->len;
	frame_append_udp(ret_frame, spec);
	if (ret_frame->len < spec->frame_len_min)
		frame_append(ret_frame, spec->frame_len_min - ret_frame->len);
}

#endif
