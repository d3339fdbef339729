/* SPDX-License-Identifier: GPL-2.0-only */
/* affinity.h - which backend a connection belongs to, by a hash of what it is
 * known by: one table for 4-tuples, one for Connection IDs.
 *
 * Shared by all workers, lock-free: what one learns, all find, because answers
 * and moved clients arrive on other queues. One 64-bit word an entry, eight to a
 * cache line, two candidate lines a key; both are prefetched. Keys are compared
 * by their hash alone: 39 bits of tag and the line. In a full table, a stranger is
 * taken for one of the keys once in 5 * 10^10 look-ups; a pair of keys is one to
 * the table once in 2^55 with a million keys, in 2^58 with ten. Time is coarse, so
 * that a busy entry is written once a tick and its line stays shared in between.
 *
 * Nothing is ordered by an entry: it is whole in its word, and names a slot that
 * the reader must look for in the tables it holds itself. Two threads that insert
 * one key at the same moment may leave it twice; all find the same one of them.
 * Pure: memory and clock come from the caller. */
#ifndef RINGWAY_CORE_AFFINITY_H
#define RINGWAY_CORE_AFFINITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One tick of an entry's time. 12 bits of them go round in 4.5 hours, and what was
 * not swept would then look fresh again: the longest age leaves half of that for it. */
#define AFFINITY_TICK_MS       4000
#define AFFINITY_AGE_MAX_TICKS 2047

static inline uint16_t affinity_ticks(uint64_t now_ms)
{
	return (uint16_t)(now_ms / AFFINITY_TICK_MS & 0xfff);
}

/* One writer a field, read with counter_read(); a worker each. */
struct affinity_stats {
	uint64_t inserted;
	uint64_t evicted; /* unproven, live entries that gave their place */
	uint64_t refused; /* both lines full of proven, live entries */
};

struct affinity {
	uint64_t *words; /* line_count * 8, on a cache line */
	uint64_t line_count;
};

/* An entry as found. word is where it lies, seen is what stood there. */
struct affinity_entry {
	uint64_t *word;
	uint64_t seen;
	uint16_t slot;
	uint16_t age_ticks;
	bool proven;
};

/* A key as the words of its lines know it. */
struct affinity_key {
	uint64_t tag; /* in place: the bits below AFFINITY_TAG_SHIFT are 0 */
	uint64_t *lines[2];
};

/* Bytes of memory for key_count keys at a load of at most 0.7; a multiple of 64. */
size_t affinity_size(size_t key_count);

/* memory: size bytes of zeros on a cache line, the caller's, for as long as the
 * table is used. size: a multiple of 64, not 0, below 2^38. */
void affinity_init(struct affinity *table, void *memory, size_t size);

/* Ask for both lines of a key, and say where they are. hash: uniform in all 64 bits.
 * Hot. */
static inline struct affinity_key affinity_prefetch(const struct affinity *table, uint64_t hash);

/* False: not there, *ret_entry untouched. An entry older than max_age_ticks (at
 * most AFFINITY_AGE_MAX_TICKS) is not there. Hot: two cache lines. */
static inline bool affinity_find(const struct affinity *table, uint64_t hash, uint16_t now_ticks,
				 uint16_t max_age_ticks, struct affinity_entry *ret_entry);

/* The same where affinity_prefetch() has been. */
static inline bool affinity_find_at(const struct affinity_key *key, uint16_t now_ticks,
				    uint16_t max_age_ticks, struct affinity_entry *ret_entry);

/* Insert a key that affinity_find() has just not found. Takes the key's own place
 * if it is still there, too old; then an empty one, or that of an entry older than
 * max_age_ticks, in the emptier line; then that of the oldest unproven entry;
 * otherwise false. True without a change if another thread has just inserted the
 * key. max_age_ticks: an entry does not say whose it is, so give the longest that
 * any caller of affinity_find() goes by. slot: below BACKEND_COUNT_MAX. Hot. */
static inline bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot,
				   bool proven, uint16_t now_ticks, uint16_t max_age_ticks,
				   struct affinity_stats *stats);

/* The same where affinity_prefetch() has been. */
bool affinity_insert_at(const struct affinity_key *key, uint16_t slot, bool proven,
			uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats);

/* Make the entry fresh, and proven if `proven`. Stores only what changes, and
 * nothing if somebody else has changed the entry meanwhile. Hot. */
static inline void affinity_touch(const struct affinity_entry *entry, bool proven,
				  uint16_t now_ticks);

/* Proven, and fresh: affinity_touch() would leave it as it is. Hot. */
static inline bool affinity_is_settled(const struct affinity_entry *entry, uint16_t now_ticks);

/* Give the entry to another backend, fresh; proven is kept. False: somebody else
 * has changed it meanwhile. Hot. */
bool affinity_replace(const struct affinity_entry *entry, uint16_t slot, uint16_t now_ticks);

/* Void what is older than max_age_ticks, or belongs to a slot of which
 * void_slots[slot] is true (BACKEND_COUNT_MAX of them; NULL: none), in lines
 * [first, first + count). Returns the live entries left. A slot is free when all
 * lines have been swept after the last worker that could give it out has passed a
 * quiescent point. max_age_ticks: as for affinity_insert(). Control; any thread,
 * beside workers. */
size_t affinity_sweep(struct affinity *table, uint64_t first, uint64_t count, uint16_t now_ticks,
		      uint16_t max_age_ticks, const bool *void_slots);

/* --- How it is done: inlined, as a call costs a fifth of a find ---
 *
 * A word: 39 bits of tag, 12 of slot, 12 of ticks, 1 proven; 0 is an empty place.
 * Atomic accesses are relaxed, and none has a partner: a word is the whole
 * entry, and no other memory is reached by what it says. That an entry is not
 * changed behind the back of who has seen it is compare-and-swap's part. */

#define AFFINITY_LINE_WORDS	 8
#define AFFINITY_LINE_SIZE_BYTES (AFFINITY_LINE_WORDS * sizeof(uint64_t))
#define AFFINITY_KEY_WORDS	 (2 * AFFINITY_LINE_WORDS)

#define AFFINITY_PROVEN	     1ull
#define AFFINITY_TICKS_SHIFT 1
#define AFFINITY_TICKS_MASK  0xfffu
#define AFFINITY_SLOT_SHIFT  13
#define AFFINITY_SLOT_MASK   0xfffu
#define AFFINITY_TAG_SHIFT   25

/* A thread that was away writes times that are past for others, and reads times
 * that are yet to come: up to this many ticks ahead, an entry is fresh, not old. */
#define AFFINITY_TICKS_AHEAD_MAX 8

/* Odd, without pattern: 2^64 divided by the golden ratio. */
#define AFFINITY_LINE_MIX 0x9e3779b97f4a7c15ull

static inline uint64_t *affinity_line(const struct affinity *table, uint64_t uniform)
{
	return &table->words[((uniform >> 32) * table->line_count >> 32) * AFFINITY_LINE_WORDS];
}

/* The tag is of the lower bits, the first line of the upper ones, and the second
 * of all of them: it depends neither on the first nor on the tag alone. */
static inline struct affinity_key affinity_key(const struct affinity *table, uint64_t hash)
{
	uint64_t tag = hash << AFFINITY_TAG_SHIFT;

	return (struct affinity_key){
		.tag = tag ? tag : 1ull << AFFINITY_TAG_SHIFT,
		.lines = { affinity_line(table, hash),
			   affinity_line(table, hash * AFFINITY_LINE_MIX) },
	};
}

/* Another key, in the lines of this one. */
static inline struct affinity_key affinity_key_twin(const struct affinity_key *key)
{
	uint64_t tag = ~(key->tag | ((1ull << AFFINITY_TAG_SHIFT) - 1));

	return (struct affinity_key){
		.tag = tag ? tag : 1ull << AFFINITY_TAG_SHIFT,
		.lines = { key->lines[0], key->lines[1] },
	};
}

/* Of both lines: 0 to 7 the first, 8 to 15 the second. */
static inline uint64_t *affinity_key_word(const struct affinity_key *key, int i)
{
	uint64_t *line =
		i < AFFINITY_LINE_WORDS ? key->lines[0] : key->lines[1] - AFFINITY_LINE_WORDS;

	return &line[i];
}

static inline uint64_t affinity_word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* On failure *seen is what stands there now. */
static inline bool affinity_word_swap(uint64_t *word, uint64_t *seen, uint64_t wanted)
{
	return __atomic_compare_exchange_n(word, seen, wanted, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

static inline uint64_t affinity_word_make(uint64_t tag, uint16_t slot, uint16_t ticks, bool proven)
{
	return tag | (uint64_t)slot << AFFINITY_SLOT_SHIFT |
	       (uint64_t)(ticks & AFFINITY_TICKS_MASK) << AFFINITY_TICKS_SHIFT | proven;
}

static inline bool affinity_word_has_tag(uint64_t word, uint64_t tag)
{
	return !((word ^ tag) >> AFFINITY_TAG_SHIFT);
}

static inline uint16_t affinity_word_slot(uint64_t word)
{
	return word >> AFFINITY_SLOT_SHIFT & AFFINITY_SLOT_MASK;
}

/* On the circle, so that what is ahead is almost a round old. */
static inline unsigned int affinity_word_distance(uint64_t word, uint16_t now_ticks)
{
	return (now_ticks - (unsigned int)(word >> AFFINITY_TICKS_SHIFT)) & AFFINITY_TICKS_MASK;
}

static inline uint16_t affinity_word_age(uint64_t word, uint16_t now_ticks)
{
	unsigned int distance = affinity_word_distance(word, now_ticks);

	return distance > AFFINITY_TICKS_MASK - AFFINITY_TICKS_AHEAD_MAX ? 0 : (uint16_t)distance;
}

/* affinity_word_age() > max_age_ticks, without a branch that nobody could predict. */
static inline bool affinity_word_is_old(uint64_t word, uint16_t now_ticks, uint16_t max_age_ticks)
{
	return affinity_word_distance(word, now_ticks) - max_age_ticks - 1u <
	       AFFINITY_TICKS_MASK - AFFINITY_TICKS_AHEAD_MAX - max_age_ticks;
}

/* always_inline: gcc takes a function that only prefetches for one without effect,
 * and drops calls that it has not inlined by then. */
__attribute__((always_inline)) static inline void
affinity_prefetch_at(const struct affinity_key *key)
{
	__builtin_prefetch(key->lines[0]);
	__builtin_prefetch(key->lines[1]);
}

__attribute__((always_inline)) static inline struct affinity_key
affinity_prefetch(const struct affinity *table, uint64_t hash)
{
	struct affinity_key key = affinity_key(table, hash);

	affinity_prefetch_at(&key);
	return key;
}

typedef uint64_t affinity_pair __attribute__((vector_size(16)));
typedef uint32_t affinity_quad __attribute__((vector_size(16), may_alias));

/* Words of both lines whose upper half is the tag's, a bit each, in the order of
 * affinity_key_word().
 *
 * A hint, as the language knows no atomic vectors: it names words that are to be
 * read again. 64-bit processors read each aligned half whole; were one torn, a key
 * that is being changed would be overlooked that once. Word by word, a find costs
 * 5 to 10 ns more. */
__attribute__((no_sanitize("thread"))) static inline uint32_t
affinity_candidates(const struct affinity_key *key)
{
#define BITS(n)                                            \
	{                                                  \
		1u << (n), 2u << (n), 4u << (n), 8u << (n) \
	}
	static const affinity_quad bits[AFFINITY_KEY_WORDS / 4] = { BITS(0), BITS(4), BITS(8),
								    BITS(12) };
#undef BITS
	const uint32_t upper = (uint32_t)(key->tag >> 32);
	const affinity_quad tag = { upper, upper, upper, upper };
	affinity_quad marks = { 0, 0, 0, 0 };
	affinity_pair pair;

#pragma GCC unroll 4
	for (int i = 0; i < AFFINITY_KEY_WORDS / 4; i++) {
		const volatile affinity_quad *words =
			(const volatile affinity_quad *)affinity_key_word(key, 4 * i);

		marks |= (affinity_quad)(__builtin_shufflevector(words[0], words[1], 1, 3, 5, 7) ==
					 tag) &
			 bits[i];
	}
	pair = (affinity_pair)marks;
	pair[0] |= pair[1];
	return (uint32_t)(pair[0] | pair[0] >> 32);
}

static inline bool affinity_find_at(const struct affinity_key *key, uint16_t now_ticks,
				    uint16_t max_age_ticks, struct affinity_entry *ret_entry)
{
	for (uint32_t marks = affinity_candidates(key); marks; marks &= marks - 1) {
		uint64_t *word = affinity_key_word(key, __builtin_ctz(marks));
		uint64_t seen = affinity_word_load(word);
		uint16_t age_ticks = affinity_word_age(seen, now_ticks);

		if (!affinity_word_has_tag(seen, key->tag) || age_ticks > max_age_ticks)
			continue;
		*ret_entry = (struct affinity_entry){ .word = word,
						      .seen = seen,
						      .slot = affinity_word_slot(seen),
						      .age_ticks = age_ticks,
						      .proven = seen & AFFINITY_PROVEN };
		return true;
	}
	return false;
}

static inline bool affinity_find(const struct affinity *table, uint64_t hash, uint16_t now_ticks,
				 uint16_t max_age_ticks, struct affinity_entry *ret_entry)
{
	struct affinity_key key = affinity_key(table, hash);

	return affinity_find_at(&key, now_ticks, max_age_ticks, ret_entry);
}

static inline bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot,
				   bool proven, uint16_t now_ticks, uint16_t max_age_ticks,
				   struct affinity_stats *stats)
{
	struct affinity_key key = affinity_key(table, hash);

	return affinity_insert_at(&key, slot, proven, now_ticks, max_age_ticks, stats);
}

static inline bool affinity_is_settled(const struct affinity_entry *entry, uint16_t now_ticks)
{
	const uint64_t settled = (uint64_t)now_ticks << AFFINITY_TICKS_SHIFT | AFFINITY_PROVEN;
	const uint64_t mask = AFFINITY_TICKS_MASK << AFFINITY_TICKS_SHIFT | AFFINITY_PROVEN;

	return !((entry->seen ^ settled) & mask);
}

/* Who was faster has made it fresh as well, or has taken it away. If it was proven
 * here and only touched there, its next datagram will prove it. */
static inline void affinity_touch(const struct affinity_entry *entry, bool proven,
				  uint16_t now_ticks)
{
	uint64_t seen = entry->seen, wanted = seen | proven;

	if (affinity_word_age(seen, now_ticks))
		wanted = affinity_word_make(seen >> AFFINITY_TAG_SHIFT << AFFINITY_TAG_SHIFT,
					    affinity_word_slot(seen), now_ticks,
					    wanted & AFFINITY_PROVEN);
	if (wanted != seen)
		(void)affinity_word_swap(entry->word, &seen, wanted);
}

#endif
