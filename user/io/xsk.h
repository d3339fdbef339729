/* SPDX-License-Identifier: GPL-2.0-only */
/* xsk.h - AF_XDP sockets: everything the engine asks of the kernel.
 *
 * The only file that makes these system calls, so that a test can put another
 * kernel in its place. A struct xsk is one worker's memory (UMEM) and one socket
 * a port on it; the rings are libxdp's and are used with its accessors. Not for
 * two threads at a time, but for xsk_statistics() and xsk_wake(). Nothing here knows who owns a
 * frame: that is the caller's.
 *
 * libxdp creates the fill rings of the second and later ports in the call that binds
 * them, so a driver that allocates while binding finds only the first port's filled. It
 * takes the rest when kicked, and may log that buffers were short. A queue below the
 * number of receive queues but not of transmit queues binds and never sends, and the
 * kernel does not say so: whoever chooses the queues has to look. */
#ifndef RINGWAY_IO_XSK_H
#define RINGWAY_IO_XSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xdp/xsk.h>

#include "io/io.h"

struct xsk_port {
	struct xsk_ring_cons rx, completion;
	struct xsk_ring_prod tx, fill;
	struct xsk_socket *socket;
	int fd;
	bool zero_copy; /* as the kernel says */
};

struct xsk_config {
	uint32_t queue; /* of every port */
	uint32_t frame_count;
	uint32_t frame_size;	/* bytes */
	uint32_t headroom_size; /* of them, before those that the kernel keeps for itself */
	uint32_t ring_size;	/* of receive, transmit, completion; fill rings are twice as long */
};

/* Must not move while open: libxdp keeps pointers to the rings. */
struct xsk {
	struct xsk_config config;
	uint8_t *memory; /* frame_count * frame_size bytes, prefaulted */
	struct xsk_umem *umem;
	int wake_fd;	     /* an eventfd, likewise */
	uint32_t port_count; /* sockets bound so far */
	struct xsk_port ports[PORT_COUNT_MAX];
};

/* Map and register the memory; no port is bound yet. 0, or a negative errno and a
 * sentence in error[]; xsk_close() is right after either. */
int xsk_open(struct xsk *xsk, const struct xsk_config *config, char *error, size_t error_size);

/* Bind the next port and put the fill_count addresses of fill[] into its fill
 * ring, before the bind where that can be done. Sleeps and retries up to 2 s
 * while the kernel is still releasing the queue from an earlier socket. All ports
 * of one memory have the mode of the first. 0, or a negative errno and a sentence
 * in error[]; then only xsk_close() may follow. */
int xsk_bind(struct xsk *xsk, const struct io_port_config *port, bool zero_copy,
	     const uint64_t *fill, uint32_t fill_count, char *error, size_t error_size);

/* Accepts a zeroed and a half-opened xsk; leaves it zeroed. */
void xsk_close(struct xsk *xsk);

/* Make the kernel look at the transmit ring; at the fill ring. 0 or a negative
 * errno. Hot, a system call, never blocks. */
int xsk_kick_transmit(const struct xsk_port *port);
int xsk_kick_fill(const struct xsk_port *port);

/* Sleep until one of the sockets has received, at most timeout_ms. */
void xsk_wait(const struct xsk *xsk, int timeout_ms);

/* End that sleep, or the next one. From any thread. */
void xsk_wake(const struct xsk *xsk);

/* The kernel's counters; all 0 where it gives none. From any thread. */
void xsk_statistics(const struct xsk_port *port, struct xdp_statistics *ret_statistics);

#endif
