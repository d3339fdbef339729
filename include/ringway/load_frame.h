/* SPDX-License-Identifier: GPL-2.0-only */
/* load_frame.h - writes the frames of a load_plan, in the kernel as in userspace.
 *
 * A frame is a template's bytes, into which headers, Connection ID and sequence are
 * written. The plan is volatile because a BPF program's constants are. */
#ifndef RINGWAY_LOAD_FRAME_H
#define RINGWAY_LOAD_FRAME_H

#include "ringway/checksum.h"
#include "ringway/load_abi.h"
#include "ringway/parse.h"

union load_cid {
	__u64 words_be[LOAD_CID_WORD_COUNT];
	__u8 bytes[8 * LOAD_CID_WORD_COUNT];
};

/* What differs from frame to frame. */
struct load_varying {
	union load_cid cid;
	__u64 sequence_be;
	__u32 address_be; /* last four bytes of the source address */
	__u16 port_be;
};

PARSE_INLINE void load_vary(const volatile struct load_plan *plan, __u64 sequence,
			    struct load_varying *ret_varying)
{
	__u64 flow = sequence % plan->flow_count;
	__u64 number = plan->first_cid + sequence % plan->cid_count;

	for (int i = 0; i < LOAD_CID_WORD_COUNT; i++)
		ret_varying->cid.words_be[i] = load_be64(load_cid_word(number, (__u32)i));
	for (int i = 0; i < (int)sizeof(union load_cid); i++)
		ret_varying->cid.bytes[i] =
			i < plan->cid_len ? ret_varying->cid.bytes[i] ^ plan->cid_mask : 0;
	ret_varying->sequence_be = load_be64(sequence);
	ret_varying->address_be = wire_be32(plan->first_address +
					    (__u32)(flow / plan->port_count) * plan->address_step);
	ret_varying->port_be = wire_be16((__u16)(plan->first_port + flow % plan->port_count));
}

/* RFC 1071 section 2B: the sum of bytes that begin at an odd offset is turned. */
PARSE_INLINE __u16 load_sum_at(const void *bytes, __u32 len, __u32 offset)
{
	__u16 sum = checksum_fold(checksum_words(bytes, len));

	return offset & 1 ? __builtin_bswap16(sum) : sum;
}

/* The address is in the pseudo-header of both families. */
PARSE_INLINE __u16 load_udp_checksum(const volatile struct load_plan *plan,
				     const struct load_varying *varying)
{
	__u32 sum = plan->udp_sum;

	sum += load_sum_at(&varying->cid, sizeof(varying->cid), plan->cid_offset);
	sum += load_sum_at(&varying->sequence_be, sizeof(varying->sequence_be),
			   plan->sequence_offset);
	sum += load_sum_at(&varying->address_be, sizeof(varying->address_be), 0);
	sum += varying->port_be;
	return checksum_udp_nonzero((__u16)~checksum_fold(sum));
}

/* Returns the UDP payload, or NULL if the frame is too short for the headers. */
PARSE_INLINE void *load_write_head4(const volatile struct load_plan *plan, struct cursor *cur,
				    const struct load_varying *varying)
{
	struct load_head4 *head = cursor_take(cur, sizeof(*head));

	if (!head)
		return 0;
	*head = plan->head.v4;
	__builtin_memcpy(head->ipv4.src, &varying->address_be, 4);
	head->ipv4.checksum_be =
		(__u16)~checksum_fold(plan->ip_sum + checksum_words(&varying->address_be, 4));
	head->udp.src_be = varying->port_be;
	head->udp.checksum_be = load_udp_checksum(plan, varying);
	return cur->pos;
}

PARSE_INLINE void *load_write_head6(const volatile struct load_plan *plan, struct cursor *cur,
				    const struct load_varying *varying)
{
	struct load_head6 *head = cursor_take(cur, sizeof(*head));

	if (!head)
		return 0;
	*head = plan->head.v6;
	__builtin_memcpy(head->ipv6.src + 12, &varying->address_be, 4);
	head->udp.src_be = varying->port_be;
	head->udp.checksum_be = load_udp_checksum(plan, varying);
	return cur->pos;
}

PARSE_INLINE int load_write_payload(const volatile struct load_plan *plan, __u8 *payload,
				    const void *end, const struct load_varying *varying)
{
	__u8 *cid = payload + plan->cid_offset;
	__u8 *sequence = payload + plan->sequence_offset;

	if ((void *)(sequence + sizeof(varying->sequence_be)) > end)
		return 0;
	__builtin_memcpy(sequence, &varying->sequence_be, sizeof(varying->sequence_be));
	for (__u32 i = 0; i < sizeof(union load_cid) && i < plan->cid_len; i++) {
		if ((void *)(cid + i + 1) > end)
			return 0;
		cid[i] = varying->cid.bytes[i];
	}
	return 1;
}

/* Frame `sequence` of the plan. 0 if there is no room for it, which has its reason in
 * another plan. */
PARSE_INLINE int load_frame_write(const volatile struct load_plan *plan, struct cursor *cur,
				  __u64 sequence)
{
	struct load_varying varying;
	void *payload;

	load_vary(plan, sequence, &varying);
	payload = plan->is_ipv6 ? load_write_head6(plan, cur, &varying)
				: load_write_head4(plan, cur, &varying);
	return payload && load_write_payload(plan, payload, cur->end, &varying);
}

#endif
