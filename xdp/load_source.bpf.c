/* SPDX-License-Identifier: GPL-2.0-only */
/* load_source.bpf.c - turns the frames of a live BPF_PROG_TEST_RUN into load.
 *
 * Never attached to an interface: userspace runs it on one CPU, over and over, on
 * frames of the right length. Each run writes one datagram and redirects it, or
 * drops the frame when none is due yet. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "ringway/checksum.h"
#include "ringway/load_abi.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct load_plan plan;
struct load_progress progress; /* one CPU at a time: no atomics */

union cid {
	__u64 words_be[LOAD_CID_WORD_COUNT];
	__u8 bytes[8 * LOAD_CID_WORD_COUNT];
};

/* What differs from frame to frame. */
struct varying {
	union cid cid;
	__u64 sequence_be;
	__u32 address_be; /* last four bytes of the source address */
	__u16 port_be;
};

/* A token bucket of LOAD_BURST_FRAMES, kept as the time at which the next frame is
 * due. Time that was missed beyond the bucket is lost, not made up for: a burst
 * would overrun the receiver and look like its fault. */
static bool take_token(__u64 now_ns)
{
	__u64 now_ps = (now_ns - progress.start_ns) * 1000;
	__u64 bucket_ps = plan.interval_ps * (LOAD_BURST_FRAMES - 1);

	if (progress.due_ps > now_ps)
		return false;
	if (now_ps - progress.due_ps > bucket_ps)
		progress.due_ps = now_ps - bucket_ps;
	progress.due_ps += plan.interval_ps;
	return true;
}

static void vary(__u64 sequence, struct varying *ret_varying)
{
	__u64 flow = sequence % plan.flow_count;
	__u64 number = sequence % plan.cid_count;

	for (int i = 0; i < LOAD_CID_WORD_COUNT; i++)
		ret_varying->cid.words_be[i] = load_be64(load_cid_word(number, i));
	for (int i = 0; i < (int)sizeof(union cid); i++)
		if (i >= plan.cid_len)
			ret_varying->cid.bytes[i] = 0;
	ret_varying->sequence_be = load_be64(sequence);
	ret_varying->address_be = wire_be32(plan.first_address + (__u32)(flow / plan.port_count));
	ret_varying->port_be = wire_be16(plan.first_port + (__u16)(flow % plan.port_count));
}

/* RFC 1071 section 2B: the sum of bytes that begin at an odd offset is turned. */
static __u16 sum_at(const void *bytes, __u32 len, __u32 offset)
{
	__u16 sum = checksum_fold(checksum_words(bytes, len));

	return offset & 1 ? __builtin_bswap16(sum) : sum;
}

/* The address is in the pseudo-header of both families. */
static __u16 udp_checksum(const struct varying *varying)
{
	__u32 sum = plan.udp_sum;

	sum += sum_at(&varying->cid, sizeof(varying->cid), plan.cid_offset);
	sum += sum_at(&varying->sequence_be, sizeof(varying->sequence_be), plan.sequence_offset);
	sum += sum_at(&varying->address_be, sizeof(varying->address_be), 0);
	sum += varying->port_be;
	return checksum_udp_nonzero(~checksum_fold(sum));
}

/* Returns the UDP payload, or NULL if the frame is too short for the headers. */
static void *write_head4(struct cursor *cur, const struct varying *varying)
{
	struct load_head4 *head = cursor_take(cur, sizeof(*head));

	if (!head)
		return 0;
	*head = plan.head.v4;
	__builtin_memcpy(head->ipv4.src, &varying->address_be, 4);
	head->ipv4.checksum_be =
		~checksum_fold(plan.ip_sum + checksum_words(&varying->address_be, 4));
	head->udp.src_be = varying->port_be;
	head->udp.checksum_be = udp_checksum(varying);
	return cur->pos;
}

static void *write_head6(struct cursor *cur, const struct varying *varying)
{
	struct load_head6 *head = cursor_take(cur, sizeof(*head));

	if (!head)
		return 0;
	*head = plan.head.v6;
	__builtin_memcpy(head->ipv6.src + 12, &varying->address_be, 4);
	head->udp.src_be = varying->port_be;
	head->udp.checksum_be = udp_checksum(varying);
	return cur->pos;
}

static bool write_payload(__u8 *payload, const void *end, const struct varying *varying)
{
	__u8 *cid = payload + plan.cid_offset;
	__u8 *sequence = payload + plan.sequence_offset;

	if ((void *)(sequence + sizeof(varying->sequence_be)) > end)
		return false;
	__builtin_memcpy(sequence, &varying->sequence_be, sizeof(varying->sequence_be));
	for (__u32 i = 0; i < sizeof(union cid) && i < plan.cid_len; i++) {
		if ((void *)(cid + i + 1) > end)
			return false;
		cid[i] = varying->cid.bytes[i];
	}
	return true;
}

SEC("xdp")
int send_next(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	__u64 now_ns = bpf_ktime_get_ns();
	struct varying varying;
	void *payload;

	if (progress.sent >= plan.count || !take_token(now_ns)) {
		progress.skipped++;
		return XDP_DROP;
	}
	vary(progress.sent, &varying);
	payload = plan.is_ipv6 ? write_head6(&cur, &varying) : write_head4(&cur, &varying);
	if (!payload || !write_payload(payload, cur.end, &varying))
		return XDP_ABORTED;

	if (!progress.sent)
		progress.first_ns = now_ns;
	progress.last_ns = now_ns;
	progress.sent++;
	return bpf_redirect(plan.ifindex, 0);
}
