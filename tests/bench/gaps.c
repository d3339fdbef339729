/* SPDX-License-Identifier: GPL-2.0-only */
/* gaps - how long a thread that does nothing but read the clock is away from its core:
 * the floor under every latency percentile of this machine. Prints JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/clock.h"
#include "util/options.h"

/* By latency, not by count: bucket i is of gaps of i to i + 1 microseconds, weighted
 * with the time that a datagram which falls into them waits. */
#define BUCKET_COUNT 10000

static uint64_t seconds = 2;
static uint64_t waited_ns[BUCKET_COUNT];

static const struct option_entry entries[] = {
	{ 0, "seconds", "S", "how long to look (default: 2)", .number = &seconds, .minimum = 1,
	  .maximum = 60 },
};

static const struct options options = {
	.usage = "gaps [OPTION]...",
	.summary = "Look at the clock, and for how long one could not.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

/* The share of the time that fell into gaps at least so long, turned round. */
static uint64_t percentile_us(uint64_t all_ns, double share)
{
	uint64_t below_ns = 0;

	for (size_t i = 0; i < BUCKET_COUNT; i++) {
		below_ns += waited_ns[i];
		if ((double)below_ns >= share * (double)all_ns)
			return i;
	}
	return BUCKET_COUNT;
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);
	uint64_t start_ns, last_ns, longest_ns = 0;

	if (status >= 0)
		return status;
	start_ns = last_ns = clock_ns();
	while (last_ns - start_ns < seconds * 1000000000u) {
		uint64_t now_ns = clock_ns(), gap_ns = now_ns - last_ns;
		uint64_t bucket = gap_ns / 1000;

		waited_ns[bucket < BUCKET_COUNT ? bucket : BUCKET_COUNT - 1] += gap_ns;
		longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
		last_ns = now_ns;
	}
	printf("{\"p50\": %" PRIu64 ", \"p90\": %" PRIu64 ", \"p99\": %" PRIu64
	       ", \"p99.9\": %" PRIu64 ", \"max\": %" PRIu64 "}\n",
	       percentile_us(last_ns - start_ns, 0.5) * 1000,
	       percentile_us(last_ns - start_ns, 0.9) * 1000,
	       percentile_us(last_ns - start_ns, 0.99) * 1000,
	       percentile_us(last_ns - start_ns, 0.999) * 1000, longest_ns);
	return EXIT_SUCCESS;
}
