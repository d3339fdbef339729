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

/* What differs from frame to frame. */
struct load_varying {
	__u64 words_be[LOAD_HEAD_WORD_COUNT]; /* of the payload, the first */
	__u64 trailer_be[sizeof(struct load_trailer) / 8];
	__u32 address_be; /* last four bytes of the source address */
	__u16 port_be;
};

/* The Connection ID's bytes in word `word` of it, the mask over them; 0 beyond its end. */
PARSE_INLINE __u64 load_cid_bytes(const volatile struct load_plan *plan, __u64 number, __u32 word)
{
	__u64 mask = plan->cid_mask * 0x0101010101010101ull;
	__u32 len = plan->cid_len;

	if (len <= 8 * word)
		return 0;
	len -= 8 * word;
	return (load_cid_word(number, word) ^ mask) & (len < 8 ? ~(~0ull >> 8 * len) : ~0ull);
}

/* The payload's first words, the Connection ID shifted in. Returns their hash. */
PARSE_INLINE __u64 load_vary_words(const volatile struct load_plan *plan, __u64 number,
				   struct load_varying *varying)
{
	__u32 shift = 8 * plan->cid_offset;
	__u64 before = 0, hash = 0;

	for (__u32 i = 0; i < LOAD_HEAD_WORD_COUNT; i++) {
		__u64 cid = i < LOAD_CID_WORD_COUNT ? load_cid_bytes(plan, number, i) : 0;
		__u64 word = plan->words[i] | before << (64 - shift) | cid >> shift;

		if (i < plan->hash_words)
			hash += load_hash_word(word, i);
		varying->words_be[i] = load_be64(word);
		before = cid;
	}
	return hash;
}

PARSE_INLINE void load_vary(const volatile struct load_plan *plan, __u64 sequence, __u64 now_ns,
			    struct load_varying *ret_varying)
{
	__u64 flow = sequence % plan->flow_count;
	__u64 number = plan->first_cid + sequence % plan->cid_count;
	__u64 hash = load_vary_words(plan, number, ret_varying);

	hash += plan->hash + load_hash_word(sequence, LOAD_HASH_SEQUENCE_PLACE);
	ret_varying->trailer_be[0] = load_be64(now_ns);
	ret_varying->trailer_be[1] = load_be64(hash);
	ret_varying->trailer_be[2] = load_be64((__u64)LOAD_MAGIC << 32 | plan->stream);
	ret_varying->trailer_be[3] = load_be64(sequence);
	ret_varying->address_be = wire_be32(plan->first_address +
					    (__u32)(flow / plan->port_count) * plan->address_step);
	ret_varying->port_be = wire_be16((__u16)(plan->first_port + flow % plan->port_count));
}

PARSE_INLINE __u64 load_sum(__u64 word_be)
{
	return (word_be & 0xffffffff) + (word_be >> 32);
}

/* The source address is in the pseudo-header of both families. RFC 1071 section 2B: the
 * sum of bytes that begin at an odd offset is turned. */
PARSE_INLINE __u16 load_udp_checksum(const volatile struct load_plan *plan,
				     const struct load_varying *varying)
{
	__u64 sum = (__u64)plan->udp_sum + varying->port_be + varying->address_be;
	__u64 trailer = 0;
	__u16 folded;

	for (int i = 0; i < LOAD_HEAD_WORD_COUNT; i++) {
		sum += load_sum(varying->words_be[i]);
		trailer += load_sum(varying->trailer_be[i]);
	}
	folded = checksum_fold_wide(trailer);
	sum += plan->trailer_offset & 1 ? __builtin_bswap16(folded) : folded;
	return checksum_udp_nonzero((__u16)~checksum_fold_wide(sum));
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

/* A copy to any boundary. To BPF's compiler that would be single bytes, and its verifier
 * has nothing against whole words. */
PARSE_INLINE void load_store(void *to, __u64 word)
{
#ifdef __bpf__
	*(__u64 *)to = word;
#else
	__builtin_memcpy(to, &word, sizeof(word));
#endif
}

/* The words first: of a short payload they reach into the trailer. */
PARSE_INLINE int load_write_payload(const volatile struct load_plan *plan, __u8 *payload,
				    const void *end, const struct load_varying *varying)
{
	__u8 *trailer = payload + plan->trailer_offset;

	if ((void *)(payload + sizeof(varying->words_be)) > end ||
	    (void *)(trailer + sizeof(varying->trailer_be)) > end)
		return 0;
	for (__u32 i = 0; i < LOAD_HEAD_WORD_COUNT; i++)
		load_store(payload + 8 * i, varying->words_be[i]);
	for (__u32 i = 0; i < LOAD_HEAD_WORD_COUNT; i++)
		load_store(trailer + 8 * i, varying->trailer_be[i]);
	return 1;
}

/* Frame `sequence` of the plan, made at now_ns. 0 if there is no room for it, which has its reason
 * in another plan. */
PARSE_INLINE int load_frame_write(const volatile struct load_plan *plan, struct cursor *cur,
				  __u64 sequence, __u64 now_ns)
{
	struct load_varying varying;
	void *payload;

	load_vary(plan, sequence, now_ns, &varying);
	payload = plan->is_ipv6 ? load_write_head6(plan, cur, &varying)
				: load_write_head4(plan, cur, &varying);
	return payload && load_write_payload(plan, payload, cur->end, &varying);
}

#endif
