/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_calls.h - the ways to call the kernel, each a table of functions, and the io
 * that they serve. Inside the socket engine only.
 *
 * The engine (socket.c) knows frames, flows and services; these know system calls. One
 * thread at a time, but for watch and wake. All sockets are blocking ones, and no call
 * ever blocks: each says MSG_DONTWAIT. */
#ifndef RINGWAY_IO_SOCKET_CALLS_H
#define RINGWAY_IO_SOCKET_CALLS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "io/frames.h"
#include "io/io.h"
#include "io/socket_end.h"
#include "io/socket_flow.h"
#include "io/socket_group.h"

/* A frame that may be the caller's when it ends, and what has become of it. */
enum socket_sent {
	SOCKET_SENT,	 /* by the kernel; the frame is free */
	SOCKET_SENDING,	 /* the kernel reads the frame until it says that it is done */
	SOCKET_NOT_SENT, /* the error is counted */
};

/* One datagram to send. */
struct socket_message {
	int fd;
	const void *payload;
	uint32_t len;
	uint64_t frame;
	union socket_name name;
	socklen_t name_size; /* 0: the socket is connected */
	enum socket_sent result;
};

/* Where a read puts datagrams. */
struct socket_frames {
	struct socket_group *group;
	uint8_t *memory;
	uint32_t frame_size;
};

struct socket_uring;
struct socket_receiver;

struct io {
	struct socket_group *group;
	const struct socket_calls_table *calls;
	uint32_t worker;
	struct frames frames;
	uint8_t *memory;
	struct socket_flows flows;
	uint32_t now_ms; /* of the last rx */
	int wake_fd;	 /* an eventfd */
	int epoll_fd;	 /* -1 for io_uring */
	uint32_t ring_size;
	struct socket_uring *uring;
	struct socket_receiver *receiver; /* NULL: not decoupled */
	uint64_t held;			  /* frames of the caller's */
	struct io_stats stats;
};

/* Read what end has into some of frames[0..count), in order: as many packets as frames
 * used, these first. Errors are counted. */
typedef size_t socket_read_fn(const struct socket_frames *place, struct socket_end *end,
			      uint64_t *frames, size_t count, struct packet *packets);
socket_read_fn socket_epoll_read; /* a system call a datagram */
socket_read_fn socket_mmsg_read;  /* one for all */

struct socket_calls_table {
	/* error[] as in io_engine.open; close is right after it failed, too. */
	int (*open)(struct io *io, char *error, size_t error_size);
	void (*close)(struct io *io);

	/* Read this socket from now on. 0 or a negative errno. A service's: by control,
	 * while the worker runs. */
	int (*watch)(struct io *io, struct socket_end *end);

	/* Read a flow's no more, and retire it as soon as the kernel has no hold on it. */
	void (*flow_end)(struct io *io, struct socket_flow *flow);

	/* As io_engine.rx, the frames passed to FRAMES_HELD. */
	size_t (*receive)(struct io *io, struct packet *packets, size_t max);
	socket_read_fn *read; /* of those that receive by readiness */

	/* Send; sets the result of each. Counts calls and their errors. */
	void (*send)(struct io *io, struct socket_message *messages, size_t count);

	void (*wait)(struct io *io, int timeout_ms);
};

extern const struct socket_calls_table socket_calls_epoll;
extern const struct socket_calls_table socket_calls_mmsg;
extern const struct socket_calls_table socket_calls_uring;

/* Whoever receives for this worker: read that socket from now on. */
int socket_io_watch(struct io *io, struct socket_end *end);

/* No read that begins after this finds a service's socket; one that has begun ends by the
 * worker's next quiescent point. By control, while the worker runs. */
void socket_io_unwatch(struct io *io, const struct socket_end *end);

/* Receiving by readiness (socket_poll.c). */
int socket_poll_open(struct io *io, char *error, size_t error_size);
void socket_poll_close(struct io *io);
int socket_poll_watch(struct io *io, struct socket_end *end);
void socket_poll_unwatch(struct io *io, const struct socket_end *end);
void socket_poll_flow_end(struct io *io, struct socket_flow *flow);
size_t socket_poll_receive(struct io *io, struct packet *packets, size_t max);
void socket_poll_wait(struct io *io, int timeout_ms);

/* Read all that is readable, in turn, as a socket_read_fn does. */
size_t socket_poll_read(const struct socket_frames *place, int epoll_fd, socket_read_fn *read_fn,
			uint32_t now_ms, uint64_t *frames, size_t count, struct packet *packets);

/* Good to some 4 ms, and cheap. Wraps: only differences count. */
static inline uint32_t socket_clock_coarse_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* What ICMP says of an earlier datagram is told to the next one, which is not sent then. May
 * this be such an error, so that it is worth to try once more? Only if that succeeds it was. */
bool socket_send_may_repeat(int err);

/* Count so many datagrams that are not sent for this error of their own. */
void socket_send_refused(struct io *io, int err, uint64_t count);

/* A read that failed: was it the same? Then there may be datagrams nevertheless. */
static inline bool socket_read_failed(struct socket_group *group, int err)
{
	if (!socket_send_may_repeat(err))
		return false;
	socket_count(group, SOCKET_COUNT_UNREACHABLE, 1);
	return true;
}

#endif
