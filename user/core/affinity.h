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

/* Bytes of memory for key_count keys at a load of at most 0.7; a multiple of 64. */
size_t affinity_size(size_t key_count);

/* memory: size bytes of zeros on a cache line, the caller's, for as long as the
 * table is used. size: a multiple of 64, not 0, below 2^38. */
void affinity_init(struct affinity *table, void *memory, size_t size);

/* Ask for both lines of a key. hash: uniform in all 64 bits. Hot. */
void affinity_prefetch(const struct affinity *table, uint64_t hash);

/* False: not there, *ret_entry untouched. An entry older than max_age_ticks (at
 * most AFFINITY_AGE_MAX_TICKS) is not there. Hot: two cache lines. */
bool affinity_find(const struct affinity *table, uint64_t hash, uint16_t now_ticks,
		   uint16_t max_age_ticks, struct affinity_entry *ret_entry);

/* Insert a key that affinity_find() has just not found. Takes the key's own place
 * if it is still there, too old; then an empty one, or that of an entry older than
 * max_age_ticks, in the emptier line; then that of the oldest unproven entry;
 * otherwise false. True without a change if another thread has just inserted the
 * key. max_age_ticks: an entry does not say whose it is, so give the longest that
 * any caller of affinity_find() goes by. slot: below BACKEND_COUNT_MAX. Hot. */
bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot, bool proven,
		     uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats);

/* Make the entry fresh, and proven if `proven`. Stores only what changes, and
 * nothing if somebody else has changed the entry meanwhile. Hot. */
void affinity_touch(const struct affinity_entry *entry, bool proven, uint16_t now_ticks);

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

#endif
