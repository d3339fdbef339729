/* SPDX-License-Identifier: GPL-2.0-only */
/* netns.h - two network namespaces of a test's own, joined by whatever it builds.
 *
 * They have no name, only file descriptors, so the end of the process is the end
 * of them, however it comes. Include cmocka.h first. */
#ifndef RINGWAY_TESTS_NETNS_H
#define RINGWAY_TESTS_NETNS_H

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct netns {
	int own, peer; /* this process is in `own` */
};

static inline int netns_fresh(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void netns_open(struct netns *ret_netns)
{
	ret_netns->peer = netns_fresh();
	ret_netns->own = netns_fresh();
}

static inline void netns_close(struct netns *netns)
{
	(void)close(netns->own);
	(void)close(netns->peer);
}

/* Run a shell command in the namespace fd; returns its exit status. */
static inline int netns_try(const struct netns *netns, int fd, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline int netns_try(const struct netns *netns, int fd, const char *format, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, format);
	(void)vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	status = system(command);
	assert_int_equal(setns(netns->own, CLONE_NEWNET), 0);
	if (status)
		print_message("status %d: %s\n", status, command);
	return status;
}

#define netns_run(netns, ...)	   assert_int_equal(netns_try(netns, (netns)->own, __VA_ARGS__), 0)
#define netns_run_peer(netns, ...) assert_int_equal(netns_try(netns, (netns)->peer, __VA_ARGS__), 0)

/* For `ip link set DEV netns PATH`. */
static inline const char *netns_peer_path(const struct netns *netns)
{
	static char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), netns->peer);
	return path;
}

#endif
