// SPDX-License-Identifier: GPL-2.0-only
/* l2fwd.bpf.c - the least that brings a frame to an AF_XDP socket: every IPv4 and
 * IPv6 frame of the port in `port`, to the socket of its queue. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ringway/limits.h"
#include "ringway/wire.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUE_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

SEC("xdp")
int l2fwd(struct xdp_md *ctx)
{
	struct wire_eth *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (eth->type_be != wire_be16(WIRE_ETHERTYPE_IPV4) &&
	    eth->type_be != wire_be16(WIRE_ETHERTYPE_IPV6))
		return XDP_PASS;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
