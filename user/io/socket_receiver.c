/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/socket_receiver.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/counter.h"
#include "io/socket_calls.h"
#include "io/socket_ring.h"
#include "util/privileges.h"
#include "util/thread.h"

/* How long a sleep is at most: the time that a grace period may take. */
#define WAIT_MS 100

struct socket_receiver {
	struct io *io;
	pthread_t thread;
	int stop_fd;		     /* an eventfd */
	bool stop;		     /* atomic */
	struct socket_ring posted;   /* worker to thread: frames to receive into */
	struct socket_ring received; /* thread to worker */
	bool is_asleep;		     /* atomic: the worker wants to be woken */
	uint32_t posted_count;	     /* the worker's: frames that it does not have */

	/* The thread's. */
	struct packet frames[BURST_MAX]; /* taken from posted, not yet used */
	uint32_t frame_count;
	uint8_t *scratch; /* frames of its own, for what is dropped */
};

/* --- The thread --- */

/* Read and dropped, a burst at most. */
static void overflow_drop(struct socket_receiver *receiver)
{
	struct io *io = receiver->io;
	const struct socket_frames place = { io->group, receiver->scratch, io->frames.frame_size };
	struct packet packets[BURST_MAX];
	uint64_t frames[BURST_MAX];
	size_t dropped;

	for (size_t i = 0; i < BURST_MAX; i++)
		frames[i] = i * io->frames.frame_size;
	dropped = socket_poll_read(&place, io->epoll_fd, socket_mmsg_read, socket_clock_coarse_ms(),
				   frames, BURST_MAX, packets);
	if (dropped)
		socket_count(io->group, SOCKET_COUNT_RING_FULL, dropped);
}

/* What was received has room in its ring: both are as long, and no frame is in both. */
static size_t burst_receive(struct socket_receiver *receiver)
{
	struct io *io = receiver->io;
	const struct socket_frames place = { io->group, io->memory, io->frames.frame_size };
	struct packet packets[BURST_MAX];
	uint64_t frames[BURST_MAX];
	size_t received;

	receiver->frame_count +=
		socket_ring_pop(&receiver->posted, receiver->frames + receiver->frame_count,
				BURST_MAX - receiver->frame_count);
	if (!receiver->frame_count) {
		overflow_drop(receiver);
		return 0;
	}
	for (uint32_t i = 0; i < receiver->frame_count; i++)
		frames[i] = receiver->frames[i].frame;
	received =
		socket_poll_read(&place, io->epoll_fd, socket_mmsg_read, socket_clock_coarse_ms(),
				 frames, receiver->frame_count, packets);
	receiver->frame_count -= (uint32_t)received;
	for (uint32_t i = 0; i < receiver->frame_count; i++)
		receiver->frames[i].frame = frames[received + i];
	socket_ring_push(&receiver->received, packets, (uint32_t)received);
	return received;
}

static void thread_sleep(const struct socket_receiver *receiver)
{
	struct pollfd fds[] = {
		{ .fd = receiver->io->epoll_fd, .events = POLLIN },
		{ .fd = receiver->stop_fd, .events = POLLIN },
	};

	urcu_qsbr_thread_offline();
	(void)poll(fds, 2, WAIT_MS);
	urcu_qsbr_thread_online();
}

static void *receiver_thread(void *arg)
{
	struct socket_receiver *receiver = arg;

	(void)privileges_drop(NULL, 0); /* it needs none, and never has more than its starter */
	urcu_qsbr_register_thread();
	while (!__atomic_load_n(&receiver->stop, __ATOMIC_RELAXED)) {
		urcu_qsbr_quiescent_state();
		if (!burst_receive(receiver)) {
			thread_sleep(receiver);
			continue;
		}
		/* Pairs with the exchange in socket_receiver_wait(): either this sees the
		 * worker asleep, or the worker sees what has been pushed. */
		if (__atomic_exchange_n(&receiver->is_asleep, false, __ATOMIC_ACQ_REL))
			io_socket.wake(receiver->io);
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

/* --- The worker's side --- */

static void frames_post(struct io *io)
{
	struct socket_receiver *receiver = io->receiver;
	uint32_t missing = io->ring_size - receiver->posted_count;
	struct packet packets[BURST_MAX];
	uint32_t count = 0;

	if (missing > BURST_MAX)
		missing = BURST_MAX;
	missing = socket_ring_room(&receiver->posted, missing);
	while (count < missing && io->frames.free_count)
		packets[count++].frame = frames_take(&io->frames, FRAMES_POSTED);
	socket_ring_push(&receiver->posted, packets, count);
	receiver->posted_count += count;
	counter_add(&io->stats.ports[0].posted, count);
}

size_t socket_receiver_take(struct io *io, struct packet *packets, size_t max)
{
	struct socket_receiver *receiver = io->receiver;
	uint32_t received = socket_ring_pop(&receiver->received, packets, (uint32_t)max);

	for (uint32_t i = 0; i < received; i++) {
		assert(frames_owned_by(&io->frames, packets[i].frame, FRAMES_POSTED));
		frames_pass(&io->frames, packets[i].frame, FRAMES_HELD);
	}
	receiver->posted_count -= received;
	counter_add(&io->stats.ports[0].posted, -(uint64_t)received);
	frames_post(io);
	return received;
}

void socket_receiver_wait(struct io *io, int timeout_ms)
{
	struct socket_receiver *receiver = io->receiver;
	struct pollfd wake = { .fd = io->wake_fd, .events = POLLIN };
	uint64_t wakes;

	/* Pairs with the exchange in receiver_thread(). */
	(void)__atomic_exchange_n(&receiver->is_asleep, true, __ATOMIC_ACQ_REL);
	if (socket_ring_is_empty(&receiver->received))
		(void)poll(&wake, 1, timeout_ms);
	__atomic_store_n(&receiver->is_asleep, false, __ATOMIC_RELAXED);
	if (wake.revents)
		(void)!read(io->wake_fd, &wakes, sizeof(wakes));
}

/* --- Open and close --- */

static int receiver_init(struct io *io, struct socket_receiver *receiver)
{
	receiver->io = io;
	receiver->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (receiver->stop_fd < 0)
		return -errno;
	receiver->scratch = calloc(BURST_MAX, io->frames.frame_size);
	if (!receiver->scratch || socket_ring_open(&receiver->posted, io->ring_size) ||
	    socket_ring_open(&receiver->received, io->ring_size))
		return -ENOMEM;
	return 0;
}

static void receiver_free(struct socket_receiver *receiver)
{
	if (receiver->stop_fd >= 0)
		(void)close(receiver->stop_fd);
	socket_ring_close(&receiver->posted);
	socket_ring_close(&receiver->received);
	free(receiver->scratch);
	free(receiver);
}

int socket_receiver_open(struct io *io, int cpu)
{
	struct socket_receiver *receiver =
		aligned_alloc(64, (sizeof(*receiver) + 63) & ~(size_t)63);
	char name[THREAD_NAME_SIZE];
	int err;

	if (!receiver)
		return -ENOMEM;
	memset(receiver, 0, sizeof(*receiver));
	err = receiver_init(io, receiver);
	if (!err) {
		io->receiver = receiver;
		while (receiver->posted_count < io->ring_size && io->frames.free_count)
			frames_post(io);
		(void)snprintf(name, sizeof(name), "receiver-%u", io->worker);
		err = thread_start(name, cpu, receiver_thread, receiver, &receiver->thread);
	}
	if (err) {
		io->receiver = NULL;
		receiver_free(receiver);
		return err;
	}
	return 0;
}

void socket_receiver_close(struct io *io)
{
	struct socket_receiver *receiver = io->receiver;
	const uint64_t one = 1;

	if (!receiver)
		return;
	__atomic_store_n(&receiver->stop, true, __ATOMIC_RELAXED);
	(void)!write(receiver->stop_fd, &one, sizeof(one));
	(void)pthread_join(receiver->thread, NULL);
	receiver_free(receiver);
	io->receiver = NULL;
}
