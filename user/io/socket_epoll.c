/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_epoll.c - sockets that epoll says are readable, a system call a datagram. */
#include <errno.h>
#include <sys/socket.h>

#include "core/counter.h"
#include "io/socket_calls.h"

/* How many reads more than datagrams there may be, when errors of those sent are told. */
#define TRIES_MAX 2

size_t socket_epoll_read(const struct socket_frames *place, struct socket_end *end,
			 uint64_t *frames, size_t count, struct packet *packets)
{
	const uint32_t room = place->frame_size - SOCKET_HEADROOM;
	size_t received = 0;

	for (size_t tries = 0; received < count && tries < count + TRIES_MAX; tries++) {
		uint64_t frame = frames[received];
		uint8_t *payload = place->memory + frame + SOCKET_HEADROOM;
		union socket_name name;
		socklen_t name_size = sizeof(name);
		ssize_t len =
			recvfrom(end->fd, payload, room, MSG_DONTWAIT | MSG_TRUNC,
				 end->is_flow ? NULL : &name.any, end->is_flow ? NULL : &name_size);

		if (len < 0 && !socket_read_failed(place->group, errno))
			break;
		if (len < 0)
			continue;
		if (len > room) {
			socket_count(place->group, SOCKET_COUNT_TRUNCATED, 1);
			continue;
		}
		socket_end_frame(end, &name, payload, (uint32_t)len, frame, &packets[received++]);
	}
	return received;
}

/* 0, or the errno. */
static int message_send(struct io *io, const struct socket_message *message)
{
	counter_add(&io->stats.ports[0].kicks, 1);
	return sendto(message->fd, message->payload, message->len, MSG_DONTWAIT,
		      message->name_size ? &message->name.any : NULL, message->name_size) < 0
		       ? errno
		       : 0;
}

static void epoll_send(struct io *io, struct socket_message *messages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err = message_send(io, &messages[i]);

		if (socket_send_may_repeat(err)) {
			err = message_send(io, &messages[i]);
			if (!err)
				socket_count(io->group, SOCKET_COUNT_UNREACHABLE, 1);
		}
		if (err)
			socket_send_refused(io, err, 1);
		else
			messages[i].result = SOCKET_SENT;
	}
}

const struct socket_calls_table socket_calls_epoll = {
	.open = socket_poll_open,
	.close = socket_poll_close,
	.watch = socket_poll_watch,
	.flow_end = socket_poll_flow_end,
	.receive = socket_poll_receive,
	.read = socket_epoll_read,
	.send = epoll_send,
	.wait = socket_poll_wait,
};
