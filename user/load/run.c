/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "ringway/load_frame.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

#define NS_PER_SECOND 1000000000ull
#define PS_PER_NS     1000ull
#define PS_PER_SECOND 1000000000000ull

/* What one wake-up may send is what is due in this part of a second. */
#define BURSTS_PER_SECOND 4000

static void announce(const struct load_run *run)
{
	const struct load_source_config *config = run->config;
	const struct load_plan *plan = &run->template->plan;
	char from[ADDRESS_TEXT_SIZE], to[ENDPOINT_TEXT_SIZE], rate[32] = "as fast as it goes";

	if (config->rate)
		(void)snprintf(rate, sizeof(rate), "%" PRIu64 "/s", config->rate);
	else if (config->is_as_captured)
		(void)snprintf(rate, sizeof(rate), "as captured");
	log_info("sending at most %" PRIu64 " datagrams, %s, for at most %u s, out of %s to %s, "
		 "by %s: stream %u, %" PRIu64 " flows from %s port %u",
		 run->count, rate, config->seconds, config->ifname,
		 endpoint_format(config->shape.to.addr, config->shape.to.port, to),
		 load_transport_name(config->by), config->shape.stream, load_template_flows(plan),
		 address_format(run->path->from, from), plan->first_port);
}

/* A line a second. */
static void *tell(void *arg)
{
	struct load_run *run = arg;
	uint64_t before = 0, next_ns = run->start_ns;

	(void)pthread_mutex_lock(&run->lock);
	for (unsigned second = 1; !run->is_ended; second++) {
		struct timespec next;
		uint64_t sent;

		next_ns += NS_PER_SECOND;
		next = (struct timespec){ .tv_sec = (time_t)(next_ns / NS_PER_SECOND),
					  .tv_nsec = (long)(next_ns % NS_PER_SECOND) };
		while (!run->is_ended &&
		       pthread_cond_timedwait(&run->ended, &run->lock, &next) != ETIMEDOUT)
			continue;
		if (run->is_ended)
			break;
		sent = __atomic_load_n(run->progress, __ATOMIC_RELAXED);
		log_info("%3u s: %12" PRIu64 " sent, %9" PRIu64 " in the last second", second, sent,
			 sent - before);
		before = sent;
	}
	(void)pthread_mutex_unlock(&run->lock);
	return NULL;
}

/* Signals are for the thread that sends. Without this one the run goes on untold. */
static void tell_start(struct load_run *run)
{
	pthread_condattr_t attributes;
	sigset_t all, before;

	(void)pthread_mutex_init(&run->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&run->ended, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	run->is_told = pthread_create(&run->teller, NULL, tell, run) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void load_run_begin(struct load_run *run)
{
	announce(run);
	run->start_ns = clock_ns();
	run->deadline_ns = run->start_ns + run->config->seconds * NS_PER_SECOND;
	if (run->config->is_told)
		tell_start(run);
}

void load_run_end(struct load_run *run)
{
	if (!run->is_told)
		return;
	(void)pthread_mutex_lock(&run->lock);
	run->is_ended = true;
	(void)pthread_cond_signal(&run->ended);
	(void)pthread_mutex_unlock(&run->lock);
	(void)pthread_join(run->teller, NULL);
	(void)pthread_cond_destroy(&run->ended);
	(void)pthread_mutex_destroy(&run->lock);
}

void load_run_signals_block(struct load_run *run)
{
	(void)sigemptyset(&run->signals);
	(void)sigaddset(&run->signals, SIGINT);
	(void)sigaddset(&run->signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &run->signals, NULL);
	(void)prctl(PR_SET_TIMERSLACK, 1); /* else a sleep of 250 us may take 50 more */
}

/* Not beyond the deadline; true when the run is over. */
static bool run_sleep(struct load_run *run, uint64_t until_ns)
{
	uint64_t now = clock_ns(), end = until_ns < run->deadline_ns ? until_ns : run->deadline_ns;
	struct timespec rest = { .tv_nsec = 0 };

	if (end > now)
		rest = (struct timespec){ .tv_sec = (time_t)((end - now) / NS_PER_SECOND),
					  .tv_nsec = (long)((end - now) % NS_PER_SECOND) };
	if (sigtimedwait(&run->signals, NULL, &rest) > 0)
		run->is_stopped = true;
	return run->is_stopped || clock_ns() >= run->deadline_ns;
}

bool load_run_is_over(struct load_run *run)
{
	return run->is_stopped || run_sleep(run, 0);
}

/* A bucket of LOAD_BURST_FRAMES, as in load_source.bpf.c, but filled by some before it is
 * turned to: a wake-up for each would cost more than sending it. */
static uint32_t paced_wait(struct load_run *run, uint32_t most)
{
	uint64_t rate = run->config->rate, interval_ps = PS_PER_SECOND / rate;
	uint64_t at_once = rate / BURSTS_PER_SECOND, now_ps, due;

	at_once = at_once < 1 ? 1 : at_once > most ? most : at_once;
	if (run_sleep(run,
		      run->start_ns + (run->due_ps + (at_once - 1) * interval_ps) / PS_PER_NS + 1))
		return 0;
	now_ps = (clock_ns() - run->start_ns) * PS_PER_NS;
	if (now_ps > run->due_ps + (LOAD_BURST_FRAMES - 1) * interval_ps)
		run->due_ps = now_ps - (LOAD_BURST_FRAMES - 1) * interval_ps;
	due = now_ps < run->due_ps ? 0 : (now_ps - run->due_ps) / interval_ps + 1;
	due = due > most ? most : due;
	run->due_ps += due * interval_ps;
	return (uint32_t)due;
}

/* Nothing is ever lost of a capture's own time. */
static uint32_t captured_wait(struct load_run *run, uint32_t most)
{
	uint64_t elapsed;
	uint32_t due = 1;

	if (run_sleep(run, run->start_ns + load_capture_time(run->capture, run->sent)))
		return 0;
	elapsed = clock_ns() - run->start_ns;
	while (due < most && load_capture_time(run->capture, run->sent + due) <= elapsed)
		due++;
	return due;
}

uint32_t load_run_wait(struct load_run *run, uint32_t most)
{
	uint64_t left = run->count - run->sent;
	uint32_t due = 0;

	most = most < LOAD_BURST_MAX ? most : LOAD_BURST_MAX;
	most = left < most ? (uint32_t)left : most;
	while (!due && most && !load_run_is_over(run)) {
		if (run->config->is_as_captured)
			due = captured_wait(run, most);
		else
			due = run->config->rate ? paced_wait(run, most) : most;
	}
	if (due && !run->sent)
		run->first_ns = clock_ns();
	return due;
}

void load_run_count(struct load_run *run, uint64_t count)
{
	if (!count)
		return;
	run->last_ns = clock_ns();
	__atomic_store_n(&run->sent, run->sent + count, __ATOMIC_RELAXED);
}

void load_run_result(const struct load_run *run, struct load_source_result *ret_result)
{
	*ret_result = (struct load_source_result){
		.sent = run->sent,
		.seconds = (double)(run->last_ns - run->first_ns) / (double)NS_PER_SECOND,
	};
}

static uint32_t captured_frame(const struct load_run *run, uint64_t sequence, uint8_t *frame)
{
	const struct load_capture_packet *packet = load_capture_packet(run->capture, sequence);
	const struct load_plan *plan = &run->template->plan;
	struct load_form form = { .udp_sum = packet->sum };
	struct load_varying varying = { .form = &form };
	struct cursor cur = { frame, frame + LOAD_FRAME_LEN_MAX };

	load_form_finish(plan, packet->len, &form);
	load_vary_source(plan, packet->flow, &varying);
	memcpy(plan->is_ipv6 ? load_write_head6(plan, &cur, &varying)
			     : load_write_head4(plan, &cur, &varying),
	       packet->payload, packet->len);
	return form.frame_len;
}

uint32_t load_run_frame(const struct load_run *run, uint64_t sequence, uint64_t now_ns,
			uint8_t *frame)
{
	struct cursor cur = { frame, frame + run->template->frame_len };
	struct load_varying varying;

	if (run->capture)
		return captured_frame(run, sequence, frame);
	memcpy(frame, run->template->frame, run->template->frame_len);
	load_vary(&run->template->plan, sequence, now_ns, &varying);
	return load_frame_write(&run->template->plan, &cur, &varying);
}

uint32_t load_run_payload(const struct load_run *run, uint64_t sequence, uint64_t now_ns,
			  uint8_t *payload, uint64_t *ret_flow)
{
	const struct load_template *template = run->template;
	uint32_t size = template->frame_len - template->head_len;
	struct load_varying varying;
	struct load_pick pick;

	if (run->capture) {
		const struct load_capture_packet *packet =
			load_capture_packet(run->capture, sequence);

		memcpy(payload, packet->payload, packet->len);
		*ret_flow = packet->flow;
		return packet->len;
	}
	memcpy(payload, template->frame + template->head_len, size);
	load_pick(&template->plan, sequence, &pick);
	*ret_flow = pick.flow;
	load_vary(&template->plan, sequence, now_ns, &varying);
	(void)load_payload_write(&varying, payload, payload + size); /* it has the length */
	return varying.form->frame_len - template->head_len;
}
