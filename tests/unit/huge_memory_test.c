/* SPDX-License-Identifier: GPL-2.0-only */
/* huge_memory_test.c - zeros, aligned, all there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/huge_memory.h"

#include "test.h"

#define HUGE_PAGE_SIZE ((size_t)2 << 20)
#define PAGES_MAX      4096

static size_t resident_pages(void *memory, size_t size)
{
	static unsigned char is_resident[PAGES_MAX];
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE),
	       pages = (size + page_size - 1) / page_size;
	size_t count = 0;

	assert_true(pages <= PAGES_MAX);
	assert_int_equal(mincore(memory, size, is_resident), 0);
	for (size_t i = 0; i < pages; i++)
		count += is_resident[i] & 1;
	return count * page_size;
}

static void is_zeros_that_are_there(void **state)
{
	static const size_t sizes[] = { 1, 4096, HUGE_PAGE_SIZE, 2 * HUGE_PAGE_SIZE + 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t *memory = huge_memory_new(sizes[i]);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % HUGE_PAGE_SIZE, 0);
		assert_true(resident_pages(memory, sizes[i]) >= sizes[i]);
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(memory[j], 0);
		memset(memory, 0xff, sizes[i]); /* for the next to find, if it is not cleared */
		free(memory);
	}
}

static void refuses_what_cannot_be(void **state)
{
	(void)state;
	assert_null(huge_memory_new(SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_zeros_that_are_there),
		cmocka_unit_test(refuses_what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
