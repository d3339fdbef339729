/* SPDX-License-Identifier: GPL-2.0-only */
#include "guard.h"

#include "hash.h"

/* /24 and /48 of addresses as they lie in memory. */
#define PREFIX_MASK_IPV4 0xffffffu
#define PREFIX_MASK_IPV6 0xffffffffffffull

static void bucket_fill(struct guard_bucket *bucket, uint32_t rate, uint64_t now_ms)
{
	uint32_t passed_ms = (uint32_t)now_ms - bucket->filled_ms;
	uint64_t earned = (uint64_t)passed_ms * rate / 1000;

	if (!earned)
		return;
	bucket->tokens = earned + bucket->tokens > 2 * (uint64_t)rate
				 ? 2 * rate
				 : bucket->tokens + (uint32_t)earned;
	bucket->filled_ms = (uint32_t)now_ms;
}

void guard_init(struct guard *guard, uint32_t prefix_rate, uint32_t total_rate, uint64_t now_ms)
{
	guard->prefix_rate = prefix_rate;
	guard->total_rate = total_rate;
	guard->total = (struct guard_bucket){ 2 * total_rate, (uint32_t)now_ms };
	for (uint32_t i = 0; i < GUARD_PREFIX_COUNT; i++)
		guard->prefixes[i] = (struct guard_bucket){ 2 * prefix_rate, (uint32_t)now_ms };
}

uint32_t guard_prefix(const uint8_t *client, bool is_ipv6)
{
	uint64_t prefix = is_ipv6 ? hash_load8(client) & PREFIX_MASK_IPV6
				  : hash_load4(client) & PREFIX_MASK_IPV4;

	/* Fibonacci hashing: the upper bits are mixed */
	return (uint32_t)(prefix * 0x9e3779b97f4a7c15ull >> 32);
}

bool guard_take(struct guard *guard, const uint8_t *client, bool is_ipv6, uint32_t amount,
		uint64_t now_ms)
{
	struct guard_bucket *bucket =
		&guard->prefixes[guard_prefix(client, is_ipv6) & (GUARD_PREFIX_COUNT - 1)];

	bucket_fill(bucket, guard->prefix_rate, now_ms);
	bucket_fill(&guard->total, guard->total_rate, now_ms);
	if (bucket->tokens < amount || guard->total.tokens < amount)
		return false;
	bucket->tokens -= amount;
	guard->total.tokens -= amount;
	return true;
}
