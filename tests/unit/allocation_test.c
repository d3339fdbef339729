/* SPDX-License-Identifier: GPL-2.0-only */
/* allocation_test.c - whatever becomes of a datagram, the data plane asks nobody for
 * memory: not forward_burst(), not libcrypto below it, not the loop of a worker over
 * the AF_XDP engine (with the kernel of tests/fake).
 *
 * The functions that give memory are this program's own, for all its libraries, and
 * count what a thread asks for while it is watched. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../fake/fake_xsk.h"
#include "core/forward.h"
#include "dataplane/worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
int main(void)
{
	printf("a sanitizer has the functions that give memory\n");
	return 77;
}
#else

/* Under these names glibc has its own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static _Thread_local bool is_watched;
static uint64_t asked; /* by the one thread that is watched */

void *malloc(size_t size)
{
	asked += is_watched;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	asked += is_watched;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	asked += is_watched;
	return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
	asked += is_watched;
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	*ret_memory = memalign(alignment, size);
	return *ret_memory ? 0 : ENOMEM;
}

/* Who frees has asked, or will ask again. */
void free(void *memory)
{
	asked += is_watched;
	__libc_free(memory);
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
	asked += is_watched;
	return (void *)syscall(SYS_mmap, where, size, protection, flags, fd, offset);
}

static size_t forward_burst_watched(struct forward_ctx *ctx, struct packet *packets, size_t count)
{
	size_t kept;

	is_watched = true;
	kept = forward_burst(ctx, packets, count);
	is_watched = false;
	return kept;
}

/* The stories of route_world.h are told by this one. */
#define forward_burst forward_burst_watched
#include "route_world.h"
#undef forward_burst

#define LB_COUNT 1500 /* with a key each: a worker has ciphers for fewer */

static struct quic_lb *lbs[LB_COUNT];
static uint8_t lb_cids[LB_COUNT][QUIC_CID_LEN_MAX];

static int watch_setup(void **state)
{
	asked = 0;
	return setup(state);
}

/* Rotation 0 in the clear, rotation 1 by Feistel passes, rotation 2 by one block. */
static void lbs_make(void)
{
	for (size_t i = 0; i < LB_COUNT; i++) {
		struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
			{ .present = true, .server_id_len = 2, .nonce_len = 5 },
			{ .present = true, .has_key = true, .server_id_len = 2, .nonce_len = 5 },
			{ .present = true, .has_key = true, .server_id_len = 8, .nonce_len = 8 },
		};
		uint8_t rotation = (uint8_t)(i % 3);
		const struct quic_lb_server server = { rotation, { 1 }, 2 };
		static const uint8_t nonce[8] = { 3 };

		memcpy(configs[1].key, &i, sizeof(i));
		memcpy(configs[2].key, &i, sizeof(i));
		assert_int_equal(quic_lb_build(configs, &server, 1, &lbs[i]), 0);
		assert_true(quic_lb_encode(&configs[rotation], rotation, server.id, nonce, 0,
					   lb_cids[i]) > 0);
	}
}

static void lbs_free(void)
{
	for (size_t i = 0; i < LB_COUNT; i++)
		quic_lb_free(lbs[i]);
}

/* --- The tests --- */

static void what_is_asked_for_is_counted(void **state)
{
	void *volatile memory;

	(void)state;
	is_watched = true;
	memory = malloc(1);
	free(memory);
	memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	is_watched = false;
	(void)munmap(memory, 4096);
	assert_int_equal(asked, 3);
}

static void move_and_be_found(int owner)
{
	struct client moved = client_of((owner + 1) % 4);

	for (int i = 0; i < 2; i++)
		(void)client_short(&moved, 0x7777);
	assert_int_equal(copy_count, 3);
	(void)server_short((uint16_t)((owner + 1) % 4), &moved, SHORT_LEN - 1, 1);
	assert_int_equal(server_short((uint16_t)owner, &moved, SHORT_LEN, 2), owner);
}

static void no_decision_asks_for_memory(void **state)
{
	struct world world = ordinary;
	int owner = connect(&home, SERVER_CID(1));
	uint64_t number;

	(void)state;
	assert_int_equal(client_short(&home, 0x1234567), owner); /* on its 4-tuple */
	move_and_be_found(owner);
	world.weights[owner] = -1;
	world_set(&world);
	(void)client_short(&home, SERVER_CID(1));
	world.service.discovers = false;
	world.service.is_quic = false;
	world_set(&world);
	(void)client_short(&away, 0x999);
	world.service.is_quic = true;
	world.service.connection_id_len = CID_LEN;
	world_set(&world);
	(void)client_short(&(struct client){ { 192, 0, 2, 77 }, 77 }, 0x998);
	lbs_make();
	worker.quic_lb = quic_lb_scratch_new();
	for (int i = 0; i < 2; i++) { /* in the clear, encrypted */
		world = ordinary;
		world.service.quic_lb = lbs[i];
		world_set(&world);
		lbs[i] = NULL; /* the table's */
		memcpy(&number, lb_cids[i], CID_LEN);
		assert_int_equal(client_short(&away, number), 2);
	}
	for (int rule = 0; rule < ROUTE_RULE_COUNT; rule++) {
		print_message("%s: %llu\n", route_rule_name(rule),
			      (unsigned long long)worker.decided[rule]);
		assert_true(worker.decided[rule] > 0);
	}
	assert_true(worker.counts[ROUTE_COUNT_DISCOVERED] > 0);
	assert_int_equal(asked, 0);
	quic_lb_scratch_free(worker.quic_lb);
	lbs_free();
}

/* A new key for almost every Connection ID. */
static void no_key_asks_for_memory(void **state)
{
	struct quic_lb_scratch *scratch = quic_lb_scratch_new();
	struct quic_lb_query queries[BURST_MAX];

	(void)state;
	lbs_make();
	for (size_t burst = 0; burst < 100; burst++) {
		for (size_t i = 0; i < BURST_MAX; i++) {
			size_t lb = (burst * BURST_MAX + i) % LB_COUNT;

			queries[i] = (struct quic_lb_query){ .lb = lbs[lb],
							     .cid = lb_cids[lb],
							     .len = QUIC_CID_LEN_MAX };
		}
		is_watched = true;
		quic_lb_decode(scratch, queries, BURST_MAX);
		is_watched = false;
		for (size_t i = 0; i < BURST_MAX; i++)
			assert_int_equal(queries[i].slot, 2);
	}
	assert_int_equal(asked, 0);
	quic_lb_scratch_free(scratch);
	lbs_free();
}

/* --- A worker over the AF_XDP engine --- */

#define RING_SIZE 256
#define ROUNDS	  2000
#define WARM_ROUNDS \
	10 /* what a first time takes, such as a thread's first error, is not the loop */
#define CLIENT_COUNT 64

static struct {
	uint8_t frames[CLIENT_COUNT][DATAGRAM_SIZE_MAX];
	uint32_t lens[CLIENT_COUNT];
	struct frame_meta metas[CLIENT_COUNT];
	uint32_t round;
} line;

/* By client: Initials, unknown short headers of those who have moved, answers, and what
 * is no datagram. */
static void line_make(void)
{
	for (uint16_t i = 0; i < CLIENT_COUNT; i++) {
		bool is_answer = i % 4 == 2;
		struct datagram d = { .ttl = 64,
				      .src_port = is_answer ? BACKEND_PORT : 1000 + i,
				      .dst_port = is_answer ? 1000 + i : SERVICE_PORT,
				      .payload = bytes };

		if (i % 4 == 0)
			d.payload_len = long_header(0xc0, QUIC_VERSION_1, i, 1, INITIAL_LEN);
		else
			d.payload_len = short_header(i, SHORT_LEN);
		backend_addr(1, d.src);
		if (!is_answer)
			memcpy(d.src, home.addr, 4);
		memcpy(d.dst, is_answer ? home.addr : service_addr, 4);
		line.lens[i] = (uint32_t)datagram_build(&d, line.frames[i]);
		if (i % 4 == 3)
			line.lens[i] = 20;
		line.metas[i] =
			(struct frame_meta){ .magic = FRAME_META_MAGIC,
					     .slot = is_answer ? 1 : SERVICE,
					     .kind = is_answer ? FRAME_RETURN : FRAME_SERVICE };
	}
}

/* As many as the kernel has frames for; what the kernel does is not watched. */
static size_t line_rx(struct io *io, struct packet *packets, size_t max)
{
	size_t i = 0;

	is_watched = false;
	while (line.round < ROUNDS && i < CLIENT_COUNT &&
	       fake_receive(0, 256, line.frames[i], line.lens[i], &line.metas[i]))
		i++;
	(void)fake_complete(0, FAKE_FOREVER);
	is_watched = ++line.round > WARM_ROUNDS;
	return io_af_xdp.rx(io, packets, max);
}

static bool line_wait(struct io *io, int timeout_ms)
{
	(void)io;
	(void)timeout_ms;
	is_watched = false;
	return line.round <= ROUNDS;
}

static void no_round_of_a_worker_asks_for_memory(void **state)
{
	static const struct io_port_config port = { "p0", 1 };
	static const struct trace_filter *no_trace;
	const struct io_config io_config = { .ports = &port,
					     .port_count = 1,
					     .mode = IO_MODE_COPY,
					     .frame_count = 4 * RING_SIZE,
					     .frame_size = 2048,
					     .ring_size = RING_SIZE };
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct io_engine engine = io_af_xdp;
	struct table_ref ref = { table };
	struct worker_config config = { .cpu = -1, .engine = &engine, .table = &ref };
	struct worker *thread;
	char error[256];

	(void)state;
	line_make();
	fake_reset();
	assert_int_equal(io_af_xdp.open(&io_config, &config.io, error, sizeof(error)), 0);
	engine.rx = line_rx;
	engine.wait = line_wait;
	config.router = router;
	config.trace = &no_trace;
	assert_int_equal(worker_start(&config, &thread), 0);
	for (int i = 0; i < 20000 && !worker_done(thread); i++)
		(void)nanosleep(&pause, NULL);
	assert_true(worker_done(thread));
	print_message("%llu datagrams received, %llu sent, %llu copies, %llu asked for memory\n",
		      (unsigned long long)worker_stats(thread)->received,
		      (unsigned long long)worker_stats(thread)->sent,
		      (unsigned long long)worker_router(thread)->counts[ROUTE_COUNT_COPIES],
		      (unsigned long long)asked);
	assert_true(worker_stats(thread)->received > 10000);
	assert_true(worker_stats(thread)->sent > 10000);
	assert_true(worker_router(thread)->counts[ROUTE_COUNT_COPIES] > 0);
	worker_stop(thread);
	io_af_xdp.close(config.io);
	assert_int_equal(asked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_asked_for_is_counted, watch_setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_decision_asks_for_memory, watch_setup, teardown),
		cmocka_unit_test_setup_teardown(no_key_asks_for_memory, watch_setup, teardown),
		cmocka_unit_test_setup_teardown(no_round_of_a_worker_asks_for_memory, watch_setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
