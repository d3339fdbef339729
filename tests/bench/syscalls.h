/* SPDX-License-Identifier: GPL-2.0-only */
/* syscalls.h - what the counting program and its loader agree on. */
#ifndef RINGWAY_TESTS_SYSCALLS_H
#define RINGWAY_TESTS_SYSCALLS_H

/* Numbers of system calls are below it: Linux 6.18 has 470. */
#define SYSCALL_COUNT_MAX 512

#endif
