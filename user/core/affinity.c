/* SPDX-License-Identifier: GPL-2.0-only */
/* What of affinity.h is not so hot that it must be inlined. */
#include "affinity.h"

#include <assert.h>

#include "counter.h"
#include "ringway/limits.h"

_Static_assert(BACKEND_COUNT_MAX <= AFFINITY_SLOT_MASK + 1, "a slot fits");
_Static_assert(AFFINITY_AGE_MAX_TICKS <= AFFINITY_TICKS_MASK / 2, "half of the time to sweep");

/* An insertion that loses a race looks again: with more than this many losses in a
 * row, the lines change faster than anything in them could be found. */
#define INSERT_TRIES 8

static inline bool word_is_vacant(uint64_t word, uint16_t now_ticks, uint16_t max_age_ticks)
{
	return !word | affinity_word_is_old(word, now_ticks, max_age_ticks);
}

size_t affinity_size(size_t key_count)
{
	size_t line_count =
		(key_count * 10 + 7 * AFFINITY_LINE_WORDS - 1) / (7 * AFFINITY_LINE_WORDS);

	return (line_count ? line_count : 1) * AFFINITY_LINE_SIZE_BYTES;
}

void affinity_init(struct affinity *table, void *memory, size_t size)
{
	assert((uintptr_t)memory % AFFINITY_LINE_SIZE_BYTES == 0);
	assert(size % AFFINITY_LINE_SIZE_BYTES == 0);
	assert(size / AFFINITY_LINE_SIZE_BYTES > 0);
	assert(size / AFFINITY_LINE_SIZE_BYTES <= UINT32_MAX);
	table->words = memory;
	table->line_count = size / AFFINITY_LINE_SIZE_BYTES;
}

/* Of words that are all live; -1: all are proven. */
static int unproven_oldest(const uint64_t words[AFFINITY_KEY_WORDS], uint16_t now_ticks)
{
	int oldest = -1, oldest_age = -1;

	for (int i = 0; i < AFFINITY_KEY_WORDS; i++) {
		int age = words[i] & AFFINITY_PROVEN ? -1 : affinity_word_age(words[i], now_ticks);

		oldest = age > oldest_age ? i : oldest;
		oldest_age = age > oldest_age ? age : oldest_age;
	}
	return oldest;
}

/* Which of the words of both lines is to give its place; -1: none. Who is vacant
 * cannot be predicted, so it is counted before it is branched on. */
static int place_choose(const uint64_t words[AFFINITY_KEY_WORDS], uint16_t now_ticks,
			uint16_t max_age_ticks)
{
	unsigned int vacant = 0, vacant_counts[2] = { 0 };

#pragma GCC unroll 16
	for (int i = 0; i < AFFINITY_KEY_WORDS; i++) {
		bool is_vacant = word_is_vacant(words[i], now_ticks, max_age_ticks);

		vacant |= (unsigned int)is_vacant << i;
		vacant_counts[i / AFFINITY_LINE_WORDS] += is_vacant;
	}
	if (!vacant)
		return unproven_oldest(words, now_ticks);
	if (vacant_counts[1] > vacant_counts[0])
		vacant = vacant >> AFFINITY_LINE_WORDS << AFFINITY_LINE_WORDS;
	return __builtin_ctz(vacant);
}

/* The key's own word, however old; -1: it has none. */
static int place_own(const struct affinity_key *key, const uint64_t words[AFFINITY_KEY_WORDS])
{
	for (uint32_t marks = affinity_candidates(key); marks; marks &= marks - 1)
		if (affinity_word_has_tag(words[__builtin_ctz(marks)], key->tag))
			return __builtin_ctz(marks);
	return -1;
}

bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot, bool proven,
		     uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats)
{
	struct affinity_key key = affinity_key(table, hash);
	uint64_t wanted = affinity_word_make(key.tag, slot, now_ticks, proven);

	assert(slot < BACKEND_COUNT_MAX);
	for (int try = 0; try < INSERT_TRIES; try++) {
		uint64_t words[AFFINITY_KEY_WORDS], seen;
		int own, i;

#pragma GCC unroll 16
		for (i = 0; i < AFFINITY_KEY_WORDS; i++)
			words[i] = affinity_word_load(affinity_key_word(&key, i));
		own = place_own(&key, words);
		if (own >= 0 && !affinity_word_age(words[own], now_ticks))
			return true; /* and was not found a moment ago */
		i = own >= 0 ? own : place_choose(words, now_ticks, max_age_ticks);
		if (i < 0)
			break;
		seen = words[i];
		if (!affinity_word_swap(affinity_key_word(&key, i), &seen, wanted))
			continue;
		counter_add(&stats->inserted, 1);
		counter_add(&stats->evicted,
			    own < 0 && !word_is_vacant(seen, now_ticks, max_age_ticks));
		return true;
	}
	counter_add(&stats->refused, 1);
	return false;
}

bool affinity_replace(const struct affinity_entry *entry, uint16_t slot, uint16_t now_ticks)
{
	uint64_t seen = entry->seen;

	assert(slot < BACKEND_COUNT_MAX);
	return affinity_word_swap(
		entry->word, &seen,
		affinity_word_make(seen >> AFFINITY_TAG_SHIFT << AFFINITY_TAG_SHIFT, slot,
				   now_ticks, seen & AFFINITY_PROVEN));
}

/* True: an entry is left. The loop ends: what is touched meanwhile is not old any
 * more, and an entry of a void slot is touched at most twice a tick. */
static bool word_sweep(uint64_t *word, uint16_t now_ticks, uint16_t max_age_ticks,
		       const bool *void_slots)
{
	uint64_t seen = affinity_word_load(word);

	while (seen) {
		if (!affinity_word_is_old(seen, now_ticks, max_age_ticks) &&
		    !(void_slots && void_slots[affinity_word_slot(seen)]))
			return true;
		if (affinity_word_swap(word, &seen, 0))
			return false;
	}
	return false;
}

size_t affinity_sweep(struct affinity *table, uint64_t first, uint64_t count, uint16_t now_ticks,
		      uint16_t max_age_ticks, const bool *void_slots)
{
	size_t left = 0;

	assert(first <= table->line_count);
	assert(count <= table->line_count - first);
	for (uint64_t i = first * AFFINITY_LINE_WORDS; i < (first + count) * AFFINITY_LINE_WORDS;
	     i++)
		left += word_sweep(&table->words[i], now_ticks, max_age_ticks, void_slots);
	return left;
}
