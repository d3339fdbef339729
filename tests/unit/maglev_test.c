/* SPDX-License-Identifier: GPL-2.0-only */
/* Maglev tables: shares, weights, order, disruption, and a slow twin. */
#include "core/maglev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "test.h"

#define KEY	    0x1234567890abcdefull
#define MEMBERS_MAX 1000

static struct maglev_member members[MEMBERS_MAX];

static void members_init(size_t count)
{
	uint64_t random = 7;

	for (size_t i = 0; i < count; i++)
		members[i] = (struct maglev_member){ .id = random_next(&random),
						     .slot = (uint16_t)i,
						     .weight = 1 };
}

/* With its slots behind it, to be freed at once. size 0: the one for so many. */
static struct maglev *build_under(uint64_t key, size_t count, uint32_t size)
{
	struct maglev *maglev;

	size = size ? size : maglev_size(count);
	maglev = malloc(sizeof(*maglev) + size * sizeof(uint16_t));
	assert_non_null(maglev);
	assert_int_equal(maglev_build(members, count, key, (uint16_t *)(maglev + 1), size, maglev),
			 0);
	assert_ptr_equal(maglev->slots, maglev + 1);
	return maglev;
}

static struct maglev *build(size_t count, uint32_t size)
{
	return build_under(KEY, count, size);
}

static size_t share(const struct maglev *maglev, uint16_t slot)
{
	size_t count = 0;

	for (uint32_t i = 0; i < maglev->size; i++)
		count += maglev->slots[i] == slot;
	return count;
}

static void shares_follow_weights(void **state)
{
	struct maglev *maglev;

	(void)state;
	members_init(10);
	for (size_t i = 0; i < 10; i++)
		members[i].weight = (uint16_t)i; /* 0..9, 45 in all */
	maglev = build(10, 65537);
	for (uint16_t i = 0; i < 10; i++) {
		double wanted = 65537.0 * i / 45, got = (double)share(maglev, i);

		print_message("weight %u: %.0f of %.0f\n", i, got, wanted);
		assert_true(got >= wanted * 0.999 - 1 && got <= wanted * 1.001 + 1);
	}
	free(maglev);
}

static void order_does_not_matter(void **state)
{
	struct maglev *forth, *back;

	(void)state;
	members_init(100);
	forth = build(100, 0);
	for (size_t i = 0; i < 50; i++) {
		struct maglev_member member = members[i];

		members[i] = members[99 - i];
		members[99 - i] = member;
	}
	back = build(100, 0);
	assert_int_equal(forth->size, 65537);
	assert_int_equal(back->size, forth->size);
	assert_memory_equal(forth->slots, back->slots, forth->size * sizeof(forth->slots[0]));
	free(forth);
	free(back);
}

static void refuses_and_stays_empty(void **state)
{
	struct maglev untouched = { 0 }, *maglev;
	uint16_t slots[251];

	(void)state;
	members_init(3);
	members[2].id = members[0].id;
	assert_int_equal(maglev_build(members, 3, KEY, slots, ARRAY_LEN(slots), &untouched),
			 -EINVAL);
	assert_null(untouched.slots);

	maglev = build(0, 0);
	assert_int_equal(maglev->size, 0);
	free(maglev);

	members_init(3);
	for (size_t i = 0; i < 3; i++)
		members[i].weight = 0;
	maglev = build(3, 0);
	assert_int_equal(maglev->size, 0);
	free(maglev);
}

static void key_decides(void **state)
{
	struct maglev *one, *other;
	size_t same = 0;

	(void)state;
	members_init(10);
	one = build_under(1, 10, 0);
	other = build_under(2, 10, 0);
	for (uint32_t i = 0; i < one->size; i++)
		same += one->slots[i] == other->slots[i];
	assert_true(same < one->size / 5); /* a tenth by chance */
	free(one);
	free(other);
}

/* The permutation of every member written out, then read row by row. */
static void agrees_with_slow_twin(void **state)
{
	enum { COUNT = 7, SIZE = 251 };
	static uint32_t permutation[COUNT][SIZE];
	uint32_t next[COUNT] = { 0 }, credit[COUNT] = { 0 }, taken = 0;
	uint16_t slots[SIZE];
	struct maglev *maglev;

	(void)state;
	members_init(COUNT);
	for (size_t i = 0; i < COUNT; i++)
		members[i] = (struct maglev_member){ .id = 100 + i,
						     .slot = (uint16_t)(10 * i),
						     .weight = (uint16_t)(1 + i % 3) };
	for (size_t i = 0; i < COUNT; i++) {
		uint64_t id = 100 + i;
		uint64_t offset = XXH3_64bits_withSeed(&id, 8, KEY) % SIZE;
		uint64_t skip = XXH3_64bits_withSeed(&id, 8, ~KEY) % (SIZE - 1) + 1;

		for (uint64_t n = 0; n < SIZE; n++)
			permutation[i][n] = (uint32_t)((offset + n * skip) % SIZE);
	}
	memset(slots, 0xff, sizeof(slots));
	while (taken < SIZE) {
		for (size_t i = 0; i < COUNT && taken < SIZE; i++) {
			credit[i] += members[i].weight;
			if (credit[i] < 3)
				continue;
			credit[i] -= 3;
			while (slots[permutation[i][next[i]]] != 0xffff)
				next[i]++;
			slots[permutation[i][next[i]]] = members[i].slot;
			taken++;
		}
	}
	maglev = build(COUNT, SIZE);
	assert_memory_equal(maglev->slots, slots, sizeof(slots));
	free(maglev);
}

/* Entries that moved although their backend stayed, one backend removed. */
static void disruption_is_small(void **state)
{
	static const struct {
		size_t count;
		uint32_t size;
		double known_percent; /* what the algorithm is known for */
	} cases[] = {
		{ 10, 65537, 0.23 },
		{ 100, 65537, 0.57 },
		{ 100, 16381, 1.34 },
		{ 400, 65537, 0.97 },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct maglev *before, *after;
		double moved_percent = 0;
		const size_t removals = 10;

		for (size_t removed = 0; removed < removals; removed++) {
			members_init(cases[c].count);
			before = build(cases[c].count, cases[c].size);
			members[removed] = members[cases[c].count - 1];
			after = build(cases[c].count - 1, cases[c].size);
			for (uint32_t i = 0; i < before->size; i++)
				moved_percent += before->slots[i] != removed &&
						 before->slots[i] != after->slots[i];
			free(before);
			free(after);
		}
		moved_percent *= 100.0 / ((double)cases[c].size * (double)removals);
		print_message("%zu backends, %u entries: %.2f %% moved without need\n",
			      cases[c].count, cases[c].size, moved_percent);
		assert_true(moved_percent < 1.25 * cases[c].known_percent);
	}
}

/* One more member, at counts where one might choose another size. Flows are hashes, so
 * that tables of different sizes can be compared. */
static void one_more_moves_few(void **state)
{
	static const struct {
		size_t count;
		double least_percent, bound_percent; /* of flows that move, its share included */
	} cases[] = {
		{ 10, 8, 11 },	 { 100, 0.9, 3 },  { 163, 0.5, 3 },
		{ 654, 0.1, 3 }, { 655, 95, 100 }, { 656, 0.1, 3 },
	};
	const uint32_t flow_count = 100000;

	(void)state;
	members_init(MEMBERS_MAX);
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		struct maglev *before = build(cases[c].count, 0);
		struct maglev *after = build(cases[c].count + 1, 0);
		uint64_t random = 99;
		double moved_percent = 0;

		for (uint32_t i = 0; i < flow_count; i++) {
			uint64_t hash = random_next(&random);

			moved_percent += *maglev_entry(before, hash) != *maglev_entry(after, hash);
		}
		moved_percent *= 100.0 / flow_count;
		print_message("from %zu to %zu: %.2f %% moved\n", cases[c].count,
			      cases[c].count + 1, moved_percent);
		assert_true(moved_percent >= cases[c].least_percent);
		assert_true(moved_percent <= cases[c].bound_percent);
		free(before);
		free(after);
	}
}

static void every_hash_finds_an_entry(void **state)
{
	struct maglev *maglev;

	(void)state;
	members_init(5);
	maglev = build(5, 0);
	assert_ptr_equal(maglev_entry(maglev, 0), &maglev->slots[0]);
	assert_ptr_equal(maglev_entry(maglev, UINT64_MAX), &maglev->slots[maglev->size - 1]);
	free(maglev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_follow_weights),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(refuses_and_stays_empty),
		cmocka_unit_test(key_decides),
		cmocka_unit_test(agrees_with_slow_twin),
		cmocka_unit_test(disruption_is_small),
		cmocka_unit_test(one_more_moves_few),
		cmocka_unit_test(every_hash_finds_an_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
