/* SPDX-License-Identifier: GPL-2.0-only */
/* Rations: how much a prefix gets, and all together, in which time. */
#include "core/guard.h"

#include <string.h>

#include "test.h"

#define PREFIX_RATE 10
#define TOTAL_RATE  40
#define START_MS    5000000000ull /* beyond 32 bits, as clocks are after some weeks */

static struct guard guard;

static int setup(void **state)
{
	(void)state;
	guard_init(&guard, PREFIX_RATE, TOTAL_RATE, START_MS);
	return 0;
}

/* A prefix by its number: none of those here shares a bucket. */
static bool take(uint8_t number, uint32_t amount, uint64_t now_ms)
{
	const uint8_t client[4] = { 203, 0, number, 7 };

	return guard_take(&guard, client, false, amount, now_ms);
}

static uint32_t take_all(uint8_t number, uint64_t now_ms)
{
	uint32_t count = 0;

	while (take(number, 1, now_ms))
		count++;
	return count;
}

static void a_prefix_has_its_ration_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(take_all(1, START_MS), 2 * PREFIX_RATE);
	assert_int_equal(take_all(2, START_MS), 2 * PREFIX_RATE);
	assert_int_equal(take_all(1, START_MS), 0);
}

static void all_together_have_theirs(void **state)
{
	uint32_t taken = 0;

	(void)state;
	for (uint8_t number = 1; number <= 10; number++)
		taken += take_all(number, START_MS);
	assert_int_equal(taken, 2 * TOTAL_RATE);
	assert_false(take(11, 1, START_MS));
	/* Refused for all, it has cost the prefix nothing. */
	assert_true(take(11, 2 * PREFIX_RATE, START_MS + 1000));
}

static void it_is_all_or_nothing(void **state)
{
	(void)state;
	assert_false(take(1, 2 * PREFIX_RATE + 1, START_MS));
	assert_true(take(1, 2 * PREFIX_RATE - 1, START_MS));
	assert_false(take(1, 2, START_MS));
	assert_true(take(1, 1, START_MS));
}

static void tokens_come_at_their_rate(void **state)
{
	static const struct {
		const char *name;
		uint64_t passed_ms;
		uint32_t want;
	} cases[] = {
		{ "at once", 0, 0 },
		{ "not yet one", 99, 0 },
		{ "one", 100, 1 },
		{ "a second", 1000, PREFIX_RATE },
		{ "as much as is saved up", 2000, 2 * PREFIX_RATE },
		{ "and no more", 3000, 2 * PREFIX_RATE },
		{ "after a day", 86400000, 2 * PREFIX_RATE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		(void)setup(state);
		(void)take_all(1, START_MS);
		assert_int_equal(take_all(1, START_MS + cases[i].passed_ms), cases[i].want);
	}
}

/* Who asks often gets no less than who waits. */
static void parts_of_a_token_are_not_lost(void **state)
{
	uint32_t taken = 0;

	(void)state;
	(void)take_all(1, START_MS);
	for (uint64_t ms = 1; ms <= 1000; ms++)
		taken += take(1, 1, START_MS + ms);
	assert_int_equal(taken, PREFIX_RATE);
}

/* /24 and /48: a bit inside makes no difference, a bit of the prefix does. */
static void prefixes_are_of_24_and_48_bits(void **state)
{
	static const struct {
		bool is_ipv6;
		unsigned int prefix_bits, bits;
	} cases[] = { { false, 24, 32 }, { true, 48, 128 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t client[16] = { 0x20, 1, 0xd, 0xb8, 3 };

		for (unsigned int bit = 0; bit < cases[i].bits; bit++) {
			uint8_t other[16];

			memcpy(other, client, sizeof(other));
			other[bit / 8] ^= (uint8_t)(1 << bit % 8);
			print_message("case: IPv%d, bit %u\n", cases[i].is_ipv6 ? 6 : 4, bit);
			assert_int_equal(guard_prefix(client, cases[i].is_ipv6) ==
						 guard_prefix(other, cases[i].is_ipv6),
					 bit >= cases[i].prefix_bits);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(a_prefix_has_its_ration_and_no_more),
		TEST(all_together_have_theirs),
		TEST(it_is_all_or_nothing),
		TEST(tokens_come_at_their_rate),
		TEST(parts_of_a_token_are_not_lost),
		TEST(prefixes_are_of_24_and_48_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
