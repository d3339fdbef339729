/* SPDX-License-Identifier: GPL-2.0-only */
/* socket.c - the socket engine: frames, flows and services. How the kernel is called
 * is in socket_calls.h's tables. */
#include "io/socket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/counter.h"
#include "io/io_stats.h"
#include "io/socket_calls.h"
#include "io/socket_receiver.h"
#include "util/icmp_error.h"
#include "util/number.h"

static void gauges_publish(struct io *io)
{
	frames_check(&io->frames);
	__atomic_store_n(&io->stats.held, io->held, __ATOMIC_RELAXED);
	__atomic_store_n(&io->stats.free, io->frames.free_count, __ATOMIC_RELAXED);
}

/* --- Receiving --- */

static void flows_sweep(struct io *io)
{
	uint32_t budget = socket_flows_budget(&io->flows, io->now_ms);
	struct socket_flow *flow;

	while ((flow = socket_flows_idle(io->group, &io->flows, io->now_ms, &budget)))
		if (io->receiver)
			socket_poll_flow_end(io, flow);
		else
			io->calls->flow_end(io, flow);
}

int socket_io_watch(struct io *io, struct socket_end *end)
{
	return io->receiver ? socket_poll_watch(io, end) : io->calls->watch(io, end);
}

void socket_io_unwatch(struct io *io, const struct socket_end *end)
{
	/* A ring's worker follows the set of services itself. */
	if (io->epoll_fd >= 0)
		socket_poll_unwatch(io, end);
}

static size_t frames_receive(struct io *io, struct packet *packets, size_t max)
{
	if (!io->receiver)
		return io->calls->receive(io, packets, max);
	if (io->uring)
		(void)io->calls->receive(io, packets, 0); /* what it says of what was sent */
	return socket_receiver_take(io, packets, max);
}

static size_t socket_rx(struct io *io, struct packet *packets, size_t max)
{
	size_t received;

	assert(max <= BURST_MAX);
	io->now_ms = socket_clock_coarse_ms();
	flows_sweep(io);
	received = frames_receive(io, packets, max);
	io->held += received;
	counter_add(&io->stats.ports[0].received, received);
	counter_add(&io->stats.rx_calls, 1);
	if (!received)
		counter_add(&io->stats.rx_empty, 1);
	gauges_publish(io);
	return received;
}

/* --- Sending --- */

/* The upstream socket of a client's datagram; NULL: there is none to be had. */
static struct socket_flow *flow_get(struct io *io, const struct socket_view *view)
{
	const struct socket_flow_key key = { .client = view->src, .backend = view->dst };
	struct socket_flow *flow = socket_flow_find(io->group, &key);
	bool is_own;

	if (!flow) {
		int err = socket_flow_open(io->group, &io->flows, &key, view->slot, io->now_ms,
					   &flow, &is_own);

		if (err == -ENOENT)
			counter_add(&io->stats.ports[0].tx_invalid, 1);
		if (err)
			return NULL;
		if (is_own && socket_io_watch(io, &flow->end)) {
			socket_count(io->group, SOCKET_COUNT_FLOW_ERRORS, 1);
			socket_flows_remove(io->group, &io->flows, flow);
			socket_flow_retire(flow);
			return NULL;
		}
	}
	socket_flow_touch(flow, io->now_ms);
	return flow;
}

/* Which socket, and to whom. false: this datagram goes nowhere. */
static bool message_make(struct io *io, const struct socket_set *set, const struct packet *packet,
			 struct socket_message *message)
{
	struct socket_view view;

	if (!socket_view_of(packet, &view)) {
		counter_add(&io->stats.ports[0].tx_invalid, 1);
		return false;
	}
	*message = (struct socket_message){
		.payload = view.payload,
		.len = view.payload_len,
		.frame = packet->frame,
		.result = SOCKET_NOT_SENT,
	};
	if (packet->kind == FRAME_SERVICE) {
		const struct socket_flow *flow = flow_get(io, &view);

		message->fd = flow ? flow->end.fd : -1;
	} else {
		const struct socket_service *service = socket_set_find(io->group, set, &view.src);

		message->fd = service ? service->ends[io->worker].fd : -1;
		message->name_size = socket_name_set(&message->name, view.ip_version, &view.dst);
		if (!service)
			counter_add(&io->stats.ports[0].tx_invalid, 1);
	}
	return message->fd >= 0;
}

/* The frame is the caller's no more, if that is what has become of it. */
static bool message_end(struct io *io, const struct socket_message *message)
{
	struct io_port_stats *port = &io->stats.ports[0];

	if (message->result == SOCKET_NOT_SENT)
		return false;
	counter_add(&port->sent, 1);
	if (message->result == SOCKET_SENDING) {
		frames_pass(&io->frames, message->frame, FRAMES_SENT);
	} else {
		counter_add(&port->completed, 1);
		frames_give(&io->frames, message->frame);
	}
	return true;
}

static size_t socket_tx(struct io *io, struct packet *packets, size_t count)
{
	const struct socket_set *set = socket_set_of(io->group);
	struct socket_message messages[BURST_MAX];
	uint8_t owners[BURST_MAX]; /* packets of messages */
	size_t asked = 0, taken = 0;

	assert(count <= BURST_MAX);
	for (size_t i = 0; i < count; i++) {
		assert(frames_owned_by(&io->frames, packets[i].frame, FRAMES_HELD));
		if (message_make(io, set, &packets[i], &messages[asked]))
			owners[asked++] = (uint8_t)i;
	}
	if (asked)
		io->calls->send(io, messages, asked);
	for (size_t i = 0; i < asked; i++) {
		struct packet packet = packets[owners[i]];

		if (!message_end(io, &messages[i]))
			continue;
		packets[owners[i]] = packets[taken];
		packets[taken++] = packet;
	}
	io->held -= taken;
	gauges_publish(io);
	return taken;
}

bool socket_send_may_repeat(int err)
{
	return icmp_error_is(err) || err == EMSGSIZE;
}

static enum io_kick_error send_error(int err)
{
	switch (err) {
	case EAGAIN: return IO_KICK_AGAIN;
	case ENOBUFS: return IO_KICK_NO_BUFFERS;
	case ENETDOWN: return IO_KICK_LINK_DOWN;
	default: return IO_KICK_OTHER;
	}
}

void socket_send_refused(struct io *io, int err, uint64_t count)
{
	counter_add(&io->stats.ports[0].kick_errors[send_error(err)], count);
}

/* --- Frames --- */

static void socket_release(struct io *io, const struct packet *packets, size_t count)
{
	frames_release(&io->frames, packets, count);
	io->held -= count;
	gauges_publish(io);
}

static size_t socket_take(struct io *io, struct packet *packets, size_t count)
{
	size_t taken = frames_lend(&io->frames, io->memory, 0, packets, count);

	io->held += taken;
	gauges_publish(io);
	return taken;
}

/* --- Waiting --- */

static bool socket_wait(struct io *io, int timeout_ms)
{
	counter_add(&io->stats.waits, 1);
	if (io->receiver)
		socket_receiver_wait(io, timeout_ms);
	else
		io->calls->wait(io, timeout_ms);
	return true;
}

static void socket_wake(struct io *io)
{
	const uint64_t one = 1;

	(void)!write(io->wake_fd, &one, sizeof(one)); /* fails only where a wake is waiting */
}

static bool socket_sent_all(const struct io *io)
{
	return io->stats.ports[0].sent == io->stats.ports[0].completed;
}

static void socket_stats(const struct io *io, struct io_stats *ret_stats)
{
	io_stats_read(&io->stats, ret_stats);
}

static int socket_socket(const struct io *io, uint32_t port)
{
	(void)io;
	(void)port;
	return -1;
}

/* --- Open and close --- */

static void socket_close(struct io *io)
{
	if (!io)
		return;
	if (io->group->ios[io->worker] == io)
		socket_group_detach(io->group, io->worker);
	socket_receiver_close(io);
	io->calls->close(io);
	socket_poll_close(io);
	if (io->wake_fd >= 0)
		(void)close(io->wake_fd);
	frames_close(&io->frames);
	free(io->flows.flows); /* the flows are the group's */
	free(io->memory);
	free(io);
}

static const struct socket_calls_table *calls_of(enum socket_calls calls)
{
	switch (calls) {
	case SOCKET_MMSG: return &socket_calls_mmsg;
	case SOCKET_IO_URING: return &socket_calls_uring;
	default: return &socket_calls_epoll;
	}
}

static int config_check(const struct io_config *config, char *error, size_t error_size)
{
	const struct socket_group *group = config->socket_group;

	if (!group || config->queue >= group->config.worker_count)
		return fail(-EINVAL, error, error_size, "worker %u has no sockets", config->queue);
	if (group->ios[config->queue])
		return fail(-EBUSY, error, error_size, "worker %u is open already", config->queue);
	if (config->frame_size != 2048 && config->frame_size != 4096)
		return fail(-EINVAL, error, error_size,
			    "a frame size of %u bytes: take 2048 or 4096", config->frame_size);
	if (config->frame_count < BURST_MAX || config->frame_count > FRAME_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u frames: take %u to %u",
			    config->frame_count, BURST_MAX, FRAME_COUNT_MAX);
	if (config->ring_size < RING_SIZE_MIN || config->ring_size > RING_SIZE_MAX ||
	    config->ring_size & (config->ring_size - 1))
		return fail(-EINVAL, error, error_size,
			    "rings of %u entries: take a power of two from %u to %u",
			    config->ring_size, RING_SIZE_MIN, RING_SIZE_MAX);
	return 0;
}

static int memory_open(struct io *io, const struct io_config *config)
{
	size_t size = (size_t)config->frame_count * config->frame_size;
	int err = frames_open(&io->frames, config->frame_count, config->frame_size);

	if (err)
		return err;
	io->memory = aligned_alloc(config->frame_size, size);
	if (!io->memory)
		return -ENOMEM;
	memset(io->memory, 0, size); /* on the worker's node, and no fault later */
	io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return io->wake_fd < 0 ? -errno : 0;
}

static int receiver_open(struct io *io, int cpu, char *error, size_t error_size)
{
	int err = 0;

	if (!io->group->config.is_decoupled)
		return 0;
	if (io->epoll_fd < 0)
		err = socket_poll_open(io, error, error_size);
	if (err)
		return err;
	err = socket_receiver_open(io, cpu);
	return err ? fail(err, error, error_size, "cannot start a receiving thread: %s",
			  strerror(-err))
		   : 0;
}

static int socket_open(const struct io_config *config, struct io **ret_io, char *error,
		       size_t error_size)
{
	struct io *io;
	int err = config_check(config, error, error_size);

	if (err)
		return err;
	io = calloc(1, sizeof(*io));
	if (!io)
		return fail(-ENOMEM, error, error_size, "out of memory for a worker");
	io->group = config->socket_group;
	io->worker = config->queue;
	io->ring_size = config->ring_size;
	io->stats.frames = config->frame_count;
	io->stats.port_count = 1;
	io->stats.ports[0].mode = IO_MODE_COPY;
	io->calls = calls_of(io->group->config.calls);
	io->wake_fd = io->epoll_fd = -1;
	err = memory_open(io, config);
	if (err) {
		(void)fail(err, error, error_size, "cannot get %u frames of %u bytes: %s",
			   config->frame_count, config->frame_size, strerror(-err));
		goto fail;
	}
	err = io->calls->open(io, error, error_size);
	if (err)
		goto fail;
	err = receiver_open(io, config->receiver_cpu, error, error_size);
	if (err)
		goto fail;
	err = socket_group_attach(io->group, io->worker, io);
	if (err) {
		(void)fail(err, error, error_size, "cannot read services' sockets: %s",
			   strerror(-err));
		goto fail;
	}
	gauges_publish(io);
	*ret_io = io;
	return 0;
fail:
	socket_close(io);
	return err;
}

const struct io_engine io_socket = {
	.name = "socket",
	.open = socket_open,
	.rx = socket_rx,
	.tx = socket_tx,
	.release = socket_release,
	.take = socket_take,
	.wait = socket_wait,
	.wake = socket_wake,
	.sent_all = socket_sent_all,
	.stats = socket_stats,
	.socket = socket_socket,
	.close = socket_close,
};
