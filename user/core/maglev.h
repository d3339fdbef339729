/* SPDX-License-Identifier: GPL-2.0-only */
/* maglev.h - consistent hashing by look-up table (Eisenbud et al., NSDI 2016).
 *
 * The same members, in any order, under the same key give the same table on
 * every node. Pure. Immutable once built: any thread may look up. */
#ifndef RINGWAY_CORE_MAGLEV_H
#define RINGWAY_CORE_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

struct maglev_member {
	uint64_t id;	 /* what the member is called on every node, hashed; no two alike */
	uint16_t slot;	 /* what a look-up returns */
	uint16_t weight; /* 0: takes nothing new */
};

/* In the line of who has it, so that the entry is asked for without a look elsewhere. */
struct maglev {
	const uint16_t *slots; /* slot of a member, size of them */
	uint32_t size;	       /* a prime; 0: nobody takes anything */
};

/* The size of a table for count members, a prime: 65537 for up to 655, 524287 for more.
 * The step between 655 and 656 moves nearly every connection, any other step only those
 * of the member that comes or goes. */
uint32_t maglev_size(size_t count);

/* Build a table of size, a prime, for count members under key, in slots: the caller's,
 * for as long as the table is used. On success 0. On failure *ret_maglev is untouched,
 * and what slots say is undefined: -EINVAL for two members with one id, -ENOMEM. No
 * members, or only weights of 0, give a table of size 0. Cost: control; some 10 ms for
 * 1000 members. */
int maglev_build(const struct maglev_member *members, size_t count, uint64_t key, uint16_t *slots,
		 uint32_t size, struct maglev *ret_maglev);

/* The table's entry for a hash of which the upper 32 bits are uniform. The table
 * must not be empty. Hot: a multiplication; the entry is the one memory access. */
static inline const uint16_t *maglev_entry(const struct maglev *maglev, uint64_t hash)
{
	return &maglev->slots[(hash >> 32) * maglev->size >> 32];
}

#endif
