/* SPDX-License-Identifier: GPL-2.0-only */
/* io.h - an engine: where a worker's frames come from and go to.
 *
 * One struct io a worker; it serves queue `queue` of every port, both ways.
 * Called by one thread at a time, once a burst. A frame is owned by the engine
 * until rx returns it, by the caller until tx accepts it or release takes it. */
#ifndef RINGWAY_IO_IO_H
#define RINGWAY_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/packet.h"
#include "ringway/limits.h"

struct socket_group;

enum io_mode {
	IO_MODE_AUTO, /* the best that every port has */
	IO_MODE_ZERO_COPY,
	IO_MODE_COPY,
	/* XDP in the stack, for drivers without native XDP. A matter of where XDP is
	 * attached: an engine binds such a port in copy mode. */
	IO_MODE_GENERIC,
};

struct io_port_config {
	const char *ifname;
	uint32_t ifindex;
};

struct io_config {
	const struct io_port_config *ports;
	uint32_t port_count; /* 1..PORT_COUNT_MAX */
	uint32_t queue;
	enum io_mode mode;
	uint32_t frame_count; /* of the worker, over all ports */
	uint32_t frame_size;  /* bytes, 2048 or 4096 */
	uint32_t ring_size; /* entries of receive, transmit and completion rings; a power of two */
	const char *replay_in; /* replay engine: the files */
	const char *replay_out;
	struct socket_group *socket_group; /* socket engine (socket.h) */
	int receiver_cpu; /* of the thread that only receives, if there is one; -1: any */
};

/* Why the kernel would not take a kick; X(constant, name) */
#define IO_KICK_ERRORS(X)           \
	X(AGAIN, "again")           \
	X(BUSY, "busy")             \
	X(NO_BUFFERS, "no_buffers") \
	X(LINK_DOWN, "link_down")   \
	X(OTHER, "other")

enum io_kick_error {
#define X(constant, name) IO_KICK_##constant,
	IO_KICK_ERRORS(X)
#undef X
		IO_KICK_ERROR_COUNT,
};

struct io_port_stats {
	enum io_mode mode;	 /* as bound */
	uint64_t received, sent; /* frames handed to the caller, frames taken from it */
	uint64_t completed;	 /* of sent: the kernel is done with them */
	uint64_t posted;	 /* frames now in the kernel's hands to receive into */
	uint64_t rx_waiting;	 /* of posted: received, and not taken yet */
	uint64_t kicks;		 /* system calls made to transmit */
	uint64_t kick_errors[IO_KICK_ERROR_COUNT];
	/* The kernel's own counters of the socket; 0 where it has none. rx_invalid and
	 * tx_invalid also count what the engine itself refused to take or to send. */
	uint64_t rx_dropped, rx_invalid, tx_invalid, rx_ring_full, rx_fill_empty;
};

/* free + sum(posted) + held + sum(sent - completed) == frames, always, between
 * two calls of the owner. */
struct io_stats {
	uint64_t frames, free, held;
	uint64_t rx_calls, rx_empty, waits;
	bool failed; /* a replay: what was sent is not all in the file */
	uint32_t port_count;
	struct io_port_stats ports[PORT_COUNT_MAX];
};

struct io;

struct io_engine {
	const char *name;

	/* 0 and *ret_io is the caller's (close). A negative errno, *ret_io
	 * untouched, and a sentence in error[] that says which step failed, why,
	 * and what to do. To be called on the CPU that the worker will run on. */
	int (*open)(const struct io_config *config, struct io **ret_io, char *error,
		    size_t error_size);

	/* At most max (<= BURST_MAX) packets with data, frame, len, rx_port, kind
	 * and slot set: they are the caller's. 0: nothing there. Never blocks. */
	size_t (*rx)(struct io *io, struct packet *packets, size_t max);

	/* Send packets by their tx_port. Those that were taken move to the front, in
	 * order; their count is returned, and they are the engine's. The rest stay
	 * the caller's. Never blocks, never spins. */
	size_t (*tx)(struct io *io, struct packet *packets, size_t count);

	/* Give back frames that will not be sent. */
	void (*release)(struct io *io, const struct packet *packets, size_t count);

	/* Empty frames to write to, at most count: data, frame and, in len, the bytes
	 * there is room for. They are the caller's. Returns how many there were. */
	size_t (*take)(struct io *io, struct packet *packets, size_t count);

	/* Sleep until there may be something to do, at most timeout_ms. false: there
	 * never will be again (a replay has ended). */
	bool (*wait)(struct io *io, int timeout_ms);

	/* End a wait, or the next one if there is none. Any thread. */
	void (*wake)(struct io *io);

	/* Is nothing on its way out any more? */
	bool (*sent_all)(const struct io *io);

	/* Callable from any thread; numbers may be a moment old. */
	void (*stats)(const struct io *io, struct io_stats *ret_stats);

	/* The socket of a port for the XSKMAP, or -1 where there is none. */
	int (*socket)(const struct io *io, uint32_t port);

	/* Accepts NULL. Every frame the caller still holds dies with it. */
	void (*close)(struct io *io);
};

extern const struct io_engine io_af_xdp;
extern const struct io_engine io_replay;
extern const struct io_engine io_socket;

#endif
