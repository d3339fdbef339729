/* SPDX-License-Identifier: GPL-2.0-only */
/* cid_length.h - the lengths of the Connection IDs that a service's servers choose.
 *
 * A short header does not say how long its Connection ID is. Servers' long headers
 * do, so the lengths seen there are counted, the most used first: four lanes of 16
 * bits in one atomic word, each a length (5 bits) and a count (11 bits). */
#ifndef RINGWAY_CORE_CID_LENGTH_H
#define RINGWAY_CORE_CID_LENGTH_H

#include <stdint.h>

/* The index-th most used length (index < CID_LENGTH_COUNT_MAX), 0: none. */
static inline uint8_t cid_length_at(const uint64_t *lengths, unsigned int index)
{
	return (uint8_t)(__atomic_load_n(lengths, __ATOMIC_RELAXED) >> (16 * index + 11) & 31);
}

/* One more server with an ID of len (1..20) bytes. What two workers count at the
 * same time may count once. */
void cid_length_count(uint64_t *lengths, uint8_t len);

#endif
