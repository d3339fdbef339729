/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_uring.c - io_uring: sockets that deliver into frames until told not to, and
 * sends by the burst.
 *
 * The ring belongs to the worker's thread, which is not the one that opens it: it is
 * made disabled and enabled by the first receive. Services' sockets deliver their
 * sender's name before the payload, flows' nothing; both into the same frames, which
 * the kernel takes from a ring of free ones ("posted", by a number that is not the
 * frame's). What ends by itself (no frame left, an ICMP error) is begun again. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/counter.h"
#include "io/socket_calls.h"
#include "util/icmp_error.h"
#include "util/number.h"

#define KERNEL_OLDEST "6.0"

/* Submissions that wait for the next system call: a burst, and flows opened by it. */
#define SUBMISSION_COUNT (4 * BURST_MAX)

/* Buffers have numbers of 16 bits; a power of two. */
#define POSTED_COUNT_MAX 32768

#define BUFFER_GROUP 0

/* What a completion is of, in the low bits of its user_data. */
enum uring_tag {
	TAG_FLOW,    /* the struct socket_flow */
	TAG_SERVICE, /* serial and slot */
	TAG_SEND,    /* the frame */
	TAG_WAKE,
	TAG_CANCEL, /* of a receive, which completes itself */
	TAG_MASK = 7,
};
_Static_assert(_Alignof(struct socket_flow) > TAG_MASK, "a flow's address has room for a tag");

/* What a sendmsg points to, until the kernel has read its submission. */
struct uring_header {
	struct msghdr header;
	struct iovec payload;
	union socket_name name;
};

struct socket_uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint32_t buffer_count;
	uint64_t *posted;  /* frames, by number */
	uint16_t *numbers; /* free ones, number_count of them */
	uint32_t number_count;
	uint32_t set_serial;			   /* of the services that are received from */
	uint64_t armed[SOCKET_ENDPOINT_COUNT_MAX]; /* user_data by slot; 0: not received from */
	struct msghdr name_header; /* what is wanted of a service's datagram: its sender */
	struct uring_header headers[SUBMISSION_COUNT]; /* by submission */
	/* Flows that are over, but for the kernel's hold on them: told to let go, or that
	 * waits for room among the submissions. */
	struct cds_list_head told, untold;
	bool is_open, is_enabled, is_woken, is_wake_followed;
};

/* A service's never is 0, as TAG_SERVICE is not. */
static uint64_t service_data(const struct socket_service *service)
{
	return (uint64_t)service->serial << 32 | (uint64_t)service->slot << 3 | TAG_SERVICE;
}

/* Makes a system call if there is no room. NULL: the kernel takes no more now. */
static struct io_uring_sqe *sqe_get(struct socket_uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (sqe)
		return sqe;
	(void)io_uring_submit(&uring->ring);
	return io_uring_get_sqe(&uring->ring);
}

/* --- What is received from --- */

static int receive_begin(struct socket_uring *uring, struct socket_end *end, uint64_t user_data)
{
	struct io_uring_sqe *sqe = sqe_get(uring);

	if (!sqe)
		return -EBUSY;
	if (end->is_flow)
		io_uring_prep_recv_multishot(sqe, end->fd, NULL, 0, 0);
	else
		io_uring_prep_recvmsg_multishot(sqe, end->fd, &uring->name_header, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	sqe->user_data = user_data;
	return 0;
}

static bool receive_end(struct socket_uring *uring, uint64_t user_data)
{
	struct io_uring_sqe *sqe = sqe_get(uring);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, user_data, 0);
	sqe->user_data = TAG_CANCEL;
	return true;
}

/* Receive from the services that there are, and from no others. What does not succeed
 * now is tried again in the next round. */
static void services_follow(struct io *io)
{
	const struct socket_set *set = socket_set_of(io->group);
	struct socket_uring *uring = io->uring;
	bool is_whole = true;

	if (uring->set_serial == set->serial)
		return;
	for (uint16_t slot = 0; slot < SOCKET_ENDPOINT_COUNT_MAX; slot++) {
		struct socket_service *service = socket_set_slot(set, slot);
		uint64_t wanted = service ? service_data(service) : 0;

		if (uring->armed[slot] == wanted)
			continue;
		if (uring->armed[slot] && !receive_end(uring, uring->armed[slot])) {
			is_whole = false;
			continue;
		}
		uring->armed[slot] = 0;
		if (!service)
			continue;
		if (receive_begin(uring, &service->ends[io->worker], wanted))
			is_whole = false;
		else
			uring->armed[slot] = wanted;
	}
	if (is_whole)
		uring->set_serial = set->serial;
}

static void wake_follow(struct io *io)
{
	struct io_uring_sqe *sqe;

	if (io->uring->is_wake_followed)
		return;
	sqe = sqe_get(io->uring);
	if (!sqe)
		return;
	io_uring_prep_poll_multishot(sqe, io->wake_fd, POLLIN);
	sqe->user_data = TAG_WAKE;
	io->uring->is_wake_followed = true;
}

/* What found no room among the submissions before. */
static void flows_tell(struct socket_uring *uring)
{
	while (!cds_list_empty(&uring->untold)) {
		struct socket_flow *flow =
			cds_list_first_entry(&uring->untold, struct socket_flow, ending);

		if (!receive_end(uring, (uintptr_t)flow | TAG_FLOW))
			return;
		cds_list_move(&flow->ending, &uring->told);
	}
}

static void buffers_post(struct io *io)
{
	struct socket_uring *uring = io->uring;
	uint32_t count = uring->number_count;
	int mask = io_uring_buf_ring_mask(uring->buffer_count);

	if (count > io->frames.free_count)
		count = io->frames.free_count;
	if (!count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t frame = frames_take(&io->frames, FRAMES_POSTED);
		uint16_t number = uring->numbers[--uring->number_count];

		uring->posted[number] = frame;
		io_uring_buf_ring_add(uring->buffers, io->memory + frame + SOCKET_HEADROOM,
				      io->frames.frame_size - SOCKET_HEADROOM, number, mask,
				      (int)i);
	}
	io_uring_buf_ring_advance(uring->buffers, (int)count);
	counter_add(&io->stats.ports[0].posted, count);
}

/* --- Completions --- */

/* The frame that a completion brings, taken from those posted. An empty datagram of a
 * flow's comes without. */
static bool frame_of(struct io *io, const struct io_uring_cqe *cqe, uint64_t *ret_frame)
{
	struct socket_uring *uring = io->uring;
	uint16_t number = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	uint64_t frame;

	if (!(cqe->flags & IORING_CQE_F_BUFFER)) {
		if (cqe->res || !io->frames.free_count)
			return false;
		*ret_frame = frames_take(&io->frames, FRAMES_HELD);
		return true;
	}
	assert(number < uring->buffer_count);
	frame = uring->posted[number];
	assert(frames_owned_by(&io->frames, frame, FRAMES_POSTED));
	uring->numbers[uring->number_count++] = number;
	counter_add(&io->stats.ports[0].posted, -(uint64_t)1);
	frames_pass(&io->frames, frame, FRAMES_HELD);
	*ret_frame = frame;
	return true;
}

/* A whole datagram in a frame? */
static bool datagram_accept(struct io *io, struct socket_end *end, const struct io_uring_cqe *cqe,
			    uint64_t frame, struct packet *ret_packet)
{
	const uint32_t room = io->frames.frame_size - SOCKET_HEADROOM;
	uint8_t *payload = io->memory + frame + SOCKET_HEADROOM;
	uint32_t len = (uint32_t)cqe->res;
	union socket_name name;

	if (end->is_flow) {
		/* The kernel does not say whether there was more. */
		if (len >= room) {
			socket_count(io->group, SOCKET_COUNT_TRUNCATED, 1);
			return false;
		}
	} else {
		struct msghdr *header = &io->uring->name_header;
		struct io_uring_recvmsg_out *out =
			io_uring_recvmsg_validate(payload, cqe->res, header);

		if (!out || out->flags & MSG_TRUNC) {
			socket_count(io->group, SOCKET_COUNT_TRUNCATED, 1);
			return false;
		}
		memcpy(&name, io_uring_recvmsg_name(out), sizeof(name)); /* headers go there */
		payload = io_uring_recvmsg_payload(out, header);
		len = io_uring_recvmsg_payload_length(out, cqe->res, header);
	}
	socket_end_frame(end, &name, payload, len, frame, ret_packet);
	return true;
}

/* Returns whether *ret_packet is one. end: NULL if it is gone. */
static bool datagram_take(struct io *io, struct socket_end *end, const struct io_uring_cqe *cqe,
			  struct packet *ret_packet)
{
	uint64_t frame;

	if (!frame_of(io, cqe, &frame)) {
		if (icmp_error_is(-cqe->res))
			socket_count(io->group, SOCKET_COUNT_UNREACHABLE, 1);
		return false;
	}
	if (end && cqe->res >= 0 && datagram_accept(io, end, cqe, frame, ret_packet))
		return true;
	frames_give(&io->frames, frame);
	return false;
}

static bool flow_completed(struct io *io, const struct io_uring_cqe *cqe, struct packet *ret_packet)
{
	struct socket_flow *flow = (struct socket_flow *)(uintptr_t)cqe->user_data;
	bool is_datagram = datagram_take(io, &flow->end, cqe, ret_packet);

	if (is_datagram)
		socket_flow_touch(flow, io->now_ms);
	if (cqe->flags & IORING_CQE_F_MORE)
		return is_datagram;
	if (!flow->is_ending && receive_begin(io->uring, &flow->end, cqe->user_data)) {
		/* Without answers it is none: the next datagram opens another. */
		socket_flows_remove(io->group, &io->flows, flow);
		socket_flow_retire(flow);
	} else if (flow->is_ending) {
		cds_list_del(&flow->ending);
		socket_flow_retire(flow);
	}
	return is_datagram;
}

static bool service_completed(struct io *io, const struct io_uring_cqe *cqe,
			      struct packet *ret_packet)
{
	uint16_t slot = (uint16_t)(cqe->user_data >> 3);
	struct socket_service *service = socket_set_slot(socket_set_of(io->group), slot);
	struct socket_end *end = NULL;
	bool is_datagram;

	if (service && service_data(service) == cqe->user_data)
		end = &service->ends[io->worker];
	is_datagram = datagram_take(io, end, cqe, ret_packet);
	if (!(cqe->flags & IORING_CQE_F_MORE) && io->uring->armed[slot] == cqe->user_data) {
		io->uring->armed[slot] = 0;
		io->uring->set_serial = 0; /* no set's: begin again what is missing */
	}
	return is_datagram;
}

static void send_completed(struct io *io, const struct io_uring_cqe *cqe)
{
	uint64_t frame = cqe->user_data & ~(uint64_t)TAG_MASK;

	assert(frames_owned_by(&io->frames, frame, FRAMES_SENT));
	/* Lost, be it for what an earlier one met: too late to try again. */
	if (cqe->res < 0)
		socket_send_refused(io, -cqe->res, 1);
	if (icmp_error_is(-cqe->res))
		socket_count(io->group, SOCKET_COUNT_UNREACHABLE, 1);
	counter_add(&io->stats.ports[0].completed, 1);
	frames_give(&io->frames, frame);
}

static void wake_completed(struct io *io, const struct io_uring_cqe *cqe)
{
	uint64_t wakes;

	(void)!read(io->wake_fd, &wakes, sizeof(wakes));
	io->uring->is_woken = true;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		io->uring->is_wake_followed = false;
}

static size_t completions_take(struct io *io, struct packet *packets, size_t max)
{
	struct io_uring *ring = &io->uring->ring;
	struct io_uring_cqe *cqe;
	unsigned int head, seen = 0;
	size_t received = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		enum uring_tag tag = cqe->user_data & TAG_MASK;

		if (received == max && (tag == TAG_FLOW || tag == TAG_SERVICE))
			break;
		seen++;
		switch (tag) {
		case TAG_FLOW: received += flow_completed(io, cqe, packets + received); break;
		case TAG_SERVICE: received += service_completed(io, cqe, packets + received); break;
		case TAG_SEND: send_completed(io, cqe); break;
		case TAG_WAKE: wake_completed(io, cqe); break;
		default: break;
		}
	}
	io_uring_cq_advance(ring, seen);
	return received;
}

/* The worker's thread calls for the first time. */
static void uring_enable(struct io *io)
{
	/* io_uring_enable_rings() is declared, but not in the library of Debian 12. */
	(void)syscall(__NR_io_uring_register, io->uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
		      NULL, 0);
	io->uring->is_enabled = true;
}

/* Nothing to submit and nothing that waits for us: no system call. */
static void kernel_enter(struct io_uring *ring)
{
	unsigned int flags = __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED);

	if (io_uring_sq_ready(ring) || flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		(void)io_uring_submit_and_get_events(ring);
}

static size_t uring_receive(struct io *io, struct packet *packets, size_t max)
{
	if (!io->uring->is_enabled)
		uring_enable(io);
	if (!io->receiver) { /* which receives, and sleeps, otherwise */
		buffers_post(io);
		wake_follow(io);
		services_follow(io);
		flows_tell(io->uring);
	}
	kernel_enter(&io->uring->ring);
	return completions_take(io, packets, max);
}

/* --- Sending --- */

/* By a service's socket, to a client. */
static void sendmsg_prepare(struct socket_uring *uring, struct io_uring_sqe *sqe,
			    const struct socket_message *message)
{
	struct uring_header *header = &uring->headers[sqe - uring->ring.sq.sqes];

	header->name = message->name;
	header->payload = (struct iovec){ (void *)message->payload, message->len };
	header->header = (struct msghdr){
		.msg_name = &header->name,
		.msg_namelen = message->name_size,
		.msg_iov = &header->payload,
		.msg_iovlen = 1,
	};
	io_uring_prep_sendmsg(sqe, message->fd, &header->header, MSG_DONTWAIT);
}

/* What the kernel refuses is told in the completion, when the datagram is gone.
 *
 * With a copy: send_zc does not pay for what fits a frame (tests/bench/send_zc). Where the
 * kernel does save the copy, a send takes 1.1 times as long with 100 and 1472 bytes and as
 * long with 4032; from frames that it has pinned before, 0.95 times with 1472 and 0.9 with
 * 4032. Where it has to copy nevertheless, as to another namespace or to a capture, which
 * nobody here can know, 1.2 to 1.4 times. */
static void uring_send(struct io *io, struct socket_message *messages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct socket_message *message = &messages[i];
		struct io_uring_sqe *sqe = sqe_get(io->uring);

		if (!sqe) {
			socket_send_refused(io, EAGAIN, 1);
			continue;
		}
		if (message->name_size)
			sendmsg_prepare(io->uring, sqe, message);
		else
			io_uring_prep_send(sqe, message->fd, message->payload, message->len,
					   MSG_DONTWAIT);
		sqe->user_data = message->frame | TAG_SEND;
		message->result = SOCKET_SENDING;
	}
	counter_add(&io->stats.ports[0].kicks, 1);
	(void)io_uring_submit(&io->uring->ring);
}

/* --- Flows --- */

/* Services' are followed by the worker itself: nobody else may submit. */
static int uring_watch(struct io *io, struct socket_end *end)
{
	return end->is_flow ? receive_begin(io->uring, end, (uintptr_t)end | TAG_FLOW) : 0;
}

static void uring_flow_end(struct io *io, struct socket_flow *flow)
{
	flow->is_ending = true;
	cds_list_add_tail(&flow->ending, &io->uring->untold);
	flows_tell(io->uring);
}

static void uring_wait(struct io *io, int timeout_ms)
{
	struct __kernel_timespec timeout = { .tv_sec = timeout_ms / 1000,
					     .tv_nsec = timeout_ms % 1000 * 1000000L };
	struct socket_uring *uring = io->uring;
	struct io_uring_cqe *cqe;

	if (!uring->is_enabled)
		uring_enable(io);
	wake_follow(io);
	if (!uring->is_woken)
		(void)io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
	uring->is_woken = false;
}

/* --- Open and close --- */

/* The best that the kernel has: completions only when the worker looks for them. */
static int ring_open(struct socket_uring *uring)
{
	static const unsigned int flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN, /* before 6.1 */
	};
	int err = -EINVAL;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && err == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED |
				 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = 4 * uring->buffer_count,
		};

		err = io_uring_queue_init_params(SUBMISSION_COUNT, &uring->ring, &params);
	}
	uring->is_open = !err;
	return err;
}

/* Multishot recvmsg came with the zero-copy send, which can be asked for. */
static bool has_multishot(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool has = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);

	io_uring_free_probe(probe);
	return has;
}

static int buffers_open(struct socket_uring *uring)
{
	const size_t size = uring->buffer_count * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg reg = { .ring_entries = uring->buffer_count, .bgid = BUFFER_GROUP };

	uring->posted = calloc(uring->buffer_count, sizeof(*uring->posted));
	uring->numbers = calloc(uring->buffer_count, sizeof(*uring->numbers));
	uring->buffers = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
	if (!uring->posted || !uring->numbers || !uring->buffers)
		return -ENOMEM;
	memset(uring->buffers, 0, size);
	for (uint32_t i = 0; i < uring->buffer_count; i++)
		uring->numbers[uring->number_count++] = (uint16_t)i;
	reg.ring_addr = (uintptr_t)uring->buffers;
	io_uring_buf_ring_init(uring->buffers);
	return io_uring_register_buf_ring(&uring->ring, &reg, 0);
}

static int uring_failed(int err, char *error, size_t error_size)
{
	const char *hint = "see the kernel's log";

	if (err == -ENOSYS || err == -EPERM)
		hint = "it is switched off here (sysctl kernel.io_uring_disabled, or a filter of "
		       "system calls, as containers have)";
	else if (err == -EINVAL)
		hint = "Linux " KERNEL_OLDEST " or later is needed";
	else if (err == -ENOMEM)
		hint = "raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the unit)";
	return fail(err, error, error_size, "cannot use io_uring: %s; %s; mmsg works everywhere",
		    strerror(-err), hint);
}

static int uring_open(struct io *io, char *error, size_t error_size)
{
	struct socket_uring *uring = calloc(1, sizeof(*uring));
	int err;

	if (!uring)
		return uring_failed(-ENOMEM, error, error_size);
	io->uring = uring;
	CDS_INIT_LIST_HEAD(&uring->told);
	CDS_INIT_LIST_HEAD(&uring->untold);
	uring->name_header.msg_namelen = sizeof(union socket_name);
	uring->buffer_count = io->ring_size < POSTED_COUNT_MAX ? io->ring_size : POSTED_COUNT_MAX;
	err = ring_open(uring);
	if (!err && !has_multishot(&uring->ring))
		err = -EINVAL;
	if (!err)
		err = buffers_open(uring);
	return err ? uring_failed(err, error, error_size) : 0;
}

/* Whose receive ends with the ring. */
static void flows_retire(struct cds_list_head *flows)
{
	struct socket_flow *flow, *next;

	cds_list_for_each_entry_safe(flow, next, flows, ending) socket_flow_retire(flow);
}

static void uring_close(struct io *io)
{
	struct socket_uring *uring = io->uring;
	struct io_uring_sync_cancel_reg all = {
		.flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY, .timeout = { -1, -1 }
	};

	if (!uring)
		return;
	/* A ring lets go of its sockets some time after its end, but the same addresses may
	 * be bound next. The worker's thread, if that was another, has taken its with it. */
	if (uring->is_enabled && io_uring_register_sync_cancel(&uring->ring, &all) >= 0)
		(void)io_uring_get_events(&uring->ring); /* ends what has been cancelled */
	if (uring->is_open)
		io_uring_queue_exit(&uring->ring);
	flows_retire(&uring->told);
	flows_retire(&uring->untold);
	free(uring->buffers);
	free(uring->numbers);
	free(uring->posted);
	free(uring);
}

const struct socket_calls_table socket_calls_uring = {
	.open = uring_open,
	.close = uring_close,
	.watch = uring_watch,
	.flow_end = uring_flow_end,
	.receive = uring_receive,
	.send = uring_send,
	.wait = uring_wait,
};
