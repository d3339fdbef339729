/* SPDX-License-Identifier: GPL-2.0-only */
/* slots.h - small numbers for names, that names keep over reloads.
 *
 * What a worker remembers of a connection is the number of a backend. So a number
 * stays with its name for as long as the name is used; after that it is gone, and
 * given to another name only once its owner has said that nothing remembers it any
 * more. A name that comes back before that gets its number back. Pure: no clock.
 * Control; one thread. */
#ifndef RINGWAY_CONTROL_SLOTS_H
#define RINGWAY_CONTROL_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/limits.h"

/* "service/backend", with its terminator. */
#define SLOT_NAME_SIZE (2 * NAME_LEN_MAX + 2)

struct slots;

/* capacity slots, from 0: 1..65535. NULL: out of memory. */
struct slots *slots_new(size_t capacity);
struct slots *slots_clone(const struct slots *slots); /* likewise */
void slots_free(struct slots *slots);		      /* NULL is a no-op */

/* Give each of count names, no two alike, its slot. Other names lose theirs, which
 * may be remembered until expiry_s, by the caller's clock. 0 and the slots in the
 * order of names; or, nothing changed, -ENOSPC (voiding those that are gone may
 * help) or -ENOMEM. */
int slots_assign(struct slots *slots, const char (*names)[SLOT_NAME_SIZE], size_t count,
		 uint64_t expiry_s, uint16_t *ret_slots);

/* Which slots are gone and have expired at now_s? Fills capacity of ret_gone, and
 * returns how many there are. UINT64_MAX: all that are gone. */
size_t slots_expired(const struct slots *slots, uint64_t now_s, bool *ret_gone);

/* Nothing remembers these any more: those of them that are gone become free. */
void slots_voided(struct slots *slots, const bool *voided);

#endif
