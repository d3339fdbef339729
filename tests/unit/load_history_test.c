/* SPDX-License-Identifier: GPL-2.0-only */
/* load_history_test.c - rows follow one another and make up the whole, also when there
 * are more intervals than rows. */
#include "load/history.h"

#include <stdlib.h>

#include "test.h"

static void totals_grow(struct load_sink_totals *totals, uint64_t *seed)
{
	totals->received += random_next(seed) % 1000;
	totals->bytes += random_next(seed) % 100000;
	totals->reordered += random_next(seed) % 10;
	totals->duplicates += random_next(seed) % 10;
	totals->bad += random_next(seed) % 10;
	totals->lost = random_next(seed) % 100; /* gaps are filled, too */
}

static void history_check(uint32_t intervals)
{
	struct load_history history = { .rows = NULL };
	struct load_sink_totals totals = { .received = 0 }, sums = { .received = 0 };
	int64_t lost = 0;
	uint64_t seed = intervals;
	double end = 0;

	assert_int_equal(load_history_open(&history), 0);
	for (uint32_t i = 1; i <= intervals; i++) {
		const struct load_sink_row *row;

		totals_grow(&totals, &seed);
		row = load_history_add(&history, &totals, i, i == intervals);
		assert_int_equal(row != NULL, i < LOAD_SINK_ROW_COUNT_MAX || i == intervals);
	}
	for (size_t i = 0; i < history.row_count; i++) {
		const struct load_sink_row *row = &history.rows[i];

		assert_true(row->from == end);
		end = row->to;
		sums.received += row->received;
		sums.bytes += row->bytes;
		sums.reordered += row->reordered;
		sums.duplicates += row->duplicates;
		sums.bad += row->bad;
		lost += row->lost;
	}
	assert_true(end == intervals);
	assert_in_range(history.row_count, 1, LOAD_SINK_ROW_COUNT_MAX);
	assert_int_equal(sums.received, totals.received);
	assert_int_equal(sums.bytes, totals.bytes);
	assert_int_equal(sums.reordered, totals.reordered);
	assert_int_equal(sums.duplicates, totals.duplicates);
	assert_int_equal(sums.bad, totals.bad);
	assert_int_equal(lost, totals.lost);
	free(history.rows);
}

static void rows_make_up_the_whole(void **state)
{
	(void)state;
	history_check(1);
	history_check(10);
	history_check(LOAD_SINK_ROW_COUNT_MAX - 1);
	history_check(LOAD_SINK_ROW_COUNT_MAX);
	history_check(LOAD_SINK_ROW_COUNT_MAX + 1);
	history_check(3 * LOAD_SINK_ROW_COUNT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_make_up_the_whole) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
