/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/queues.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "io/io.h"
#include "ringway/load_frame.h"
#include "util/clock.h"

#define NS_PER_SECOND 1000000000ull
#define RING_SIZE     256
#define FRAME_COUNT   (4 * RING_SIZE)
#define FRAME_SIZE    2048

_Static_assert(LOAD_BURST_FRAMES <= BURST_MAX, "a burst is one call of the engine");

struct run {
	const struct load_source_config *config;
	const struct load_template *template;
	struct io *queues[QUEUE_COUNT_MAX];
	sigset_t signals;
	uint64_t start_ns, sent;
};

static void queues_close(struct run *run)
{
	for (uint32_t i = 0; i < run->config->queues; i++)
		io_af_xdp.close(run->queues[i]);
}

static int queues_open(struct run *run, char *error, size_t error_size)
{
	const struct io_port_config port = { run->config->ifname, run->template->plan.ifindex };

	for (uint32_t i = 0; i < run->config->queues; i++) {
		const struct io_config config = {
			.ports = &port,
			.port_count = 1,
			.queue = i,
			.mode = IO_MODE_AUTO,
			.frame_count = FRAME_COUNT,
			.frame_size = FRAME_SIZE,
			.ring_size = RING_SIZE,
		};
		int err = io_af_xdp.open(&config, &run->queues[i], error, error_size);

		if (err)
			return err;
	}
	return 0;
}

static bool is_over(const struct run *run)
{
	const struct timespec at_once = { .tv_nsec = 0 };

	return clock_ns() - run->start_ns >= run->config->seconds * NS_PER_SECOND ||
	       sigtimedwait(&run->signals, NULL, &at_once) > 0;
}

/* Nothing is expected, but only receiving moves what was not sent at once. */
static void queue_advance(struct io *io)
{
	struct packet packets[BURST_MAX];
	size_t count = io_af_xdp.rx(io, packets, BURST_MAX);

	io_af_xdp.release(io, packets, count);
}

static void frame_fill(const struct run *run, uint64_t sequence, uint64_t now,
		       struct packet *packet)
{
	struct cursor cur = { packet->data, packet->data + run->template->frame_len };

	memcpy(packet->data, run->template->frame, run->template->frame_len);
	packet->len = run->template->frame_len;
	packet->tx_port = 0;
	(void)load_frame_write(&run->template->plan, &cur, sequence, now); /* it has the length */
}

/* Frames first..first + count - 1 from one queue; how many left before the end. */
static uint64_t burst_send(const struct run *run, struct io *io, uint64_t first, uint64_t count)
{
	uint64_t done = 0;

	while (done < count && !is_over(run)) {
		struct packet packets[LOAD_BURST_FRAMES];
		size_t taken = io_af_xdp.take(io, packets, count - done), sent;
		uint64_t now = clock_ns();

		for (size_t i = 0; i < taken; i++)
			frame_fill(run, first + done + i, now, &packets[i]);
		sent = io_af_xdp.tx(io, packets, taken);
		io_af_xdp.release(io, packets + sent, taken - sent);
		done += sent;
		if (done < count)
			queue_advance(io);
	}
	return done;
}

/* Until frame n is due: what was missed is not made up for. */
static void pace(uint64_t rate, uint64_t count, uint64_t *due_ns)
{
	uint64_t now = clock_ns();
	struct timespec due;

	if (!rate)
		return;
	*due_ns = (*due_ns > now ? *due_ns : now) + count * NS_PER_SECOND / rate;
	due = (struct timespec){ .tv_sec = (time_t)(*due_ns / NS_PER_SECOND),
				 .tv_nsec = (long)(*due_ns % NS_PER_SECOND) };
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

static void all_send(struct run *run)
{
	const struct load_source_config *config = run->config;
	uint64_t due_ns = run->start_ns;

	while (run->sent < config->count && !is_over(run)) {
		uint64_t left = config->count - run->sent;
		uint64_t count = left < LOAD_BURST_FRAMES ? left : LOAD_BURST_FRAMES;
		uint64_t queue =
			(config->first_queue + run->sent / LOAD_BURST_FRAMES) % config->queues;

		run->sent += burst_send(run, run->queues[queue], run->sent, count);
		pace(config->rate, count, &due_ns);
	}
	for (uint32_t i = 0; i < config->queues; i++)
		while (!io_af_xdp.sent_all(run->queues[i]) && !is_over(run))
			queue_advance(run->queues[i]);
}

int load_queues_send(const struct load_source_config *config, const struct load_template *template,
		     struct load_source_result *ret_result, char *error, size_t error_size)
{
	struct run run = { .config = config, .template = template };
	int err = queues_open(&run, error, error_size);

	if (!err) {
		(void)sigemptyset(&run.signals);
		(void)sigaddset(&run.signals, SIGINT);
		(void)sigaddset(&run.signals, SIGTERM);
		(void)sigprocmask(SIG_BLOCK, &run.signals, NULL);
		run.start_ns = clock_ns();
		all_send(&run);
		*ret_result = (struct load_source_result){
			.sent = run.sent,
			.seconds = (double)(clock_ns() - run.start_ns) / (double)NS_PER_SECOND,
		};
	}
	queues_close(&run);
	return err;
}
