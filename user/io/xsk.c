/* SPDX-License-Identifier: GPL-2.0-only */
/* xsk.c - AF_XDP through libxdp 1.3.1, which fills no ring before a bind itself,
 * hands the first socket the UMEM's own descriptor, and loads no program here:
 * the control plane attaches ours. */
#include "io/xsk.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "util/huge_memory.h"
#include "util/number.h"

/* Of newer kernels than the headers: descriptors that one sendto may move. */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

/* A closed socket's queue is released by deferred work: 20 to 200 ms later. */
#define BIND_RETRY_COUNT_MAX   100
#define BIND_RETRY_NANOSECONDS 20000000

int xsk_open(struct xsk *xsk, const struct xsk_config *config, char *error, size_t error_size)
{
	const struct xsk_umem_config umem_config = {
		.fill_size = 2 * config->ring_size,
		.comp_size = config->ring_size,
		.frame_size = config->frame_size,
		.frame_headroom = config->headroom_size,
	};
	uint64_t size = (uint64_t)config->frame_count * config->frame_size;
	int err;

	*xsk = (struct xsk){ .config = *config, .wake_fd = -1 };
	xsk->memory = huge_memory_new(size);
	if (!xsk->memory)
		return fail(-ENOMEM, error, error_size,
			    "no memory for %llu KiB of frames; lower the number of frames",
			    (unsigned long long)size >> 10);

	xsk->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (xsk->wake_fd < 0)
		return fail(-errno, error, error_size, "cannot create an eventfd: %s",
			    strerror(errno));
	err = xsk_umem__create(&xsk->umem, xsk->memory, size, &xsk->ports[0].fill,
			       &xsk->ports[0].completion, &umem_config);
	if (err == -EPERM)
		return fail(err, error, error_size,
			    "cannot create an AF_XDP socket: %s; it takes root or CAP_NET_RAW",
			    strerror(-err));
	if (err == -ENOBUFS)
		return fail(err, error, error_size,
			    "cannot register %llu KiB of frames with AF_XDP: more than "
			    "RLIMIT_MEMLOCK; raise it (LimitMEMLOCK=infinity in the unit) or give "
			    "CAP_IPC_LOCK",
			    (unsigned long long)size >> 10);
	if (err)
		return fail(err, error, error_size,
			    "cannot register %llu KiB of frames with AF_XDP: %s; the kernel needs "
			    "CONFIG_XDP_SOCKETS",
			    (unsigned long long)size >> 10, strerror(-err));
	return 0;
}

static int bind_failed(int err, const struct io_port_config *port, uint32_t queue, bool zero_copy,
		       char *error, size_t error_size)
{
	static const struct {
		int err;
		const char *hint;
	} hints[] = {
		{ -EBUSY, "another AF_XDP socket has it, `ss --xdp -p` shows whose: stop that" },
		{ -EPERM, "it takes root or CAP_NET_RAW" },
		{ -ENODEV, "no such interface in this network namespace" },
		{ -ENETDOWN, "set the interface up first: `ip link set dev NAME up`" },
		{ -EINVAL,
		  "the interface has no such queue (`ethtool -l NAME`), or refuses the mode" },
		{ -EOPNOTSUPP, "the driver or its MTU does not allow this mode: use copy mode" },
		{ -ENOBUFS, "raise RLIMIT_MEMLOCK or give CAP_IPC_LOCK" },
	};
	const char *hint = "see the kernel's log";

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].err == err)
			hint = hints[i].hint;
	return fail(err, error, error_size,
		    "cannot bind AF_XDP to queue %u of %s in %s mode: %s; %s", queue, port->ifname,
		    zero_copy ? "zero-copy" : "copy", strerror(-err), hint);
}

static int socket_create(struct xsk *xsk, struct xsk_port *port, const char *ifname, bool zero_copy)
{
	const struct xsk_socket_config config = {
		.rx_size = xsk->config.ring_size,
		.tx_size = xsk->config.ring_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (zero_copy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP,
	};
	int err = -EBUSY;

	for (unsigned int i = 0; i < BIND_RETRY_COUNT_MAX && err == -EBUSY; i++) {
		if (i)
			(void)nanosleep(&(struct timespec){ .tv_nsec = BIND_RETRY_NANOSECONDS },
					NULL);
		err = xsk_socket__create_shared(&port->socket, ifname, xsk->config.queue, xsk->umem,
						&port->rx, &port->tx, &port->fill,
						&port->completion, &config);
	}
	return err;
}

/* Into a ring that is new, and longer than that. */
static void fill_post(struct xsk_ring_prod *ring, const uint64_t *fill, uint32_t fill_count)
{
	uint32_t position = 0;

	assert(fill_count <= ring->size);
	(void)xsk_ring_prod__reserve(ring, fill_count, &position);
	for (uint32_t i = 0; i < fill_count; i++)
		*xsk_ring_prod__fill_addr(ring, position + i) = fill[i];
	xsk_ring_prod__submit(ring, fill_count);
}

/* What can only be asked or told once the socket is bound. */
static void socket_tune(struct xsk_port *port, const struct xsk_config *config)
{
	const uint32_t send_size = config->ring_size * config->frame_size;
	const uint32_t ring_size = config->ring_size;
	struct xdp_options options = { 0 };
	socklen_t size = sizeof(options);

	port->fd = xsk_socket__fd(port->socket);
	if (getsockopt(port->fd, SOL_XDP, XDP_OPTIONS, &options, &size) == 0)
		port->zero_copy = options.flags & XDP_OPTIONS_ZEROCOPY;
	/* In copy mode a frame on its way is also a socket buffer, and counts: the default
	 * of 208 KB is full, and sendto says EAGAIN, long before the rings are. Beyond
	 * net.core.wmem_max it takes CAP_NET_ADMIN. */
	if (setsockopt(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_size, sizeof(send_size)))
		(void)setsockopt(port->fd, SOL_SOCKET, SO_SNDBUF, &send_size, sizeof(send_size));
	/* One sendto a burst, not one for 32 frames. Older kernels have no such option. */
	(void)setsockopt(port->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &ring_size, sizeof(ring_size));
}

int xsk_bind(struct xsk *xsk, const struct io_port_config *port_config, bool zero_copy,
	     const uint64_t *fill, uint32_t fill_count, char *error, size_t error_size)
{
	struct xsk_port *port = &xsk->ports[xsk->port_count];
	bool first = xsk->port_count == 0;
	int err;

	/* Drivers take their first buffers while binding (ice takes none if they do not
	 * suffice). The fill rings of further ports exist only after it: those are read
	 * when the engine kicks them. */
	if (first)
		fill_post(&port->fill, fill, fill_count);
	err = socket_create(xsk, port, port_config->ifname, zero_copy);
	if (err)
		return bind_failed(err, port_config, xsk->config.queue, zero_copy, error,
				   error_size);
	xsk->port_count++;
	if (!first)
		fill_post(&port->fill, fill, fill_count);
	socket_tune(port, &xsk->config);
	return 0;
}

void xsk_close(struct xsk *xsk)
{
	/* Rings first, then the memory: a queue stays busy while they are mapped. */
	for (uint32_t i = xsk->port_count; i > 0; i--)
		xsk_socket__delete(xsk->ports[i - 1].socket);
	if (xsk->umem)
		(void)xsk_umem__delete(xsk->umem);
	if (xsk->memory) {
		free(xsk->memory);
		if (xsk->wake_fd >= 0)
			(void)close(xsk->wake_fd);
	}
	*xsk = (struct xsk){ 0 };
}

int xsk_kick_transmit(const struct xsk_port *port)
{
	return sendto(port->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

int xsk_kick_fill(const struct xsk_port *port)
{
	return recvfrom(port->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) < 0 ? -errno : 0;
}

void xsk_wait(const struct xsk *xsk, int timeout_ms)
{
	struct pollfd fds[PORT_COUNT_MAX + 1];
	uint64_t wakes;

	for (uint32_t i = 0; i < xsk->port_count; i++)
		fds[i] = (struct pollfd){ .fd = xsk->ports[i].fd, .events = POLLIN };
	fds[xsk->port_count] = (struct pollfd){ .fd = xsk->wake_fd, .events = POLLIN };
	(void)poll(fds, xsk->port_count + 1, timeout_ms); /* a signal ends it early: no harm */
	if (fds[xsk->port_count].revents)
		(void)!read(xsk->wake_fd, &wakes, sizeof(wakes));
}

void xsk_wake(const struct xsk *xsk)
{
	const uint64_t one = 1;

	(void)!write(xsk->wake_fd, &one, sizeof(one)); /* fails only where a wake is waiting */
}

void xsk_statistics(const struct xsk_port *port, struct xdp_statistics *ret_statistics)
{
	socklen_t size = sizeof(*ret_statistics);

	*ret_statistics = (struct xdp_statistics){ 0 };
	(void)getsockopt(port->fd, SOL_XDP, XDP_STATISTICS, ret_statistics, &size);
}
