/* SPDX-License-Identifier: GPL-2.0-only */
/* A word: 39 bits of tag, 12 of slot, 12 of ticks, 1 proven; 0 is an empty place.
 *
 * All accesses to words are relaxed, and none has a partner: a word is the whole
 * entry, and no other memory is reached by what it says. That an entry is not
 * changed behind the back of who has seen it is compare-and-swap's part. */
#include "affinity.h"

#include <assert.h>

#include "counter.h"
#include "ringway/limits.h"

#define LINE_WORDS	8
#define LINE_SIZE_BYTES (LINE_WORDS * sizeof(uint64_t))

#define PROVEN	    1ull
#define TICKS_SHIFT 1
#define TICKS_MASK  0xfffu
#define SLOT_SHIFT  13
#define SLOT_MASK   0xfffu
#define TAG_SHIFT   25
_Static_assert(BACKEND_COUNT_MAX <= SLOT_MASK + 1, "a slot fits");
_Static_assert(AFFINITY_AGE_MAX_TICKS <= TICKS_MASK / 2, "half of the time to sweep");

/* A thread that was away writes times that are past for others, and reads times
 * that are yet to come: up to this many ticks ahead, an entry is fresh, not old. */
#define TICKS_AHEAD_MAX 8

/* An insertion that loses a race looks again: with more than this many losses in a
 * row, the lines change faster than anything in them could be found. */
#define INSERT_TRIES 8

/* Odd, without pattern: 2^64 divided by the golden ratio. */
#define LINE_MIX 0x9e3779b97f4a7c15ull

/* A key as the words of its lines know it. */
struct key {
	uint64_t tag; /* in place: the bits below TAG_SHIFT are 0 */
	uint64_t *lines[2];
};

/* What a line offers to a key that is to be inserted; word NULL: nothing. */
struct place {
	uint64_t *word;
	uint64_t seen;
};

struct line_view {
	struct place own, vacant, unproven;
	unsigned int vacant_count;
	uint16_t unproven_age; /* of the oldest */
};

static inline uint64_t *line_at(const struct affinity *table, uint64_t uniform)
{
	return &table->words[((uniform >> 32) * table->line_count >> 32) * LINE_WORDS];
}

/* The tag is of the lower bits, the first line of the upper ones, and the second
 * of all of them: it depends neither on the first nor on the tag alone. */
static inline struct key key_of(const struct affinity *table, uint64_t hash)
{
	uint64_t tag = hash << TAG_SHIFT;

	return (struct key){
		.tag = tag ? tag : 1ull << TAG_SHIFT,
		.lines = { line_at(table, hash), line_at(table, hash * LINE_MIX) },
	};
}

static inline uint64_t word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* On failure *seen is what stands there now. */
static inline bool word_swap(uint64_t *word, uint64_t *seen, uint64_t wanted)
{
	return __atomic_compare_exchange_n(word, seen, wanted, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

static inline uint64_t word_make(uint64_t tag, uint16_t slot, uint16_t ticks, bool proven)
{
	return tag | (uint64_t)slot << SLOT_SHIFT | (uint64_t)(ticks & TICKS_MASK) << TICKS_SHIFT |
	       proven;
}

static inline bool word_has_tag(uint64_t word, uint64_t tag)
{
	return !((word ^ tag) >> TAG_SHIFT);
}

static inline uint16_t word_slot(uint64_t word)
{
	return word >> SLOT_SHIFT & SLOT_MASK;
}

static inline uint16_t word_age(uint64_t word, uint16_t now_ticks)
{
	unsigned int age = (now_ticks - (unsigned int)(word >> TICKS_SHIFT)) & TICKS_MASK;

	return age > TICKS_MASK - TICKS_AHEAD_MAX ? 0 : (uint16_t)age;
}

size_t affinity_size(size_t key_count)
{
	size_t line_count = (key_count * 10 + 7 * LINE_WORDS - 1) / (7 * LINE_WORDS);

	return (line_count ? line_count : 1) * LINE_SIZE_BYTES;
}

void affinity_init(struct affinity *table, void *memory, size_t size)
{
	assert((uintptr_t)memory % LINE_SIZE_BYTES == 0);
	assert(size % LINE_SIZE_BYTES == 0);
	assert(size / LINE_SIZE_BYTES > 0);
	assert(size / LINE_SIZE_BYTES <= UINT32_MAX);
	table->words = memory;
	table->line_count = size / LINE_SIZE_BYTES;
}

void affinity_prefetch(const struct affinity *table, uint64_t hash)
{
	struct key key = key_of(table, hash);

	__builtin_prefetch(key.lines[0]);
	__builtin_prefetch(key.lines[1]);
}

typedef uint64_t pair __attribute__((vector_size(16), may_alias));
typedef uint32_t quad __attribute__((vector_size(16)));

/* Words of both lines whose upper half is the tag's, a bit each: 0 to 7 the first
 * line, 8 to 15 the second.
 *
 * A hint, as the language knows no atomic vectors: it names words that are to be
 * read again. 64-bit processors read each aligned half whole; were one torn, a key
 * that is being changed would be overlooked that once. Word by word, a find costs
 * 5 to 10 ns more. */
__attribute__((no_sanitize("thread"))) static inline uint32_t candidates_mark(const struct key *key)
{
#define BITS(n)                                        \
	{                                              \
		1ull << (32 + (n)), 2ull << (32 + (n)) \
	} /* none where the lower half is */
	static const pair bits[LINE_WORDS] = { BITS(0), BITS(2),  BITS(4),  BITS(6),
					       BITS(8), BITS(10), BITS(12), BITS(14) };
#undef BITS
	const volatile pair *first = (const volatile pair *)key->lines[0];
	const volatile pair *second = (const volatile pair *)key->lines[1];
	const quad tag = (quad)(pair){ key->tag, key->tag };
	pair marks = { 0, 0 };

#pragma GCC unroll 4
	for (int i = 0; i < LINE_WORDS / 2; i++) {
		marks |= (pair)((quad)first[i] == tag) & bits[i];
		marks |= (pair)((quad)second[i] == tag) & bits[LINE_WORDS / 2 + i];
	}
	return (uint32_t)((marks[0] | marks[1]) >> 32);
}

bool affinity_find(const struct affinity *table, uint64_t hash, uint16_t now_ticks,
		   uint16_t max_age_ticks, struct affinity_entry *ret_entry)
{
	struct key key = key_of(table, hash);

	for (uint32_t marks = candidates_mark(&key); marks; marks &= marks - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(marks);
		uint64_t *word = &key.lines[i / LINE_WORDS][i % LINE_WORDS];
		uint64_t seen = word_load(word);
		uint16_t age = word_age(seen, now_ticks);

		if (!word_has_tag(seen, key.tag) || age > max_age_ticks)
			continue;
		*ret_entry = (struct affinity_entry){ .word = word,
						      .seen = seen,
						      .slot = word_slot(seen),
						      .age_ticks = age,
						      .proven = seen & PROVEN };
		return true;
	}
	return false;
}

static struct line_view line_look(uint64_t *line, uint64_t tag, uint16_t now_ticks,
				  uint16_t max_age_ticks)
{
	struct line_view view = { 0 };

	for (int i = 0; i < LINE_WORDS; i++) {
		struct place place = { &line[i], word_load(&line[i]) };
		uint16_t age = word_age(place.seen, now_ticks);

		if (word_has_tag(place.seen, tag) && !view.own.word)
			view.own = place;
		if (!place.seen || age > max_age_ticks) {
			view.vacant_count++;
			view.vacant = place;
		} else if (!(place.seen & PROVEN) &&
			   (!view.unproven.word || age > view.unproven_age)) {
			view.unproven = place;
			view.unproven_age = age;
		}
	}
	return view;
}

/* The place that is to be taken, word NULL if there is none. */
static struct place place_choose(const struct key *key, uint16_t now_ticks, uint16_t max_age_ticks)
{
	struct line_view first = line_look(key->lines[0], key->tag, now_ticks, max_age_ticks);
	struct line_view second = line_look(key->lines[1], key->tag, now_ticks, max_age_ticks);

	if (first.own.word)
		return first.own;
	if (second.own.word)
		return second.own;
	if (first.vacant_count || second.vacant_count)
		return second.vacant_count > first.vacant_count ? second.vacant : first.vacant;
	if (!first.unproven.word)
		return second.unproven;
	if (!second.unproven.word)
		return first.unproven;
	return second.unproven_age > first.unproven_age ? second.unproven : first.unproven;
}

bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot, bool proven,
		     uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats)
{
	struct key key = key_of(table, hash);
	uint64_t wanted = word_make(key.tag, slot, now_ticks, proven);

	assert(slot < BACKEND_COUNT_MAX);
	for (int i = 0; i < INSERT_TRIES; i++) {
		struct place place = place_choose(&key, now_ticks, max_age_ticks);
		uint16_t age = word_age(place.seen, now_ticks);
		bool is_own = word_has_tag(place.seen, key.tag);

		if (!place.word)
			break;
		if (is_own && !age) /* not found a moment ago */
			return true;
		if (!word_swap(place.word, &place.seen, wanted))
			continue;
		counter_add(&stats->inserted, 1);
		counter_add(&stats->evicted, place.seen && !is_own && age <= max_age_ticks);
		return true;
	}
	counter_add(&stats->refused, 1);
	return false;
}

/* Who was faster has made it fresh as well, or has taken it away. If it was proven
 * here and only touched there, its next datagram will prove it. */
void affinity_touch(const struct affinity_entry *entry, bool proven, uint16_t now_ticks)
{
	uint64_t seen = entry->seen, wanted = seen | proven;

	if (word_age(seen, now_ticks))
		wanted = word_make(seen >> TAG_SHIFT << TAG_SHIFT, word_slot(seen), now_ticks,
				   wanted & PROVEN);
	if (wanted != seen)
		(void)word_swap(entry->word, &seen, wanted);
}

bool affinity_replace(const struct affinity_entry *entry, uint16_t slot, uint16_t now_ticks)
{
	uint64_t seen = entry->seen;

	assert(slot < BACKEND_COUNT_MAX);
	return word_swap(entry->word, &seen,
			 word_make(seen >> TAG_SHIFT << TAG_SHIFT, slot, now_ticks, seen & PROVEN));
}

/* True: an entry is left. The loop ends: what is touched meanwhile is not old any
 * more, and an entry of a void slot is touched at most twice a tick. */
static bool word_sweep(uint64_t *word, uint16_t now_ticks, uint16_t max_age_ticks,
		       const bool *void_slots)
{
	uint64_t seen = word_load(word);

	while (seen) {
		bool is_old = word_age(seen, now_ticks) > max_age_ticks;

		if (!is_old && !(void_slots && void_slots[word_slot(seen)]))
			return true;
		if (word_swap(word, &seen, 0))
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
	for (uint64_t i = first * LINE_WORDS; i < (first + count) * LINE_WORDS; i++)
		left += word_sweep(&table->words[i], now_ticks, max_age_ticks, void_slots);
	return left;
}
