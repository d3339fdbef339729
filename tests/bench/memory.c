/* SPDX-License-Identifier: GPL-2.0-only */
/* memory - what a cache line costs that is in no cache of the core: one after the other,
 * and in bursts that are asked for and then read, as forward_burst() reads tables. The floor
 * under every look-up in a table larger than the caches. Prints JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringway/limits.h"
#include "util/clock.h"
#include "util/huge_memory.h"
#include "util/options.h"

#define LINE_WORDS 8
#define LOOKS	   2000000u
#define PASSES	   5

static uint64_t mebibytes = 64;

static const struct option_entry entries[] = {
	{ 0, "mebibytes", "N", "of memory, in huge pages (default: 64)", .number = &mebibytes,
	  .minimum = 1, .maximum = 1024 },
};

static const struct options options = {
	.usage = "memory [OPTION]...",
	.summary = "Read lines of a large piece of memory in no order.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

/* Each next line depends on what stands in the one before. */
static uint64_t chain_read(const uint64_t *words, uint64_t line_mask, uint64_t *line)
{
	uint64_t start_ns = clock_ns();

	for (uint32_t i = 0; i < LOOKS; i++)
		*line = (*line * 6364136223846793005ull + 1442695040888963407ull +
			 words[(*line >> 32 & line_mask) * LINE_WORDS]);
	return clock_ns() - start_ns;
}

static uint64_t bursts_read(const uint64_t *words, uint64_t line_mask, uint64_t *line)
{
	uint64_t start_ns = clock_ns();
	const uint64_t *lines[BURST_MAX];

	for (uint32_t i = 0; i < LOOKS / BURST_MAX; i++) {
		for (uint32_t j = 0; j < BURST_MAX; j++) {
			*line = *line * 6364136223846793005ull + 1442695040888963407ull;
			lines[j] = &words[(*line >> 32 & line_mask) * LINE_WORDS];
			__builtin_prefetch(lines[j]);
		}
		for (uint32_t j = 0; j < BURST_MAX; j++)
			*line += *(const volatile uint64_t *)lines[j];
	}
	return clock_ns() - start_ns;
}

static double least(uint64_t (*read)(const uint64_t *, uint64_t, uint64_t *), const uint64_t *words,
		    uint64_t line_mask)
{
	uint64_t line = 1, least_ns = UINT64_MAX;

	for (int pass = 0; pass < PASSES; pass++) {
		uint64_t ns = read(words, line_mask, &line);

		least_ns = ns < least_ns ? ns : least_ns;
	}
	return (double)least_ns / LOOKS;
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);
	uint64_t line_count = 1, *words;

	if (status >= 0)
		return status;
	while (2 * line_count * LINE_WORDS * sizeof(*words) <= mebibytes << 20)
		line_count *= 2;
	words = huge_memory_new(line_count * LINE_WORDS * sizeof(*words));
	if (!words)
		return EXIT_FAILURE;
	printf("{\"mebibytes\": %" PRIu64 ", \"chain_ns\": %.1f, \"burst_ns\": %.1f}\n", mebibytes,
	       least(chain_read, words, line_count - 1), least(bursts_read, words, line_count - 1));
	free(words);
	return EXIT_SUCCESS;
}
