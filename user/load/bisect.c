/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/bisect.h"

uint64_t load_bisect_winner(const struct load_bisect *bisect)
{
	return bisect->passed_count ? bisect->passed[bisect->passed_count - 1] : 0;
}

static bool is_found(const struct load_bisect *bisect)
{
	uint64_t winner = load_bisect_winner(bisect);

	return winner && (winner == bisect->maximum ||
			  (bisect->failed && bisect->failed - winner <= bisect->resolution));
}

bool load_bisect_is_confirmed(const struct load_bisect *bisect)
{
	return is_found(bisect) && bisect->repeats >= bisect->confirmations;
}

uint64_t load_bisect_next(const struct load_bisect *bisect)
{
	uint64_t winner = load_bisect_winner(bisect), from = winner ? winner : bisect->minimum;

	if (bisect->trial_count >= LOAD_BISECT_TRIAL_COUNT_MAX ||
	    load_bisect_is_confirmed(bisect) ||
	    (bisect->failed && bisect->failed <= bisect->minimum))
		return 0;
	if (!bisect->failed && !winner)
		return bisect->maximum;
	if (is_found(bisect))
		return winner;
	if (bisect->failed - from <= bisect->resolution)
		return bisect->minimum; /* nothing above has passed */
	return from + (bisect->failed - from) / 2;
}

void load_bisect_note(struct load_bisect *bisect, uint64_t rate, bool has_passed)
{
	bisect->trial_count++;
	if (has_passed && rate == load_bisect_winner(bisect)) {
		bisect->repeats++;
		return;
	}
	bisect->repeats = 0;
	if (has_passed) {
		bisect->passed[bisect->passed_count++] = rate;
		return;
	}
	bisect->failed = rate;
	while (bisect->passed_count && bisect->passed[bisect->passed_count - 1] >= rate)
		bisect->passed_count--;
}
