/* SPDX-License-Identifier: GPL-2.0-only */
/* worker_test.c - a worker over an engine that follows a script: what comes, what is
 * taken, when it ends. The engine knows where every frame is. */
#include "dataplane/worker.h"

#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "core/counter.h"
#include "datagram.h"
#include "test.h"
#include "util/huge_memory.h"

#define CHUNK_SIZE 256
#define STEPS_MAX  64
#define EVER	   UINT32_MAX /* the last step is repeated */

/* Longest that a test waits for what should come at once. */
#define PATIENCE_S 20

/* One burst: how many frames come, and how many of them the engine will send. */
struct step {
	size_t give, take;
};

struct io {
	struct step steps[STEPS_MAX];
	uint32_t step_count, next;
	bool sleeps; /* wait sleeps, and what comes after the first time is the script */
	bool has_slept;
	sem_t asleep;

	uint8_t datagram[CHUNK_SIZE]; /* what every frame has in it */
	uint32_t datagram_len;
	uint8_t chunks[BURST_MAX][CHUNK_SIZE];
	bool held[BURST_MAX]; /* by the worker */
	uint64_t given, taken, released;
	uint64_t by_port[PORT_COUNT_MAX]; /* of taken; atomic */
	uint64_t mistakes;
};

static struct io io;
static struct table_ref table;

/* --- The engine --- */

static const struct step *script_step(void)
{
	if (io.sleeps && !io.has_slept)
		return NULL;
	if (io.step_count == EVER)
		return &io.steps[0];
	return io.next < io.step_count ? &io.steps[io.next] : NULL;
}

/* Every eighth frame is cut off in its IP header. */
static struct packet frame_make(size_t index)
{
	struct packet packet = {
		.data = io.chunks[index],
		.frame = index,
		.len = index % 8 == 7 ? 20 : io.datagram_len,
		.kind = FRAME_SERVICE,
	};

	memcpy(packet.data, io.datagram, packet.len);
	return packet;
}

static size_t script_rx(struct io *unused, struct packet *packets, size_t max)
{
	const struct step *step = script_step();

	(void)unused;
	for (size_t i = 0; i < BURST_MAX; i++)
		io.mistakes += io.held[i]; /* neither sent nor released in the last round */
	if (!step)
		return 0;
	io.mistakes += step->give > max;
	for (size_t i = 0; i < step->give; i++) {
		packets[i] = frame_make(i);
		io.held[i] = true;
	}
	io.given += step->give;
	return step->give;
}

static void give_up(const struct packet *packet)
{
	bool is_held = packet->frame < BURST_MAX && io.held[packet->frame];

	io.mistakes += !is_held;
	if (is_held)
		io.held[packet->frame] = false;
}

/* Takes the last ones, so that a worker that takes the first for them is caught. */
static size_t script_tx(struct io *unused, struct packet *packets, size_t count)
{
	const struct step *step = script_step();
	size_t take = step && step->take < count ? step->take : count;

	(void)unused;
	io.next++;
	for (size_t i = 0; i < take; i++) {
		struct packet last = packets[count - 1];

		memmove(packets + i + 1, packets + i, (count - 1 - i) * sizeof(*packets));
		packets[i] = last;
		give_up(&last);
		counter_add(&io.by_port[last.tx_port], 1);
	}
	io.taken += take;
	return take;
}

static void script_release(struct io *unused, const struct packet *packets, size_t count)
{
	(void)unused;
	for (size_t i = 0; i < count; i++)
		give_up(&packets[i]);
	io.released += count;
}

static bool script_wait(struct io *unused, int timeout_ms)
{
	const struct timespec pause = { .tv_nsec = timeout_ms * 1000000L };

	(void)unused;
	if (!io.sleeps)
		return false;
	(void)sem_post(&io.asleep);
	(void)nanosleep(&pause, NULL);
	io.has_slept = true;
	return true;
}

static size_t script_take(struct io *unused, struct packet *packets, size_t count)
{
	(void)unused;
	(void)packets;
	(void)count;
	return 0;
}

static void script_wake(struct io *unused)
{
	(void)unused; /* a sleep of this engine is short */
}

static bool script_sent_all(const struct io *unused)
{
	(void)unused;
	return true;
}

static const struct io_engine engine = {
	.name = "script",
	.take = script_take,
	.wake = script_wake,
	.sent_all = script_sent_all,
	.rx = script_rx,
	.tx = script_tx,
	.release = script_release,
	.wait = script_wait,
};

/* --- The rest of the world --- */

/* One service with one backend, reached by that port. */
static struct table *table_by_port(uint8_t port)
{
	static const uint8_t service_addr[4] = { 192, 0, 2, 1 }, backend_addr[4] = { 10, 0, 0, 1 };
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	const struct table_port ports[2] = { { .mtu = 1500 }, { .mtu = 1500 } };
	struct table_backend backend = { .id = 1, .weight = 1 };
	struct table_service service = { .backends = &backend, .backend_count = 1 };
	const struct table_spec spec = { .ports = ports,
					 .port_count = 2,
					 .services = &service,
					 .service_count = 1,
					 .memory_new = huge_memory_new };
	struct table *built = NULL;

	match_addr_set(service.endpoint.addr[FAMILY_IPV4], service_addr, NULL);
	match_addr_set(backend.endpoint.addr[FAMILY_IPV4], backend_addr, NULL);
	service.endpoint.present[FAMILY_IPV4] = backend.endpoint.present[FAMILY_IPV4] = true;
	service.endpoint.port_be = wire_be16(443);
	backend.endpoint.port_be = wire_be16(4433);
	assert_int_equal(table_build(&spec, &built), 0);
	table_next_hop_set(built, 0, FAMILY_IPV4, port, mac);
	return built;
}

static struct worker *worker_over_script(void)
{
	static const struct trace_filter *no_trace;
	static struct router nothing_remembered;
	const struct worker_config config = { .cpu = -1,
					      .engine = &engine,
					      .io = &io,
					      .table = &table,
					      .router = &nothing_remembered,
					      .trace = &no_trace };
	struct worker *worker = NULL;

	assert_int_equal(worker_start(&config, &worker), 0);
	return worker;
}

static void wait_until_done(const struct worker *worker)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < PATIENCE_S * 1000 && !worker_done(worker); i++)
		(void)nanosleep(&pause, NULL);
	assert_true(worker_done(worker));
}

static int set_up(void **state)
{
	static uint8_t payload[] = { 0x40, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct datagram d = {
		.src = { 198, 51, 100, 2 },
		.dst = { 192, 0, 2, 1 },
		.src_port = 5000,
		.dst_port = 443,
		.ttl = 64,
		.payload = payload,
	};

	(void)state;
	memset(&io, 0, sizeof(io));
	d.payload_len = sizeof(payload);
	io.datagram_len = (uint32_t)datagram_build(&d, io.datagram);
	table.table = table_by_port(0);
	return sem_init(&io.asleep, 0, 0);
}

static int tear_down(void **state)
{
	(void)state;
	table_free(table.table);
	return sem_destroy(&io.asleep);
}

/* Once the worker has stopped. */
static void assert_every_frame_came_back_once(void)
{
	assert_int_equal(io.mistakes, 0);
	for (size_t i = 0; i < BURST_MAX; i++)
		assert_false(io.held[i]);
	assert_int_equal(io.given, io.taken + io.released);
}

/* --- The tests --- */

static void counts_what_the_engine_took_and_gives_back_the_rest(void **state)
{
	static const struct {
		const char *name;
		struct step steps[3];
		uint32_t step_count;
		uint64_t received, sent, malformed, tx_full;
	} cases[] = {
		{ "nothing ever comes", { { 0 } }, 0, 0, 0, 0, 0 },
		{ "all taken", { { 64, 64 } }, 1, 64, 56, 8, 0 },
		{ "ten taken, then none", { { 64, 10 }, { 64, 0 } }, 2, 128, 10, 16, 102 },
		{ "none, then all", { { 64, 0 }, { 64, 64 } }, 2, 128, 56, 16, 56 },
		{ "small bursts", { { 1, 1 }, { 7, 3 }, { 8, 8 } }, 3, 16, 11, 1, 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct worker *worker;
		const struct worker_stats *stats;
		const struct forward_stats *forward;
		uint64_t dropped = 0;

		print_message("case: %s\n", cases[i].name);
		if (i) {
			tear_down(state);
			set_up(state);
		}
		memcpy(io.steps, cases[i].steps, sizeof(cases[i].steps));
		io.step_count = cases[i].step_count;
		worker = worker_over_script();
		wait_until_done(worker);

		stats = worker_stats(worker);
		forward = worker_forward_stats(worker);
		for (size_t reason = 0; reason < DROP_REASON_COUNT; reason++)
			dropped += forward->dropped[reason];
		assert_int_equal(stats->received, cases[i].received);
		assert_int_equal(stats->sent, cases[i].sent);
		assert_int_equal(forward->dropped[DROP_MALFORMED], cases[i].malformed);
		assert_int_equal(forward->dropped[DROP_TX_FULL], cases[i].tx_full);
		assert_int_equal(stats->received, stats->sent + dropped);
		assert_int_equal(forward->forwarded, stats->sent + cases[i].tx_full);
		assert_int_equal(stats->rounds, stats->empty_rounds + cases[i].step_count);
		assert_true(stats->empty_rounds > 0);
		assert_true(stats->forward_ns <= stats->busy_ns);

		worker_stop(worker);
		assert_int_equal(io.given, cases[i].received);
		assert_int_equal(io.taken, cases[i].sent);
		assert_every_frame_came_back_once();
	}
}

/* Told to stop while it sleeps, before any of it has come. A few bursts only: there is
 * little time for them, and a sanitizer is slow. */
static void sends_what_was_received_before_it_stops(void **state)
{
	enum { STEPS = 8 };
	struct worker *worker;

	(void)state;
	for (io.step_count = 0; io.step_count < STEPS; io.step_count++)
		io.steps[io.step_count] = (struct step){ 64, 64 };
	io.sleeps = true;
	worker = worker_over_script();
	assert_int_equal(sem_wait(&io.asleep), 0);
	worker_stop(worker);
	assert_int_equal(io.given, STEPS * 64);
	assert_int_equal(io.taken, STEPS * 56);
	assert_every_frame_came_back_once();
}

static void stops_under_a_load_that_never_ends(void **state)
{
	struct worker *worker;

	(void)state;
	io.steps[0] = (struct step){ 64, 32 };
	io.step_count = EVER;
	worker = worker_over_script();
	worker_stop(worker);
	assert_every_frame_came_back_once();
}

/* The old table may be freed as soon as it is returned, however busy the worker. */
static void follows_the_published_table(void **state)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct worker *worker;

	(void)state;
	io.steps[0] = (struct step){ 64, 64 };
	io.step_count = EVER;
	worker = worker_over_script();
	for (uint8_t port = 0; port < 8; port++) {
		const uint64_t *count = &io.by_port[port % 2];
		uint64_t before;

		table_free(table_publish(&table, table_by_port(port % 2)));
		before = counter_read(count);
		for (int i = 0; i < PATIENCE_S * 1000 && counter_read(count) == before; i++)
			(void)nanosleep(&pause, NULL);
		assert_true(counter_read(count) > before);
	}
	worker_stop(worker);
	assert_every_frame_came_back_once();
}

static void without_a_worker_there_is_nothing_to_stop(void **state)
{
	(void)state;
	worker_stop(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(counts_what_the_engine_took_and_gives_back_the_rest),
		TEST(sends_what_was_received_before_it_stops),
		TEST(stops_under_a_load_that_never_ends),
		TEST(follows_the_published_table),
		TEST(without_a_worker_there_is_nothing_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
