/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_drops_test.c - which place is the first that loses, and the screen that says so, to
 * the last blank. */
#include "ctl/ctl_drops.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define PLACE(name, stage, kind, count, sources)                                          \
	"{'place':'" name "','stage':'" stage "','kind':'" kind "','count':" #count       \
	",'meaning':'it means " name "','advice':'mend "                                  \
	"this and that, but slowly, and with a look at everything that is close to " name \
	"','sources':[" sources "]}"

/* Counts along the way: damaged, squeezed (a sign), ring full, no neighbour. */
#define ANSWER(damaged, squeezed, full, neighbour)                                                                                                                                          \
	"{'engine':'af_xdp','uptime_s':60,'places':[" PLACE("damaged", "interface in", "loss", damaged, "{'name':'ext','count':1,'counters':{'rx_crc_errors':1,'rx_errors':1}}") "," PLACE( \
		"squeezed", "softnet", "sign", squeezed,                                                                                                                                    \
		"") "," PLACE("full", "AF_XDP receive", "loss", full,                                                                                                                       \
			      "{'name':'ext queue 0','count':3},{'name':'int queue 1','count':2}") "," PLACE("empty",                                                                       \
													     "AF_XDP receive",                                                              \
													     "loss",                                                                        \
													     0,                                                                             \
													     "") "," PLACE("neighbour",                                                     \
															   "routing",                                                       \
															   "loss",                                                          \
															   neighbour,                                                       \
															   "") "]}"

static void the_first_that_loses_is_found(void **state)
{
	static const struct {
		const char *title, *before, *now;
		const char *want; /* NULL: nothing */
		bool want_now;
		const char *want_most; /* NULL: it is not told */
	} cases[] = {
		{ "nothing", ANSWER(0, 0, 0, 0), ANSWER(0, 0, 0, 0), NULL, false, NULL },
		{ "signs are no loss", ANSWER(0, 1, 0, 0), ANSWER(0, 9, 0, 0), NULL, false, NULL },
		{ "one", ANSWER(0, 0, 0, 0), ANSWER(0, 0, 1, 0), "full", true, NULL },
		{ "of two the first", ANSWER(0, 0, 0, 0), ANSWER(0, 0, 1, 99), "full", true, NULL },
		{ "a trickle first", ANSWER(0, 0, 0, 0), ANSWER(0, 0, 1, 100), "full", true,
		  "neighbour" },
		{ "a trickle first, the most", ANSWER(0, 0, 0, 0), ANSWER(1, 999, 300, 200),
		  "damaged", true, "full" },
		{ "a trickle earlier", ANSWER(1, 0, 300, 0), ANSWER(1, 0, 300, 0), "damaged", false,
		  "full" },
		{ "much earlier, little now", ANSWER(0, 0, 1, 999), ANSWER(0, 0, 2, 999), "full",
		  true, NULL },
		{ "now before earlier", ANSWER(5, 0, 0, 1), ANSWER(5, 0, 0, 2), "neighbour", true,
		  NULL },
		{ "a sign before it", ANSWER(0, 0, 0, 1), ANSWER(0, 7, 0, 2), "neighbour", true,
		  NULL },
		{ "only earlier", ANSWER(0, 0, 4, 2), ANSWER(0, 0, 4, 2), "full", false, NULL },
		{ "a daemon that is new", ANSWER(0, 0, 40, 0), ANSWER(0, 0, 4, 1), "neighbour",
		  true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *before = json_of(cases[i].before), *now = json_of(cases[i].now), *first;

		print_message("case: %s\n", cases[i].title);
		assert_int_equal(ctl_drops_judge(now, before, 1), 0);
		first = json_object_get(now, "first");
		if (!cases[i].want) {
			assert_true(json_is_null(first));
		} else {
			assert_string_equal(json_string_value(json_object_get(first, "place")),
					    cases[i].want);
			assert_int_equal(json_is_true(json_object_get(first, "now")),
					 cases[i].want_now);
			assert_string_equal(
				cases[i].want_most ? cases[i].want_most : "(null)",
				json_object_get(first, "most")
					? json_string_value(json_object_get(first, "most"))
					: "(null)");
		}
		json_decref(before);
		json_decref(now);
	}
}

static void other_answers_are_refused(void **state)
{
	static const char *const others[] = { "{}", "[]", "{'places':{}}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		json_t *good = json_of(ANSWER(0, 0, 0, 0)), *bad = json_of(others[i]);

		print_message("case: %s\n", others[i]);
		assert_int_equal(ctl_drops_judge(bad, good, 1), -EPROTO);
		assert_int_equal(ctl_drops_judge(good, bad, 1), -EPROTO);
		json_decref(good);
		json_decref(bad);
	}
	{
		json_t *good = json_of(ANSWER(0, 0, 0, 0)), *bad = json_of("{'places':[1]}");

		assert_int_equal(ctl_drops_judge(bad, good, 1), -EPROTO);
		json_decref(good);
		json_decref(bad);
	}
}

static void assert_printed(const char *before_text, const char *now_text, double seconds,
			   const char *want)
{
	json_t *before = json_of(before_text), *now = json_of(now_text);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(ctl_drops_judge(now, before, seconds), 0);
	assert_int_equal(ctl_drops_print(out, now), 0);
	(void)fclose(out);
	assert_string_equal(text, want);
	free(text);
	json_decref(before);
	json_decref(now);
}

static void screens(void **state)
{
	(void)state;
	print_message("case: nothing\n");
	assert_printed(ANSWER(0, 0, 0, 0), ANSWER(0, 0, 0, 0), 1,
		       "Engine af_xdp, counted for 60 s, rates over 1.0 s\n"
		       "\n"
		       "   STAGE           PLACE  KIND  COUNT  COUNT/s  WHERE\n"
		       "   interface in                     0        0\n"
		       "   softnet                          0        0\n"
		       "   AF_XDP receive                   0        0\n"
		       "   routing                          0        0\n"
		       "\n"
		       "Nothing is lost, and nothing was since ringwayd started.\n");
	print_message("case: now\n");
	assert_printed(
		ANSWER(1, 0, 0, 0), ANSWER(1, 5, 2000, 1), 2,
		"Engine af_xdp, counted for 60 s, rates over 2.0 s\n"
		"\n"
		"   STAGE           PLACE      KIND  COUNT  COUNT/s  WHERE\n"
		"   interface in    damaged    loss      1        0  ext (rx_crc_errors,rx_errors)\n"
		"   softnet         squeezed   sign      5        3\n"
		">  AF_XDP receive  full       loss   2000     1000  ext queue 0,int queue 1\n"
		"   routing         neighbour  loss      1        1\n"
		"\n"
		"Lost now, first of all at full (AF_XDP receive).\n"
		"Meaning: it means full\n"
		"What to do: mend this and that, but slowly, and with a look at everything that is close to full\n");
	print_message("case: a trickle, and much later\n");
	assert_printed(
		ANSWER(0, 0, 0, 0), ANSWER(2, 0, 500, 0), 1,
		"Engine af_xdp, counted for 60 s, rates over 1.0 s\n"
		"\n"
		"   STAGE           PLACE    KIND  COUNT  COUNT/s  WHERE\n"
		">  interface in    damaged  loss      2        2  ext (rx_crc_errors,rx_errors)\n"
		"   softnet                            0        0\n"
		"   AF_XDP receive  full     loss    500      500  ext queue 0,int queue 1\n"
		"   routing                            0        0\n"
		"\n"
		"Lost now, first of all at damaged (interface in).\n"
		"Meaning: it means damaged\n"
		"What to do: mend this and that, but slowly, and with a look at everything that is close to\n"
		"   damaged\n"
		"\n"
		"By far the most, 100 times as much or more, at full (AF_XDP receive).\n"
		"Meaning: it means full\n"
		"What to do: mend this and that, but slowly, and with a look at everything that is close to full\n");
	print_message("case: earlier\n");
	assert_printed(
		ANSWER(0, 0, 0, 3), ANSWER(0, 0, 0, 3), 1,
		"Engine af_xdp, counted for 60 s, rates over 1.0 s\n"
		"\n"
		"   STAGE           PLACE      KIND  COUNT  COUNT/s  WHERE\n"
		"   interface in                         0        0\n"
		"   softnet                              0        0\n"
		"   AF_XDP receive                       0        0\n"
		"*  routing         neighbour  loss      3        0\n"
		"\n"
		"Nothing is lost now. Since ringwayd started, first of all at neighbour (routing).\n"
		"Meaning: it means neighbour\n"
		"What to do: mend this and that, but slowly, and with a look at everything that is close to\n"
		"   neighbour\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_loses_is_found),
		cmocka_unit_test(other_answers_are_refused),
		cmocka_unit_test(screens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
