// SPDX-License-Identifier: GPL-2.0-only
/* load_loss.bpf.c - loses every LOSS_EVERY-th UDP datagram of an interface, so that
 * somebody else than ringway-load knows how many are lost. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ringway/parse.h"

#define LOSS_EVERY 7

__u64 datagram_count;

SEC("xdp")
int load_loss(struct xdp_md *ctx)
{
	struct cursor cursor = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct udp_view view;

	if (parse_udp(&cursor, &view) != PARSE_OK)
		return XDP_PASS;
	return (__sync_fetch_and_add(&datagram_count, 1) + 1) % LOSS_EVERY ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
