/* SPDX-License-Identifier: GPL-2.0-only */
/* huge_memory.h - memory that lives as long as the process needs no second look: zeroed,
 * touched, in huge pages where the kernel has some. */
#ifndef RINGWAY_UTIL_HUGE_MEMORY_H
#define RINGWAY_UTIL_HUGE_MEMORY_H

#include <stddef.h>

/* At least size bytes of zeros, at a multiple of 2 MiB, on the caller's node: all of it
 * is touched, so that nobody waits for a page later. Of huge pages that were reserved,
 * else of transparent ones, else of ordinary ones. NULL: no memory. Slow. */
void *huge_memory_map(size_t size);

/* size: as given to huge_memory_map(). NULL is a no-op. */
void huge_memory_unmap(void *memory, size_t size);

#endif
