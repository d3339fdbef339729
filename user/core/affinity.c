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

/* A word of a key's lines, and what stood there. */
struct place {
	uint64_t *word; /* NULL: none */
	uint64_t seen;
};

static struct place place_at(const struct affinity_key *key, int i)
{
	uint64_t *word = affinity_key_word(key, i);

	return (struct place){ word, affinity_word_load(word) };
}

/* Of words that are all live; none if all are proven. */
static struct place place_of_oldest(const struct affinity_key *key, uint16_t now_ticks)
{
	struct place oldest = { 0 };
	int oldest_age = -1;

	for (int i = 0; i < AFFINITY_KEY_WORDS; i++) {
		struct place place = place_at(key, i);
		int age = place.seen & AFFINITY_PROVEN ? -1
						       : affinity_word_age(place.seen, now_ticks);

		oldest = age > oldest_age ? place : oldest;
		oldest_age = age > oldest_age ? age : oldest_age;
	}
	return oldest;
}

/* word_is_vacant() of the words of both lines, a bit each: a hint, as
 * affinity_candidates() is. One by one takes four times the instructions. */
__attribute__((no_sanitize("thread"))) static uint32_t
words_vacant(const struct affinity_key *key, uint16_t now_ticks, uint16_t max_age_ticks)
{
	typedef int32_t distances __attribute__((vector_size(16)));
	const int32_t ahead = AFFINITY_TICKS_MASK - AFFINITY_TICKS_AHEAD_MAX;
	affinity_quad marks = { 0 }, bits = { 1, 2, 4, 8 };

#pragma GCC unroll 4
	for (int i = 0; i < AFFINITY_KEY_WORDS; i += 4) {
		const volatile affinity_pair *words =
			(const volatile affinity_pair *)affinity_key_word(key, i);
		affinity_quad a = (affinity_quad)words[0], b = (affinity_quad)words[1];
		affinity_quad low = __builtin_shufflevector(a, b, 0, 2, 4, 6);
		affinity_quad high = __builtin_shufflevector(a, b, 1, 3, 5, 7);
		distances distance = (distances)((now_ticks - (low >> AFFINITY_TICKS_SHIFT)) &
						 AFFINITY_TICKS_MASK);
		distances is_old = (distance > max_age_ticks) & (distance <= ahead);

		marks |= (affinity_quad)(is_old | ((low | high) == 0)) & bits;
		bits <<= 4;
	}
	return marks[0] | marks[1] | marks[2] | marks[3];
}

/* Are more bits set in the second byte than in the first? Both are counted at once. */
static bool second_has_more(uint32_t bits)
{
	bits -= bits >> 1 & 0x5555;
	bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
	bits = (bits + (bits >> 4)) & 0x0f0f;
	return bits >> 8 > (bits & 0xff);
}

/* That of a stranger. */
static struct place place_choose(const struct affinity_key *key, uint16_t now_ticks,
				 uint16_t max_age_ticks)
{
	uint32_t vacant = words_vacant(key, now_ticks, max_age_ticks);

	_Static_assert(AFFINITY_LINE_WORDS == 8, "a line is a byte");
	if (second_has_more(vacant))
		vacant &= 0xff00;
	for (; vacant; vacant &= vacant - 1) {
		struct place place = place_at(key, __builtin_ctz(vacant));

		if (word_is_vacant(place.seen, now_ticks, max_age_ticks))
			return place;
	}
	return place_of_oldest(key, now_ticks);
}

/* The key's own, however old. */
static struct place place_own(const struct affinity_key *key)
{
	for (uint32_t marks = affinity_candidates(key); marks; marks &= marks - 1) {
		struct place place = place_at(key, __builtin_ctz(marks));

		if (affinity_word_has_tag(place.seen, key->tag))
			return place;
	}
	return (struct place){ 0 };
}

bool affinity_insert_at(const struct affinity_key *key, uint16_t slot, bool proven,
			uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats)
{
	uint64_t wanted = affinity_word_make(key->tag, slot, now_ticks, proven);

	assert(slot < BACKEND_COUNT_MAX);
	for (int try = 0; try < INSERT_TRIES; try++) {
		struct place place = place_own(key);
		bool is_own = place.word, is_evicted;

		if (is_own && !affinity_word_age(place.seen, now_ticks))
			return true; /* and was not found a moment ago */
		if (!is_own)
			place = place_choose(key, now_ticks, max_age_ticks);
		if (!place.word)
			break;
		is_evicted = !is_own && !word_is_vacant(place.seen, now_ticks, max_age_ticks);
		if (!affinity_word_swap(place.word, &place.seen, wanted))
			continue;
		counter_add(&stats->inserted, 1);
		counter_add(&stats->evicted, is_evicted);
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
