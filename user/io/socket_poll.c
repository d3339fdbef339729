/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_poll.c - receiving by readiness: what epoll and mmsg have in common. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/socket_calls.h"
#include "util/number.h"

int socket_poll_open(struct io *io, char *error, size_t error_size)
{
	io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (io->epoll_fd < 0)
		return fail(-errno, error, error_size, "cannot create an epoll: %s",
			    strerror(errno));
	return 0;
}

void socket_poll_close(struct io *io)
{
	if (io->epoll_fd >= 0)
		(void)close(io->epoll_fd);
	io->epoll_fd = -1;
}

/* Level-triggered: what one round leaves, the next one is told of again, the others
 * first. So nothing has to be remembered between rounds, when an end may be freed. */
int socket_poll_watch(struct io *io, struct socket_end *end)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = end };

	return epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, end->fd, &event) ? -errno : 0;
}

void socket_poll_unwatch(struct io *io, const struct socket_end *end)
{
	(void)epoll_ctl(io->epoll_fd, EPOLL_CTL_DEL, end->fd, NULL);
}

void socket_poll_flow_end(struct io *io, struct socket_flow *flow)
{
	socket_poll_unwatch(io, &flow->end);
	socket_flow_retire(flow);
}

size_t socket_poll_read(const struct socket_frames *place, int epoll_fd, socket_read_fn *read_fn,
			uint32_t now_ms, uint64_t *frames, size_t count, struct packet *packets)
{
	struct epoll_event events[BURST_MAX];
	int ready = epoll_wait(epoll_fd, events, BURST_MAX, 0);
	size_t received = 0, share;

	if (ready <= 0)
		return 0;
	share = (count + (size_t)ready - 1) / (size_t)ready;
	for (int i = 0; i < ready && received < count; i++) {
		struct socket_end *end = events[i].data.ptr;
		size_t room = count - received, got;

		got = read_fn(place, end, frames + received, room < share ? room : share,
			      packets + received);
		if (got && end->is_flow)
			socket_flow_touch((struct socket_flow *)end, now_ms);
		received += got;
	}
	return received;
}

size_t socket_poll_receive(struct io *io, struct packet *packets, size_t max)
{
	const struct socket_frames place = { io->group, io->memory, io->frames.frame_size };
	uint64_t frames[BURST_MAX];
	size_t count = 0, received;

	while (count < max && io->frames.free_count)
		frames[count++] = frames_take(&io->frames, FRAMES_HELD);
	received = socket_poll_read(&place, io->epoll_fd, io->calls->read, io->now_ms, frames,
				    count, packets);
	while (count > received)
		frames_give(&io->frames, frames[--count]);
	return received;
}

void socket_poll_wait(struct io *io, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = io->epoll_fd, .events = POLLIN },
		{ .fd = io->wake_fd, .events = POLLIN },
	};
	uint64_t wakes;

	(void)poll(fds, 2, timeout_ms); /* a signal ends it early: no harm */
	if (fds[1].revents)
		(void)!read(io->wake_fd, &wakes, sizeof(wakes));
}
