/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/per_cpu.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int per_cpu_sum(int map_fd, uint32_t count, uint64_t *ret_sums)
{
	int cpu_count = libbpf_num_possible_cpus(), err = 0;
	uint64_t *values, *sums;

	if (cpu_count < 0)
		return cpu_count;
	sums = calloc(count + (size_t)cpu_count, sizeof(*sums));
	if (!sums)
		return -ENOMEM;
	values = sums + count;
	for (uint32_t i = 0; i < count && !err; i++) {
		err = bpf_map_lookup_elem(map_fd, &i, values);
		for (int cpu = 0; cpu < cpu_count; cpu++)
			sums[i] += values[cpu];
	}
	if (!err)
		memcpy(ret_sums, sums, count * sizeof(*sums));
	free(sums);
	return err;
}
