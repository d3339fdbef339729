/* SPDX-License-Identifier: GPL-2.0-only */
/* bisect.h - which rate to try next, in the search for the highest at which nothing is
 * lost: first the maximum, then halves between what passed and what failed, in the end
 * the winner again. Pure: it runs no trial; one thread.
 *
 * A rate that fails when it is repeated has failed: the search goes on below it. */
#ifndef RINGWAY_LOAD_BISECT_H
#define RINGWAY_LOAD_BISECT_H

#include <stdbool.h>
#include <stdint.h>

/* A search between 1 and 2^32 to a resolution of 1 takes 34 and the confirmations. */
#define LOAD_BISECT_TRIAL_COUNT_MAX 64

struct load_bisect {
	uint64_t minimum, maximum; /* 1 <= minimum <= maximum */
	uint64_t resolution;	   /* at least 1: between the winner and what failed, at most */
	uint32_t confirmations;	   /* of the winner, beyond its first trial */

	/* Zeros at the beginning; not for the caller. */
	uint64_t failed;			      /* the lowest that did; 0: none */
	uint64_t passed[LOAD_BISECT_TRIAL_COUNT_MAX]; /* all below that, ascending */
	uint32_t passed_count;
	uint32_t repeats; /* how often the last of those passed again */
	uint32_t trial_count;
};

/* The rate of the next trial, 0 when the search is over. Each answer is to be followed by
 * load_bisect_note() of how that trial ended. */
uint64_t load_bisect_next(const struct load_bisect *bisect);
void load_bisect_note(struct load_bisect *bisect, uint64_t rate, bool has_passed);

/* The highest rate that passed and has not failed; 0: none. */
uint64_t load_bisect_winner(const struct load_bisect *bisect);

/* Whether the winner passed as often as it should: false where trials ran out. */
bool load_bisect_is_confirmed(const struct load_bisect *bisect);

#endif
