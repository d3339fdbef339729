/* SPDX-License-Identifier: GPL-2.0-only */
/* thread.h - start a thread with a name, where it belongs. */
#ifndef RINGWAY_UTIL_THREAD_H
#define RINGWAY_UTIL_THREAD_H

#include <pthread.h>

/* Bytes of a name that the kernel keeps, its terminator included. */
#define THREAD_NAME_SIZE 16

/* Run it on that CPU and no other; -1: wherever the caller may. 0 and *ret_thread is to
 * be joined; or a negative errno, -EINVAL where there is no such CPU. Control. */
int thread_start(const char *name, int cpu, void *(*run)(void *), void *arg, pthread_t *ret_thread);

#endif
