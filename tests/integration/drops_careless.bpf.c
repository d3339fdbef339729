/* SPDX-License-Identifier: GPL-2.0-only */
/* drops_careless.bpf.c - an XDP program that lets pass what ringway's drops: every IPv4 frame
 * of the first port goes to its worker, unseen and without metadata, which then has to find
 * out for itself. Its maps are ringwayd's; it counts as ringwayd's program does. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ringway/abi.h"
#include "ringway/parse.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, PORT_COUNT_MAX *QUEUE_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, INGRESS_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int careless(struct xdp_md *ctx)
{
	struct cursor cursor = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	__u32 key = INGRESS_REDIRECT_SERVICE;
	struct wire_eth *eth;
	__u64 *count;

	if (parse_ethernet(&cursor, &eth) != wire_be16(WIRE_ETHERTYPE_IPV4) ||
	    ctx->rx_queue_index >= QUEUE_COUNT_MAX)
		return XDP_PASS;
	count = bpf_map_lookup_elem(&counters, &key);
	if (count)
		(*count)++;
	return (int)bpf_redirect_map(&xsks, XSK_INDEX(0, ctx->rx_queue_index), XDP_DROP);
}
