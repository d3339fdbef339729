/* SPDX-License-Identifier: GPL-2.0-only */
/* load_histogram_test.c - percentiles of the histogram beside those of the sorted
 * values, on random sets and on sets made to be hard. */
#include "ringway/load_histogram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define VALUE_COUNT_MAX 20000

static const uint32_t per_milles[] = { 0, 1, 10, 250, 500, 900, 990, 999, 1000 };

static int value_compare(const void *left_arg, const void *right_arg)
{
	uint64_t left = *(const uint64_t *)left_arg, right = *(const uint64_t *)right_arg;

	return (left > right) - (left < right);
}

/* By its definition: the least value that so many of a thousand do not exceed. */
static uint64_t percentile_exact(const uint64_t *sorted, size_t count, uint32_t per_mille)
{
	for (size_t i = 0; i < count; i++)
		if ((i + 1) * 1000 >= count * per_mille)
			return sorted[i];
	return sorted[count - 1];
}

/* Sorts the values. They are counted in three histograms, as three CPUs would. */
static void set_check(const char *what, uint64_t *values, size_t count)
{
	static struct load_histogram parts[3], histogram;
	uint64_t sum = 0;

	printf("%s: %zu values\n", what, count);
	memset(parts, 0, sizeof(parts));
	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < count; i++) {
		load_histogram_add(&parts[i % 3], values[i]);
		sum += values[i];
	}
	for (size_t i = 0; i < 3; i++)
		load_histogram_merge(&histogram, &parts[i]);
	qsort(values, count, sizeof(*values), value_compare);

	assert_int_equal(histogram.count, count);
	assert_int_equal(histogram.sum_ns, sum);
	assert_int_equal(histogram.max_ns, values[count - 1]);
	assert_int_equal(load_histogram_min(&histogram), values[0]);
	for (size_t i = 0; i < ARRAY_LEN(per_milles); i++) {
		uint64_t exact = percentile_exact(values, count, per_milles[i]);
		uint64_t found = load_histogram_percentile(&histogram, per_milles[i]);

		if (exact >> LOAD_HISTOGRAM_BITS) {
			assert_int_equal(found, values[count - 1]);
			continue;
		}
		assert_true(found >= exact);
		assert_true(found - exact <= exact / LOAD_HISTOGRAM_SUBS);
	}
}

static void buckets_follow_one_another(void **state)
{
	uint64_t begin = 0;

	(void)state;
	for (uint32_t bucket = 0; bucket < LOAD_HISTOGRAM_BUCKETS; bucket++) {
		uint64_t end = load_histogram_bucket_end(bucket);

		assert_true(end >= begin);
		assert_true(end - begin <= begin / LOAD_HISTOGRAM_SUBS);
		assert_int_equal(load_histogram_bucket(begin), bucket);
		assert_int_equal(load_histogram_bucket(end), bucket);
		begin = end + 1;
	}
	assert_int_equal(begin, 1ull << LOAD_HISTOGRAM_BITS);
	assert_int_equal(load_histogram_bucket(begin), LOAD_HISTOGRAM_BUCKETS - 1);
	assert_int_equal(load_histogram_bucket(UINT64_MAX), LOAD_HISTOGRAM_BUCKETS - 1);
}

static void logarithms_are_those_of_the_builtin(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (uint32_t bit = 0; bit < 64; bit++) {
		uint64_t value = 1ull << bit;

		assert_int_equal(load_log2(value), bit);
		assert_int_equal(load_log2(value | (random_next(&seed) & (value - 1))), bit);
		assert_int_equal(load_log2(value | (value - 1)), bit);
	}
}

static void an_empty_one_says_zero(void **state)
{
	static const struct load_histogram empty;

	(void)state;
	assert_int_equal(load_histogram_min(&empty), 0);
	for (size_t i = 0; i < ARRAY_LEN(per_milles); i++)
		assert_int_equal(load_histogram_percentile(&empty, per_milles[i]), 0);
}

static void random_sets(void **state)
{
	static uint64_t values[VALUE_COUNT_MAX];
	uint64_t seed = 20260101;

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 200; round++) {
		size_t count = 1 + random_next(&seed) % (round % 4 ? 300 : VALUE_COUNT_MAX);
		uint32_t bits = 1 + (uint32_t)(random_next(&seed) % LOAD_HISTOGRAM_BITS);

		/* Every other set as even over magnitudes as over values. */
		for (size_t i = 0; i < count; i++)
			values[i] = random_next(&seed) >>
				    (64 - (round % 2 ? bits : 1 + random_next(&seed) % bits));
		set_check("random", values, count);
	}
}

static void adversarial_sets(void **state)
{
	static uint64_t values[VALUE_COUNT_MAX];
	size_t count;

	(void)state;
	for (uint32_t bit = 0; bit < LOAD_HISTOGRAM_BITS; bit++)
		for (int i = 0; i < 3; i++)
			values[3 * bit + (uint32_t)i] = (1ull << bit) + (uint64_t)i - (bit > 0);
	set_check("around powers of two", values, 3ul * LOAD_HISTOGRAM_BITS);

	for (uint32_t bucket = 0; bucket < LOAD_HISTOGRAM_BUCKETS; bucket++) {
		values[2 * bucket] = load_histogram_bucket_end(bucket);
		values[2 * bucket + 1] = load_histogram_bucket_end(bucket) + 1;
	}
	/* The last of these has no place. */
	set_check("both sides of every border", values, 2ul * LOAD_HISTOGRAM_BUCKETS - 1);

	for (count = 1; count <= 2003; count++) { /* percentiles between two far ones */
		for (size_t i = 0; i < count; i++)
			values[i] = i < count - 1 - count / 100 ? 127 : 999999999;
		if (count < 12 || count > 1990 || (count > 98 && count < 103))
			set_check("two clusters", values, count);
	}
	for (count = 0; count < 1000; count++)
		values[count] = 0;
	values[count++] = (1ull << LOAD_HISTOGRAM_BITS) - 1;
	set_check("zeros and one large", values, count);

	values[0] = UINT64_MAX / 4;
	values[1] = 1;
	values[2] = 1ull << LOAD_HISTOGRAM_BITS;
	set_check("without a place", values, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_follow_one_another),
		cmocka_unit_test(logarithms_are_those_of_the_builtin),
		cmocka_unit_test(an_empty_one_says_zero),
		cmocka_unit_test(random_sets),
		cmocka_unit_test(adversarial_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
