/* SPDX-License-Identifier: GPL-2.0-only */
/* health_state.h - up or down: what the results of probes make of one backend.
 *
 * `rise` successes in a row make it up, `fall` failures in a row make it down.
 *
 * Dampening: a backend that goes down and thereby has changed more than flap_changes
 * times within flap_window_ns is held down for flap_window_ns, even if its probes
 * succeed. If it goes down again before it has been up for as long as flap_window_ns,
 * it is held twice as long as the last time, up to HEALTH_HOLD_MAX_S. One that has been
 * up that long starts afresh. When a hold ends, the last results decide: a backend that
 * has answered throughout is up with its next success.
 *
 * Pure: no I/O, clock or allocation. */
#ifndef RINGWAY_HEALTH_HEALTH_STATE_H
#define RINGWAY_HEALTH_HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ringway/limits.h"

struct health_rules {
	uint16_t rise, fall;   /* 1..HEALTH_STREAK_MAX */
	uint16_t flap_changes; /* 0: no dampening; at most HEALTH_FLAP_CHANGES_MAX */
	uint64_t flap_window_ns;
};

struct health_state {
	bool is_up;
	uint16_t streak; /* results in a row that speak against is_up */
	uint64_t since_ns;
	uint64_t held_until_ns;
	uint32_t hold_count; /* since it was last up for a whole window */
	uint32_t change_count;
	uint64_t changes_ns[HEALTH_FLAP_CHANGES_MAX + 1]; /* the last ones, as a ring */
};

void health_state_init(struct health_state *state, bool is_up, uint64_t now_ns);

/* Take one probe's result into account. True: is_up has changed. */
bool health_state_result(struct health_state *state, const struct health_rules *rules,
			 bool is_success, uint64_t now_ns);

#endif
