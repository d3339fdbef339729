/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/queues.h"

#include <string.h>

#include "io/io.h"
#include "util/clock.h"

#define RING_SIZE   256
#define FRAME_COUNT (4 * RING_SIZE)
#define FRAME_SIZE  2048

_Static_assert(LOAD_BURST_MAX <= BURST_MAX, "a burst is one call of the engine");

struct queues {
	struct io *ios[QUEUE_COUNT_MAX];
	uint32_t count;
};

static void queues_close(struct queues *queues)
{
	for (uint32_t i = 0; i < queues->count; i++)
		io_af_xdp.close(queues->ios[i]);
}

static int queues_open(const struct load_run *run, struct queues *queues, char *error,
		       size_t error_size)
{
	const struct io_port_config port = { run->config->ifname, run->path->ifindex };

	for (; queues->count < run->config->queues; queues->count++) {
		const struct io_config config = {
			.ports = &port,
			.port_count = 1,
			.queue = queues->count,
			.mode = IO_MODE_AUTO,
			.frame_count = FRAME_COUNT,
			.frame_size = FRAME_SIZE,
			.ring_size = RING_SIZE,
		};
		int err = io_af_xdp.open(&config, &queues->ios[queues->count], error, error_size);

		if (err)
			return err;
	}
	return 0;
}

/* Nothing is expected, but only receiving moves what was not sent at once. */
static void queue_advance(struct io *io)
{
	struct packet packets[BURST_MAX];
	size_t count = io_af_xdp.rx(io, packets, BURST_MAX);

	io_af_xdp.release(io, packets, count);
}

/* So many frames from one queue, or fewer when the run is over. */
static void burst_send(struct load_run *run, struct io *io, uint64_t count)
{
	while (count && !load_run_is_over(run)) {
		struct packet packets[LOAD_BURST_MAX];
		size_t taken = io_af_xdp.take(io, packets, count), sent;
		uint64_t now = clock_ns();

		for (size_t i = 0; i < taken; i++) {
			packets[i].len = load_run_frame(run, run->sent + i, now, packets[i].data);
			packets[i].tx_port = 0;
		}
		sent = io_af_xdp.tx(io, packets, taken);
		io_af_xdp.release(io, packets + sent, taken - sent);
		load_run_count(run, sent);
		count -= sent;
		if (count)
			queue_advance(io);
	}
}

static void all_send(struct load_run *run, struct queues *queues)
{
	uint32_t due;

	while ((due = load_run_wait(run, LOAD_BURST_FRAMES -
						 (uint32_t)(run->sent % LOAD_BURST_FRAMES))) > 0) {
		uint64_t turn = run->config->first_queue + run->sent / LOAD_BURST_FRAMES;

		burst_send(run, queues->ios[turn % queues->count], due);
	}
	for (uint32_t i = 0; i < queues->count; i++)
		while (!io_af_xdp.sent_all(queues->ios[i]) && !load_run_is_over(run))
			queue_advance(queues->ios[i]);
}

int load_queues_send(struct load_run *run, struct load_source_result *ret_result, char *error,
		     size_t error_size)
{
	struct queues queues = { .count = 0 };
	int err = queues_open(run, &queues, error, error_size);

	if (!err) {
		load_run_signals_block(run);
		run->progress = &run->sent;
		load_run_begin(run);
		all_send(run, &queues);
		load_run_end(run);
		load_run_result(run, ret_result);
	}
	queues_close(&queues);
	return err;
}
