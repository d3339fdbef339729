/* SPDX-License-Identifier: GPL-2.0-only */
/* load_source.bpf.c - turns the frames of a live BPF_PROG_TEST_RUN into load.
 *
 * Never attached to an interface: userspace runs it on one CPU, over and over, on
 * frames of the right length. Each run writes one datagram and redirects it, or
 * drops the frame when none is due yet. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "ringway/load_frame.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct load_plan plan;
struct load_progress progress; /* one CPU at a time: no atomics */

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

SEC("xdp")
int send_next(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	__u64 now_ns = bpf_ktime_get_ns();

	if (progress.sent >= plan.count || !take_token(now_ns)) {
		progress.skipped++;
		return XDP_DROP;
	}
	if (!load_frame_write(&plan, &cur, progress.sent, now_ns))
		return XDP_ABORTED;

	if (!progress.sent)
		progress.first_ns = now_ns;
	progress.last_ns = now_ns;
	progress.sent++;
	return bpf_redirect(plan.ifindex, 0);
}
