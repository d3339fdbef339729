/* SPDX-License-Identifier: GPL-2.0-only */
/* syscalls.bpf.c - counts the system calls of one process' workers. Looks only. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "syscalls.h"

char LICENSE[] SEC("license") = "GPL";

/* The process, in the PID namespace of who asks. */
const volatile __u64 namespace_device, namespace_inode;
const volatile __u32 process;

__u64 calls[SYSCALL_COUNT_MAX];

/* Threads are named by worker_start(). */
static __always_inline int is_worker(void)
{
	static const char wanted[] = "worker-";
	char name[16] = { 0 };

	if (bpf_get_current_comm(name, sizeof(name)))
		return 0;
#pragma unroll
	for (int i = 0; i < (int)sizeof(wanted) - 1; i++)
		if (name[i] != wanted[i])
			return 0;
	return 1;
}

SEC("raw_tracepoint/sys_enter")
int call_count(struct bpf_raw_tracepoint_args *ctx)
{
	struct bpf_pidns_info task;
	__u64 number = ctx->args[1];

	if (bpf_get_ns_current_pid_tgid(namespace_device, namespace_inode, &task, sizeof(task)))
		return 0;
	if (task.tgid == process && number < SYSCALL_COUNT_MAX && is_worker())
		__sync_fetch_and_add(&calls[number], 1);
	return 0;
}
