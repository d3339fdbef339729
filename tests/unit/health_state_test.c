/* SPDX-License-Identifier: GPL-2.0-only */
/* health_state_test.c - rise, fall and dampening on sequences of results. */
#include "health/health_state.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define SECOND_NS 1000000000ull
#define START_NS  (1000 * SECOND_NS)

/* One result a second: + success, - failure; and what follows from it: U up, D down.
 * The first result comes a second after the start. */
static const struct {
	const char *name;
	uint16_t rise, fall, flap_changes, flap_window_s;
	bool is_up;
	const char *results, *wanted;
} sequences[] = {
	{ "all is well", 2, 3, 0, 0, true, "++++", "UUUU" },
	{ "nothing is well", 2, 3, 0, 0, false, "----", "DDDD" },
	{ "falls with the third failure", 2, 3, 0, 0, true, "---+", "UUDD" },
	{ "a success between failures", 2, 3, 0, 0, true, "--+--+--+", "UUUUUUUUU" },
	{ "rises with the second success", 2, 3, 0, 0, false, "++-", "DUU" },
	{ "a failure between successes", 2, 3, 0, 0, false, "+-+-+-", "DDDDDD" },
	{ "there and back", 2, 3, 0, 0, true, "---++---++", "UUDDUUUDDU" },
	{ "one result decides", 1, 1, 0, 0, true, "-+-+", "DUDU" },
	{ "slow to rise", 5, 1, 0, 0, true, "-++++-+++++", "DDDDDDDDDDU" },

	/* Changes at 1, 2, 3: the third is more than two in ten seconds, so held to 13. */
	{ "held down", 1, 1, 2, 10, true, "-+-++++++++++", "DUDDDDDDDDDDU" },
	{ "as many changes as allowed", 1, 1, 3, 10, true, "-+-+", "DUDU" },
	{ "the window is inclusive", 1, 1, 2, 2, true, "-+-+++", "DUDDUU" },
	{ "one second too slow to flap", 2, 1, 2, 2, true, "-++-++", "DDUDDU" },
	{ "a first fall is never held", 1, 1, 1, 10, true, "-+", "DU" },
	{ "answering throughout a hold", 2, 1, 2, 3, true, "-++-+++", "DDUDDDU" },
	{ "a failure near the end of a hold", 2, 1, 2, 3, true, "-++-+-++", "DDUDDDDU" },
	/* Held from 3 to 6, from 7 to 13, from 14 to 26; then up for a window. */
	{ "twice as long, and forgiven", 1, 1, 2, 3, true, "-+-+++-++++++-++++++++++++++-+",
	  "DUDDDUDDDDDDUDDDDDDDDDDDDUUUDU" },
	{ "off", 1, 1, 0, 10, true, "-+-+-+-+-+", "DUDUDUDUDU" },
};

static void follows_sequences(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
		const struct health_rules rules = {
			.rise = sequences[i].rise,
			.fall = sequences[i].fall,
			.flap_changes = sequences[i].flap_changes,
			.flap_window_ns = sequences[i].flap_window_s * SECOND_NS,
		};
		struct health_state health;
		char got[64] = "";

		print_message("case: %s\n", sequences[i].name);
		health_state_init(&health, sequences[i].is_up, START_NS);
		for (size_t n = 0; sequences[i].results[n]; n++) {
			bool was_up = health.is_up;
			uint64_t now_ns = START_NS + (n + 1) * SECOND_NS;
			bool changed = health_state_result(&health, &rules,
							   sequences[i].results[n] == '+', now_ns);

			assert_int_equal(changed, was_up != health.is_up);
			if (changed)
				assert_int_equal(health.since_ns, now_ns);
			got[n] = health.is_up ? 'U' : 'D';
		}
		assert_string_equal(got, sequences[i].wanted);
	}
}

/* What dampening must come to, from everything that ever was. */
struct model {
	bool is_up;
	unsigned int streak;
	uint64_t held_until_ns, hold_ns;
	uint64_t changes_ns[4096];
	size_t change_count;
};

static void model_change(struct model *model, const struct health_rules *rules, uint64_t now_ns)
{
	uint64_t before_ns =
		model->change_count ? model->changes_ns[model->change_count - 1] : START_NS;
	size_t recent = 0;

	model->is_up = !model->is_up;
	model->streak = 0;
	model->changes_ns[model->change_count++] = now_ns;
	if (model->is_up || !rules->flap_changes)
		return;
	for (size_t i = 0; i < model->change_count; i++)
		recent += model->changes_ns[i] + rules->flap_window_ns >= now_ns;
	if (now_ns - before_ns >= rules->flap_window_ns)
		model->hold_ns = 0;
	if (model->hold_ns)
		model->hold_ns *= 2;
	else if (recent > rules->flap_changes)
		model->hold_ns = rules->flap_window_ns;
	if (model->hold_ns > HEALTH_HOLD_MAX_S * SECOND_NS)
		model->hold_ns = HEALTH_HOLD_MAX_S * SECOND_NS;
	model->held_until_ns = now_ns + model->hold_ns;
}

static void model_result(struct model *model, const struct health_rules *rules, bool is_success,
			 uint64_t now_ns)
{
	model->streak = is_success == model->is_up ? 0 : model->streak + 1;
	if (model->streak < (model->is_up ? rules->fall : rules->rise))
		return;
	if (!model->is_up && now_ns < model->held_until_ns)
		return;
	model_change(model, rules, now_ns);
}

static void agrees_with_model(void **state)
{
	uint64_t seed = 20;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int round = 0; round < 300; round++) {
		const struct health_rules rules = {
			.rise = 1 + random_next(&seed) % 3,
			.fall = 1 + random_next(&seed) % 3,
			.flap_changes = random_next(&seed) % (HEALTH_FLAP_CHANGES_MAX + 1),
			.flap_window_ns = random_next(&seed) % 90 * SECOND_NS,
		};
		unsigned int failures = 1 + random_next(&seed) % 9; /* of ten */
		struct model model = { .is_up = random_next(&seed) % 2 };
		struct health_state health;

		health_state_init(&health, model.is_up, START_NS);
		for (unsigned int n = 1; n <= ARRAY_LEN(model.changes_ns); n++) {
			uint64_t now_ns = START_NS + n * SECOND_NS;
			bool is_success = random_next(&seed) % 10 >= failures;

			model_result(&model, &rules, is_success, now_ns);
			(void)health_state_result(&health, &rules, is_success, now_ns);
			assert_int_equal(health.is_up, model.is_up);
		}
		assert_int_equal(health.change_count, model.change_count);
	}
}

/* Flapping as fast as it can: how long is the longest time down? */
static void hold_is_bounded(void **state)
{
	const struct health_rules rules = {
		.rise = 1, .fall = 1, .flap_changes = 2, .flap_window_ns = 100 * SECOND_NS
	};
	static const unsigned int wanted_s[] = { 1, 100, 200, 400, 600, 600, 600 };
	struct health_state health;
	uint64_t now_ns = START_NS;

	(void)state;
	health_state_init(&health, true, now_ns);
	for (size_t i = 0; i < ARRAY_LEN(wanted_s); i++) {
		uint64_t down_ns = now_ns += SECOND_NS;

		assert_true(health_state_result(&health, &rules, false, now_ns));
		do
			now_ns += SECOND_NS;
		while (!health_state_result(&health, &rules, true, now_ns));
		assert_int_equal((now_ns - down_ns) / SECOND_NS, wanted_s[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_sequences),
		cmocka_unit_test(agrees_with_model),
		cmocka_unit_test(hold_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
