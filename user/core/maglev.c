/* SPDX-License-Identifier: GPL-2.0-only */
#include "maglev.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "ringway/limits.h"

/* A table of another size is another table: nearly every connection moves. So one
 * size is for nearly everybody, with 100 entries a member, below which the shares
 * differ by more than about 1 %, for SIZE_MEMBERS of them; and one is for the rest. */
#define ENTRIES_PER_MEMBER 100
#define SIZE		   65537
#define SIZE_MEMBERS	   (SIZE / ENTRIES_PER_MEMBER)
#define SIZE_LARGE	   524287
_Static_assert(BACKEND_COUNT_MAX *ENTRIES_PER_MEMBER <= SIZE_LARGE, "so many for all");

#define SLOT_FREE UINT16_MAX
_Static_assert(BACKEND_COUNT_MAX < SLOT_FREE, "no slot looks like a free entry");

/* A member's walk over the table, and what it has saved up towards an entry. */
struct walk {
	const struct maglev_member *member;
	uint32_t position, skip;
	uint32_t credit;
};

static int member_compare(const void *a, const void *b)
{
	uint64_t x = (*(const struct maglev_member *const *)a)->id;
	uint64_t y = (*(const struct maglev_member *const *)b)->id;

	return (x > y) - (x < y);
}

static uint32_t walks_init(struct walk *walks, size_t count, uint64_t key, uint32_t size)
{
	uint32_t weight_max = 0;

	for (size_t i = 0; i < count; i++) {
		const struct maglev_member *member = walks[i].member;
		uint64_t offset = XXH3_64bits_withSeed(&member->id, sizeof(member->id), key);
		uint64_t skip = XXH3_64bits_withSeed(&member->id, sizeof(member->id), ~key);

		walks[i].position = (uint32_t)(offset % size);
		walks[i].skip = (uint32_t)(skip % (size - 1)) + 1;
		if (member->weight > weight_max)
			weight_max = member->weight;
	}
	return weight_max;
}

/* size is prime and skip is not a multiple of it, so a walk meets every entry. */
static void walk_take(struct walk *walk, uint16_t *slots, uint32_t size)
{
	while (slots[walk->position] != SLOT_FREE)
		walk->position = (uint32_t)(((uint64_t)walk->position + walk->skip) % size);
	slots[walk->position] = walk->member->slot;
}

/* In rounds: who has saved up the largest weight takes its next free entry. */
static void slots_fill(uint16_t *slots, uint32_t size, struct walk *walks, size_t count,
		       uint32_t weight_max)
{
	memset(slots, 0xff, size * sizeof(*slots));
	for (uint32_t taken = 0; taken < size;) {
		for (size_t i = 0; i < count && taken < size; i++) {
			walks[i].credit += walks[i].member->weight;
			if (walks[i].credit < weight_max)
				continue;
			walks[i].credit -= weight_max;
			walk_take(&walks[i], slots, size);
			taken++;
		}
	}
}

static bool ids_differ(const struct walk *walks, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (walks[i - 1].member->id == walks[i].member->id)
			return false;
	return true;
}

uint32_t maglev_size(size_t count)
{
	return count <= SIZE_MEMBERS ? SIZE : SIZE_LARGE;
}

int maglev_build(const struct maglev_member *members, size_t count, uint64_t key, uint16_t *slots,
		 uint32_t size, struct maglev *ret_maglev)
{
	struct walk *walks = calloc(count ? count : 1, sizeof(*walks));
	uint32_t weight_max;
	int err = -EINVAL;

	assert(count <= BACKEND_COUNT_MAX);
	if (!walks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		walks[i].member = &members[i];
	_Static_assert(offsetof(struct walk, member) == 0, "member_compare() reads it");
	qsort(walks, count, sizeof(*walks), member_compare);
	if (ids_differ(walks, count)) {
		weight_max = walks_init(walks, count, key, size);
		if (!weight_max)
			size = 0;
		slots_fill(slots, size, walks, count, weight_max);
		*ret_maglev = (struct maglev){ .slots = slots, .size = size };
		err = 0;
	}
	free(walks);
	return err;
}
