/* SPDX-License-Identifier: GPL-2.0-only */
#include "health/health_schedule.h"

#include <assert.h>

static void put(struct health_schedule *schedule, uint32_t index, uint32_t id)
{
	schedule->heap[index] = id;
	schedule->place[id] = index + 1;
}

static bool is_before(const struct health_schedule *schedule, uint32_t a, uint32_t b)
{
	return schedule->due_ns[schedule->heap[a]] < schedule->due_ns[schedule->heap[b]];
}

static void swap(struct health_schedule *schedule, uint32_t a, uint32_t b)
{
	uint32_t id = schedule->heap[a];

	put(schedule, a, schedule->heap[b]);
	put(schedule, b, id);
}

/* Where the entry at index belongs, up or down: all others are in order. */
static void settle(struct health_schedule *schedule, uint32_t index)
{
	while (index > 0 && is_before(schedule, index, (index - 1) / 2)) {
		swap(schedule, index, (index - 1) / 2);
		index = (index - 1) / 2;
	}
	for (;;) {
		uint32_t first = 2 * index + 1;

		if (first + 1 < schedule->count && is_before(schedule, first + 1, first))
			first++;
		if (first >= schedule->count || !is_before(schedule, first, index))
			return;
		swap(schedule, index, first);
		index = first;
	}
}

void health_schedule_set(struct health_schedule *schedule, uint32_t id, uint64_t due_ns)
{
	assert(id < HEALTH_WATCH_COUNT_MAX);
	if (!schedule->place[id])
		put(schedule, schedule->count++, id);
	schedule->due_ns[id] = due_ns;
	settle(schedule, schedule->place[id] - 1);
}

void health_schedule_clear(struct health_schedule *schedule, uint32_t id)
{
	uint32_t index;

	assert(id < HEALTH_WATCH_COUNT_MAX);
	if (!schedule->place[id])
		return;
	index = schedule->place[id] - 1;
	swap(schedule, index, --schedule->count);
	schedule->place[id] = 0;
	if (index < schedule->count)
		settle(schedule, index);
}

bool health_schedule_next(const struct health_schedule *schedule, uint32_t *ret_id,
			  uint64_t *ret_due_ns)
{
	if (!schedule->count)
		return false;
	*ret_id = schedule->heap[0];
	*ret_due_ns = schedule->due_ns[schedule->heap[0]];
	return true;
}
