/* SPDX-License-Identifier: GPL-2.0-only */
/* affinity.h - which backend a connection belongs to, by a hash of what it is
 * known by: one table for 4-tuples, one for Connection IDs.
 *
 * Shared by all workers, lock-free: what one learns, all find, because answers
 * and moved clients arrive on other queues. One 64-bit word an entry, eight to a
 * cache line, two candidate lines a key; both are prefetched. Keys are compared
 * by their hash alone: 39 bits of tag and the line, some 59 bits at the smallest
 * useful size. Time is coarse, so that a busy entry is written once a tick and
 * its line stays shared in between. Pure: memory and clock come from the caller. */
#ifndef RINGWAY_CORE_AFFINITY_H
#define RINGWAY_CORE_AFFINITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One tick of an entry's time. 12 bits of them go round in 4.5 hours: what is
 * older than half of that must have been swept. */
#define AFFINITY_TICK_MS       4000
#define AFFINITY_AGE_MAX_TICKS 2047

static inline uint16_t affinity_ticks(uint64_t now_ms)
{
	return (uint16_t)(now_ms / AFFINITY_TICK_MS & 0xfff);
}

/* One writer a field, read with counter_read(); a worker each. */
struct affinity_stats {
	uint64_t inserted, evicted, refused; /* refused: both lines full of proven, live entries */
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
 * table is used. */
void affinity_init(struct affinity *table, void *memory, size_t size);

/* Ask for both lines of a key. Hot. */
void affinity_prefetch(const struct affinity *table, uint64_t hash);

/* False: not there, *ret_entry untouched. An entry older than max_age_ticks is not
 * there. Hot: two cache lines. */
bool affinity_find(const struct affinity *table, uint64_t hash, uint16_t now_ticks,
		   uint16_t max_age_ticks, struct affinity_entry *ret_entry);

/* Insert a key that affinity_find() has just not found. Takes an empty place, or
 * that of an entry older than max_age_ticks, in the emptier line; then that of the
 * oldest unproven entry; otherwise false. Hot. */
bool affinity_insert(struct affinity *table, uint64_t hash, uint16_t slot, bool proven,
		     uint16_t now_ticks, uint16_t max_age_ticks, struct affinity_stats *stats);

/* Make the entry fresh, and proven if `proven`. Stores only what changes. Hot. */
void affinity_touch(const struct affinity_entry *entry, bool proven, uint16_t now_ticks);

/* Give the entry to another backend, fresh; proven is kept. False: somebody else
 * has changed it meanwhile. Hot. */
bool affinity_replace(const struct affinity_entry *entry, uint16_t slot, uint16_t now_ticks);

/* Void what is older than max_age_ticks, or belongs to a slot of which
 * void_slots[slot] is true (NULL: none), in lines [first, first + count). Returns
 * the live entries seen. Control; any thread, beside workers. */
size_t affinity_sweep(struct affinity *table, uint64_t first, uint64_t count, uint16_t now_ticks,
		      uint16_t max_age_ticks, const bool *void_slots);

#endif
