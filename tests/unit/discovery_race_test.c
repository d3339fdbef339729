/* SPDX-License-Identifier: GPL-2.0-only */
/* Questions under several threads: a 4-tuple has one place, and nobody but the owner
 * is taken for it. ThreadSanitizer looks on when built with it. */
#include "core/discovery.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define STARTER_COUNT 2
#define THREAD_COUNT  4
#define ROUNDS	      20000
#define KEY_COUNT     24 /* in three sets, so that places change hands */
#define SLOT_COUNT    4
#define ANSWER_LEN    40
#define ASKED_LEN     100
#define SEED	      0x5eedull

static struct discovery discovery;
static pthread_barrier_t barrier;
static _Atomic uint64_t now_ms;
static _Atomic unsigned int arrived;

struct thread {
	pthread_t thread;
	uint64_t random;
	size_t started, owners, mistakes;
};

static uint64_t key_of(uint32_t number)
{
	return (uint64_t)(number % 3) << 32 | number << 1 | 1;
}

static size_t places_of(uint64_t key)
{
	const struct discovery_set *set = &discovery.sets[key >> 32];
	size_t count = 0;

	for (int way = 0; way < DISCOVERY_WAYS; way++)
		count += __atomic_load_n(&set->keys[way], __ATOMIC_RELAXED) == key;
	return count;
}

static size_t operations(size_t all)
{
	const char *quick = getenv("QUICK");

	return quick && strcmp(quick, "1") == 0 ? all / 5 : all;
}

static void threads_run(struct thread *threads, unsigned int count, void *(*run)(void *))
{
	memset(&discovery, 0, sizeof(discovery));
	atomic_store(&now_ms, 1000000);
	print_message("seed %#llx\n", SEED);
	assert_int_equal(pthread_barrier_init(&barrier, NULL, count), 0);
	for (unsigned int i = 0; i < count; i++) {
		threads[i] = (struct thread){ .random = SEED + i };
		assert_int_equal(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
	}
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(pthread_join(threads[i].thread, NULL), 0);
	assert_int_equal(pthread_barrier_destroy(&barrier), 0);
}

/* A barrier's waiters wake one after the other; these leave together. */
static void meet(unsigned int all)
{
	atomic_fetch_add(&arrived, 1);
	for (unsigned int spins = 1; atomic_load(&arrived) < all; spins++)
		if (spins % 1024 == 0)
			(void)sched_yield();
}

/* All want the same key at the same moment, each round another one. */
static void *starter_run(void *argument)
{
	struct thread *thread = argument;
	unsigned int rounds = (unsigned int)operations(ROUNDS);

	for (unsigned int round = 0; round < rounds; round++) {
		uint64_t key = key_of(round);

		meet((2 * round + 1) * STARTER_COUNT);
		if (discovery_start(&discovery, key, (uint16_t)round, ASKED_LEN,
				    1000000 + round * DISCOVERY_KEEP_MS, 0))
			thread->started++;
		meet((2 * round + 2) * STARTER_COUNT);
		thread->mistakes += places_of(key) != 1;
	}
	return NULL;
}

static void one_of_those_who_ask_at_once_has_the_place(void **state)
{
	struct thread threads[STARTER_COUNT];
	size_t started = 0;

	(void)state;
	threads_run(threads, STARTER_COUNT, starter_run);
	for (unsigned int i = 0; i < STARTER_COUNT; i++) {
		print_message("thread %u: first in %zu rounds\n", i, threads[i].started);
		assert_int_equal(threads[i].mistakes, 0);
		started += threads[i].started;
	}
	assert_int_equal(started, operations(ROUNDS));
}

/* A key's owner answers each time differently, the others as resets do. */
static void answer(struct thread *thread, uint32_t number, uint64_t random)
{
	uint16_t slot = random >> 8 & (SLOT_COUNT - 1);
	bool is_owner = slot == number % SLOT_COUNT;
	uint8_t bytes[ANSWER_LEN] = { 0x40 };

	if (is_owner)
		memcpy(bytes + ANSWER_LEN - sizeof(random), &random, sizeof(random));
	else
		memset(bytes + ANSWER_LEN - 16, (int)number + slot, 16);
	if (discovery_answer(&discovery, key_of(number), slot, bytes, sizeof(bytes),
			     atomic_load(&now_ms)) != DISCOVERY_OWNER)
		return;
	thread->owners++;
	thread->mistakes += !is_owner;
}

static void *worker_run(void *argument)
{
	struct thread *thread = argument;
	size_t count = operations(500000);

	(void)pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < count; i++) {
		uint64_t random = random_next(&thread->random);
		uint32_t number = (random >> 32) % KEY_COUNT;
		uint16_t slot;

		if ((random & 3) != 0)
			answer(thread, number, random);
		else if (discovery_ask(&discovery, key_of(number), ASKED_LEN, atomic_load(&now_ms),
				       &slot) == DISCOVERY_NEW)
			(void)discovery_start(&discovery, key_of(number), (uint16_t)number,
					      ASKED_LEN, atomic_load(&now_ms), 0);
		if (i % 16 == 0)
			atomic_fetch_add(&now_ms, DISCOVERY_KEEP_MS / 16);
	}
	return NULL;
}

static void nobody_else_is_taken_for_the_owner(void **state)
{
	struct thread threads[THREAD_COUNT];

	(void)state;
	threads_run(threads, THREAD_COUNT, worker_run);
	for (unsigned int i = 0; i < THREAD_COUNT; i++) {
		print_message("thread %u: %zu owners found\n", i, threads[i].owners);
		assert_int_equal(threads[i].mistakes, 0);
		assert_true(threads[i].owners > 0);
	}
	for (uint32_t number = 0; number < KEY_COUNT; number++)
		assert_true(places_of(key_of(number)) <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_those_who_ask_at_once_has_the_place),
		cmocka_unit_test(nobody_else_is_taken_for_the_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
