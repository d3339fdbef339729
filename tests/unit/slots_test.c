/* SPDX-License-Identifier: GPL-2.0-only */
/* slots_test.c - who keeps, loses and gets which number; against a slow model. */
#include "control/slots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define CAPACITY   12
#define NAME_COUNT 20

static void names_set(char (*names)[SLOT_NAME_SIZE], const char *letters)
{
	for (size_t i = 0; letters[i]; i++)
		(void)snprintf(names[i], SLOT_NAME_SIZE, "web/%c", letters[i]);
}

/* One name a letter. */
static int assign(struct slots *slots, const char *letters, uint64_t expiry_s, uint16_t *ret_slots)
{
	char names[CAPACITY + 1][SLOT_NAME_SIZE];

	names_set(names, letters);
	return slots_assign(slots, (const char(*)[SLOT_NAME_SIZE])names, strlen(letters), expiry_s,
			    ret_slots);
}

static void names_keep_their_slots(void **state)
{
	struct slots *slots = slots_new(4);
	uint16_t got[4] = { 0 };

	(void)state;
	assert_int_equal(assign(slots, "abc", 0, got), 0);
	assert_memory_equal(got, ((uint16_t[]){ 0, 1, 2 }), 6);
	assert_int_equal(assign(slots, "cxa", 100, got), 0); /* b is gone: its slot is not given */
	assert_memory_equal(got, ((uint16_t[]){ 2, 3, 0 }), 6);
	assert_int_equal(assign(slots, "bx", 200, got), 0); /* and b gets it back */
	assert_memory_equal(got, ((uint16_t[]){ 1, 3 }), 4);
	slots_free(slots);
}

static void gone_slots_are_given_when_voided(void **state)
{
	struct slots *slots = slots_new(3);
	uint16_t got[4] = { 7, 7, 7, 7 };
	bool gone[3];

	(void)state;
	assert_int_equal(assign(slots, "abc", 0, got), 0);
	assert_int_equal(assign(slots, "a", 50, got), 0);
	assert_int_equal(assign(slots, "ade", 60, got), -ENOSPC);
	assert_memory_equal(got, ((uint16_t[]){ 0, 1, 2, 7 }), 8); /* untouched */
	assert_int_equal(slots_expired(slots, 49, gone), 0);
	assert_int_equal(slots_expired(slots, 50, gone), 2);
	assert_memory_equal(gone, ((bool[]){ false, true, true }), 3);
	gone[0] = true; /* in use: stays with its name */
	slots_voided(slots, gone);
	assert_int_equal(slots_expired(slots, UINT64_MAX, gone), 0);
	assert_int_equal(assign(slots, "dae", 60, got), 0);
	assert_memory_equal(got, ((uint16_t[]){ 1, 0, 2 }), 6);
	slots_free(slots);
}

static void a_clone_is_apart(void **state)
{
	struct slots *slots = slots_new(2), *clone;
	uint16_t got[2];

	(void)state;
	assert_int_equal(assign(slots, "a", 0, got), 0);
	clone = slots_clone(slots);
	assert_int_equal(assign(clone, "bc", 0, got), -ENOSPC);
	assert_int_equal(assign(clone, "ba", 0, got), 0);
	assert_int_equal(assign(slots, "xa", 0, got), 0);
	assert_memory_equal(got, ((uint16_t[]){ 1, 0 }), 4);
	assert_int_equal(assign(clone, "ba", 0, got), 0);
	assert_memory_equal(got, ((uint16_t[]){ 1, 0 }), 4);
	slots_free(slots);
	slots_free(clone);
}

/* The model: for each slot, whose it is (-1: nobody's), whether it is used, until
 * when it is remembered. */
struct model {
	int owner[CAPACITY];
	bool used[CAPACITY];
	uint64_t expiry_s[CAPACITY];
};

static int model_find(const struct model *model, int owner)
{
	for (int slot = 0; slot < CAPACITY; slot++)
		if (model->owner[slot] == owner)
			return slot;
	return -1;
}

static bool model_assign(struct model *model, const int *owners, size_t count, uint64_t expiry_s,
			 uint16_t *ret_slots)
{
	struct model next = *model;

	for (int slot = 0; slot < CAPACITY; slot++) {
		if (next.used[slot])
			next.expiry_s[slot] = expiry_s;
		next.used[slot] = false;
	}
	for (size_t i = 0; i < count; i++) {
		int slot = model_find(model, owners[i]);

		if (slot < 0)
			slot = model_find(&next, -1);
		if (slot < 0)
			return false;
		next.owner[slot] = owners[i];
		next.used[slot] = true;
		ret_slots[i] = (uint16_t)slot;
	}
	*model = next;
	return true;
}

/* A random choice of the names, in random order. */
static size_t owners_draw(uint64_t *random, int *owners)
{
	int all[NAME_COUNT];
	size_t count = random_next(random) % (CAPACITY + 1);

	for (int i = 0; i < NAME_COUNT; i++)
		all[i] = i;
	for (size_t i = 0; i < count; i++) {
		size_t other = i + random_next(random) % (NAME_COUNT - i);

		owners[i] = all[other];
		all[other] = all[i];
	}
	return count;
}

static void model_void(struct model *model, struct slots *slots, uint64_t now_s)
{
	bool gone[CAPACITY];
	size_t count = slots_expired(slots, now_s, gone), wanted = 0;

	for (int slot = 0; slot < CAPACITY; slot++) {
		bool is_gone = model->owner[slot] >= 0 && !model->used[slot] &&
			       model->expiry_s[slot] <= now_s;

		assert_int_equal(gone[slot], is_gone);
		wanted += is_gone;
		if (is_gone)
			model->owner[slot] = -1;
	}
	assert_int_equal(count, wanted);
	slots_voided(slots, gone);
}

static void agrees_with_a_slow_model(void **state)
{
	uint64_t random = 20;
	struct slots *slots = slots_new(CAPACITY);
	struct model model = { 0 };

	(void)state;
	for (int slot = 0; slot < CAPACITY; slot++)
		model.owner[slot] = -1;
	for (uint64_t now_s = 0; now_s < 20000; now_s++) {
		uint16_t got[CAPACITY + 1], want[CAPACITY + 1];
		char letters[CAPACITY + 1] = "";
		int owners[CAPACITY];
		size_t count = owners_draw(&random, owners);
		bool fits;

		for (size_t i = 0; i < count; i++)
			letters[i] = (char)('a' + owners[i]);
		fits = model_assign(&model, owners, count, now_s + 5, want);
		assert_int_equal(assign(slots, letters, now_s + 5, got), fits ? 0 : -ENOSPC);
		if (fits)
			assert_memory_equal(got, want, count * sizeof(*got));
		if (random_next(&random) % 4 == 0)
			model_void(&model, slots, random_next(&random) % 16 ? now_s : UINT64_MAX);
	}
	slots_free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_keep_their_slots),
		cmocka_unit_test(gone_slots_are_given_when_voided),
		cmocka_unit_test(a_clone_is_apart),
		cmocka_unit_test(agrees_with_a_slow_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
