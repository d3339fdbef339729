/* SPDX-License-Identifier: GPL-2.0-only */
/* checksum.h - the Internet checksum: full, incremental, and half done.
 *
 * Sums are over 16-bit words as they lie in memory (RFC 1071 section 2B: the
 * sum does not depend on byte order), so checksum fields go in and out without
 * conversion. A sum is 32 bits wide and may be folded at any time. */
#ifndef RINGWAY_CHECKSUM_H
#define RINGWAY_CHECKSUM_H

#include "ringway/parse.h"

/* The halves added to each other, crosswise: the carry of the lower ones is what the
 * upper ones lack. */
PARSE_INLINE __u16 checksum_fold(__u32 sum)
{
	return (sum + (sum << 16 | sum >> 16)) >> 16;
}

/* Sum of len bytes (even, at most 64 KiB) on a 2-byte boundary. */
PARSE_INLINE __u32 checksum_words(const void *bytes, __u32 len)
{
	const __u16 *word = bytes;
	__u32 sum = 0;

	for (__u32 i = 0; i < len / 2; i++)
		sum += word[i];
	return sum;
}

/* What must be added to a field's complement when old gives way to new: both as
 * sums. RFC 1624 equation 3. Folded, so a table may keep it in 16 bits. */
PARSE_INLINE __u16 checksum_delta(__u32 old_sum, __u32 new_sum)
{
	return checksum_fold((__u32)(__u16)~checksum_fold(old_sum) + checksum_fold(new_sum));
}

/* Of two folded sums; the carry goes round. */
PARSE_INLINE __u16 checksum_add(__u16 a, __u16 b)
{
	__u16 sum;
	__u16 carry = __builtin_add_overflow(a, b, &sum);

	return sum + carry;
}

/* RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), with delta = ~m + m'. */
PARSE_INLINE __u16 checksum_update(__u16 checksum, __u16 delta)
{
	return ~checksum_add(~checksum, delta);
}

/* Sum of len bytes (a multiple of 4), as two halves of each 4-byte word: they meet
 * when the sum is folded. */
PARSE_INLINE __u64 checksum_quads(const void *bytes, __u32 len)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < len; i += 4) {
		__u32 quad;

		__builtin_memcpy(&quad, bytes + i, sizeof(quad));
		sum += quad;
	}
	return sum;
}

PARSE_INLINE __u16 checksum_fold_wide(__u64 sum)
{
	return checksum_fold((sum + (sum << 32 | sum >> 32)) >> 32);
}

/* sum and len bytes (a multiple of 8), each carry added where it came from. */
PARSE_INLINE __u64 checksum_add_wide(__u64 sum, const void *bytes, __u32 len)
{
	for (__u32 i = 0; i < len; i += 8) {
		__u64 word;

		__builtin_memcpy(&word, bytes + i, sizeof(word));
		sum += word;
		sum += sum < word;
	}
	return sum;
}

/* The folded sum of the pseudo-header: addresses, protocol, UDP length (RFC 768,
 * RFC 8200 section 8.1). A sender that leaves the rest to its network card puts
 * exactly this in the field. */
PARSE_INLINE __u16 checksum_udp_pseudo(const struct udp_view *view)
{
	__u64 sum = (__u64)wire_be16(WIRE_PROTOCOL_UDP) + view->udp->len_be;

	if (view->ip_version == 4)
		sum += checksum_quads(view->ipv4->src, 8);
	else
		sum = checksum_add_wide(sum, view->ipv6->src, 32);
	return checksum_fold_wide(sum);
}

/* ~m + m' where m' is m less one in its high byte, as the TTL is in IPv4's header. */
#define CHECKSUM_TTL_DELTA wire_be16(0xfeff)

/* Zero in the field means "none" (RFC 768): a sum of zero is sent as all ones. */
PARSE_INLINE __u16 checksum_udp_nonzero(__u16 checksum)
{
	return checksum ? checksum : 0xffff;
}

#endif
