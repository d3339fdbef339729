/* SPDX-License-Identifier: GPL-2.0-only */
/* xsk.c - see fake_xsk.h. Linked in the place of user/io/xsk.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake_xsk.h"
#include "util/number.h"

#define FRAME_OFFSET_MASK(xsk) ((uint64_t)(xsk)->config.frame_size - 1)

/* Frames after which the kernel says how much of the fill ring it has read. */
#define RECEIVE_BATCH 32

struct fake_kernel fake;

/* The shared part of a ring: indices, flags, entries. */
struct shared {
	uint32_t producer, consumer, flags;
	uint64_t entries[];
};

void fake_reset(void)
{
	fake = (struct fake_kernel){ 0 };
	for (uint32_t i = 0; i < PORT_COUNT_MAX; i++)
		fake.ports[i].budget = 32;
}

static struct shared *ring_new(uint32_t size, size_t entry_size)
{
	return calloc(1, sizeof(struct shared) + size * entry_size);
}

static struct xsk_ring_prod producer_new(uint32_t size, size_t entry_size, uint32_t flags)
{
	struct shared *shared = ring_new(size, entry_size);

	shared->flags = flags;
	return (struct xsk_ring_prod){
		.cached_cons = size,
		.mask = size - 1,
		.size = size,
		.producer = &shared->producer,
		.consumer = &shared->consumer,
		.flags = &shared->flags,
		.ring = shared->entries,
	};
}

static struct xsk_ring_cons consumer_new(uint32_t size, size_t entry_size)
{
	struct shared *shared = ring_new(size, entry_size);

	return (struct xsk_ring_cons){
		.mask = size - 1,
		.size = size,
		.producer = &shared->producer,
		.consumer = &shared->consumer,
		.flags = &shared->flags,
		.ring = shared->entries,
	};
}

static void ring_free(uint32_t *producer)
{
	free(producer ? (char *)producer - offsetof(struct shared, producer) : NULL);
}

static size_t memory_size(const struct xsk *xsk)
{
	return (size_t)xsk->config.frame_count * xsk->config.frame_size;
}

int xsk_open(struct xsk *xsk, const struct xsk_config *config, char *error, size_t error_size)
{
	*xsk = (struct xsk){ .config = *config };
	if (fake.open_error)
		return fail(fake.open_error, error, error_size, "cannot open: %s",
			    strerror(-fake.open_error));
	xsk->memory = aligned_alloc(config->frame_size, memory_size(xsk));
	memset(xsk->memory, 0, memory_size(xsk));
	fake.xsk = xsk;
	fake.opened++;
	return 0;
}

int xsk_bind(struct xsk *xsk, const struct io_port_config *config, bool zero_copy,
	     const uint64_t *fill, uint32_t fill_count, char *error, size_t error_size)
{
	uint32_t index = xsk->port_count;
	struct xsk_port *port = &xsk->ports[index];
	struct fake_port *kernel = &fake.ports[index];
	uint32_t size = xsk->config.ring_size, position = 0;
	int err = kernel->bind_error[zero_copy];

	if (err)
		return fail(err, error, error_size, "cannot bind queue %u of %s: %s",
			    xsk->config.queue, config->ifname, strerror(-err));
	*port = (struct xsk_port){
		.rx = consumer_new(size, sizeof(struct xdp_desc)),
		.completion = consumer_new(size, sizeof(uint64_t)),
		.tx = producer_new(size, sizeof(struct xdp_desc), XDP_RING_NEED_WAKEUP),
		.fill = producer_new(2 * size, sizeof(uint64_t), 0),
		.fd = 100 + (int)index,
		.zero_copy = zero_copy,
	};
	kernel->in_flight = calloc(size, sizeof(*kernel->in_flight));
	(void)xsk_ring_prod__reserve(&port->fill, fill_count, &position);
	for (uint32_t i = 0; i < fill_count; i++)
		*xsk_ring_prod__fill_addr(&port->fill, position + i) = fill[i];
	xsk_ring_prod__submit(&port->fill, fill_count);
	kernel->filled_at_bind = *port->fill.producer;
	xsk->port_count++;
	return 0;
}

void xsk_close(struct xsk *xsk)
{
	for (uint32_t i = 0; i < xsk->port_count; i++) {
		ring_free(xsk->ports[i].rx.producer);
		ring_free(xsk->ports[i].completion.producer);
		ring_free(xsk->ports[i].tx.producer);
		ring_free(xsk->ports[i].fill.producer);
		free(fake.ports[i].in_flight);
		fake.ports[i].in_flight = NULL;
		fake.ports[i].in_flight_count = 0;
	}
	if (xsk->memory) {
		free(xsk->memory);
		fake.closed++;
		fake.xsk = NULL;
	}
	*xsk = (struct xsk){ 0 };
}

static uint32_t port_index(const struct xsk_port *port)
{
	return (uint32_t)(port - fake.xsk->ports);
}

/* The kernel reserves a slot for each frame before it sends it. */
static bool completion_room(const struct xsk_port *port, const struct fake_port *kernel)
{
	uint32_t waiting = *port->completion.producer - *port->completion.consumer;

	return waiting + kernel->in_flight_count < port->completion.size;
}

void fake_complete_raw(uint32_t port, uint64_t address)
{
	struct xsk_ring_cons *ring = &fake.xsk->ports[port].completion;
	uint64_t *entries = ring->ring;

	entries[*ring->producer & ring->mask] = address;
	(*ring->producer)++;
}

uint32_t fake_complete(uint32_t port, uint32_t count)
{
	struct fake_port *kernel = &fake.ports[port];
	uint32_t done = 0;

	for (; done < count && kernel->in_flight_count; done++) {
		uint64_t address = kernel->in_flight[--kernel->in_flight_count];

		fake_complete_raw(port, (address & ~1ull) ^ kernel->completion_xor);
	}
	return done;
}

void fake_shuffle(uint32_t port, uint32_t a, uint32_t b)
{
	uint64_t *in_flight = fake.ports[port].in_flight, kept = in_flight[a];

	in_flight[a] = in_flight[b];
	in_flight[b] = kept;
}

/* Read one descriptor and put its frame in flight. */
static const struct xdp_desc *descriptor_take(const struct xsk_port *port, struct fake_port *kernel)
{
	const struct xdp_desc *entries = port->tx.ring;
	const struct xdp_desc *desc = &entries[kernel->tx_cursor++ & port->tx.mask];
	uint64_t offset = desc->addr & FRAME_OFFSET_MASK(fake.xsk);

	if (desc->addr >= memory_size(fake.xsk) || desc->len < 14 || desc->options ||
	    offset + desc->len > fake.xsk->config.frame_size)
		kernel->invalid++;
	kernel->in_flight[kernel->in_flight_count++] = desc->addr;
	return desc;
}

static int kick_failed(const struct xsk_port *port, struct fake_port *kernel)
{
	if (kernel->kick_error_count != FAKE_FOREVER)
		kernel->kick_error_count--;
	/* The frame comes back, but that its descriptor was read is not said yet. */
	if (kernel->kick_error == -EBUSY && kernel->tx_cursor != *port->tx.producer &&
	    completion_room(port, kernel)) {
		(void)descriptor_take(port, kernel);
		kernel->refused++;
		(void)fake_complete(port_index(port), 1);
	}
	return kernel->kick_error;
}

int xsk_kick_transmit(const struct xsk_port *port)
{
	struct fake_port *kernel = &fake.ports[port_index(port)];
	int err = 0;

	kernel->kicks++;
	if (kernel->link_down)
		return -ENETDOWN;
	if (kernel->stuck)
		return 0;
	if (kernel->kick_error_count)
		return kick_failed(port, kernel);
	for (uint32_t i = 0; kernel->tx_cursor != *port->tx.producer; i++) {
		const struct xdp_desc *desc;

		if (i == kernel->budget || !completion_room(port, kernel)) {
			err = -EAGAIN;
			break;
		}
		desc = descriptor_take(port, kernel);
		kernel->sent++;
		if (kernel->on_send)
			kernel->on_send(port_index(port), fake.xsk->memory + desc->addr, desc->len);
		if (!kernel->hold_completions)
			(void)fake_complete(port_index(port), 1);
	}
	*port->tx.consumer = kernel->tx_cursor;
	return err;
}

int xsk_kick_fill(const struct xsk_port *port)
{
	fake.ports[port_index(port)].fill_kicks++;
	if (*port->fill.producer != fake.ports[port_index(port)].fill_cursor)
		*port->fill.flags &= ~(uint32_t)XDP_RING_NEED_WAKEUP;
	return 0;
}

/* The next frame to receive into. The consumer index is published once a batch, or
 * when what was known of the ring is used up. */
static bool fill_take(uint32_t index, uint64_t *ret_address)
{
	const struct xsk_ring_prod *ring = &fake.xsk->ports[index].fill;
	struct fake_port *kernel = &fake.ports[index];
	const uint64_t *entries = ring->ring;

	if (*ring->flags & XDP_RING_NEED_WAKEUP)
		return false;
	if (kernel->fill_cursor % RECEIVE_BATCH == 0)
		*ring->consumer = kernel->fill_cursor;
	if (kernel->fill_cursor == kernel->fill_known) {
		*ring->consumer = kernel->fill_cursor;
		kernel->fill_known = *ring->producer;
	}
	if (kernel->fill_cursor == kernel->fill_known) {
		kernel->rx_fill_empty++;
		if (kernel->fill_sleeps)
			*ring->flags |= XDP_RING_NEED_WAKEUP;
		return false;
	}
	*ret_address = entries[kernel->fill_cursor++ & ring->mask] & ~FRAME_OFFSET_MASK(fake.xsk);
	return true;
}

void fake_receive_raw(uint32_t port, uint64_t address, uint32_t len)
{
	struct xsk_ring_cons *ring = &fake.xsk->ports[port].rx;
	struct xdp_desc *entries = ring->ring;

	entries[*ring->producer & ring->mask] = (struct xdp_desc){ .addr = address, .len = len };
	__atomic_store_n(ring->producer, *ring->producer + 1, __ATOMIC_RELEASE);
}

static bool rx_full(uint32_t port)
{
	const struct xsk_ring_cons *ring = &fake.xsk->ports[port].rx;

	if (*ring->producer - *ring->consumer < ring->size)
		return false;
	fake.ports[port].rx_ring_full++;
	return true;
}

bool fake_receive(uint32_t port, uint32_t offset, const void *data, uint32_t len,
		  const struct frame_meta *meta)
{
	uint8_t *place;
	uint64_t address;

	if (rx_full(port) || !fill_take(port, &address))
		return false;
	place = fake.xsk->memory + address + offset;
	memcpy(place, data, len);
	if (meta)
		memcpy(place - sizeof(*meta), meta, sizeof(*meta));
	fake_receive_raw(port, address + offset, len);
	return true;
}

bool fake_receive_lying(uint32_t port, uint32_t offset, uint32_t desc_len)
{
	uint64_t address;

	if (rx_full(port) || !fill_take(port, &address))
		return false;
	fake_receive_raw(port, address + offset, desc_len);
	return true;
}

uint32_t fake_rx_waiting(uint32_t port)
{
	const struct xsk_ring_cons *ring = &fake.xsk->ports[port].rx;

	return *ring->producer - *ring->consumer;
}

static bool frame_seen(uint8_t *seen, uint64_t address)
{
	uint64_t number = address / fake.xsk->config.frame_size;

	return number >= fake.xsk->config.frame_count || seen[number]++;
}

int fake_frames_out(void)
{
	uint8_t *seen = calloc(fake.xsk->config.frame_count, 1);
	bool twice = false;
	int count = 0;

	for (uint32_t p = 0; p < fake.xsk->port_count; p++) {
		const struct xsk_port *port = &fake.xsk->ports[p];
		const struct fake_port *kernel = &fake.ports[p];
		const uint64_t *fill = port->fill.ring, *completion = port->completion.ring;
		const struct xdp_desc *rx = port->rx.ring, *tx = port->tx.ring;

		for (uint32_t i = kernel->fill_cursor; i != *port->fill.producer; i++, count++)
			twice |= frame_seen(seen, fill[i & port->fill.mask]);
		for (uint32_t i = *port->rx.consumer; i != *port->rx.producer; i++, count++)
			twice |= frame_seen(seen, rx[i & port->rx.mask].addr);
		for (uint32_t i = kernel->tx_cursor; i != *port->tx.producer; i++, count++)
			twice |= frame_seen(seen, tx[i & port->tx.mask].addr);
		for (uint32_t i = 0; i < kernel->in_flight_count; i++, count++)
			twice |= frame_seen(seen, kernel->in_flight[i]);
		for (uint32_t i = *port->completion.consumer; i != *port->completion.producer;
		     i++, count++)
			twice |= frame_seen(seen, completion[i & port->completion.mask]);
	}
	free(seen);
	return twice ? -1 : count;
}

void xsk_wait(const struct xsk *xsk, int timeout_ms)
{
	(void)xsk;
	fake.wait_ms = timeout_ms;
}

void xsk_wake(const struct xsk *xsk)
{
	(void)xsk;
	fake.wakes++;
}

void xsk_statistics(const struct xsk_port *port, struct xdp_statistics *ret_statistics)
{
	const struct fake_port *kernel = &fake.ports[port_index(port)];

	*ret_statistics = (struct xdp_statistics){
		.rx_ring_full = kernel->rx_ring_full,
		.rx_fill_ring_empty_descs = kernel->rx_fill_empty,
	};
}
