/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "util/clock.h"
#include "util/number.h"

#include "load_source.skel.h"

#define NS_PER_SECOND 1000000000ull
#define PS_PER_SECOND 1000000000000ull

/* Frames of one system call. Well below where the kernel's 32-bit count would wrap. */
#define REPEAT_MAX (1u << 31)

/* A call that has been interrupted takes some 30 ms to begin again, so that this must
 * be longer for the next one to get anywhere. */
#define ALARM_INTERVAL_NS (100 * 1000 * 1000)

/* The kernel looks for signals after each batch: an alarm ends a call, also one that
 * finds nothing to send. */
static timer_t alarm_timer;
static volatile sig_atomic_t is_stopped;

static void alarm_in(uint64_t ns)
{
	const struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(ns / NS_PER_SECOND),
			      .tv_nsec = (long)(ns % NS_PER_SECOND) },
		.it_interval = { .tv_nsec = ALARM_INTERVAL_NS },
	};

	(void)timer_settime(alarm_timer, 0, &when, NULL); /* valid by construction */
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* The alarm repeats, so it also ends a call that was only just about to begin. */
static void on_stop(int signal)
{
	(void)signal;
	is_stopped = 1;
	alarm_in(1);
}

static int signals_set_up(void)
{
	struct sigaction on_alarm_action = { .sa_handler = on_alarm };
	struct sigaction on_stop_action = { .sa_handler = on_stop };

	if (timer_create(CLOCK_MONOTONIC, NULL, &alarm_timer) ||
	    sigaction(SIGALRM, &on_alarm_action, NULL) ||
	    sigaction(SIGINT, &on_stop_action, NULL) || sigaction(SIGTERM, &on_stop_action, NULL))
		return -errno;
	return 0;
}

/* When the run could be over: at its deadline, or when the rate lets the last frame go. */
static void alarm_arm(const struct load_source_config *config, uint64_t left, uint64_t now,
		      uint64_t deadline)
{
	uint64_t end = deadline;

	if (config->rate && left / config->rate < config->seconds)
		end = now + left / config->rate * NS_PER_SECOND +
		      left % config->rate * NS_PER_SECOND / config->rate;
	alarm_in((end < deadline ? end : deadline) - now + 1);
}

static int frames_send(struct load_source *bpf, const struct load_run *run)
{
	const struct load_progress *progress = &bpf->bss->progress;
	bool is_paced = run->config->rate;

	while (!is_stopped && progress->sent < run->count) {
		uint64_t left = run->count - progress->sent, now = clock_ns();
		LIBBPF_OPTS(
			bpf_test_run_opts, options, .data_in = run->template->frame,
			.data_size_in = run->template->frame_len,
			.repeat = (int)(left < REPEAT_MAX - 1 && !is_paced ? left : REPEAT_MAX - 1),
			.flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = LOAD_BURST_FRAMES);
		int err;

		if (now >= run->deadline_ns)
			break;
		alarm_arm(run->config, left, now, run->deadline_ns);
		err = bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.send_next), &options);
		if (err && err != -EINTR)
			return err;
	}
	return 0;
}

static int bpf_load(const struct load_run *run, struct load_source **ret_bpf)
{
	const struct load_source_config *config = run->config;
	struct load_source *bpf = load_source__open();
	int err;

	if (!bpf)
		return -errno;
	memcpy(&bpf->rodata->plan, &run->template->plan, sizeof(run->template->plan));
	bpf->rodata->plan.count = run->count;
	bpf->rodata->plan.interval_ps = config->rate ? PS_PER_SECOND / config->rate : 0;
	err = load_source__load(bpf);
	if (err) {
		load_source__destroy(bpf);
		return err;
	}
	*ret_bpf = bpf;
	return 0;
}

static int failed(int err, const char *step, char *error, size_t error_size)
{
	const char *advice = "";

	if (err == -EPERM || err == -EACCES)
		advice = " (" LOAD_BPF_RIGHTS ")";
	if (err == -EINVAL)
		advice = " (live frames take Linux 5.18 or later)";
	return fail(err, error, error_size, "%s: %s%s", step, strerror(-err), advice);
}

int load_live_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		   size_t error_size)
{
	struct load_source *bpf = NULL;
	const struct load_progress *progress;
	int err = bpf_load(run, &bpf);

	if (err)
		return failed(err, "loading the BPF program", error, error_size);
	err = signals_set_up();
	if (err) {
		(void)failed(err, "setting up signals", error, error_size);
		goto out;
	}

	progress = &bpf->bss->progress;
	run->progress = &progress->sent;
	load_run_begin(run);
	bpf->bss->progress.start_ns = run->start_ns;
	err = frames_send(bpf, run);
	load_run_end(run);
	if (err) {
		(void)failed(err, "sending frames", error, error_size);
		goto out;
	}
	*ret_result = (struct load_source_result){
		.sent = progress->sent,
		.skipped = progress->skipped,
		.seconds = (double)(progress->last_ns - progress->first_ns) / (double)NS_PER_SECOND,
	};
out:
	load_source__destroy(bpf);
	return err;
}
