/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/huge_memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_SIZE ((size_t)2 << 20)

static size_t whole_pages(size_t size)
{
	return (size + HUGE_PAGE_SIZE - 1) & ~(HUGE_PAGE_SIZE - 1);
}

static uint8_t *anonymous_map(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			    -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Only what begins where a huge page may begin gets transparent ones. */
static uint8_t *aligned_map(size_t size)
{
	uint8_t *memory = anonymous_map(size + HUGE_PAGE_SIZE, 0);
	size_t before;

	if (!memory)
		return NULL;
	before = whole_pages((uintptr_t)memory) - (uintptr_t)memory;
	if (before)
		(void)munmap(memory, before);
	if (before < HUGE_PAGE_SIZE)
		(void)munmap(memory + before + size, HUGE_PAGE_SIZE - before);
	(void)madvise(memory + before, size, MADV_HUGEPAGE);
	return memory + before;
}

void *huge_memory_map(size_t size)
{
	uint8_t *memory = anonymous_map(whole_pages(size), MAP_HUGETLB);

	if (!memory)
		memory = aligned_map(whole_pages(size));
	if (memory)
		memset(memory, 0, whole_pages(size));
	return memory;
}

void huge_memory_unmap(void *memory, size_t size)
{
	if (memory)
		(void)munmap(memory, whole_pages(size));
}
