/* SPDX-License-Identifier: GPL-2.0-only */
/* huge_memory.h - memory in which any place is found without a walk through page tables.
 *
 * Where the kernel has no huge pages, everything is slower, and nothing else. */
#ifndef RINGWAY_UTIL_HUGE_MEMORY_H
#define RINGWAY_UTIL_HUGE_MEMORY_H

#include <stddef.h>

/* size bytes of zeros, aligned to 2 MiB, on the caller's node: all of it is touched, so
 * that nobody waits for a page later. To be given to free(). NULL: no memory. Slow. */
void *huge_memory_new(size_t size);

#endif
