/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/huge_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_SIZE ((size_t)2 << 20)

void *huge_memory_new(size_t size)
{
	size_t whole = (size + HUGE_PAGE_SIZE - 1) & ~(HUGE_PAGE_SIZE - 1);
	void *memory = whole < size ? NULL : aligned_alloc(HUGE_PAGE_SIZE, whole);

	if (!memory)
		return NULL;
	(void)madvise(memory, whole, MADV_HUGEPAGE); /* before it is written */
	memset(memory, 0, whole);
	return memory;
}
