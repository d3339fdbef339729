/* SPDX-License-Identifier: GPL-2.0-only */
/* reuseport.bpf.c - which worker's socket of a service gets a datagram: by its
 * destination Connection ID, so that a client keeps its worker when its address
 * changes.
 *
 * Never drops: what it does not understand is the kernel's choice, by 4-tuple. That is
 * every datagram that is not QUIC, too short, or the first of a connection whose client
 * chose a short Connection ID. Versions and the fixed bit are not looked at. */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "ringway/limits.h"
#include "ringway/wire.h"

/* Of a long header: the first byte, a version, the length of the Connection ID. */
#define LONG_HEADER	0x80
#define LONG_LEN_OFFSET 5
#define LONG_CID_OFFSET 6

#define SHORT_CID_OFFSET 1

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, WORKER_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

/* Written by userspace, before and while it runs. */
__u32 connection_id_len; /* bytes that are hashed, 1..QUIC_CID_LEN_MAX; 0: nothing is */
__u32 worker_count;
__u64 seed; /* that nobody may aim at a worker */

/* Reads len bytes, 1..QUIC_CID_LEN_MAX, zeros behind them. */
static __always_inline int load_connection_id(const struct sk_reuseport_md *md, __u32 offset,
					      __u32 len, __u64 words[3])
{
	words[0] = words[1] = words[2] = 0;
	if (len < 1 || len > QUIC_CID_LEN_MAX)
		return -1;
	return bpf_skb_load_bytes(md, sizeof(struct wire_udp) + offset, words, len);
}

/* Any mixing will do: it has to spread, and to be the same every time. */
static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 32;
}

SEC("sk_reuseport")
int steer(struct sk_reuseport_md *md)
{
	__u8 start[LONG_CID_OFFSET] = { 0 };
	__u32 offset = SHORT_CID_OFFSET, worker;
	__u64 words[3], hash;

	if (!connection_id_len || bpf_skb_load_bytes(md, sizeof(struct wire_udp), start, 1))
		return SK_PASS;
	if (start[0] & LONG_HEADER) {
		if (bpf_skb_load_bytes(md, sizeof(struct wire_udp), start, sizeof(start)) ||
		    start[LONG_LEN_OFFSET] < connection_id_len)
			return SK_PASS;
		offset = LONG_CID_OFFSET;
	}
	if (load_connection_id(md, offset, connection_id_len, words))
		return SK_PASS;
	hash = mix(mix(mix(seed, words[0]), words[1]), words[2]);
	worker = (__u32)((hash >> 32) * worker_count >> 32);
	/* No such socket, in the moments of a start or an end: the kernel's choice. */
	(void)bpf_sk_select_reuseport(md, &sockets, &worker, 0);
	return SK_PASS;
}
