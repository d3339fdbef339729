/* SPDX-License-Identifier: GPL-2.0-only */
/* health_schedule_test.c - the heap of times against a list that is searched. */
#include "health/health_schedule.h"

#include <stdlib.h>

#include "test.h"

enum {
	ID_COUNT_MAX = 200,
};

static struct health_schedule schedule; /* all zero: empty */

static void empty_has_no_next(void **state)
{
	uint64_t due_ns = 7;
	uint32_t id = 7;

	(void)state;
	health_schedule_clear(&schedule, 5);
	assert_false(health_schedule_next(&schedule, &id, &due_ns));
	assert_int_equal(id, 7);
	assert_int_equal(due_ns, 7);
}

/* Earliest of `due` by looking at all, 0 being no time; 0: none. */
static uint64_t list_next(const uint64_t *due, size_t count)
{
	uint64_t first = 0;

	for (size_t i = 0; i < count; i++)
		if (due[i] && (!first || due[i] < first))
			first = due[i];
	return first;
}

static void agree(uint32_t id_count, uint64_t *seed)
{
	uint64_t due[ID_COUNT_MAX] = { 0 };

	for (int round = 0; round < 20000; round++) {
		uint32_t id = random_next(seed) % id_count, next_id = 0;
		uint64_t next_ns = 0;

		if (random_next(seed) % 3) {
			due[id] = 1 + random_next(seed) % 1000; /* some at the same time */
			health_schedule_set(&schedule, id, due[id]);
		} else {
			due[id] = 0;
			health_schedule_clear(&schedule, id);
		}
		(void)health_schedule_next(&schedule, &next_id, &next_ns);
		assert_int_equal(next_ns, list_next(due, id_count));
		assert_int_equal(next_ns, due[next_id]);
	}
	for (uint32_t id = 0; id < id_count; id++)
		health_schedule_clear(&schedule, id);
}

/* Small ones most of all: there, every entry is near an edge. */
static void agrees_with_list(void **state)
{
	static const uint32_t id_counts[] = { 1, 2, 3, 4, 5, 8, 20, ID_COUNT_MAX };
	uint64_t seed = 3;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < ARRAY_LEN(id_counts); i++)
		agree(id_counts[i], &seed);
}

static void full_comes_out_in_order(void **state)
{
	uint64_t seed = 9, due_ns, last_ns = 0;
	uint32_t id, count = 0;

	(void)state;
	for (id = 0; id < HEALTH_WATCH_COUNT_MAX; id++)
		health_schedule_set(&schedule, id, random_next(&seed));
	for (; health_schedule_next(&schedule, &id, &due_ns); count++) {
		assert_true(due_ns >= last_ns);
		last_ns = due_ns;
		health_schedule_clear(&schedule, id);
	}
	assert_int_equal(count, HEALTH_WATCH_COUNT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_has_no_next),
		cmocka_unit_test(agrees_with_list),
		cmocka_unit_test(full_comes_out_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
