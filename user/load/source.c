/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/source.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "load/queues.h"
#include "ringway/load_abi.h"
#include "util/log.h"
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

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
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

static int frames_send(struct load_source *bpf, const struct load_source_config *config,
		       struct load_template *template, uint64_t deadline)
{
	const struct load_progress *progress = &bpf->bss->progress;

	while (!is_stopped && progress->sent < config->count) {
		uint64_t left = config->count - progress->sent, now = now_ns();
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = template->frame,
			    .data_size_in = template->frame_len,
			    .repeat =
				    (int)(left < REPEAT_MAX - 1 && !config->rate ? left
										 : REPEAT_MAX - 1),
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = LOAD_BURST_FRAMES);
		int err;

		if (now >= deadline)
			break;
		alarm_arm(config, left, now, deadline);
		err = bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.send_next), &run);
		if (err && err != -EINTR)
			return err;
	}
	return 0;
}

static int bpf_load(const struct load_source_config *config, const struct load_template *template,
		    struct load_source **ret_bpf)
{
	struct load_source *bpf = load_source__open();
	int err;

	if (!bpf)
		return -errno;
	memcpy(&bpf->rodata->plan, &template->plan, sizeof(template->plan));
	bpf->rodata->plan.count = config->count;
	bpf->rodata->plan.interval_ps = config->rate ? PS_PER_SECOND / config->rate : 0;
	err = load_source__load(bpf);
	if (err) {
		load_source__destroy(bpf);
		return err;
	}
	*ret_bpf = bpf;
	return 0;
}

static int cpu_pin(uint32_t cpu, char *error, size_t error_size)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return fail(-errno, error, error_size, "running on CPU %u: %s", cpu,
			    strerror(errno));
	return 0;
}

static void announce(const struct load_source_config *config, const struct load_template *template,
		     const struct load_path *path)
{
	char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE], rate[32] = "as fast as it goes";
	const struct load_shape *shape = &config->shape;

	if (config->rate)
		(void)snprintf(rate, sizeof(rate), "%llu/s", (unsigned long long)config->rate);
	log_info("sending at most %llu frames of %u bytes, %s, for at most %u s, out of %s: "
		 "stream %u, %u flows from %s port %u to %s port %u",
		 (unsigned long long)config->count, template->frame_len, rate, config->seconds,
		 config->ifname, shape->stream, shape->flows, address_format(path->from, from),
		 shape->first_port, address_format(shape->to.addr, to), shape->to.port);
}

static int failed(int err, const char *step, char *error, size_t error_size)
{
	const char *advice = "";

	if (err == -EPERM || err == -EACCES)
		advice = " (run as root: it takes CAP_BPF and CAP_NET_ADMIN)";
	if (err == -EINVAL)
		advice = " (live frames take Linux 5.18 or later)";
	return fail(err, error, error_size, "%s: %s%s", step, strerror(-err), advice);
}

int load_source_run(const struct load_source_config *config, struct load_source_result *ret_result,
		    char *error, size_t error_size)
{
	struct load_source *bpf = NULL;
	struct load_template template;
	struct load_path path;
	int err = load_path_find(config->ifname, config->shape.to.addr, config->from, config->mac,
				 &path, error, error_size);

	if (!err)
		err = load_template_build(&config->shape, &path, &template, error, error_size);
	if (!err)
		err = cpu_pin(config->cpu, error, error_size);
	if (err)
		return err;
	if (config->queues) {
		announce(config, &template, &path);
		return load_queues_send(config, &template, ret_result, error, error_size);
	}
	err = bpf_load(config, &template, &bpf);
	if (err)
		return failed(err, "loading the BPF program", error, error_size);
	err = signals_set_up();
	if (err) {
		(void)failed(err, "setting up signals", error, error_size);
		goto out;
	}

	announce(config, &template, &path);
	bpf->bss->progress.start_ns = now_ns();
	err = frames_send(bpf, config, &template,
			  bpf->bss->progress.start_ns + config->seconds * NS_PER_SECOND);
	if (err) {
		(void)failed(err, "sending frames", error, error_size);
		goto out;
	}
	*ret_result = (struct load_source_result){
		.sent = bpf->bss->progress.sent,
		.skipped = bpf->bss->progress.skipped,
		.seconds = (double)(bpf->bss->progress.last_ns - bpf->bss->progress.first_ns) /
			   (double)NS_PER_SECOND,
	};
out:
	load_source__destroy(bpf);
	return err;
}
