/* SPDX-License-Identifier: GPL-2.0-only */
/* per_cpu.h - counters that a BPF program keeps for each CPU. */
#ifndef RINGWAY_UTIL_PER_CPU_H
#define RINGWAY_UTIL_PER_CPU_H

#include <stdint.h>

/* Sums over all CPUs of the first count values of a BPF_MAP_TYPE_PERCPU_ARRAY of
 * __u64. 0, or a negative errno and ret_sums[] is untouched. Control: a system call
 * each. */
int per_cpu_sum(int map_fd, uint32_t count, uint64_t *ret_sums);

#endif
