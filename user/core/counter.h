/* SPDX-License-Identifier: GPL-2.0-only */
/* counter.h - counters with one writer and any number of readers.
 *
 * The owner adds without a lock prefix; other threads read a value that is
 * whole, if a moment old. Nothing is ordered by a counter. */
#ifndef RINGWAY_CORE_COUNTER_H
#define RINGWAY_CORE_COUNTER_H

#include <stdint.h>

static inline void counter_add(uint64_t *counter, uint64_t amount)
{
	__atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
