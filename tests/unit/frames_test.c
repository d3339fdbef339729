/* SPDX-License-Identifier: GPL-2.0-only */
/* frames_test.c - the list of free frames against a plain array of owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "io/frames.h"

#define COUNT 100

static struct frames frames;

static int setup(void **state)
{
	(void)state;
	return frames_open(&frames, COUNT, 2048);
}

static int teardown(void **state)
{
	(void)state;
	frames_close(&frames);
	frames_close(&frames); /* again: no harm */
	return 0;
}

static void hands_out_every_frame_once(void **state)
{
	uint8_t seen[COUNT] = { 0 };

	(void)state;
	assert_int_equal(frames.free_count, COUNT);
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t frame = frames_take(&frames, FRAMES_HELD);

		assert_int_equal(frame, i * 2048); /* a fresh stack: ascending */
		assert_int_equal(seen[frame / 2048]++, 0);
	}
	assert_int_equal(frames.free_count, 0);
}

static void returns_the_last_one_first(void **state)
{
	uint64_t a, b;

	(void)state;
	a = frames_take(&frames, FRAMES_HELD);
	b = frames_take(&frames, FRAMES_HELD);
	frames_give(&frames, b);
	frames_give(&frames, a);
	assert_int_equal(frames_take(&frames, FRAMES_HELD), a);
	assert_int_equal(frames_take(&frames, FRAMES_HELD), b);
}

static void knows_the_base_of_any_address(void **state)
{
	static const struct {
		uint64_t address, base;
	} cases[] = {
		{ 0, 0 },
		{ 1, 0 },
		{ 256, 0 },
		{ 2047, 0 },
		{ 2048, 2048 },
		{ 2049, 2048 },
		{ 99 * 2048 + 300, 99 * 2048 },
		{ UINT64_MAX, UINT64_MAX - 2047 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(frames_base(&frames, cases[i].address), cases[i].base);
}

static void believes_nobody_about_what_is_no_frame(void **state)
{
	static const uint64_t addresses[] = { COUNT * 2048, UINT64_MAX, 1ull << 40 };

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		for (uint32_t owner = 0; owner <= UINT8_MAX; owner++)
			assert_false(frames_owned_by(&frames, addresses[i], owner));
	assert_true(frames_owned_by(&frames, (COUNT - 1) * 2048, FRAMES_FREE));
}

static void tells_all_owners_apart(void **state)
{
	uint32_t owners[2 + 2 * PORT_COUNT_MAX] = { FRAMES_FREE, FRAMES_HELD };
	uint32_t count = 2;

	(void)state;
	for (uint32_t port = 0; port < PORT_COUNT_MAX; port++) {
		owners[count++] = FRAMES_POSTED + port;
		owners[count++] = FRAMES_SENT + port;
	}
	for (uint32_t i = 1; i < count; i++) {
		uint64_t frame = frames_take(&frames, owners[i]);

		for (uint32_t j = 0; j < count; j++)
			assert_int_equal(frames_owned_by(&frames, frame, owners[j]), i == j);
		frames_give(&frames, frame);
		assert_true(frames_owned_by(&frames, frame, FRAMES_FREE));
	}
}

static void agrees_with_a_plain_array(void **state)
{
	uint8_t owner[COUNT] = { 0 };
	uint32_t random = 12345, free_count = COUNT;

	(void)state;
	print_message("seed: %u\n", random);
	for (int step = 0; step < 100000; step++) {
		uint32_t number;

		random = random * 1664525 + 1013904223;
		number = (random >> 8) % COUNT;
		if (random >> 31 && free_count) {
			uint64_t frame = frames_take(&frames, FRAMES_POSTED + number % 8);

			assert_int_equal(owner[frame / 2048], FRAMES_FREE);
			owner[frame / 2048] = (uint8_t)(FRAMES_POSTED + number % 8);
			free_count--;
		} else if (owner[number] != FRAMES_FREE) {
			assert_true(frames_owned_by(&frames, number * 2048, owner[number]));
			frames_give(&frames, number * 2048);
			owner[number] = FRAMES_FREE;
			free_count++;
		}
		assert_int_equal(frames.free_count, free_count);
		frames_check(&frames);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hands_out_every_frame_once),    TEST(returns_the_last_one_first),
		TEST(knows_the_base_of_any_address), TEST(believes_nobody_about_what_is_no_frame),
		TEST(tells_all_owners_apart),	     TEST(agrees_with_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
