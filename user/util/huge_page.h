/* SPDX-License-Identifier: GPL-2.0-only */
/* huge_page.h - memory in which any place is found without a walk through page tables. */
#ifndef RINGWAY_UTIL_HUGE_PAGE_H
#define RINGWAY_UTIL_HUGE_PAGE_H

#include <stddef.h>
#include <sys/mman.h>

/* Of x86_64 and of most others. */
#define HUGE_PAGE_SIZE_BYTES ((size_t)2 << 20)

/* Before memory is first written: afterwards its pages are small ones. Where there are
 * no huge pages everything is slower, and nothing else. */
static inline void huge_pages_ask(void *memory, size_t size)
{
	(void)madvise(memory, size, MADV_HUGEPAGE);
}

#endif
