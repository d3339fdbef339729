/* SPDX-License-Identifier: GPL-2.0-only */
/* health_schedule.h - which of many ids is due next: a binary heap of times.
 *
 * An id below HEALTH_WATCH_COUNT_MAX has one time or none. All zero is an empty
 * schedule. Pure; no allocation. */
#ifndef RINGWAY_HEALTH_HEALTH_SCHEDULE_H
#define RINGWAY_HEALTH_HEALTH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "ringway/limits.h"

struct health_schedule {
	uint32_t count;
	uint32_t heap[HEALTH_WATCH_COUNT_MAX];	 /* ids; the first is due first */
	uint32_t place[HEALTH_WATCH_COUNT_MAX];	 /* by id: index in heap + 1; 0: no time */
	uint64_t due_ns[HEALTH_WATCH_COUNT_MAX]; /* by id */
};

void health_schedule_set(struct health_schedule *schedule, uint32_t id, uint64_t due_ns);
void health_schedule_clear(struct health_schedule *schedule, uint32_t id);

/* The id that is due first, and when. False: no id has a time. */
bool health_schedule_next(const struct health_schedule *schedule, uint32_t *ret_id,
			  uint64_t *ret_due_ns);

#endif
