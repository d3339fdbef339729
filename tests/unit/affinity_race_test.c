/* SPDX-License-Identifier: GPL-2.0-only */
/* Affinity tables under several threads: what is found was given by somebody.
 * ThreadSanitizer looks on when built with it. */
#include "core/affinity.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ringway/limits.h"
#include "test.h"

#define WORKER_COUNT 4
#define KEY_COUNT    2000
#define ROOM	     1000 /* keys the table is made for, so that entries are evicted */
#define MAX_AGE	     4
#define TICK_STEPS   512 /* of each worker: some entries grow too old, some do not */
#define SEED	     0x5eedull

/* A slot tells of whom it is, and a little of the key it was given to. */
#define OWNER_COUNT 8
#define OWNER_GONE  7 /* gave slots before, and no more: its slots are void */
#define KEY_CLASSES (BACKEND_COUNT_MAX / OWNER_COUNT)

static struct affinity table;
static pthread_barrier_t start;
static _Atomic uint16_t ticks; /* advanced by work, so that no pause makes all old */
static _Atomic unsigned int running;

struct worker {
	pthread_t thread;
	uint64_t random;
	size_t operations;
	struct affinity_stats stats;
	size_t hits, moves, misfits; /* misfits: found with a slot of another key */
	unsigned int owner;
	bool gave[KEY_COUNT];
};

static uint64_t hash_of(uint64_t key)
{
	return random_next(&key);
}

static uint16_t now_ticks(void)
{
	return atomic_load(&ticks) & 0xfff;
}

static uint16_t slot_of(uint64_t key, unsigned int owner)
{
	return (uint16_t)(key % KEY_CLASSES * OWNER_COUNT + owner);
}

/* One datagram's worth: find, then what a worker does with what it found. */
static void worker_step(struct worker *worker, uint64_t random)
{
	uint64_t key = (random >> 32) % KEY_COUNT, hash = hash_of(key);
	uint16_t now = now_ticks(), slot = slot_of(key, worker->owner);
	bool proves = (random >> 4 & 7) == 0;
	struct affinity_entry entry = { 0 };

	affinity_prefetch(&table, hash);
	if (!affinity_find(&table, hash, now, MAX_AGE, &entry)) {
		worker->gave[key] = true;
		(void)affinity_insert(&table, hash, slot, proves, now, MAX_AGE, &worker->stats);
		return;
	}
	worker->hits++;
	worker->misfits += entry.slot / OWNER_COUNT != key % KEY_CLASSES;
	if ((random & 3) == 0) {
		worker->gave[key] = true;
		worker->moves += affinity_replace(&entry, slot, now);
	} else {
		affinity_touch(&entry, proves, now);
	}
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	(void)pthread_barrier_wait(&start);
	for (size_t i = 0; i < worker->operations; i++) {
		worker_step(worker, random_next(&worker->random));
		if (i % TICK_STEPS == 0)
			atomic_fetch_add(&ticks, 1);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* Sweeps, line by line, for as long as anybody works, and once at least. */
static size_t sweep_until_done(const bool *void_slots)
{
	size_t rounds = 0;

	do {
		for (uint64_t line = 0; line < table.line_count; line++)
			(void)affinity_sweep(&table, line, 1, now_ticks(), MAX_AGE, void_slots);
		rounds++;
	} while (atomic_load(&running));
	return rounds;
}

static void seed_with_the_gone(void)
{
	struct affinity_stats stats = { 0 };

	for (uint64_t key = 0; key < KEY_COUNT; key++)
		(void)affinity_insert(&table, hash_of(key), slot_of(key, OWNER_GONE), key % 2, 0,
				      MAX_AGE, &stats);
}

static void assert_given(const struct worker *workers)
{
	struct affinity_entry entry = { 0 };
	size_t found = 0, used = 0;

	for (uint64_t key = 0; key < KEY_COUNT; key++) {
		unsigned int owner;

		if (!affinity_find(&table, hash_of(key), now_ticks(), MAX_AGE, &entry))
			continue;
		owner = entry.slot % OWNER_COUNT;
		assert_int_equal(entry.slot / OWNER_COUNT, key % KEY_CLASSES);
		assert_true(owner < WORKER_COUNT);
		assert_true(workers[owner].gave[key]);
		found++;
	}
	for (uint64_t i = 0; i < table.line_count * 8; i++)
		used += table.words[i] != 0;
	print_message("%zu keys found, %zu places used\n", found, used);
	assert_true(found > 0);
	assert_true(found <= used);
}

static void what_is_found_was_given(void **state)
{
	static struct worker workers[WORKER_COUNT];
	static bool void_slots[BACKEND_COUNT_MAX];
	const char *quick = getenv("QUICK");
	size_t size = affinity_size(ROOM), rounds;
	void *memory = aligned_alloc(64, size);

	(void)state;
	assert_non_null(memory);
	memset(memory, 0, size);
	affinity_init(&table, memory, size);
	seed_with_the_gone();
	for (uint64_t key = 0; key < KEY_CLASSES; key++)
		void_slots[slot_of(key, OWNER_GONE)] = true;
	atomic_store(&running, WORKER_COUNT);
	assert_int_equal(pthread_barrier_init(&start, NULL, WORKER_COUNT + 1), 0);
	print_message("seed %#llx\n", SEED);
	for (unsigned int i = 0; i < WORKER_COUNT; i++) {
		workers[i] = (struct worker){ .owner = i, .random = SEED + i };
		workers[i].operations = quick && strcmp(quick, "1") == 0 ? 200000 : 1000000;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]),
				 0);
	}
	(void)pthread_barrier_wait(&start);
	rounds = sweep_until_done(void_slots);
	for (unsigned int i = 0; i < WORKER_COUNT; i++) {
		const struct worker *worker = &workers[i];

		assert_int_equal(pthread_join(worker->thread, NULL), 0);
		print_message(
			"worker %u: %zu hits, %zu moves, %lu inserted, %lu evicted, %lu refused\n",
			i, worker->hits, worker->moves, (unsigned long)worker->stats.inserted,
			(unsigned long)worker->stats.evicted, (unsigned long)worker->stats.refused);
		assert_int_equal(worker->misfits, 0);
		assert_true(worker->hits > 0);
	}
	print_message("%zu rounds of sweeping\n", rounds);
	assert_given(workers);
	assert_int_equal(pthread_barrier_destroy(&start), 0);
	free(memory);
}

/* Touches the one entry as often as it can, each time at a new tick. */
static void *toucher_run(void *argument)
{
	struct affinity_entry entry;

	(void)argument;
	while (atomic_load(&running)) {
		atomic_fetch_add(&ticks, 1);
		if (affinity_find(&table, hash_of(0), now_ticks(), AFFINITY_AGE_MAX_TICKS, &entry))
			affinity_touch(&entry, true, now_ticks());
	}
	return NULL;
}

static void one_sweep_voids_what_is_just_touched(void **state)
{
	static const bool void_slots[BACKEND_COUNT_MAX] = { [7] = true };
	uint64_t memory[8] __attribute__((aligned(64))) = { 0 };
	struct affinity_stats stats = { 0 };
	size_t rounds = 200000, left = 0;
	pthread_t toucher;

	(void)state;
	affinity_init(&table, memory, sizeof(memory));
	atomic_store(&running, 1);
	assert_int_equal(pthread_create(&toucher, NULL, toucher_run, NULL), 0);
	for (size_t i = 0; i < rounds; i++) {
		(void)affinity_insert(&table, hash_of(0), 7, false, now_ticks(), 0, &stats);
		left += affinity_sweep(&table, 0, 1, now_ticks(), AFFINITY_AGE_MAX_TICKS,
				       void_slots);
		left += __atomic_load_n(&memory[0], __ATOMIC_RELAXED) != 0;
	}
	atomic_store(&running, 0);
	assert_int_equal(pthread_join(toucher, NULL), 0);
	assert_int_equal(left, 0);
	assert_int_equal(stats.inserted, rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_found_was_given),
		cmocka_unit_test(one_sweep_voids_what_is_just_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
