/* SPDX-License-Identifier: GPL-2.0-only */
/* Affinity tables: what is kept, what gives way, and a slow twin. */
#include "core/affinity.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ringway/limits.h"
#include "test.h"

#define LINE_WORDS 8
#define TAG_BITS   39
#define LOAD	   0.7
#define MAX_AGE	   75

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* The full count, or a tenth of it where time is short. */
static size_t shortened(size_t count)
{
	const char *quick = getenv("QUICK");

	return IS_SANITIZED || (quick && strcmp(quick, "1") == 0) ? count / 10 : count;
}

static uint64_t hash_of(uint64_t key)
{
	return random_next(&key);
}

static struct affinity table_new(size_t size)
{
	struct affinity table;
	void *memory = aligned_alloc(64, size);

	assert_non_null(memory);
	memset(memory, 0, size);
	affinity_init(&table, memory, size);
	return table;
}

static size_t words_used(const struct affinity *table)
{
	size_t count = 0;

	for (size_t i = 0; i < table->line_count * LINE_WORDS; i++)
		count += table->words[i] != 0;
	return count;
}

/* What an insertion writes, to lay out a line by hand. */
static uint64_t word_of(uint64_t hash, uint16_t slot, bool proven, uint16_t ticks)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	assert_true(affinity_insert(&table, hash, slot, proven, ticks, 0, &stats));
	assert_true(affinity_find(&table, hash, ticks, 0, &entry));
	free(table.words);
	return entry.seen;
}

static void assert_stats(const struct affinity_stats *stats, uint64_t inserted, uint64_t evicted,
			 uint64_t refused)
{
	assert_int_equal(stats->inserted, inserted);
	assert_int_equal(stats->evicted, evicted);
	assert_int_equal(stats->refused, refused);
}

static void size_is_a_load_of_070(void **state)
{
	static const struct {
		size_t key_count, line_count;
	} cases[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ 5, 1 },
		{ 6, 2 },
		{ 11, 2 },
		{ 12, 3 },
		{ 56, 10 },
		{ 57, 11 },
		{ 1000, 179 },
		{ 1000000, 178572 },
		{ 10000000, 1785715 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %zu keys\n", cases[i].key_count);
		assert_int_equal(affinity_size(cases[i].key_count), cases[i].line_count * 64);
	}
	assert_true(affinity_size(10000000) <= 200000000);
}

static void ticks_are_four_seconds_and_wrap(void **state)
{
	(void)state;
	assert_int_equal(affinity_ticks(0), 0);
	assert_int_equal(affinity_ticks(3999), 0);
	assert_int_equal(affinity_ticks(4000), 1);
	assert_int_equal(affinity_ticks(4000ull * 4095), 4095);
	assert_int_equal(affinity_ticks(4000ull * 4096), 0);
}

static void every_field_comes_back(void **state)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	(void)state;
	for (uint16_t i = 0; i < BACKEND_COUNT_MAX; i++) {
		uint16_t ticks = (uint16_t)(hash_of(i) & 0xfff);

		memset(table.words, 0, 64);
		assert_true(affinity_insert(&table, hash_of(i), i, i % 3 == 0, ticks, 0, &stats));
		assert_true(affinity_find(&table, hash_of(i), (ticks + 5) & 0xfff, 5, &entry));
		assert_int_equal(entry.slot, i);
		assert_int_equal(entry.age_ticks, 5);
		assert_int_equal(entry.proven, i % 3 == 0);
		assert_true(entry.seen == *entry.word);
	}
	free(table.words);
}

static void extreme_hashes_are_keys_too(void **state)
{
	static const struct {
		const char *name;
		uint64_t hash;
	} cases[] = {
		{ "all zeros", 0 },
		{ "all ones", UINT64_MAX },
		{ "a tag of 0 in the last line", UINT64_MAX << TAG_BITS },
		{ "the lowest bit of the tag", 1 },
		{ "the highest bit of the tag", 1ull << (TAG_BITS - 1) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t line_count = 1; line_count < 20; line_count++) {
			struct affinity table = table_new(line_count * 64);
			struct affinity_stats stats = { 0 };
			struct affinity_entry entry = { .slot = 99 };

			print_message("case: %s, %zu lines\n", cases[i].name, line_count);
			affinity_prefetch(&table, cases[i].hash);
			assert_false(affinity_find(&table, cases[i].hash, 0, 0, &entry));
			assert_int_equal(entry.slot, 99);
			assert_true(
				affinity_insert(&table, cases[i].hash, 4095, true, 0, 0, &stats));
			assert_true(affinity_find(&table, cases[i].hash, 0, 0, &entry));
			assert_int_equal(entry.slot, 4095);
			assert_int_equal(words_used(&table), 1);
			free(table.words);
		}
	}
}

/* All 39 bits of the tag are compared, whichever half of the word they are in. */
static void one_bit_makes_another_key(void **state)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	(void)state;
	for (unsigned int trial = 0; trial < 100; trial++) {
		uint64_t hash = hash_of(trial);

		memset(table.words, 0, 64);
		assert_true(affinity_insert(&table, hash, 0, true, 0, 0, &stats));
		for (unsigned int bit = 0; bit < TAG_BITS; bit++)
			assert_false(affinity_find(&table, hash ^ 1ull << bit, 0, 0, &entry));
		for (unsigned int bit = TAG_BITS; bit < 64; bit++) /* one line: only the tag */
			assert_true(affinity_find(&table, hash ^ 1ull << bit, 0, 0, &entry));
	}
	free(table.words);
}

/* Filled to the load it is made for; almost nothing may be lost, and no stranger
 * be found. */
static void millions_of_keys_are_kept(void **state)
{
	size_t count = shortened(10000000), lost = 0, wrong = 0, strangers = 0;
	struct affinity table = table_new(affinity_size(count));
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };
	double expected;

	(void)state;
	for (size_t i = 0; i < count; i++)
		(void)affinity_insert(&table, hash_of(i), i & 0xfff, i % 2, 0, MAX_AGE, &stats);
	for (size_t i = 0; i < count; i++) {
		if (!affinity_find(&table, hash_of(i), 0, MAX_AGE, &entry))
			lost++;
		else
			wrong += entry.slot != (i & 0xfff) || entry.proven != i % 2;
	}
	for (size_t i = 0; i < count; i++)
		strangers += affinity_find(&table, hash_of(count + i), 0, MAX_AGE, &entry);
	expected = (double)count * 2 * LINE_WORDS * LOAD / (double)(1ull << TAG_BITS);
	print_message("%zu keys in %zu bytes: %zu lost, %zu wrong\n", count, affinity_size(count),
		      lost, wrong);
	print_message("%zu strangers: %zu found, %.5f expected\n", count, strangers, expected);
	assert_true(lost <= count / 10000);
	assert_int_equal(lost, stats.evicted + stats.refused);
	assert_int_equal(words_used(&table), count - lost);
	assert_int_equal(wrong, 0);
	assert_int_equal(strangers, 0);
	free(table.words);
}

/* A key with the tag of another is taken for it only where one of its lines, out
 * of line_count, holds that other. So the line counts for log2(line_count) - 1
 * bits, and the second line is as good as random. */
static void one_tag_in_other_lines_is_another_key(void **state)
{
	enum { COUNT = 1000, LOOKUPS = 2000 };
	struct affinity table = table_new(affinity_size(COUNT));
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };
	uint64_t random = 3;
	size_t found = 0;
	double expected = 2.0 * COUNT * LOOKUPS / (double)table.line_count;

	(void)state;
	for (uint64_t i = 0; i < COUNT; i++)
		assert_true(affinity_insert(&table, hash_of(i), 0, true, 0, 0, &stats));
	for (uint64_t i = 0; i < COUNT; i++) {
		for (int n = 0; n < LOOKUPS; n++) {
			uint64_t other = random_next(&random) >> TAG_BITS << TAG_BITS;

			found += affinity_find(&table, hash_of(i) ^ other, 0, 0, &entry);
		}
	}
	print_message("%d look-ups by the tag of another: %zu found, %.0f expected\n",
		      COUNT * LOOKUPS, found, expected);
	assert_true((double)found > expected * 0.95 && (double)found < expected * 1.05);
	free(table.words);
}

static void age_is_counted_in_a_circle(void **state)
{
	static const struct {
		const char *name;
		uint16_t stored, now, max_age;
		int want_age; /* -1: not found */
	} cases[] = {
		{ "the same tick", 100, 100, 0, 0 },
		{ "one too old", 100, 101, 0, -1 },
		{ "just young enough", 100, 175, 75, 75 },
		{ "just too old", 100, 176, 75, -1 },
		{ "round the end", 4090, 5, 75, 11 },
		{ "round the end, too old", 4090, 5, 10, -1 },
		{ "the longest age", 0, AFFINITY_AGE_MAX_TICKS, AFFINITY_AGE_MAX_TICKS,
		  AFFINITY_AGE_MAX_TICKS },
		{ "longer than the longest", 0, 2048, AFFINITY_AGE_MAX_TICKS, -1 },
		{ "far too old", 0, 4000, AFFINITY_AGE_MAX_TICKS, -1 },
		{ "written by a clock ahead", 101, 100, 75, 0 },
		{ "ahead round the end", 3, 4093, 0, 0 },
		{ "as far ahead as may be", 108, 100, 0, 0 },
		{ "no clock is so far ahead", 109, 100, AFFINITY_AGE_MAX_TICKS, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct affinity table = table_new(64);
		struct affinity_stats stats = { 0 };
		struct affinity_entry entry = { 0 };
		bool found;

		print_message("case: %s\n", cases[i].name);
		assert_true(affinity_insert(&table, 7, 1, false, cases[i].stored, cases[i].max_age,
					    &stats));
		found = affinity_find(&table, 7, cases[i].now, cases[i].max_age, &entry);
		assert_int_equal(found, cases[i].want_age >= 0);
		assert_int_equal(affinity_sweep(&table, 0, 1, cases[i].now, cases[i].max_age, NULL),
				 found);
		assert_int_equal(words_used(&table), found);
		if (found)
			assert_int_equal(entry.age_ticks, cases[i].want_age);
		free(table.words);
	}
}

/* Eight entries fill the one line; a ninth key comes at tick 100. */
static void who_gives_way(void **state)
{
	static const struct {
		const char *name;
		uint16_t ticks[LINE_WORDS];
		bool proven[LINE_WORDS];
		uint16_t max_age;
		int want_gone; /* the key that went; -1: the ninth is refused */
		bool want_evicted;
	} cases[] = {
		{ "the oldest", { 95, 93, 97, 99, 94, 96, 98, 92 }, { 0 }, 75, 7, true },
		{ "the oldest, elsewhere", { 95, 93, 97, 90, 94, 96, 98, 92 }, { 0 }, 75, 3, true },
		{ "an unproven one, not an older proven one",
		  { 50, 50, 50, 99, 50, 50, 50, 50 },
		  { 1, 1, 1, 0, 1, 1, 1, 1 },
		  75,
		  3,
		  true },
		{ "one too old, though proven",
		  { 95, 93, 97, 99, 24, 96, 98, 92 },
		  { 0, 0, 0, 0, 1, 0, 0, 0 },
		  75,
		  4,
		  false },
		{ "nobody",
		  { 25, 25, 25, 25, 25, 25, 25, 25 },
		  { 1, 1, 1, 1, 1, 1, 1, 1 },
		  75,
		  -1,
		  false },
		{ "round the end", { 99, 98, 4095, 0, 97, 96, 95, 94 }, { 0 }, 200, 2, true },
		{ "not one ahead", { 101, 99, 101, 108, 101, 101, 101, 101 }, { 0 }, 75, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const int gone = cases[i].want_gone;
		const uint16_t max_age = cases[i].max_age;
		struct affinity table = table_new(64);
		struct affinity_stats stats = { 0 };
		struct affinity_entry entry = { 0 };

		print_message("case: %s\n", cases[i].name);
		for (uint16_t k = 0; k < LINE_WORDS; k++)
			table.words[k] =
				word_of(hash_of(k), k, cases[i].proven[k], cases[i].ticks[k]);
		assert_int_equal(
			affinity_insert(&table, hash_of(8), 8, false, 100, max_age, &stats),
			gone >= 0);
		assert_stats(&stats, gone >= 0, cases[i].want_evicted, gone < 0);
		for (int k = 0; k <= LINE_WORDS; k++) {
			bool want = k < LINE_WORDS ? k != gone : gone >= 0;

			assert_int_equal(
				affinity_find(&table, hash_of((uint64_t)k), 100, max_age, &entry),
				want);
			if (want)
				assert_int_equal(entry.slot, k);
		}
		free(table.words);
	}
}

/* Two lines of memory: a key that has both, and which of them is its first. */
static uint64_t key_of_two_lines(struct affinity *table, size_t *ret_first)
{
	const uint64_t other = word_of(hash_of(1), 0, true, 0);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	for (uint64_t key = 2;; key++) {
		memset(table->words, 0, 2 * 64);
		assert_true(affinity_insert(table, hash_of(key), 0, true, 0, 0, &stats));
		assert_true(affinity_find(table, hash_of(key), 0, 0, &entry));
		*ret_first = (size_t)(entry.word - table->words) / LINE_WORDS;
		memset(table->words, 0, 2 * 64);
		for (size_t i = 0; i < LINE_WORDS; i++)
			table->words[*ret_first * LINE_WORDS + i] = other;
		if (affinity_insert(table, hash_of(key), 0, true, 0, 0, &stats) &&
		    affinity_find(table, hash_of(key), 0, 0, &entry))
			return key;
	}
}

/* Old entries count as empty places; the second line is taken where it is emptier. */
static void the_emptier_line_is_taken(void **state)
{
	static const struct {
		const char *name;
		size_t live[2], old[2];
		bool want_second;
	} cases[] = {
		{ "both empty", { 0, 0 }, { 0, 0 }, false },
		{ "one in each", { 1, 1 }, { 0, 0 }, false },
		{ "one in the first", { 1, 0 }, { 0, 0 }, true },
		{ "more in the first", { 7, 6 }, { 0, 0 }, true },
		{ "more in the second", { 6, 7 }, { 0, 0 }, false },
		{ "the first is full", { 8, 7 }, { 0, 0 }, true },
		{ "the second is full", { 7, 8 }, { 0, 0 }, false },
		{ "old ones in the first", { 2, 3 }, { 6, 0 }, false },
		{ "old ones in the second", { 3, 2 }, { 0, 6 }, true },
		{ "nothing but old ones", { 0, 0 }, { 8, 8 }, false },
	};
	const uint64_t live = word_of(hash_of(1), 0, true, 100);
	const uint64_t old = word_of(hash_of(1), 0, true, 100 - MAX_AGE - 1);
	struct affinity table = table_new(2 * 64);
	size_t first;
	uint64_t key = key_of_two_lines(&table, &first);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct affinity_stats stats = { 0 };
		struct affinity_entry entry = { 0 };

		print_message("case: %s\n", cases[i].name);
		memset(table.words, 0, 2 * 64);
		for (size_t n = 0; n < 2; n++) {
			uint64_t *line = &table.words[(n ? !first : first) * LINE_WORDS];

			for (size_t k = 0; k < cases[i].live[n] + cases[i].old[n]; k++)
				line[k] = k < cases[i].live[n] ? live : old;
		}
		assert_true(affinity_insert(&table, hash_of(key), 5, true, 100, MAX_AGE, &stats));
		assert_stats(&stats, 1, 0, 0);
		assert_true(affinity_find(&table, hash_of(key), 100, MAX_AGE, &entry));
		assert_int_equal(entry.slot, 5);
		assert_int_equal((size_t)(entry.word - table.words) / LINE_WORDS,
				 cases[i].want_second ? !first : first);
	}
	free(table.words);
}

static void a_flood_does_not_move_the_proven(void **state)
{
	enum { PROVEN = 1000, FLOOD = 1000000 };
	struct affinity table = table_new(affinity_size(PROVEN * 2));
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };
	size_t flood = shortened(FLOOD);

	(void)state;
	for (uint64_t i = 0; i < PROVEN; i++)
		assert_true(
			affinity_insert(&table, hash_of(i), i & 0xfff, true, 0, MAX_AGE, &stats));
	assert_stats(&stats, PROVEN, 0, 0);
	for (uint64_t i = 0; i < flood; i++)
		(void)affinity_insert(&table, hash_of(PROVEN + i), 4095, false,
				      (uint16_t)(i * MAX_AGE / flood), MAX_AGE, &stats);
	for (uint64_t i = 0; i < PROVEN; i++) {
		assert_true(affinity_find(&table, hash_of(i), MAX_AGE, MAX_AGE, &entry));
		assert_int_equal(entry.slot, i & 0xfff);
		assert_true(entry.proven);
	}
	print_message("flood of %zu: %lu evicted, %lu refused\n", flood,
		      (unsigned long)stats.evicted, (unsigned long)stats.refused);
	assert_int_equal(stats.inserted + stats.refused, PROVEN + flood);
	assert_int_equal(stats.inserted - stats.evicted, words_used(&table));
	free(table.words);
}

/* Too old for its reader and not for others: the key gets its old place back. */
static void a_key_returns_to_its_own_place(void **state)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 }, again = { 0 };

	(void)state;
	assert_true(affinity_insert(&table, 7, 1, true, 100, MAX_AGE, &stats));
	assert_true(affinity_insert(&table, 8, 1, true, 100, MAX_AGE, &stats));
	assert_true(affinity_find(&table, 7, 100, MAX_AGE, &entry));
	assert_false(affinity_find(&table, 7, 110, 9, &again));
	assert_true(affinity_insert(&table, 7, 2, false, 110, MAX_AGE, &stats));
	assert_stats(&stats, 3, 0, 0);
	assert_int_equal(words_used(&table), 2);
	assert_true(affinity_find(&table, 7, 110, 9, &again));
	assert_ptr_equal(again.word, entry.word);
	assert_int_equal(again.slot, 2);
	assert_int_equal(again.age_ticks, 0);
	assert_false(again.proven);
	free(table.words);
}

static void who_inserts_first_stays(void **state)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	(void)state;
	assert_true(affinity_insert(&table, 7, 1, false, 100, MAX_AGE, &stats));
	assert_true(affinity_insert(&table, 7, 2, true, 100, MAX_AGE, &stats));
	assert_stats(&stats, 1, 0, 0);
	assert_int_equal(words_used(&table), 1);
	assert_true(affinity_find(&table, 7, 100, MAX_AGE, &entry));
	assert_int_equal(entry.slot, 1);
	assert_false(entry.proven);
	free(table.words);
}

/* What two threads may leave behind: the live one counts, wherever it lies. */
static void an_old_twin_hides_nothing(void **state)
{
	const uint64_t old = word_of(7, 1, true, 10), live = word_of(7, 2, true, 100);
	struct affinity table = table_new(64);
	struct affinity_entry entry = { 0 };

	(void)state;
	for (int i = 0; i < LINE_WORDS; i++) {
		for (int k = 0; k < LINE_WORDS; k++)
			table.words[k] = k == i ? live : old;
		assert_true(affinity_find(&table, 7, 100, MAX_AGE, &entry));
		assert_int_equal(entry.slot, 2);
		assert_ptr_equal(entry.word, &table.words[i]);
	}
	free(table.words);
}

/* On memory that faults when written to. */
static void reading_and_an_idle_touch_store_nothing(void **state)
{
	const size_t size = 4096;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };
	struct affinity table;

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	affinity_init(&table, memory, size);
	assert_true(affinity_insert(&table, 7, 1, true, 100, MAX_AGE, &stats));
	assert_int_equal(mprotect(memory, size, PROT_READ), 0);
	affinity_prefetch(&table, 7);
	assert_true(affinity_find(&table, 7, 100, MAX_AGE, &entry));
	affinity_touch(&entry, false, 100);
	affinity_touch(&entry, true, 100);
	affinity_touch(&entry, true, 99); /* a clock behind does not turn it back */
	assert_int_equal(affinity_sweep(&table, 0, size / 64, 175, MAX_AGE, NULL), 1);
	assert_int_equal(munmap(memory, size), 0);
}

static void touch_changes_what_it_says(void **state)
{
	static const struct {
		const char *name;
		bool was_proven, proves;
		uint16_t now;
		uint16_t want_age_at_200;
		bool want_proven;
	} cases[] = {
		{ "nothing new", false, false, 100, 100, false },
		{ "a tick later", false, false, 101, 99, false },
		{ "proven", false, true, 100, 100, true },
		{ "proven later", false, true, 110, 90, true },
		{ "stays proven", true, false, 110, 90, true },
		{ "a clock behind", false, true, 99, 100, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct affinity table = table_new(64);
		struct affinity_stats stats = { 0 };
		struct affinity_entry entry = { 0 };

		print_message("case: %s\n", cases[i].name);
		assert_true(
			affinity_insert(&table, 7, 0xabc, cases[i].was_proven, 100, 200, &stats));
		assert_true(affinity_find(&table, 7, 100, 200, &entry));
		affinity_touch(&entry, cases[i].proves, cases[i].now);
		assert_true(affinity_find(&table, 7, 200, 200, &entry));
		assert_int_equal(entry.slot, 0xabc);
		assert_int_equal(entry.age_ticks, cases[i].want_age_at_200);
		assert_int_equal(entry.proven, cases[i].want_proven);
		free(table.words);
	}
}

/* Each case changes the entry between the find and what is tried then. */
static void who_comes_second_changes_nothing(void **state)
{
	enum change { TOUCHED, PROVEN, REPLACED, VOIDED, NONE };
	static const struct {
		const char *name;
		enum change change;
	} cases[] = {
		{ "touched", TOUCHED }, { "proven", PROVEN },	 { "replaced", REPLACED },
		{ "voided", VOIDED },	{ "not changed", NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct affinity table = table_new(64);
		struct affinity_stats stats = { 0 };
		struct affinity_entry stale = { 0 }, entry;
		uint64_t word;

		print_message("case: %s\n", cases[i].name);
		assert_true(affinity_insert(&table, 7, 1, false, 100, MAX_AGE, &stats));
		assert_true(affinity_find(&table, 7, 101, MAX_AGE, &stale));
		entry = stale;
		if (cases[i].change == TOUCHED)
			affinity_touch(&entry, false, 101);
		else if (cases[i].change == PROVEN)
			affinity_touch(&entry, true, 100);
		else if (cases[i].change == REPLACED)
			assert_true(affinity_replace(&entry, 2, 100));
		else if (cases[i].change == VOIDED)
			assert_int_equal(affinity_sweep(&table, 0, 1, 200, MAX_AGE, NULL), 0);
		word = *stale.word;
		assert_int_equal(word == stale.seen, cases[i].change == NONE);
		assert_int_equal(affinity_replace(&stale, 3, 102), cases[i].change == NONE);
		if (cases[i].change == NONE) {
			assert_true(affinity_find(&table, 7, 102, MAX_AGE, &entry));
			assert_int_equal(entry.slot, 3);
			assert_int_equal(entry.age_ticks, 0);
			assert_false(entry.proven);
			word = *stale.word;
		}
		affinity_touch(&stale, true, 103);
		assert_true(*stale.word == word);
		free(table.words);
	}
}

static void replace_keeps_proven(void **state)
{
	struct affinity table = table_new(64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };

	(void)state;
	assert_true(affinity_insert(&table, 7, 4095, true, 100, MAX_AGE, &stats));
	assert_true(affinity_find(&table, 7, 110, MAX_AGE, &entry));
	assert_true(affinity_replace(&entry, 0, 110));
	assert_true(affinity_find(&table, 7, 110, MAX_AGE, &entry));
	assert_int_equal(entry.slot, 0);
	assert_int_equal(entry.age_ticks, 0);
	assert_true(entry.proven);
	free(table.words);
}

/* Keys of slots 0 to 9, each at the tick of its slot; slots 3 and 7 are void, the
 * sweep comes at tick 10 and takes what is older than 8. */
static void sweep_voids_the_old_and_the_void(void **state)
{
	enum { COUNT = 1000, LINES = 200 };
	static const bool void_slots[BACKEND_COUNT_MAX] = { [3] = true, [7] = true };
	struct affinity table = table_new(LINES * 64);
	struct affinity_stats stats = { 0 };
	struct affinity_entry entry = { 0 };
	size_t left = 0;

	(void)state;
	for (uint16_t slot = 0; slot < 10; slot++) /* in this order: time goes on */
		for (uint64_t i = slot; i < COUNT; i += 10)
			assert_true(affinity_insert(&table, hash_of(i), slot, i % 4 == 0, slot,
						    MAX_AGE, &stats));
	for (uint64_t first = 0; first < LINES; first += 50) {
		uint64_t *next = table.words + (first + 50) * LINE_WORDS;
		uint64_t rest[LINES * LINE_WORDS];
		size_t rest_size = (LINES - first - 50) * 64;

		memcpy(rest, next, rest_size);
		left += affinity_sweep(&table, first, 50, 10, 8, void_slots);
		assert_memory_equal(rest, next, rest_size);
	}
	assert_int_equal(left, COUNT * 6 / 10); /* 0 and 1 are old, 3 and 7 void */
	assert_int_equal(words_used(&table), left);
	for (uint64_t i = 0; i < COUNT; i++) {
		bool want = i % 10 >= 2 && !void_slots[i % 10];

		assert_int_equal(affinity_find(&table, hash_of(i), 10, MAX_AGE, &entry), want);
		if (want)
			assert_int_equal(entry.slot, i % 10);
	}
	assert_int_equal(affinity_sweep(&table, 0, LINES, 10, 8, NULL), left);
	assert_int_equal(affinity_sweep(&table, LINES, 0, 10, 8, NULL), 0);
	free(table.words);
}

/* --- The slow twin: an array with a field for everything --- */

struct twin_entry {
	bool present, proven;
	uint16_t slot;
	uint64_t tick; /* never goes round */
};

struct twin {
	struct affinity table;
	struct affinity_stats stats;
	struct twin_entry *entries;
	size_t key_count;
	uint64_t tick, swept_at, evictions, refusals;
};

/* Two kinds of keys, as of two services with different idle times. */
static uint16_t twin_max_age(uint64_t key)
{
	return key % 3 ? MAX_AGE : 20;
}

static bool twin_is_live(const struct twin *twin, uint64_t key, uint16_t max_age)
{
	const struct twin_entry *entry = &twin->entries[key];

	return entry->present && twin->tick - entry->tick <= max_age;
}

static uint16_t twin_now(const struct twin *twin)
{
	return (uint16_t)(twin->tick & 0xfff);
}

/* The table and the twin say the same of a key. */
static bool twin_find(const struct twin *twin, uint64_t key, struct affinity_entry *ret_entry)
{
	const struct twin_entry *want = &twin->entries[key];
	bool found = affinity_find(&twin->table, hash_of(key), twin_now(twin), twin_max_age(key),
				   ret_entry);

	assert_int_equal(found, twin_is_live(twin, key, twin_max_age(key)));
	if (found) {
		assert_int_equal(ret_entry->slot, want->slot);
		assert_int_equal(ret_entry->proven, want->proven);
		assert_int_equal(ret_entry->age_ticks, twin->tick - want->tick);
	}
	return found;
}

/* Somebody has been evicted: exactly one, live for all but not proven. */
static void twin_evict(struct twin *twin, uint64_t for_key)
{
	struct affinity_entry entry = { 0 };
	size_t gone = 0;

	for (uint64_t key = 0; key < twin->key_count; key++) {
		struct twin_entry *evicted = &twin->entries[key];

		if (key == for_key || !twin_is_live(twin, key, MAX_AGE) ||
		    affinity_find(&twin->table, hash_of(key), twin_now(twin), MAX_AGE, &entry))
			continue;
		assert_false(evicted->proven);
		evicted->present = false;
		gone++;
	}
	assert_int_equal(gone, 1);
	twin->evictions++;
}

static void twin_insert(struct twin *twin, uint64_t key, uint16_t slot, bool proven)
{
	struct affinity_stats before = twin->stats;
	bool inserted = affinity_insert(&twin->table, hash_of(key), slot, proven, twin_now(twin),
					MAX_AGE, &twin->stats);

	assert_int_equal(twin->stats.inserted - before.inserted, inserted);
	assert_int_equal(twin->stats.refused - before.refused, !inserted);
	if (twin->stats.evicted != before.evicted)
		twin_evict(twin, key);
	twin->refusals += !inserted;
	assert_int_equal(twin->stats.evicted, twin->evictions);
	assert_int_equal(twin->stats.refused, twin->refusals);
	if (inserted)
		twin->entries[key] = (struct twin_entry){ true, proven, slot, twin->tick };
}

static void twin_sweep(struct twin *twin, const bool *void_slots)
{
	size_t live = 0, left = affinity_sweep(&twin->table, 0, twin->table.line_count,
					       twin_now(twin), MAX_AGE, void_slots);

	for (uint64_t key = 0; key < twin->key_count; key++) {
		struct twin_entry *entry = &twin->entries[key];

		entry->present = twin_is_live(twin, key, MAX_AGE) &&
				 !(void_slots && void_slots[entry->slot]);
		live += entry->present;
	}
	assert_int_equal(left, live);
	twin->swept_at = twin->tick;
}

/* Mostly not at all; now and then by a lot, but never so far that what was not
 * swept would come back. */
static void twin_clock(struct twin *twin, uint64_t random)
{
	uint64_t step = random % 4096 ? random % 64 == 0 : random >> 12 & 1023;

	twin->tick += step;
	if (twin->tick - twin->swept_at > 1024)
		twin_sweep(twin, NULL);
}

static void twin_step(struct twin *twin, uint64_t random)
{
	uint64_t key = (random >> 32) % twin->key_count;
	uint16_t slot = random >> 20 & 0xfff;
	struct twin_entry *want = &twin->entries[key];
	bool proves = (random >> 16 & 3) == 0;
	struct affinity_entry entry = { 0 };

	twin_clock(twin, random >> 4);
	if (!twin_find(twin, key, &entry)) {
		if (random & 3)
			twin_insert(twin, key, slot, proves);
	} else if ((random & 3) == 0) {
		affinity_touch(&entry, proves, twin_now(twin));
		want->tick = twin->tick;
		want->proven |= proves;
	} else if ((random & 3) == 1) {
		assert_true(affinity_replace(&entry, slot, twin_now(twin)));
		want->tick = twin->tick;
		want->slot = slot;
	}
}

static void agrees_with_slow_twin(void **state)
{
	static const struct {
		const char *name;
		size_t key_count, room; /* room: keys the table is made for */
		size_t operations;
		uint64_t sweep_every; /* operations */
	} cases[] = {
		{ "room for all", 50000, 50000, 5000000, 250000 },
		{ "room for half", 300, 150, 4000000, 2000 },
		{ "two lines", 40, 8, 1000000, 200 },
	};
	const uint64_t seed = 0x5eed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct twin twin = { .table = table_new(affinity_size(cases[i].room)),
				     .key_count = cases[i].key_count };
		size_t operations = shortened(cases[i].operations);
		uint64_t random = seed;
		struct affinity_entry entry = { 0 };

		twin.entries = calloc(twin.key_count, sizeof(*twin.entries));
		assert_non_null(twin.entries);
		print_message("case: %s, seed %#lx, %zu operations\n", cases[i].name,
			      (unsigned long)seed, operations);
		for (size_t n = 1; n <= operations; n++) {
			static bool void_slots[BACKEND_COUNT_MAX];

			twin_step(&twin, random_next(&random));
			if (n % cases[i].sweep_every)
				continue;
			for (size_t slot = 0; slot < BACKEND_COUNT_MAX; slot++)
				void_slots[slot] = random_next(&random) % 16 == 0;
			twin_sweep(&twin, void_slots);
		}
		for (uint64_t key = 0; key < twin.key_count; key++)
			(void)twin_find(&twin, key, &entry);
		print_message("%lu inserted, %lu evicted, %lu refused\n",
			      (unsigned long)twin.stats.inserted, (unsigned long)twin.evictions,
			      (unsigned long)twin.refusals);
		assert_int_equal(twin.evictions == 0, i == 0);
		free(twin.entries);
		free(twin.table.words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_is_a_load_of_070),
		cmocka_unit_test(ticks_are_four_seconds_and_wrap),
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(extreme_hashes_are_keys_too),
		cmocka_unit_test(one_bit_makes_another_key),
		cmocka_unit_test(millions_of_keys_are_kept),
		cmocka_unit_test(one_tag_in_other_lines_is_another_key),
		cmocka_unit_test(age_is_counted_in_a_circle),
		cmocka_unit_test(who_gives_way),
		cmocka_unit_test(the_emptier_line_is_taken),
		cmocka_unit_test(a_flood_does_not_move_the_proven),
		cmocka_unit_test(a_key_returns_to_its_own_place),
		cmocka_unit_test(who_inserts_first_stays),
		cmocka_unit_test(an_old_twin_hides_nothing),
		cmocka_unit_test(reading_and_an_idle_touch_store_nothing),
		cmocka_unit_test(touch_changes_what_it_says),
		cmocka_unit_test(who_comes_second_changes_nothing),
		cmocka_unit_test(replace_keeps_proven),
		cmocka_unit_test(sweep_voids_the_old_and_the_void),
		cmocka_unit_test(agrees_with_slow_twin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
