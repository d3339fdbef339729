/* SPDX-License-Identifier: GPL-2.0-only */
#include "cid_length.h"

#include <string.h>

#include "ringway/limits.h"

#define LANE_COUNT CID_LENGTH_COUNT_MAX
#define COUNT_MAX  2047

static uint16_t lane_of(uint8_t len, uint16_t count)
{
	return (uint16_t)(len << 11 | count);
}

static uint16_t lane_count(uint16_t lane)
{
	return lane & COUNT_MAX;
}

static uint8_t lane_len(uint16_t lane)
{
	return (uint8_t)(lane >> 11);
}

/* All counts halved: old habits are forgotten. */
static void lanes_age(uint16_t lanes[LANE_COUNT])
{
	for (int i = 0; i < LANE_COUNT; i++)
		lanes[i] = lane_of(lane_len(lanes[i]), lane_count(lanes[i]) / 2);
}

/* Where len is counted: its own lane, or the last, which is the least used. */
static int lane_find(const uint16_t lanes[LANE_COUNT], uint8_t len)
{
	for (int i = 0; i < LANE_COUNT - 1; i++)
		if (lane_len(lanes[i]) == len || !lanes[i])
			return i;
	return LANE_COUNT - 1;
}

void cid_length_count(uint64_t *lengths, uint8_t len)
{
	uint64_t before = __atomic_load_n(lengths, __ATOMIC_RELAXED), after;
	uint16_t lanes[LANE_COUNT], lane;
	int i;

	memcpy(lanes, &before, sizeof(lanes));
	i = lane_find(lanes, len);
	if (lane_len(lanes[i]) != len)
		lanes[i] = lane_of(len, 0);
	if (lane_count(lanes[i]) == COUNT_MAX)
		lanes_age(lanes);
	lane = (uint16_t)(lanes[i] + 1);
	for (; i > 0 && lane_count(lanes[i - 1]) < lane_count(lane); i--)
		lanes[i] = lanes[i - 1];
	lanes[i] = lane;
	memcpy(&after, lanes, sizeof(after));
	(void)__atomic_compare_exchange_n(lengths, &before, after, 0, __ATOMIC_RELAXED,
					  __ATOMIC_RELAXED);
}
