/* SPDX-License-Identifier: GPL-2.0-only */
/* worker_stop_test.c - starting, waking and stopping workers on a scripted engine. */
#include "dataplane/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test.h"
#include "util/clock.h"

#define WORKERS	    16
#define DEADLINE_MS 10000 /* until a worker has got where a test wants it */

/* The engine's state; everything is read and written under the lock. */
struct io {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool wake;
	bool never_sent;	/* sent_all() never says yes */
	uint32_t unsent_rounds; /* after a wake: calls of sent_all() before it says yes */
	uint32_t sleepers, drained_rounds;
};

static struct io ios[WORKERS];
static struct worker *workers[WORKERS];
static struct table_ref no_table;
static const struct trace_filter *no_trace;

static size_t engine_rx(struct io *io, struct packet *packets, size_t max)
{
	(void)packets;
	(void)max;
	pthread_mutex_lock(&io->lock);
	io->drained_rounds += io->wake;
	pthread_mutex_unlock(&io->lock);
	return 0;
}

/* Far longer than it was asked to, so that only a wake can end it in time. */
static bool engine_wait(struct io *io, int timeout_ms)
{
	struct timespec end;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += DEADLINE_MS / 1000;
	(void)timeout_ms;
	pthread_mutex_lock(&io->lock);
	io->sleepers++;
	while (!io->wake && !pthread_cond_timedwait(&io->woken, &io->lock, &end))
		;
	io->sleepers--;
	pthread_mutex_unlock(&io->lock);
	return true;
}

static void engine_wake(struct io *io)
{
	pthread_mutex_lock(&io->lock);
	io->wake = true;
	pthread_cond_signal(&io->woken);
	pthread_mutex_unlock(&io->lock);
}

static size_t engine_take(struct io *io, struct packet *packets, size_t count)
{
	(void)io;
	(void)packets;
	(void)count;
	return 0;
}

static void engine_release(struct io *io, const struct packet *packets, size_t count)
{
	(void)io;
	(void)packets;
	assert_int_equal(count, 0);
}

static bool engine_sent_all(const struct io *const_io)
{
	struct io *io = (struct io *)const_io;
	bool all;

	pthread_mutex_lock(&io->lock);
	all = !io->never_sent && !io->unsent_rounds;
	if (io->unsent_rounds)
		io->unsent_rounds--;
	pthread_mutex_unlock(&io->lock);
	return all;
}

static const struct io_engine engine = {
	.name = "scripted",
	.rx = engine_rx,
	.take = engine_take,
	.release = engine_release,
	.wait = engine_wait,
	.wake = engine_wake,
	.sent_all = engine_sent_all,
};

static uint64_t now_ms(void)
{
	return clock_ns() / 1000000;
}

static uint32_t locked_read(struct io *io, const uint32_t *value)
{
	uint32_t copy;

	pthread_mutex_lock(&io->lock);
	copy = *value;
	pthread_mutex_unlock(&io->lock);
	return copy;
}

static void start(uint32_t index)
{
	const struct worker_config config = {
		.index = index,
		.cpu = -1,
		.engine = &engine,
		.io = &ios[index],
		.table = &no_table,
		.trace = &no_trace,
	};
	const uint64_t deadline = now_ms() + DEADLINE_MS;

	pthread_mutex_init(&ios[index].lock, NULL);
	pthread_cond_init(&ios[index].woken, NULL);
	assert_int_equal(worker_start(&config, &workers[index]), 0);
	while (!locked_read(&ios[index], &ios[index].sleepers))
		assert_true(now_ms() < deadline);
}

static int forget(void **state)
{
	(void)state;
	memset(ios, 0, sizeof(ios));
	return 0;
}

static void all_stop_together(void **state)
{
	uint64_t start_ms;

	(void)state;
	for (uint32_t i = 0; i < WORKERS; i++)
		start(i);
	start_ms = now_ms();
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_stop_ask(workers[i]);
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_stop(workers[i]);
	print_message("%u workers: %u ms\n", WORKERS, (unsigned int)(now_ms() - start_ms));
	assert_true(now_ms() - start_ms < DEADLINE_MS / 2);
	worker_stop_ask(NULL);
	worker_stop(NULL);
}

/* What lies in the transmit ring is waited for, after the last datagram came. */
static void stops_when_all_is_sent(void **state)
{
	(void)state;
	ios[0].unsent_rounds = 20;
	start(0);
	worker_stop(workers[0]);
	assert_int_equal(ios[0].unsent_rounds, 0);
	assert_int_equal(ios[0].drained_rounds, 21);
}

static void stops_though_nothing_is_ever_sent(void **state)
{
	uint64_t start_ms, took_ms;

	(void)state;
	ios[0].never_sent = true;
	start(0);
	start_ms = now_ms();
	worker_stop(workers[0]);
	took_ms = now_ms() - start_ms;
	print_message("%u ms\n", (unsigned int)took_ms);
	assert_true(took_ms >= 99 && took_ms < DEADLINE_MS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_stop_together, forget),
		cmocka_unit_test_setup(stops_when_all_is_sent, forget),
		cmocka_unit_test_setup(stops_though_nothing_is_ever_sent, forget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
