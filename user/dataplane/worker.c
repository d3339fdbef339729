/* SPDX-License-Identifier: GPL-2.0-only */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>

#include "core/counter.h"
#include "util/clock.h"
#include "util/thread.h"

/* How long a worker spins for the next frame before it sleeps. */
#define SPIN_NS 50000

/* How long it sleeps at most: the time that a grace period may take. */
#define WAIT_MS 100

/* How long a worker may go on after it was told to stop, to send what has been
 * received: enough for full rings, and an end under any load. */
#define DRAIN_NS      100000000
#define DRAIN_WAIT_MS 1

struct worker {
	struct worker_config config;
	struct worker_stats stats;
	pthread_t thread;
	bool stop, done;
	uint64_t idle_since_ns; /* 0: the last round was not empty */
	struct packet spares[DISCOVERY_COPIES_MAX];
	struct router_worker router;
	struct trace_ring trace;
	uint64_t drain_end_ns; /* 0: nobody has asked to stop */
	struct forward_stats forward;
};

struct table *table_publish(struct table_ref *ref, struct table *table)
{
	/* Pairs with the acquire in worker_run(). */
	struct table *old = __atomic_exchange_n(&ref->table, table, __ATOMIC_ACQ_REL);

	urcu_qsbr_synchronize_rcu();
	return old;
}

const struct trace_filter *trace_publish(const struct trace_filter **place,
					 const struct trace_filter *filter)
{
	/* Pairs with the acquire in worker_run(). */
	const struct trace_filter *old = __atomic_exchange_n(place, filter, __ATOMIC_ACQ_REL);

	urcu_qsbr_synchronize_rcu();
	return old;
}

/* After an empty round. False when there will never be a frame again. */
static bool worker_idle(struct worker *worker, uint64_t now_ns)
{
	const struct worker_config *config = &worker->config;
	bool more;

	counter_add(&worker->stats.empty_rounds, 1);
	if (!worker->idle_since_ns)
		worker->idle_since_ns = now_ns;
	if (now_ns - worker->idle_since_ns < SPIN_NS)
		return true;
	urcu_qsbr_thread_offline();
	more = config->engine->wait(config->io, WAIT_MS);
	urcu_qsbr_thread_online();
	worker->idle_since_ns = 0;
	return more;
}

/* As many spare frames as there may be copies of one datagram. */
static void worker_spares_take(struct worker *worker, struct forward_ctx *ctx)
{
	size_t missing = DISCOVERY_COPIES_MAX - ctx->spare_count;

	ctx->spare_count += (uint32_t)worker->config.engine->take(
		worker->config.io, ctx->spares + ctx->spare_count, missing);
	if (ctx->spare_count)
		ctx->spare_size = ctx->spares[ctx->spare_count - 1].len;
}

static void worker_copies_send(struct worker *worker, struct forward_ctx *ctx)
{
	const struct io_engine *engine = worker->config.engine;
	size_t copies = ctx->copy_count;
	size_t sent = engine->tx(worker->config.io, ctx->spares, copies);

	engine->release(worker->config.io, ctx->spares + sent, copies - sent);
	counter_add(&worker->forward.dropped[DROP_TX_FULL], copies - sent);
	counter_add(&worker->stats.sent, sent);
	ctx->spare_count -= (uint32_t)copies;
	memmove(ctx->spares, ctx->spares + copies, ctx->spare_count * sizeof(*ctx->spares));
	worker_spares_take(worker, ctx);
}

/* Told to stop: is there time for another round? */
static bool worker_may_drain(struct worker *worker, uint64_t now_ns)
{
	if (!worker->drain_end_ns)
		worker->drain_end_ns = now_ns + DRAIN_NS;
	return now_ns < worker->drain_end_ns;
}

/* Told to stop, and nothing more received: false when all has been sent, too. What
 * lies in a transmit ring would be lost with its socket. */
static bool worker_drain(struct worker *worker)
{
	const struct worker_config *config = &worker->config;

	counter_add(&worker->stats.empty_rounds, 1);
	return !config->engine->sent_all(config->io) &&
	       config->engine->wait(config->io, DRAIN_WAIT_MS);
}

static void worker_run(struct worker *worker)
{
	const struct io_engine *engine = worker->config.engine;
	struct io *io = worker->config.io;
	struct worker_stats *stats = &worker->stats;
	struct forward_ctx ctx = { .stats = &worker->forward, .spares = worker->spares };
	struct packet packets[BURST_MAX];
	uint64_t now_ns = clock_ns();

	ctx.route.router = worker->config.router;
	ctx.route.worker = &worker->router;
	ctx.trace_ring = &worker->trace;
	worker_spares_take(worker, &ctx);
	for (;;) {
		bool stopping = __atomic_load_n(&worker->stop, __ATOMIC_RELAXED);
		uint64_t start_ns = now_ns, rx_ns, forward_ns; /* a round begins as the last ends */
		size_t received, kept, sent;

		if (stopping && !worker_may_drain(worker, start_ns))
			break;
		urcu_qsbr_quiescent_state();
		counter_add(&stats->rounds, 1);
		received = engine->rx(io, packets, BURST_MAX);
		if (!received) {
			if (stopping ? !worker_drain(worker) : !worker_idle(worker, start_ns))
				break;
			now_ns = clock_ns();
			continue;
		}
		worker->idle_since_ns = 0;

		rx_ns = clock_ns();
		/* Pairs with the exchange in table_publish(). */
		ctx.route.table = __atomic_load_n(&worker->config.table->table, __ATOMIC_ACQUIRE);
		/* Pairs with the exchange in trace_publish(). */
		ctx.trace = __atomic_load_n(worker->config.trace, __ATOMIC_ACQUIRE);
		ctx.route.now_ms = rx_ns / 1000000;
		kept = forward_burst(&ctx, packets, received);
		forward_ns = clock_ns();
		sent = engine->tx(io, packets, kept);
		engine->release(io, packets + sent, received - sent);
		if (ctx.copy_count)
			worker_copies_send(worker, &ctx);

		counter_add(&worker->forward.dropped[DROP_TX_FULL], kept - sent);
		counter_add(&stats->received, received);
		counter_add(&stats->sent, sent);
		counter_add(&stats->forward_ns, forward_ns - rx_ns);
		now_ns = clock_ns();
		counter_add(&stats->busy_ns, now_ns - start_ns);
	}
	engine->release(io, ctx.spares, ctx.spare_count);
}

static void *worker_thread(void *arg)
{
	struct worker *worker = arg;

	urcu_qsbr_register_thread();
	worker_run(worker);
	urcu_qsbr_unregister_thread();
	__atomic_store_n(&worker->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int worker_thread_create(struct worker *worker)
{
	char name[THREAD_NAME_SIZE];

	(void)snprintf(name, sizeof(name), "worker-%u", worker->config.index);
	return thread_start(name, worker->config.cpu, worker_thread, worker, &worker->thread);
}

static void worker_free(struct worker *worker)
{
	quic_lb_scratch_free(worker->router.quic_lb);
	free(worker);
}

int worker_start(const struct worker_config *config, struct worker **ret_worker)
{
	struct worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) & ~(size_t)63);
	int err;

	if (!worker)
		return -ENOMEM;
	memset(worker, 0, sizeof(*worker));
	worker->config = *config;
	router_worker_init(&worker->router, quic_lb_scratch_new(), clock_ns() / 1000000);
	err = worker->router.quic_lb ? worker_thread_create(worker) : -ENOMEM;
	if (err) {
		worker_free(worker);
		return err;
	}
	*ret_worker = worker;
	return 0;
}

bool worker_done(const struct worker *worker)
{
	return __atomic_load_n(&worker->done, __ATOMIC_ACQUIRE);
}

void worker_stop_ask(struct worker *worker)
{
	if (!worker)
		return;
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELAXED);
	worker->config.engine->wake(worker->config.io);
}

void worker_stop(struct worker *worker)
{
	if (!worker)
		return;
	worker_stop_ask(worker);
	(void)pthread_join(worker->thread, NULL);
	worker_free(worker);
}

const struct worker_stats *worker_stats(const struct worker *worker)
{
	return &worker->stats;
}

const struct forward_stats *worker_forward_stats(const struct worker *worker)
{
	return &worker->forward;
}

const struct router_worker *worker_router(const struct worker *worker)
{
	return &worker->router;
}

const struct trace_ring *worker_trace(const struct worker *worker)
{
	return &worker->trace;
}
