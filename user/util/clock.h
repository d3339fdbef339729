/* SPDX-License-Identifier: GPL-2.0-only */
/* clock.h - monotonic time, read without a system call. */
#ifndef RINGWAY_UTIL_CLOCK_H
#define RINGWAY_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
