/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_receiver.h - a thread that only receives, for one worker (is_decoupled).
 *
 * Reads what is readable by recvmmsg into frames that the worker posted, and hands them
 * on by a bounded ring; where no frame is posted the worker is behind, and what comes
 * is read and dropped, counted as RING_FULL: new datagrams are worth more than those
 * that have grown old in the kernel's buffers. A QSBR reader, offline while it sleeps.
 * Pinned where it is told to be, else it may run wherever its starter may; without any
 * capability. */
#ifndef RINGWAY_IO_SOCKET_RECEIVER_H
#define RINGWAY_IO_SOCKET_RECEIVER_H

#include <stddef.h>

#include "core/packet.h"

struct io;
struct socket_receiver;

/* Start it on that CPU (-1: any), reading io's epoll; sets io->receiver. 0 or a negative
 * errno. Control. */
int socket_receiver_open(struct io *io, int cpu);

/* Stop it. No receiver is a no-op. Control. */
void socket_receiver_close(struct io *io);

/* As io_engine.rx; posts free frames, too. Hot. */
size_t socket_receiver_take(struct io *io, struct packet *packets, size_t max);

/* As io_engine.wait. */
void socket_receiver_wait(struct io *io, int timeout_ms);

#endif
