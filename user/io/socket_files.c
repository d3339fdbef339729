/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/socket_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

#include "util/number.h"

/* An epoll or a ring or both, two eventfds. */
#define FILES_PER_WORKER 4

/* Where an address is steered to: a program, its two maps, their types. */
#define FILES_PER_STEERING 4

static uint64_t files_per_endpoint(const struct socket_group_config *config)
{
	bool is_steered =
		config->steering == SOCKET_STEER_CONNECTION_ID && config->worker_count > 1;

	return config->worker_count + (is_steered ? FILES_PER_STEERING : 0);
}

/* All but flows. */
static uint64_t files_fixed(const struct socket_group_config *config, size_t endpoint_count)
{
	return config->files_other + (uint64_t)config->worker_count * FILES_PER_WORKER +
	       endpoint_count * files_per_endpoint(config);
}

uint64_t socket_files_needed(const struct socket_group_config *config, size_t endpoint_count)
{
	return config->flow_max + files_fixed(config, endpoint_count);
}

uint64_t socket_files_raise(uint64_t wanted)
{
	struct rlimit limit, higher = { wanted, wanted };

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur >= wanted)
		return limit.rlim_cur;
	if (limit.rlim_max < wanted && !setrlimit(RLIMIT_NOFILE, &higher)) /* CAP_SYS_RESOURCE */
		return wanted;
	higher.rlim_max = limit.rlim_max;
	if (higher.rlim_cur > limit.rlim_max)
		higher.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &higher) ? limit.rlim_cur : higher.rlim_cur;
}

int socket_files_check(const struct socket_group_config *config, size_t endpoint_count, char *error,
		       size_t error_size)
{
	uint64_t needed = socket_files_needed(config, endpoint_count);
	uint64_t fixed = files_fixed(config, endpoint_count);
	uint64_t limit = socket_files_raise(needed);
	char fewer[64] = "";

	if (limit >= needed)
		return 0;
	if (limit > fixed)
		(void)snprintf(fewer, sizeof(fewer), "lower `flows` to %" PRIu64 ", or ",
			       limit - fixed);
	return fail(-EMFILE, error, error_size,
		    "%" PRIu32 " flows and %zu addresses of services with %" PRIu32
		    " worker%s need %" PRIu64 " open files, and RLIMIT_NOFILE allows this process "
		    "%" PRIu64 ": %sraise LimitNOFILE= in the unit (`ulimit -n` in a shell)",
		    config->flow_max, endpoint_count, config->worker_count,
		    plural(config->worker_count), needed, limit, fewer);
}
