/* SPDX-License-Identifier: GPL-2.0-only */
/* syscalls - the system calls that ringwayd's workers make, counted by the kernel until
 * SIGTERM: what ringwayd says of itself can be wrong in the same way as its code. Prints
 * JSON, by the numbers of <sys/syscall.h>. */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <bpf/libbpf.h>

#include "syscalls.h"
#include "syscalls.skel.h"
#include "util/options.h"

static uint64_t process;

static const struct option_entry entries[] = {
	{ 0, "pid", "PID", "of ringwayd", .number = &process, .minimum = 1, .maximum = INT32_MAX },
};

static const struct options options = {
	.usage = "syscalls --pid=PID",
	.summary = "Count the system calls of a ringwayd's workers until SIGTERM.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

/* NULL: said on stderr. */
static struct syscalls *counter_attach(void)
{
	struct syscalls *bpf = syscalls__open();
	struct stat namespace;

	if (!bpf || stat("/proc/self/ns/pid", &namespace)) {
		perror("syscalls");
		return NULL;
	}
	bpf->rodata->process = (uint32_t)process;
	bpf->rodata->namespace_device = namespace.st_dev;
	bpf->rodata->namespace_inode = namespace.st_ino;
	if (syscalls__load(bpf) || syscalls__attach(bpf)) {
		perror("syscalls: the kernel does not take the program");
		syscalls__destroy(bpf);
		return NULL;
	}
	return bpf;
}

static void report(const struct syscalls *bpf)
{
	json_t *calls = json_object();
	char name[24];

	for (size_t i = 0; i < SYSCALL_COUNT_MAX; i++) {
		uint64_t count = __atomic_load_n(&bpf->bss->calls[i], __ATOMIC_RELAXED);

		(void)snprintf(name, sizeof(name), "%zu", i);
		if (count)
			json_object_set_new(calls, name, json_integer((json_int_t)count));
	}
	(void)json_dumpf(calls, stdout, 0);
	putchar('\n');
	json_decref(calls);
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands), received;
	struct syscalls *bpf;
	sigset_t signals;

	if (status >= 0)
		return status;
	if (!process)
		return options_misuse(argv, "--pid is missing");
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	bpf = counter_attach();
	if (!bpf)
		return EXIT_FAILURE;
	(void)fprintf(stderr, "counting\n");
	(void)sigwait(&signals, &received);
	report(bpf);
	syscalls__destroy(bpf);
	return EXIT_SUCCESS;
}
