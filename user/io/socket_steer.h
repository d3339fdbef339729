/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_steer.h - which of a service's sockets gets a datagram: xdp/reuseport.bpf.c.
 *
 * One program and map a service's address. Where none is attached, the kernel chooses
 * by 4-tuple. Control. */
#ifndef RINGWAY_IO_SOCKET_STEER_H
#define RINGWAY_IO_SOCKET_STEER_H

#include <stddef.h>
#include <stdint.h>

struct socket_steer;

/* Steer among these sockets, which are bound to one address with SO_REUSEPORT; count:
 * 1..WORKER_COUNT_MAX. Steers nothing before socket_steer_set(). 0, or a negative errno
 * and a sentence in error[]: it takes CAP_BPF and CAP_NET_ADMIN. */
int socket_steer_open(const int *fds, uint32_t count, struct socket_steer **ret_steer, char *error,
		      size_t error_size);

/* Hash so many bytes of Connection IDs, 1..QUIC_CID_LEN_MAX; 0: the kernel's choice.
 * While it runs. NULL is a no-op. */
void socket_steer_set(struct socket_steer *steer, uint32_t connection_id_len);

/* NULL is a no-op. Sockets that are still there are then steered by what is set. */
void socket_steer_close(struct socket_steer *steer);

#endif
