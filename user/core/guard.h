/* SPDX-License-Identifier: GPL-2.0-only */
/* guard.h - how much strangers may cost: tokens for each source prefix, then for
 * all together.
 *
 * A prefix is /24 or /48, so that who owns one network cannot use up what others
 * need. Prefixes share buckets by hash; a worker has its own. Pure. */
#ifndef RINGWAY_CORE_GUARD_H
#define RINGWAY_CORE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "ringway/limits.h"
#include "ringway/parse.h"

/* Tokens come at rate a second and are saved up to twice that. */
struct guard_bucket {
	uint32_t tokens;
	uint32_t filled_ms;
};

struct guard {
	uint32_t prefix_rate, total_rate;
	struct guard_bucket total;
	struct guard_bucket prefixes[GUARD_PREFIX_COUNT];
};

/* The prefix of client (an address as it lies in the packet), well mixed. */
uint32_t guard_prefix(const uint8_t *client, bool is_ipv6);

/* Full buckets. */
void guard_init(struct guard *guard, uint32_t prefix_rate, uint32_t total_rate, uint64_t now_ms);

/* Take amount tokens of the prefix that client belongs to, and of the total; all
 * or nothing. */
bool guard_take(struct guard *guard, const uint8_t *client, bool is_ipv6, uint32_t amount,
		uint64_t now_ms);

#endif
