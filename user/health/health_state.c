/* SPDX-License-Identifier: GPL-2.0-only */
#include "health/health_state.h"

#include <string.h>

#define CHANGES_SIZE (HEALTH_FLAP_CHANGES_MAX + 1)
#define HOLD_MAX_NS  (HEALTH_HOLD_MAX_S * 1000000000ull)

_Static_assert((CHANGES_SIZE & (CHANGES_SIZE - 1)) == 0, "change_count may wrap around");

void health_state_init(struct health_state *state, bool is_up, uint64_t now_ns)
{
	memset(state, 0, sizeof(*state));
	state->is_up = is_up;
	state->since_ns = now_ns;
}

/* The last change but flap_changes is still within the window. */
static bool is_flapping(const struct health_state *state, const struct health_rules *rules,
			uint64_t now_ns)
{
	uint32_t first = state->change_count - 1 - rules->flap_changes;

	return state->change_count > rules->flap_changes &&
	       now_ns - state->changes_ns[first % CHANGES_SIZE] <= rules->flap_window_ns;
}

static uint64_t hold_ns(const struct health_rules *rules, uint32_t hold_count)
{
	uint64_t ns = rules->flap_window_ns;

	while (hold_count-- > 0 && ns < HOLD_MAX_NS)
		ns *= 2;
	return ns < HOLD_MAX_NS ? ns : HOLD_MAX_NS;
}

static void hold(struct health_state *state, const struct health_rules *rules, uint64_t was_up_ns,
		 uint64_t now_ns)
{
	if (was_up_ns >= rules->flap_window_ns)
		state->hold_count = 0;
	if (!state->hold_count && !is_flapping(state, rules, now_ns))
		return;
	state->held_until_ns = now_ns + hold_ns(rules, state->hold_count);
	state->hold_count++;
}

static void change(struct health_state *state, const struct health_rules *rules, uint64_t now_ns)
{
	uint64_t lasted_ns = now_ns - state->since_ns;

	state->is_up = !state->is_up;
	state->streak = 0;
	state->since_ns = now_ns;
	state->changes_ns[state->change_count++ % CHANGES_SIZE] = now_ns;
	if (!state->is_up && rules->flap_changes)
		hold(state, rules, lasted_ns, now_ns);
}

bool health_state_result(struct health_state *state, const struct health_rules *rules,
			 bool is_success, uint64_t now_ns)
{
	uint16_t needed = state->is_up ? rules->fall : rules->rise;

	if (is_success == state->is_up) {
		state->streak = 0;
		return false;
	}
	if (state->streak < needed)
		state->streak++;
	if (state->streak < needed || (!state->is_up && now_ns < state->held_until_ns))
		return false;
	change(state, rules, now_ns);
	return true;
}
