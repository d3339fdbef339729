/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/socket_steer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "reuseport.skel.h"
#include "util/number.h"

struct socket_steer {
	struct reuseport *skeleton;
};

static int steer_failed(int err, const char *step, char *error, size_t error_size)
{
	const char *hint = "Linux 5.15 or later is needed";

	if (err == -EPERM || err == -EACCES)
		hint = "run as root, or with the capabilities CAP_BPF and CAP_NET_ADMIN, or let "
		       "the kernel steer by 4-tuple";
	return fail(err, error, error_size, "cannot %s steering by Connection ID: %s; %s", step,
		    strerror(-err), hint);
}

static int sockets_set(struct socket_steer *steer, const int *fds, uint32_t count)
{
	int map = bpf_map__fd(steer->skeleton->maps.sockets);
	int program = bpf_program__fd(steer->skeleton->progs.steer);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t fd = (uint64_t)fds[i];

		if (bpf_map_update_elem(map, &i, &fd, BPF_ANY))
			return -errno;
	}
	/* Of one, and so of all that share its address. */
	return setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program))
		       ? -errno
		       : 0;
}

int socket_steer_open(const int *fds, uint32_t count, struct socket_steer **ret_steer, char *error,
		      size_t error_size)
{
	struct socket_steer *steer = calloc(1, sizeof(*steer));
	int err;

	if (!steer)
		return steer_failed(-ENOMEM, "load", error, error_size);
	(void)libbpf_set_print(NULL); /* our own sentence says it */
	errno = EINVAL;
	steer->skeleton = reuseport__open();
	err = steer->skeleton ? reuseport__load(steer->skeleton) : -errno;
	if (err) {
		steer_failed(err, "load", error, error_size);
		goto fail;
	}
	steer->skeleton->bss->worker_count = count;
	if (getrandom(&steer->skeleton->bss->seed, sizeof(steer->skeleton->bss->seed), 0) < 0)
		err = -errno;
	if (!err)
		err = sockets_set(steer, fds, count);
	if (err) {
		steer_failed(err, "attach", error, error_size);
		goto fail;
	}
	*ret_steer = steer;
	return 0;
fail:
	socket_steer_close(steer);
	return err;
}

void socket_steer_set(struct socket_steer *steer, uint32_t connection_id_len)
{
	if (steer)
		__atomic_store_n(&steer->skeleton->bss->connection_id_len, connection_id_len,
				 __ATOMIC_RELAXED);
}

void socket_steer_close(struct socket_steer *steer)
{
	if (!steer)
		return;
	reuseport__destroy(steer->skeleton);
	free(steer);
}
