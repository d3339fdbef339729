/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	enum {
		SLOT_FREE,
		SLOT_USED,
		SLOT_GONE,
	} state;
	uint64_t expiry_s; /* SLOT_GONE */
	char name[SLOT_NAME_SIZE];
};

struct slots {
	size_t capacity;
	struct slot slots[];
};

static size_t slots_size(size_t capacity)
{
	return sizeof(struct slots) + capacity * sizeof(struct slot);
}

struct slots *slots_new(size_t capacity)
{
	struct slots *slots = calloc(1, slots_size(capacity));

	if (slots)
		slots->capacity = capacity;
	return slots;
}

struct slots *slots_clone(const struct slots *slots)
{
	struct slots *clone = malloc(slots_size(slots->capacity));

	if (clone)
		memcpy(clone, slots, slots_size(slots->capacity));
	return clone;
}

void slots_free(struct slots *slots)
{
	free(slots);
}

/* A slot that is not free, or a name that wants one. */
struct entry {
	const char *name;
	size_t slot;
};

static int entry_compare(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/* The names that have a slot, in their order: room for capacity. Returns how many. */
static size_t entries_fill(const struct slots *slots, struct entry *entries)
{
	size_t count = 0;

	for (size_t i = 0; i < slots->capacity; i++)
		if (slots->slots[i].state != SLOT_FREE)
			entries[count++] = (struct entry){ slots->slots[i].name, i };
	qsort(entries, count, sizeof(*entries), entry_compare);
	return count;
}

/* Slots of names that have one; capacity for others. Returns how many others. */
static size_t known_find(const struct slots *slots, const struct entry *entries, size_t entry_count,
			 const char (*names)[SLOT_NAME_SIZE], size_t count, size_t *found)
{
	size_t unknown = 0;

	for (size_t i = 0; i < count; i++) {
		const struct entry wanted = { .name = names[i] };
		const struct entry *entry =
			bsearch(&wanted, entries, entry_count, sizeof(*entries), entry_compare);

		found[i] = entry ? entry->slot : slots->capacity;
		unknown += !entry;
	}
	return unknown;
}

static void names_put(struct slots *slots, const char (*names)[SLOT_NAME_SIZE], size_t count,
		      const size_t *found, uint64_t expiry_s, uint16_t *ret_slots)
{
	size_t next = 0;

	for (size_t i = 0; i < slots->capacity; i++) {
		if (slots->slots[i].state != SLOT_USED)
			continue;
		slots->slots[i].state = SLOT_GONE;
		slots->slots[i].expiry_s = expiry_s;
	}
	for (size_t i = 0; i < count; i++) {
		size_t slot = found[i];

		if (slot == slots->capacity) {
			while (slots->slots[next].state != SLOT_FREE)
				next++;
			slot = next;
			strcpy(slots->slots[slot].name, names[i]);
		}
		slots->slots[slot].state = SLOT_USED;
		ret_slots[i] = (uint16_t)slot;
	}
}

int slots_assign(struct slots *slots, const char (*names)[SLOT_NAME_SIZE], size_t count,
		 uint64_t expiry_s, uint16_t *ret_slots)
{
	struct entry *entries = calloc(slots->capacity, sizeof(*entries));
	size_t *found = calloc(count + 1, sizeof(*found));
	size_t entry_count;
	int err = -ENOMEM;

	if (!entries || !found)
		goto out;
	entry_count = entries_fill(slots, entries);
	err = -ENOSPC;
	if (known_find(slots, entries, entry_count, names, count, found) >
	    slots->capacity - entry_count)
		goto out;
	names_put(slots, names, count, found, expiry_s, ret_slots);
	err = 0;
out:
	free(entries);
	free(found);
	return err;
}

size_t slots_expired(const struct slots *slots, uint64_t now_s, bool *ret_gone)
{
	size_t count = 0;

	for (size_t i = 0; i < slots->capacity; i++) {
		const struct slot *slot = &slots->slots[i];

		ret_gone[i] = slot->state == SLOT_GONE && slot->expiry_s <= now_s;
		count += ret_gone[i];
	}
	return count;
}

void slots_voided(struct slots *slots, const bool *voided)
{
	for (size_t i = 0; i < slots->capacity; i++)
		if (voided[i] && slots->slots[i].state == SLOT_GONE)
			slots->slots[i].state = SLOT_FREE;
}
