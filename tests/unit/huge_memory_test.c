/* SPDX-License-Identifier: GPL-2.0-only */
/* huge_memory_test.c - zeros, aligned, ours alone, and given back. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "util/huge_memory.h"

#include "test.h"

#define HUGE_PAGE_SIZE ((size_t)2 << 20)

static bool is_mapped(void *memory)
{
	return !msync(memory, 1, MS_ASYNC);
}

static void maps_zeros_and_gives_them_back(void **state)
{
	static const size_t sizes[] = { 1, 4096, HUGE_PAGE_SIZE, HUGE_PAGE_SIZE + 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t *memory = huge_memory_map(sizes[i]);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % HUGE_PAGE_SIZE, 0);
		for (size_t j = 0; j < sizes[i]; j++)
			assert_int_equal(memory[j], 0);
		memset(memory, 0xff, sizes[i]);
		huge_memory_unmap(memory, sizes[i]);
		assert_false(is_mapped(memory));
	}
}

static void keeps_neighbours_apart(void **state)
{
	uint8_t *a = huge_memory_map(HUGE_PAGE_SIZE), *b = huge_memory_map(HUGE_PAGE_SIZE);

	(void)state;
	memset(a, 1, HUGE_PAGE_SIZE);
	huge_memory_unmap(b, HUGE_PAGE_SIZE);
	for (size_t i = 0; i < HUGE_PAGE_SIZE; i++)
		assert_int_equal(a[i], 1);
	huge_memory_unmap(a, HUGE_PAGE_SIZE);
}

static void says_that_there_is_no_memory(void **state)
{
	(void)state;
	assert_null(huge_memory_map((size_t)1 << 60));
	huge_memory_unmap(NULL, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_zeros_and_gives_them_back),
		cmocka_unit_test(keeps_neighbours_apart),
		cmocka_unit_test(says_that_there_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
