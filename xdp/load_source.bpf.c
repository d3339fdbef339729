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

/* The frames of a run are as long as the longest form. */
static __always_inline bool frame_shorten(struct xdp_md *ctx, const struct load_varying *varying)
{
	__s32 surplus;

	if (!plan.is_mix)
		return true;
	surplus = (__s32)(ctx->data_end - ctx->data) - varying->form->frame_len;
	return surplus <= 0 || !bpf_xdp_adjust_tail(ctx, -surplus);
}

SEC("xdp")
int send_next(struct xdp_md *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct load_varying varying;
	struct cursor cur;

	if (progress.sent >= plan.count || !take_token(now_ns)) {
		progress.skipped++;
		return XDP_DROP;
	}
	load_vary(&plan, progress.sent, now_ns, &varying);
	if (!frame_shorten(ctx, &varying))
		return XDP_ABORTED;
	cur = (struct cursor){ (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	if (!load_frame_write(&plan, &cur, &varying))
		return XDP_ABORTED;

	if (!progress.sent)
		progress.first_ns = now_ns;
	progress.last_ns = now_ns;
	progress.sent++;
	return bpf_redirect(plan.ifindex, 0);
}
