/* SPDX-License-Identifier: GPL-2.0-only */
/* Places of questions: who gets one, for how long, and what junk cannot take. What
 * answers tell is in route_test.c. */
#include "core/discovery.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define ASKED_LEN 100
#define SHORT_LEN 40
#define SEED	  0x5eedull

static struct discovery *discovery;
static uint64_t now_ms;

static int setup(void **state)
{
	(void)state;
	discovery = aligned_alloc(64, sizeof(*discovery));
	if (!discovery)
		return -1;
	memset(discovery, 0, sizeof(*discovery));
	now_ms = 1000000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(discovery);
	return 0;
}

/* Keys as route.c makes them; those of the same set differ in low. */
static uint64_t key_in(uint32_t set, uint32_t low)
{
	return (uint64_t)set << 32 | low << 1 | 1;
}

static bool start(uint64_t key, uint16_t prefix)
{
	return discovery_start(discovery, key, prefix, ASKED_LEN, now_ms, 0);
}

static enum discovery_step ask(uint64_t key)
{
	uint16_t slot;

	return discovery_ask(discovery, key, ASKED_LEN, now_ms, &slot);
}

static enum discovery_verdict answer(uint64_t key, uint16_t slot, uint16_t len, uint8_t end)
{
	uint8_t bytes[ASKED_LEN] = { 0x40 };

	bytes[len - 1] = end;
	return discovery_answer(discovery, key, slot, bytes, len, now_ms);
}

static size_t places_of(uint64_t key)
{
	size_t count = 0;

	for (size_t i = 0; i < DISCOVERY_COUNT; i++)
		count += discovery->sets[i / DISCOVERY_WAYS].keys[i % DISCOVERY_WAYS] == key;
	return count;
}

static void four_that_collide_have_a_place_each(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < DISCOVERY_WAYS; i++)
		assert_true(start(key_in(7, i), i));
	assert_false(start(key_in(7, 99), 99));
	for (uint16_t i = 0; i < DISCOVERY_WAYS; i++) {
		assert_int_equal(ask(key_in(7, i)), DISCOVERY_ALL);
		assert_int_equal(answer(key_in(7, i), i, ASKED_LEN, 1), DISCOVERY_OWNER);
	}
	assert_int_equal(answer(key_in(7, 99), 0, ASKED_LEN, 1), DISCOVERY_NOT_SOUGHT);
	now_ms += DISCOVERY_KEEP_MS; /* now somebody has to give way */
	assert_true(start(key_in(7, 99), 99));
}

static void a_question_is_open_for_its_time(void **state)
{
	uint64_t key = key_in(3, 1);

	(void)state;
	assert_int_equal(ask(key), DISCOVERY_NEW);
	assert_true(start(key, 1));
	assert_int_equal(ask(key), DISCOVERY_ALL);
	now_ms += DISCOVERY_TIME_MS - 1;
	assert_int_equal(ask(key), DISCOVERY_ALL);
	assert_int_equal(answer(key, 1, SHORT_LEN, 1), DISCOVERY_UNCLEAR);
	now_ms++;
	assert_int_equal(ask(key), DISCOVERY_REFUSED);
	assert_int_equal(answer(key, 1, SHORT_LEN, 2), DISCOVERY_NOT_SOUGHT);
	now_ms += DISCOVERY_PAUSE_MS - DISCOVERY_TIME_MS - 1;
	assert_int_equal(ask(key), DISCOVERY_REFUSED);
	assert_false(start(key, 1));
	now_ms++;
	assert_int_equal(ask(key), DISCOVERY_NEW);
	assert_true(start(key, 1));
	assert_int_equal(ask(key), DISCOVERY_ALL);
	/* what was answered before is forgotten */
	assert_int_equal(answer(key, 1, SHORT_LEN, 2), DISCOVERY_UNCLEAR);
	assert_int_equal(places_of(key), 1);
}

/* Each of the most that can be asked resets what is not its own, and does so first. */
static void the_owner_is_found_among_many(void **state)
{
	uint64_t key = key_in(3, 1);

	(void)state;
	assert_true(start(key, 1));
	for (int round = 1; round <= 2; round++) {
		assert_int_equal(ask(key), DISCOVERY_ALL);
		for (uint16_t slot = 0; slot < DISCOVERY_COPIES_MAX; slot++)
			assert_int_equal(answer(key, slot, SHORT_LEN, (uint8_t)slot),
					 DISCOVERY_UNCLEAR);
		assert_int_equal(answer(key, DISCOVERY_COPIES_MAX, SHORT_LEN, (uint8_t)round),
				 round == 1 ? DISCOVERY_UNCLEAR : DISCOVERY_OWNER);
	}
}

static void a_question_has_datagrams_enough(void **state)
{
	uint64_t key = key_in(3, 1);

	(void)state;
	assert_true(start(key, 1));
	for (int i = 1; i < DISCOVERY_DATAGRAMS_MAX; i++)
		assert_int_equal(ask(key), DISCOVERY_ALL);
	assert_int_equal(ask(key), DISCOVERY_REFUSED);
	/* and is open still */
	assert_int_equal(answer(key, 1, SHORT_LEN, 1), DISCOVERY_UNCLEAR);
	assert_int_equal(answer(key, 1, SHORT_LEN, 2), DISCOVERY_OWNER);
}

/* A client that nobody has answered sends again after 10 s. */
static void two_answers_far_apart_tell(void **state)
{
	uint64_t key = key_in(3, 1);

	(void)state;
	assert_true(start(key, 1));
	assert_int_equal(ask(key), DISCOVERY_ALL);
	assert_int_equal(answer(key, 2, SHORT_LEN, 1), DISCOVERY_UNCLEAR);
	now_ms += 10000;
	assert_int_equal(ask(key), DISCOVERY_ALL);
	assert_int_equal(answer(key, 2, SHORT_LEN, 2), DISCOVERY_OWNER);
}

static void a_worker_whose_time_is_behind_sees_the_question(void **state)
{
	uint64_t key = key_in(3, 1);

	(void)state;
	assert_true(start(key, 1));
	now_ms--;
	assert_int_equal(answer(key, 2, SHORT_LEN, 1), DISCOVERY_UNCLEAR);
	assert_int_equal(ask(key), DISCOVERY_ALL);
	assert_false(start(key, 1));
}

/* Whatever else has come and gone in the set meanwhile. */
static void nobody_has_two_places(void **state)
{
	uint64_t random = SEED;

	(void)state;
	print_message("seed %#llx\n", SEED);
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = random_next(&random);
		uint64_t key = key_in(5, bits % 12);

		now_ms += bits >> 32 & 1023;
		(void)start(key, bits >> 16 & 3);
		assert_true(places_of(key) <= 1);
	}
}

static size_t places_used(void)
{
	size_t used = 0;

	for (size_t i = 0; i < DISCOVERY_COUNT; i++)
		used += discovery->sets[i / DISCOVERY_WAYS].keys[i % DISCOVERY_WAYS] != 0;
	return used;
}

/* Several workers' rations at once: more than there are places. */
static void junk(uint64_t *random, uint16_t prefix)
{
	for (int i = 0; i < 20 * DISCOVERY_COUNT; i++) {
		now_ms += i % 4096 == 0;
		(void)start(random_next(random) | 1, prefix);
	}
}

static void junk_of_one_prefix_takes_half_at_most(void **state)
{
	enum { ALIVE = 100 };
	uint64_t keys[ALIVE], random = SEED;

	(void)state;
	for (size_t i = 0; i < ALIVE; i++) {
		keys[i] = key_in((uint32_t)i * 8, 1);
		assert_true(start(keys[i], 2));
		assert_int_equal(ask(keys[i]), DISCOVERY_ALL);
	}
	for (int i = 0; i < 4; i++) { /* it goes on, when it may replace what it has asked */
		junk(&random, 1);
		now_ms += DISCOVERY_KEEP_MS;
		assert_in_range(places_used(), DISCOVERY_COUNT / 2 - DISCOVERY_COUNT / 100,
				DISCOVERY_COUNT / 2 + ALIVE);
	}
	for (size_t i = 0; i < ALIVE; i++)
		assert_int_equal(ask(keys[i]), DISCOVERY_ALL);
	for (size_t i = 0; i < ALIVE; i++) /* and whoever comes has a place */
		assert_true(start(key_in((uint32_t)i * 8, 2), 3));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(four_that_collide_have_a_place_each),
		TEST(a_question_is_open_for_its_time),
		TEST(the_owner_is_found_among_many),
		TEST(a_question_has_datagrams_enough),
		TEST(two_answers_far_apart_tell),
		TEST(a_worker_whose_time_is_behind_sees_the_question),
		TEST(nobody_has_two_places),
		TEST(junk_of_one_prefix_takes_half_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
