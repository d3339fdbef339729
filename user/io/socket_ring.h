/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_ring.h - packets from one thread to one other, in order: a bounded ring.
 *
 * Lock-free; each side keeps the other's position in its own line and looks again only
 * when that says full, or empty. Every function but open and close is hot. */
#ifndef RINGWAY_IO_SOCKET_RING_H
#define RINGWAY_IO_SOCKET_RING_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/packet.h"

struct socket_ring {
	struct packet *packets;
	uint32_t mask;

	/* Positions count up and wrap; the producer's line, then the consumer's. */
	uint32_t produced __attribute__((aligned(64)));
	uint32_t seen_consumed;
	uint32_t consumed __attribute__((aligned(64)));
	uint32_t seen_produced;
};

/* size: a power of two. 0 or -ENOMEM; close is right after either. */
static inline int socket_ring_open(struct socket_ring *ring, uint32_t size)
{
	*ring = (struct socket_ring){ .packets = calloc(size, sizeof(*ring->packets)),
				      .mask = size - 1 };
	return ring->packets ? 0 : -ENOMEM;
}

static inline void socket_ring_close(struct socket_ring *ring)
{
	free(ring->packets);
	ring->packets = NULL;
}

/* The producer's: how many of count fit now. */
static inline uint32_t socket_ring_room(struct socket_ring *ring, uint32_t count)
{
	uint32_t size = ring->mask + 1, room = size - (ring->produced - ring->seen_consumed);

	if (room < count) {
		/* Pairs with the release in socket_ring_pop(): those places are free. */
		ring->seen_consumed = __atomic_load_n(&ring->consumed, __ATOMIC_ACQUIRE);
		room = size - (ring->produced - ring->seen_consumed);
	}
	return room < count ? room : count;
}

/* The producer's: all of them; there is room. */
static inline void socket_ring_push(struct socket_ring *ring, const struct packet *packets,
				    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ring->packets[(ring->produced + i) & ring->mask] = packets[i];
	/* Pairs with the acquire in socket_ring_pop(). */
	__atomic_store_n(&ring->produced, ring->produced + count, __ATOMIC_RELEASE);
}

/* The consumer's: at most max; returns how many there were. */
static inline uint32_t socket_ring_pop(struct socket_ring *ring, struct packet *packets,
				       uint32_t max)
{
	uint32_t count = ring->seen_produced - ring->consumed;

	if (count < max) {
		/* Pairs with the release in socket_ring_push(). */
		ring->seen_produced = __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE);
		count = ring->seen_produced - ring->consumed;
	}
	if (count > max)
		count = max;
	for (uint32_t i = 0; i < count; i++)
		packets[i] = ring->packets[(ring->consumed + i) & ring->mask];
	/* Pairs with the acquire in socket_ring_room(). */
	__atomic_store_n(&ring->consumed, ring->consumed + count, __ATOMIC_RELEASE);
	return count;
}

/* The consumer's: is there nothing? Orders nothing. */
static inline int socket_ring_is_empty(const struct socket_ring *ring)
{
	return __atomic_load_n(&ring->produced, __ATOMIC_RELAXED) == ring->consumed;
}

#endif
