/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/thread.h"

#include <sched.h>

int thread_start(const char *name, int cpu, void *(*run)(void *), void *arg, pthread_t *ret_thread)
{
	pthread_attr_t attributes;
	cpu_set_t cpus;
	int err = pthread_attr_init(&attributes);

	if (err)
		return -err;
	if (cpu >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		err = pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	}
	if (!err)
		err = pthread_create(ret_thread, &attributes, run, arg);
	(void)pthread_attr_destroy(&attributes);
	if (!err)
		(void)pthread_setname_np(*ret_thread, name);
	return -err;
}
