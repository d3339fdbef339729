/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_files.h - open files: what the socket engine needs, and what it may have. Each
 * flow is one, and each address of a service one a worker. Control. */
#ifndef RINGWAY_IO_SOCKET_FILES_H
#define RINGWAY_IO_SOCKET_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "io/socket.h"

/* Of the whole process, with all of flow_max flows and sockets for so many addresses. */
uint64_t socket_files_needed(const struct socket_group_config *config, size_t endpoint_count);

/* Raise RLIMIT_NOFILE to what is wanted, or as far as may be: beyond the hard limit it
 * takes CAP_SYS_RESOURCE. Never lowers it. Returns what it is then. */
uint64_t socket_files_raise(uint64_t wanted);

/* Is there room for it all? 0, or -EMFILE and a sentence. */
int socket_files_check(const struct socket_group_config *config, size_t endpoint_count, char *error,
		       size_t error_size);

#endif
