/* SPDX-License-Identifier: GPL-2.0-only */
/* affinity - what affinity tables cost a key, beside a plain hash table.
 *
 * In bursts, as forward_burst() does it: first every key's memory is asked for,
 * then every key is looked up. The opponent is what one would write first: open
 * addressing, the key itself in entries of 32 bytes, the same load, huge pages
 * too. Both take turns, pass by pass. Prints a JSON row for each with every pass;
 * its value is their tenth percentile, since what else the machine does may double
 * the time of a pass and never shortens it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/affinity.h"
#include "ringway/limits.h"
#include "util/clock.h"
#include "util/huge_memory.h"
#include "util/number.h"
#include "util/options.h"

#include "../unit/test.h"

#define PASS_KEYS 4096
#define MAX_AGE	  75

#define NOW  1
#define SLOT 1

static struct {
	const char *keys, *passes, *fills;
} arguments = { .passes = "200", .fills = "10" };

static const struct option_entry entries[] = {
	{ 0, "keys", "COUNT", "default 1000, then 1000000, then 10000000",
	  .value = &arguments.keys },
	{ 0, "passes", "COUNT", "of 4096 keys looked up; default 200", .value = &arguments.passes },
	{ 0, "fills", "COUNT", "of the empty table; default 10", .value = &arguments.fills },
};

static const struct options options = {
	.usage = "affinity [OPTION]...",
	.summary = "Time affinity tables in memory.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

/* --- The opponent --- */

struct plain_entry {
	uint8_t key[16];
	uint32_t used_at;
	uint16_t slot;
	bool used;
} __attribute__((aligned(32)));
_Static_assert(sizeof(struct plain_entry) == 32, "two a cache line");

struct plain {
	struct plain_entry *entries;
	uint64_t count;
};

static struct plain_entry *plain_at(const struct plain *plain, uint64_t hash)
{
	return &plain->entries[(hash >> 32) * plain->count >> 32];
}

/* The key's entry, or the empty one that ends the search. */
static struct plain_entry *plain_find(const struct plain *plain, uint64_t hash,
				      const uint8_t key[16])
{
	struct plain_entry *entry = plain_at(plain, hash);

	while (entry->used && memcmp(entry->key, key, 16) != 0)
		if (++entry == plain->entries + plain->count)
			entry = plain->entries;
	return entry;
}

/* --- Both under one roof --- */

struct burst {
	uint64_t hashes[BURST_MAX];
	uint8_t keys[BURST_MAX][16];
	size_t count;
};

static struct affinity table;
static struct affinity_stats stats;
static struct plain plain;

__attribute__((noinline)) static size_t affinity_find_burst(const struct burst *burst)
{
	struct affinity_entry entry;
	size_t found = 0;

	for (size_t i = 0; i < burst->count; i++)
		affinity_prefetch(&table, burst->hashes[i]);
	for (size_t i = 0; i < burst->count; i++) {
		if (affinity_find(&table, burst->hashes[i], NOW, MAX_AGE, &entry))
			found += entry.slot == SLOT;
	}
	return found;
}

__attribute__((noinline)) static size_t plain_find_burst(const struct burst *burst)
{
	size_t found = 0;

	for (size_t i = 0; i < burst->count; i++)
		__builtin_prefetch(plain_at(&plain, burst->hashes[i]));
	for (size_t i = 0; i < burst->count; i++) {
		const struct plain_entry *entry =
			plain_find(&plain, burst->hashes[i], burst->keys[i]);

		if (entry->used && NOW - entry->used_at <= MAX_AGE)
			found += entry->slot == SLOT;
	}
	return found;
}

__attribute__((noinline)) static size_t affinity_insert_burst(const struct burst *burst)
{
	size_t inserted = 0;

	for (size_t i = 0; i < burst->count; i++)
		affinity_prefetch(&table, burst->hashes[i]);
	for (size_t i = 0; i < burst->count; i++)
		inserted +=
			affinity_insert(&table, burst->hashes[i], SLOT, true, NOW, MAX_AGE, &stats);
	return inserted;
}

__attribute__((noinline)) static size_t plain_insert_burst(const struct burst *burst)
{
	for (size_t i = 0; i < burst->count; i++)
		__builtin_prefetch(plain_at(&plain, burst->hashes[i]), 1);
	for (size_t i = 0; i < burst->count; i++) {
		struct plain_entry *entry = plain_find(&plain, burst->hashes[i], burst->keys[i]);

		memcpy(entry->key, burst->keys[i], 16);
		entry->used_at = NOW;
		entry->slot = SLOT;
		entry->used = true;
	}
	return burst->count;
}

enum operation { HIT, MISS, INSERT, OPERATION_COUNT };

static const char *const operation_names[] = { "find, hit", "find, miss", "insert" };

static const struct {
	const char *name;
	size_t (*run[OPERATION_COUNT])(const struct burst *burst);
} subjects[] = {
	{ "affinity", { affinity_find_burst, affinity_find_burst, affinity_insert_burst } },
	{ "open addressing", { plain_find_burst, plain_find_burst, plain_insert_burst } },
};
#define SUBJECT_COUNT ARRAY_LEN(subjects)

/* --- Measuring --- */

/* Zeros in huge pages, as the daemon has its tables. */
static void *memory_new(size_t size)
{
	void *memory = huge_memory_new(size);

	if (!memory) {
		(void)fprintf(stderr, "affinity: no memory for a table of %zu bytes\n", size);
		exit(EXIT_FAILURE);
	}
	return memory;
}

static void tables_empty(void)
{
	memset(table.words, 0, table.line_count * 64);
	memset(plain.entries, 0, plain.count * sizeof(*plain.entries));
}

static void tables_make(size_t key_count)
{
	size_t size = affinity_size(key_count);

	affinity_init(&table, memory_new(size), size);
	plain.count = size / sizeof(uint64_t); /* as many places */
	plain.entries = memory_new(plain.count * sizeof(*plain.entries));
}

static void burst_add(struct burst *burst, uint64_t key)
{
	const uint64_t halves[2] = { key, ~key };
	uint64_t random = key;

	burst->hashes[burst->count] = random_next(&random);
	memcpy(burst->keys[burst->count++], halves, sizeof(halves));
}

/* What a pass took a subject, and of how many keys it said yes. */
struct tally {
	uint64_t spent_ns, keys, done;
};

static void burst_time(const struct burst *burst, enum operation operation,
		       struct tally tallies[SUBJECT_COUNT])
{
	for (size_t s = 0; s < SUBJECT_COUNT; s++) {
		uint64_t start_ns = clock_ns();
		size_t done = subjects[s].run[operation](burst);

		tallies[s].spent_ns += clock_ns() - start_ns;
		tallies[s].keys += burst->count;
		tallies[s].done += done;
	}
}

static void pass_find(enum operation operation, size_t key_count, uint64_t *random,
		      struct tally tallies[SUBJECT_COUNT])
{
	for (size_t n = 0; n < PASS_KEYS; n += BURST_MAX) {
		struct burst burst = { 0 };

		while (burst.count < BURST_MAX)
			burst_add(&burst, random_next(random) % key_count +
						  (operation == MISS ? key_count : 0));
		burst_time(&burst, operation, tallies);
	}
}

/* Fills of a table from empty, several where few keys would be too short a pass. */
static void pass_insert(size_t key_count, struct tally tallies[SUBJECT_COUNT])
{
	while (tallies[0].keys < PASS_KEYS) {
		tables_empty();
		for (size_t key = 0; key < key_count;) {
			struct burst burst = { 0 };

			while (burst.count < BURST_MAX && key < key_count)
				burst_add(&burst, key++);
			burst_time(&burst, INSERT, tallies);
		}
	}
}

/* The figures mean something: one key in a burst may be lost, no stranger known. */
static void tally_check(const struct tally *tally, const char *subject_name,
			enum operation operation)
{
	uint64_t wanted = operation == MISS ? 0 : tally->keys;

	if (tally->done <= wanted && tally->done >= wanted - wanted / BURST_MAX)
		return;
	(void)fprintf(stderr, "affinity: %s, %s: yes to %lu of %lu keys\n", subject_name,
		      operation_names[operation], (unsigned long)tally->done,
		      (unsigned long)tally->keys);
	exit(EXIT_FAILURE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const char *subject_name, enum operation operation, size_t key_count,
		   double *runs, size_t count)
{
	json_t *row = json_object(), *values = json_array();
	char subject[96];

	(void)snprintf(subject, sizeof(subject), "%s, %s, %zu keys", subject_name,
		       operation_names[operation], key_count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(values, json_real(runs[i]));
	qsort(runs, count, sizeof(*runs), compare);
	json_object_set_new(row, "subject", json_string(subject));
	json_object_set_new(row, "metric", json_string("time a key"));
	json_object_set_new(row, "unit", json_string("ns"));
	json_object_set_new(row, "value", json_real(runs[count / 10]));
	json_object_set_new(row, "runs", values);
	(void)json_dumpf(row, stdout, JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(row);
}

static void measure(enum operation operation, size_t key_count, size_t passes)
{
	double *runs = calloc(passes * SUBJECT_COUNT, sizeof(*runs));
	uint64_t random = 1;

	for (size_t pass = 0; pass < passes; pass++) {
		struct tally tallies[SUBJECT_COUNT] = { 0 };

		if (operation == INSERT)
			pass_insert(key_count, tallies);
		else
			pass_find(operation, key_count, &random, tallies);
		for (size_t s = 0; s < SUBJECT_COUNT; s++) {
			tally_check(&tallies[s], subjects[s].name, operation);
			runs[s * passes + pass] =
				(double)tallies[s].spent_ns / (double)tallies[s].keys;
		}
	}
	for (size_t s = 0; s < SUBJECT_COUNT; s++)
		report(subjects[s].name, operation, key_count, &runs[s * passes], passes);
	free(runs);
}

static void measure_all(size_t key_count, size_t passes, size_t fills)
{
	tables_make(key_count);
	measure(INSERT, key_count, fills); /* and what is found then is in the tables */
	measure(HIT, key_count, passes);
	measure(MISS, key_count, passes);
	free(table.words);
	free(plain.entries);
}

int main(int argc, char **argv)
{
	static const size_t key_counts[] = { 1000, 1000000, 10000000 };
	int operands, status = options_parse(&options, argc, argv, &operands);
	uint64_t passes, fills, key_count;

	if (status >= 0)
		return status;
	if (!number_parse(arguments.passes, 1, 1000000, &passes) ||
	    !number_parse(arguments.fills, 1, 1000000, &fills) ||
	    (arguments.keys && !number_parse(arguments.keys, 1, 100000000, &key_count))) {
		(void)fprintf(stderr, "affinity: a count is a number, 1 or more\n");
		return 2;
	}
	if (arguments.keys) {
		measure_all(key_count, passes, fills);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_LEN(key_counts); i++)
		measure_all(key_counts[i], passes, fills);
	return EXIT_SUCCESS;
}
