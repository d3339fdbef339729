/* SPDX-License-Identifier: GPL-2.0-only */
/* af_xdp.c - the product's engine: frames through AF_XDP rings.
 *
 * A frame's way: free -> fill ring -> kernel -> receive ring -> caller ->
 * transmit ring -> kernel -> completion ring -> free. At every step but those
 * inside the kernel frames.h says who has it, so nothing the kernel returns twice,
 * displaced or never can put a frame in two places.
 *
 * Two caps make every ring long enough and every port independent of the others:
 * at most 2 * ring_size frames a port posted (the fill ring's length), at most
 * ring_size sent and not completed (the length of the other two).
 *
 * System calls are made when the kernel asks for them only, and their number in
 * one call is bounded: what does not move now is tried again in a later round. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/counter.h"
#include "io/frames.h"
#include "io/io_stats.h"
#include "io/xsk.h"
#include "util/number.h"

/* The kernel leaves this much before a received frame, and metadata at the end of it. */
#define XDP_HEADROOM_SIZE 256

/* And so much for us: metadata and headers then begin a cache line together. */
#define META_HEADROOM_SIZE sizeof(struct frame_meta)

#define HEADROOM_SIZE (XDP_HEADROOM_SIZE + META_HEADROOM_SIZE)
#define LINE_SIZE     64

/* Descriptors that one sendto moves in copy mode, unless the kernel has
 * XDP_MAX_TX_SKB_BUDGET: TX_BATCH_SIZE in net/xdp/xsk.c. */
#define KICK_BATCH 32

/* Longest pause of the kicks on a port where they move nothing, in rounds. A round
 * is a call of rx: a microsecond under load, up to 1 ms asleep in wait. */
#define KICK_PAUSE_ROUNDS_MAX 64

/* Pause between two rounds while the kernel has frames to send, so that the last
 * of a burst are kicked too. */
#define TAIL_WAIT_MS 1

#define ETHERNET_HEADER_SIZE 14

struct port {
	struct xsk_port *xsk;
	struct io_port_stats stats;
	uint32_t pause_rounds; /* length of the present pause; 0: kicks work */
	uint32_t pause_left;
};

struct io {
	struct xsk xsk;
	struct frames frames;
	uint32_t ring_size;
	uint32_t first_port;   /* where the next rx begins */
	struct io_stats stats; /* without those of the ports */
	uint32_t port_count;
	struct port ports[PORT_COUNT_MAX];
};

static void gauge_set(uint64_t *gauge, uint64_t value)
{
	__atomic_store_n(gauge, value, __ATOMIC_RELAXED);
}

static void gauges_publish(struct io *io)
{
	frames_check(&io->frames);
	gauge_set(&io->stats.free, io->frames.free_count);
}

static uint64_t port_outstanding(const struct port *port)
{
	return port->stats.sent - port->stats.completed;
}

/* Descriptors that the kernel has not read. Not the same as outstanding: it may
 * complete a frame before it says that it has read the descriptor, or long after. */
static uint32_t port_unread(const struct port *port)
{
	const struct xsk_ring_prod *ring = &port->xsk->tx;

	return ring->cached_prod - __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
}

/* Take back what the kernel has sent. Its addresses may lack the lowest bit (6.18)
 * or carry the offset: the frame is what counts. Returns how many came back. */
static uint32_t port_drain(struct io *io, uint32_t index)
{
	struct port *port = &io->ports[index];
	struct xsk_ring_cons *ring = &port->xsk->completion;
	uint32_t position = 0, returned = 0;
	uint32_t count = xsk_ring_cons__peek(ring, ring->size, &position);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t address = *xsk_ring_cons__comp_addr(ring, position + i);
		uint64_t frame = frames_base(&io->frames, address);

		if (!frames_owned_by(&io->frames, frame, FRAMES_SENT + index)) {
			counter_add(&port->stats.tx_invalid, 1);
			continue;
		}
		frames_give(&io->frames, frame);
		returned++;
	}
	if (count)
		xsk_ring_cons__release(ring, count);
	if (returned) {
		counter_add(&port->stats.completed, returned);
		port->pause_rounds = 0;
		port->pause_left = 0;
	}
	return returned;
}

/* Bring the fill ring up to its target. The kernel publishes late what it has read
 * of that ring, so there may be less room than frames missing. */
static void port_refill(struct io *io, uint32_t index)
{
	struct port *port = &io->ports[index];
	struct xsk_ring_prod *ring = &port->xsk->fill;
	uint32_t count = 2 * io->ring_size - (uint32_t)port->stats.posted;
	uint32_t room, position = 0;

	if (count > io->frames.free_count)
		count = io->frames.free_count;
	if (count) {
		room = xsk_prod_nb_free(ring, count);
		if (count > room)
			count = room;
	}
	if (count) {
		(void)xsk_ring_prod__reserve(ring, count, &position);
		for (uint32_t i = 0; i < count; i++)
			*xsk_ring_prod__fill_addr(ring, position + i) =
				frames_take(&io->frames, FRAMES_POSTED + index);
		xsk_ring_prod__submit(ring, count);
		counter_add(&port->stats.posted, count);
	}
	/* Whatever it says, the flag tells when it has to be said again. */
	if (xsk_ring_prod__needs_wakeup(ring))
		(void)xsk_kick_fill(port->xsk);
}

static enum io_kick_error kick_error(int err)
{
	switch (err) {
	case -EAGAIN: return IO_KICK_AGAIN;
	case -EBUSY: return IO_KICK_BUSY;
	case -ENOBUFS: return IO_KICK_NO_BUFFERS;
	case -ENETDOWN: return IO_KICK_LINK_DOWN;
	default: return IO_KICK_OTHER;
	}
}

/* One system call. Returns whether it moved anything and is worth another:
 * EAGAIN is a budget used up, a full completion ring, which has been drained now,
 * or a full send buffer, which empties as the driver sends (xsk.c makes it large); EBUSY is one
 * frame that the driver refused, completed nevertheless. */
static bool kick_once(struct io *io, uint32_t index, bool *ret_moved)
{
	struct port *port = &io->ports[index];
	uint32_t unread = port_unread(port);
	int err = xsk_kick_transmit(port->xsk);

	counter_add(&port->stats.kicks, 1);
	if (err)
		counter_add(&port->stats.kick_errors[kick_error(err)], 1);
	*ret_moved = port_drain(io, index) > 0 || port_unread(port) < unread;
	return *ret_moved && (err == -EAGAIN || err == -EBUSY);
}

/* Have the kernel send what is in the transmit ring, if it wants to be asked. */
static void port_kick(struct io *io, uint32_t index)
{
	struct port *port = &io->ports[index];
	uint32_t unread = port_unread(port);
	uint32_t tries = (unread + KICK_BATCH - 1) / KICK_BATCH + 1;
	bool kicked = false, moved = false, again = true;

	while (again && tries-- && port_unread(port) &&
	       xsk_ring_prod__needs_wakeup(&port->xsk->tx)) {
		bool moved_now;

		again = kick_once(io, index, &moved_now);
		moved |= moved_now;
		kicked = true;
	}
	if (moved) {
		port->pause_rounds = 0;
		port->pause_left = 0;
	} else if (kicked) {
		port->pause_rounds = port->pause_rounds ? 2 * port->pause_rounds : 1;
		if (port->pause_rounds > KICK_PAUSE_ROUNDS_MAX)
			port->pause_rounds = KICK_PAUSE_ROUNDS_MAX;
		port->pause_left = port->pause_rounds;
	}
}

/* Once a round, what is still on its way out. */
static void port_advance(struct io *io, uint32_t index)
{
	struct port *port = &io->ports[index];

	if (!port_outstanding(port))
		return;
	(void)port_drain(io, index);
	if (port->pause_left)
		port->pause_left--;
	else
		port_kick(io, index);
}

/* XDP's verdict lies in front of the frame; clearing it keeps the next frame in
 * this place, should it come without one, from being taken for this one. */
static void metadata_take(struct packet *packet)
{
	uint8_t *place = packet->data - sizeof(struct frame_meta);
	struct frame_meta meta;

	memcpy(&meta, place, sizeof(meta));
	if (meta.magic != FRAME_META_MAGIC)
		return;
	packet->kind = meta.kind;
	packet->slot = meta.slot;
	packet->tx_port = meta.port;
	meta.magic = 0;
	memcpy(place, &meta.magic, sizeof(meta.magic));
}

/* false: not a frame for the caller. A frame that the kernel did not have is left
 * alone, it is somewhere else; one with a place outside itself goes back. Our caller
 * takes each from those posted, so what never was is added first. */
static bool port_accept(struct io *io, uint32_t index, const struct xdp_desc *desc,
			struct packet *ret_packet)
{
	struct port *port = &io->ports[index];
	uint64_t frame = frames_base(&io->frames, desc->addr);
	uint64_t offset = desc->addr - frame;

	if (!frames_owned_by(&io->frames, frame, FRAMES_POSTED + index)) {
		counter_add(&port->stats.rx_invalid, 1);
		counter_add(&port->stats.posted, 1);
		return false;
	}
	if (offset < sizeof(struct frame_meta) || desc->len > io->frames.frame_size - offset) {
		counter_add(&port->stats.rx_invalid, 1);
		frames_give(&io->frames, frame);
		return false;
	}
	frames_pass(&io->frames, frame, FRAMES_HELD);
	*ret_packet = (struct packet){
		.data = io->xsk.memory + desc->addr,
		.frame = frame,
		.len = desc->len,
		.kind = FRAME_UNCLASSIFIED,
		.rx_port = (uint8_t)index,
	};
	metadata_take(ret_packet);
	return true;
}

static size_t port_receive(struct io *io, uint32_t index, struct packet *packets, size_t max)
{
	struct port *port = &io->ports[index];
	struct xsk_ring_cons *ring = &port->xsk->rx;
	uint32_t position = 0;
	uint32_t count = xsk_ring_cons__peek(ring, (uint32_t)max, &position);
	size_t received = 0;

	if (!count)
		return 0;
	/* Metadata and headers begin one line, the rest of the headers and a Connection ID
	 * the next. */
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(ring, position + i);

		uintptr_t data = (uintptr_t)io->xsk.memory + desc->addr; /* not checked yet */

		__builtin_prefetch((const void *)data);
		__builtin_prefetch((const void *)(data + LINE_SIZE));
	}
	for (uint32_t i = 0; i < count; i++)
		if (port_accept(io, index, xsk_ring_cons__rx_desc(ring, position + i),
				&packets[received]))
			received++;
	counter_add(&port->stats.posted, -(uint64_t)count);
	counter_add(&port->stats.received, received);
	/* Last: who counts what waits and then what was received misses none. */
	xsk_ring_cons__release(ring, count);
	return received;
}

static size_t af_xdp_rx(struct io *io, struct packet *packets, size_t max)
{
	uint32_t next_first = io->first_port;
	size_t received = 0;

	assert(max <= BURST_MAX);
	for (uint32_t i = 0; i < io->port_count; i++)
		port_advance(io, i);
	/* Before receiving: a kernel without frames would have nothing to give. */
	for (uint32_t i = 0; i < io->port_count; i++)
		port_refill(io, i);
	/* After the last one that delivered: idle ports leave their turns to nobody. */
	for (uint32_t i = 0; i < io->port_count && received < max; i++) {
		uint32_t index = (io->first_port + i) % io->port_count;
		size_t count = port_receive(io, index, packets + received, max - received);

		received += count;
		if (count)
			next_first = (index + 1) % io->port_count;
	}
	io->first_port = next_first;

	counter_add(&io->stats.held, received);
	counter_add(&io->stats.rx_calls, 1);
	if (!received)
		counter_add(&io->stats.rx_empty, 1);
	gauges_publish(io);
	return received;
}

/* One invalid descriptor would stop the kernel's ring, and on some kernels cost
 * the frame as well: none is ever put there. */
static bool packet_fits(const struct io *io, const struct packet *packet)
{
	uint64_t offset = (uintptr_t)packet->data - (uintptr_t)io->xsk.memory - packet->frame;

	return packet->len >= ETHERNET_HEADER_SIZE && offset < io->frames.frame_size &&
	       packet->len <= io->frames.frame_size - offset;
}

static bool port_enqueue(struct io *io, const struct packet *packet, uint32_t queued)
{
	struct port *port = &io->ports[packet->tx_port];
	uint32_t position;
	struct xdp_desc *desc;

	if (port_outstanding(port) + queued >= io->ring_size ||
	    !xsk_ring_prod__reserve(&port->xsk->tx, 1, &position))
		return false;
	desc = xsk_ring_prod__tx_desc(&port->xsk->tx, position);
	*desc = (struct xdp_desc){
		.addr = (uint64_t)(packet->data - io->xsk.memory),
		.len = packet->len,
	};
	frames_pass(&io->frames, packet->frame, FRAMES_SENT + packet->tx_port);
	return true;
}

/* Publish what was queued on a port, then wake the kernel, in this order. */
static void port_submit(struct io *io, uint32_t index, uint32_t queued)
{
	struct port *port = &io->ports[index];

	xsk_ring_prod__submit(&port->xsk->tx, queued);
	counter_add(&port->stats.sent, queued);
	if (!port->pause_left)
		port_kick(io, index);
}

static size_t af_xdp_tx(struct io *io, struct packet *packets, size_t count)
{
	uint32_t queued[PORT_COUNT_MAX] = { 0 };
	bool drained[PORT_COUNT_MAX] = { false };
	size_t taken = 0;

	for (size_t i = 0; i < count; i++) {
		struct packet packet = packets[i];
		uint32_t index = packet.tx_port;

		assert(frames_owned_by(&io->frames, packet.frame, FRAMES_HELD));
		if (index >= io->port_count || !packet_fits(io, &packet)) {
			index = index < io->port_count ? index : 0;
			counter_add(&io->ports[index].stats.tx_invalid, 1);
			continue;
		}
		if (!port_enqueue(io, &packet, queued[index])) {
			if (drained[index])
				continue;
			drained[index] = true;
			if (!port_drain(io, index) || !port_enqueue(io, &packet, queued[index]))
				continue;
		}
		queued[index]++;
		packets[i] = packets[taken];
		packets[taken++] = packet;
	}
	for (uint32_t i = 0; i < io->port_count; i++)
		if (queued[i])
			port_submit(io, i, queued[i]);

	counter_add(&io->stats.held, -(uint64_t)taken);
	gauges_publish(io);
	return taken;
}

static size_t af_xdp_take(struct io *io, struct packet *packets, size_t count)
{
	size_t taken = frames_lend(&io->frames, io->xsk.memory, HEADROOM_SIZE, packets, count);

	counter_add(&io->stats.held, taken);
	gauges_publish(io);
	return taken;
}

static void af_xdp_release(struct io *io, const struct packet *packets, size_t count)
{
	frames_release(&io->frames, packets, count);
	counter_add(&io->stats.held, -(uint64_t)count);
	gauges_publish(io);
}

static bool af_xdp_wait(struct io *io, int timeout_ms)
{
	for (uint32_t i = 0; i < io->port_count; i++)
		if (port_outstanding(&io->ports[i]) && port_unread(&io->ports[i]) &&
		    (timeout_ms < 0 || timeout_ms > TAIL_WAIT_MS))
			timeout_ms = TAIL_WAIT_MS;
	counter_add(&io->stats.waits, 1);
	xsk_wait(&io->xsk, timeout_ms);
	return true;
}

static void af_xdp_wake(struct io *io)
{
	xsk_wake(&io->xsk);
}

static bool af_xdp_sent_all(const struct io *io)
{
	for (uint32_t i = 0; i < io->port_count; i++)
		if (port_outstanding(&io->ports[i]) || port_unread(&io->ports[i]))
			return false;
	return true;
}

/* For any thread, unlike libxdp's accessors, which cache. The acquire of the consumer pairs
 * with the release in port_receive(). */
static uint64_t rx_waiting(const struct port *port)
{
	uint32_t producer = __atomic_load_n(port->xsk->rx.producer, __ATOMIC_ACQUIRE);
	uint32_t waiting = producer - __atomic_load_n(port->xsk->rx.consumer, __ATOMIC_ACQUIRE);

	return waiting > port->xsk->rx.size ? 0 : waiting;
}

static void port_stats(const struct port *port, struct io_port_stats *ret_stats)
{
	uint64_t waiting = rx_waiting(port); /* before `received` */
	struct xdp_statistics kernel;

	io_port_stats_read(&port->stats, ret_stats);
	xsk_statistics(port->xsk, &kernel);
	ret_stats->rx_waiting = waiting;
	ret_stats->rx_dropped = kernel.rx_dropped;
	ret_stats->rx_invalid += kernel.rx_invalid_descs;
	ret_stats->tx_invalid += kernel.tx_invalid_descs;
	ret_stats->rx_ring_full = kernel.rx_ring_full;
	ret_stats->rx_fill_empty = kernel.rx_fill_ring_empty_descs;
}

static void af_xdp_stats(const struct io *io, struct io_stats *ret_stats)
{
	io_stats_read(&io->stats, ret_stats);
	ret_stats->port_count = io->port_count;
	for (uint32_t i = 0; i < io->port_count; i++)
		port_stats(&io->ports[i], &ret_stats->ports[i]);
}

static int af_xdp_socket(const struct io *io, uint32_t port)
{
	return port < io->port_count ? io->ports[port].xsk->fd : -1;
}

static void af_xdp_close(struct io *io)
{
	if (!io)
		return;
	xsk_close(&io->xsk);
	frames_close(&io->frames);
	free(io);
}

static int port_open(struct io *io, const struct io_port_config *config, bool zero_copy,
		     char *error, size_t error_size)
{
	uint32_t index = io->port_count, fill_count = 2 * io->ring_size;
	struct port *port = &io->ports[index];
	uint64_t *fill = calloc(fill_count, sizeof(*fill));
	int err;

	if (!fill)
		return fail(-ENOMEM, error, error_size, "out of memory for %u frame addresses",
			    fill_count);
	for (uint32_t i = 0; i < fill_count; i++)
		fill[i] = frames_take(&io->frames, FRAMES_POSTED + index);
	err = xsk_bind(&io->xsk, config, zero_copy, fill, fill_count, error, error_size);
	free(fill);
	if (err)
		return err;
	port->xsk = &io->xsk.ports[index];
	port->stats.posted = fill_count;
	port->stats.mode = port->xsk->zero_copy ? IO_MODE_ZERO_COPY : IO_MODE_COPY;
	io->port_count++;
	return 0;
}

static int config_check(const struct io_config *config, char *error, size_t error_size)
{
	uint64_t frames_needed = (uint64_t)config->port_count * 3 * config->ring_size + BURST_MAX;

	if (config->port_count < 1 || config->port_count > PORT_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u interfaces: ringway takes 1 to %u",
			    config->port_count, PORT_COUNT_MAX);
	if (config->frame_size != 2048 && config->frame_size != 4096)
		return fail(-EINVAL, error, error_size,
			    "a frame size of %u bytes: take 2048 or 4096", config->frame_size);
	if (config->ring_size < RING_SIZE_MIN || config->ring_size > RING_SIZE_MAX ||
	    (config->ring_size & (config->ring_size - 1)))
		return fail(-EINVAL, error, error_size,
			    "a ring size of %u: take a power of two from %u to %u",
			    config->ring_size, RING_SIZE_MIN, RING_SIZE_MAX);
	if (config->frame_count < frames_needed || config->frame_count > FRAME_COUNT_MAX)
		return fail(
			-EINVAL, error, error_size,
			"%u frames a worker: %u interfaces with rings of %u take at least %llu, "
			"and %u is the most",
			config->frame_count, config->port_count, config->ring_size,
			(unsigned long long)frames_needed, FRAME_COUNT_MAX);
	return 0;
}

static int open_in_mode(const struct io_config *config, bool zero_copy, struct io **ret_io,
			char *error, size_t error_size)
{
	const struct xsk_config xsk_config = {
		.queue = config->queue,
		.frame_count = config->frame_count,
		.frame_size = config->frame_size,
		.headroom_size = META_HEADROOM_SIZE,
		.ring_size = config->ring_size,
	};
	struct io *io = calloc(1, sizeof(*io));
	int err;

	if (!io)
		return fail(-ENOMEM, error, error_size, "out of memory for a worker's engine");
	io->ring_size = config->ring_size;
	io->stats.frames = config->frame_count;
	err = frames_open(&io->frames, config->frame_count, config->frame_size);
	if (err) {
		(void)fail(err, error, error_size, "out of memory for a list of %u frames",
			   config->frame_count);
		goto fail;
	}
	err = xsk_open(&io->xsk, &xsk_config, error, error_size);
	if (err)
		goto fail;
	for (uint32_t i = 0; i < config->port_count; i++) {
		err = port_open(io, &config->ports[i], zero_copy, error, error_size);
		if (err)
			goto fail;
	}
	gauges_publish(io);
	*ret_io = io;
	return 0;
fail:
	af_xdp_close(io);
	return err;
}

/* IO_MODE_AUTO: one memory has one mode, so zero-copy is for all ports or none. */
static int af_xdp_open(const struct io_config *config, struct io **ret_io, char *error,
		       size_t error_size)
{
	int err = config_check(config, error, error_size);

	if (err)
		return err;
	if (config->mode == IO_MODE_AUTO || config->mode == IO_MODE_ZERO_COPY) {
		err = open_in_mode(config, true, ret_io, error, error_size);
		if (config->mode == IO_MODE_ZERO_COPY || !err)
			return err;
		/* What has nothing to do with the mode would only take 2 s to fail again. */
		if (err == -EBUSY || err == -EPERM)
			return err;
	}
	return open_in_mode(config, false, ret_io, error, error_size);
}

const struct io_engine io_af_xdp = {
	.name = "af_xdp",
	.open = af_xdp_open,
	.rx = af_xdp_rx,
	.tx = af_xdp_tx,
	.release = af_xdp_release,
	.take = af_xdp_take,
	.wait = af_xdp_wait,
	.wake = af_xdp_wake,
	.sent_all = af_xdp_sent_all,
	.stats = af_xdp_stats,
	.socket = af_xdp_socket,
	.close = af_xdp_close,
};
