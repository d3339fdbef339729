/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_mmsg.c - sockets that epoll says are readable, a system call for all that one
 * of them has, and one for all that goes out of one. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/counter.h"
#include "io/socket_calls.h"

size_t socket_mmsg_read(const struct socket_frames *place, struct socket_end *end, uint64_t *frames,
			size_t count, struct packet *packets)
{
	struct mmsghdr messages[BURST_MAX];
	struct iovec payloads[BURST_MAX];
	union socket_name names[BURST_MAX];
	size_t received = 0;
	int got, tries = 0;

	for (size_t i = 0; i < count; i++) {
		payloads[i] = (struct iovec){ place->memory + frames[i] + SOCKET_HEADROOM,
					      place->frame_size - SOCKET_HEADROOM };
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = end->is_flow ? NULL : &names[i],
			.msg_namelen = end->is_flow ? 0 : sizeof(names[i]),
			.msg_iov = &payloads[i],
			.msg_iovlen = 1,
		};
	}
	do {
		got = recvmmsg(end->fd, messages, (unsigned int)count, MSG_DONTWAIT, NULL);
	} while (got < 0 && socket_read_failed(place->group, errno) && !tries++);

	for (int i = 0; i < got; i++) {
		uint64_t frame = frames[i];

		if (messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
			socket_count(place->group, SOCKET_COUNT_TRUNCATED, 1);
			continue;
		}
		frames[i] = frames[received];
		frames[received] = frame;
		socket_end_frame(end, &names[i], payloads[i].iov_base, messages[i].msg_len, frame,
				 &packets[received++]);
	}
	return received;
}

/* Those of one socket in a row, in the order they have: bursts come from few sockets. */
static size_t group_gather(struct socket_message *messages, const size_t *pending, size_t count,
			   struct mmsghdr *headers, struct iovec *payloads, size_t *ret_members)
{
	size_t gathered = 0;

	for (size_t i = 0; i < count; i++) {
		struct socket_message *message = &messages[pending[i]];

		if (message->fd != messages[pending[0]].fd)
			continue;
		payloads[gathered] = (struct iovec){ (void *)message->payload, message->len };
		headers[gathered].msg_hdr = (struct msghdr){
			.msg_name = message->name_size ? &message->name : NULL,
			.msg_namelen = message->name_size,
			.msg_iov = &payloads[gathered],
			.msg_iovlen = 1,
		};
		ret_members[gathered++] = i;
	}
	return gathered;
}

/* All of headers[], which are of one socket. What the kernel refuses is passed over: one
 * datagram's fault is not the next one's. Where it stops after some it does not say why.
 * If it goes on when asked again, it was what an earlier one had met. */
static void group_send(struct io *io, int fd, struct mmsghdr *headers, size_t count, bool *ret_sent)
{
	size_t done = 0, repeated = count;
	bool was_cut = false;

	memset(ret_sent, 0, count * sizeof(*ret_sent));
	while (done < count) {
		int sent = sendmmsg(fd, headers + done, (unsigned int)(count - done), MSG_DONTWAIT);

		counter_add(&io->stats.ports[0].kicks, 1);
		if (sent > 0) {
			if (was_cut || repeated == done)
				socket_count(io->group, SOCKET_COUNT_UNREACHABLE, 1);
			for (int i = 0; i < sent; i++)
				ret_sent[done++] = true;
			was_cut = true;
			continue;
		}
		was_cut = false;
		if (socket_send_may_repeat(errno) && repeated != done) {
			repeated = done;
		} else if (errno == EAGAIN) {
			socket_send_refused(io, errno, count - done);
			return;
		} else {
			socket_send_refused(io, errno, 1);
			done++;
		}
	}
}

static void mmsg_send(struct io *io, struct socket_message *messages, size_t count)
{
	struct mmsghdr headers[BURST_MAX];
	struct iovec payloads[BURST_MAX];
	size_t pending[BURST_MAX], members[BURST_MAX];
	bool sent[BURST_MAX];

	for (size_t i = 0; i < count; i++)
		pending[i] = i;
	while (count) {
		size_t gathered =
			group_gather(messages, pending, count, headers, payloads, members);
		size_t left = 0;

		group_send(io, messages[pending[0]].fd, headers, gathered, sent);
		for (size_t i = 0, member = 0; i < count; i++) {
			if (member == gathered || members[member] != i) {
				pending[left++] = pending[i];
				continue;
			}
			if (sent[member++])
				messages[pending[i]].result = SOCKET_SENT;
		}
		count = left;
	}
}

const struct socket_calls_table socket_calls_mmsg = {
	.open = socket_poll_open,
	.close = socket_poll_close,
	.watch = socket_poll_watch,
	.flow_end = socket_poll_flow_end,
	.receive = socket_poll_receive,
	.read = socket_mmsg_read,
	.send = mmsg_send,
	.wait = socket_poll_wait,
};
