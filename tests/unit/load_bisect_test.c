/* SPDX-License-Identifier: GPL-2.0-only */
/* load_bisect_test.c - the search finds the limit of what is tested, and says how sure
 * it is, also where the limit is blurred. */
#include "load/bisect.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

/* Passes up to `always`, at random up to `sometimes`. */
struct device {
	uint64_t always, sometimes;
	uint64_t seed;
};

static bool trial_passes(struct device *device, uint64_t rate)
{
	return rate <= device->always ||
	       (rate <= device->sometimes && random_next(&device->seed) % 2);
}

static void search(struct load_bisect *bisect, struct device *device)
{
	uint32_t trials = 0, in_a_row = 0;
	uint64_t rate, last = 0;

	while ((rate = load_bisect_next(bisect))) {
		bool has_passed = trial_passes(device, rate);

		assert_in_range(rate, bisect->minimum, bisect->maximum);
		in_a_row = has_passed ? (rate == last ? in_a_row + 1 : 1) : 0;
		last = rate;
		load_bisect_note(bisect, rate, has_passed);
		trials++;
		assert_in_range(trials, 1, LOAD_BISECT_TRIAL_COUNT_MAX);
	}
	if (load_bisect_is_confirmed(bisect) && bisect->confirmations) {
		assert_int_equal(last, load_bisect_winner(bisect));
		assert_true(in_a_row >= bisect->confirmations);
	}
}

static void known_searches(void **state)
{
	static const struct {
		const char *name;
		uint64_t minimum, maximum, resolution, limit, winner;
		uint32_t confirmations, trials;
	} rows[] = {
		{ "the maximum passes", 100, 1000, 10, 5000, 1000, 2, 3 },
		{ "nothing passes", 100, 1000, 900, 50, 0, 1, 2 },
		{ "only the minimum passes", 100, 1000, 900, 100, 100, 1, 3 },
		{ "one rate only, passes", 7, 7, 1, 7, 7, 0, 1 },
		{ "one rate only, fails", 7, 7, 1, 6, 0, 0, 1 },
		{ "halves", 1, 9, 1, 5, 5, 1, 5 }, /* 9, 5, 7, 6 and 5 again */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct device device = { rows[i].limit, rows[i].limit, 1 };
		struct load_bisect bisect = { .minimum = rows[i].minimum,
					      .maximum = rows[i].maximum,
					      .resolution = rows[i].resolution,
					      .confirmations = rows[i].confirmations };

		printf("%s\n", rows[i].name);
		search(&bisect, &device);
		assert_int_equal(load_bisect_winner(&bisect), rows[i].winner);
		assert_int_equal(load_bisect_is_confirmed(&bisect), rows[i].winner > 0);
		assert_int_equal(bisect.trial_count, rows[i].trials);
	}
}

static void sharp_limits_are_found(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint64_t minimum = 1 + random_next(&seed) % 1000;
		uint64_t maximum = minimum + random_next(&seed) % (1ull << (round % 32));
		struct load_bisect bisect = { .minimum = minimum, .maximum = maximum };
		struct device device = { .seed = 1 };
		uint64_t winner;

		bisect.resolution = 1 + random_next(&seed) % 100;
		bisect.confirmations = (uint32_t)(random_next(&seed) % 4);
		device.always = minimum + random_next(&seed) % (maximum - minimum + 2);
		device.sometimes = device.always;
		search(&bisect, &device);
		winner = load_bisect_winner(&bisect);
		assert_true(load_bisect_is_confirmed(&bisect));
		assert_true(winner <= device.always);
		assert_true(winner == maximum || device.always - winner < bisect.resolution);
	}
}

/* What passes now and then is never below what always passes, nor above what never does. */
static void blurred_limits_end(void **state)
{
	uint64_t seed = 6;
	uint32_t confirmed = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct load_bisect bisect = {
			.minimum = 10, .maximum = 100000, .resolution = 100, .confirmations = 2
		};
		struct device device = { .seed = random_next(&seed) };

		device.always = 10 + random_next(&seed) % 50000;
		device.sometimes = device.always + random_next(&seed) % 50000;
		search(&bisect, &device);
		confirmed += load_bisect_is_confirmed(&bisect);
		assert_true(load_bisect_winner(&bisect) <= device.sometimes);
		assert_true(load_bisect_winner(&bisect) + bisect.resolution > device.always ||
			    !load_bisect_is_confirmed(&bisect));
	}
	printf("%u of 20000 confirmed\n", confirmed);
	assert_true(confirmed > 19900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_searches),
		cmocka_unit_test(sharp_limits_are_found),
		cmocka_unit_test(blurred_limits_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
