/* SPDX-License-Identifier: GPL-2.0-only */
/* frames.h - who owns each frame of an engine's memory.
 *
 * A frame is named by the address of its first byte, counted from the start of
 * the memory. The free ones lie on a stack, so that the last one used, still in
 * the cache, is used next. One byte a frame says who has it: what the kernel
 * returns is believed only if the kernel had it. One thread; no allocation after
 * frames_open(); every function but open and close is hot. */
#ifndef RINGWAY_IO_FRAMES_H
#define RINGWAY_IO_FRAMES_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/packet.h"
#include "ringway/limits.h"

enum frames_owner {
	FRAMES_FREE = 0,
	FRAMES_HELD = 1,		  /* the caller of rx has it */
	FRAMES_POSTED = PORT_COUNT_MAX,	  /* plus the port: the kernel may receive into it */
	FRAMES_SENT = 2 * PORT_COUNT_MAX, /* plus the port: the kernel is to send it */
};
_Static_assert(PORT_COUNT_MAX > FRAMES_HELD, "owners are distinct numbers");
_Static_assert(FRAMES_SENT + PORT_COUNT_MAX <= UINT8_MAX, "an owner is one byte");

struct frames {
	uint64_t *stack; /* addresses, of which the first free_count are free */
	uint8_t *owner;	 /* enum frames_owner, by frame number */
	uint32_t free_count;
	uint32_t frame_count;
	uint32_t frame_size; /* bytes, a power of two */
	uint32_t frame_shift;
};

static inline void frames_close(struct frames *frames)
{
	free(frames->stack);
	free(frames->owner);
	*frames = (struct frames){ 0 };
}

/* All free, the lowest address on top. frame_size is a power of two. 0 or
 * -ENOMEM; frames_close() is right after either, and on a zeroed struct. */
static inline int frames_open(struct frames *frames, uint32_t frame_count, uint32_t frame_size)
{
	*frames = (struct frames){
		.stack = calloc(frame_count, sizeof(*frames->stack)),
		.owner = calloc(frame_count, sizeof(*frames->owner)),
		.free_count = frame_count,
		.frame_count = frame_count,
		.frame_size = frame_size,
		.frame_shift = (uint32_t)__builtin_ctz(frame_size),
	};
	if (!frames->stack || !frames->owner) {
		frames_close(frames);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < frame_count; i++)
		frames->stack[i] = (uint64_t)(frame_count - 1 - i) << frames->frame_shift;
	return 0;
}

/* The frame that any address inside it belongs to. */
static inline uint64_t frames_base(const struct frames *frames, uint64_t address)
{
	return address & ~((uint64_t)frames->frame_size - 1);
}

/* false, too, for what is no frame at all. */
static inline bool frames_owned_by(const struct frames *frames, uint64_t frame, uint32_t owner)
{
	uint64_t number = frame >> frames->frame_shift;

	return number < frames->frame_count && frames->owner[number] == owner;
}

/* The frame is one that frames_owned_by() has just confirmed. */
static inline void frames_pass(struct frames *frames, uint64_t frame, uint32_t owner)
{
	frames->owner[frame >> frames->frame_shift] = (uint8_t)owner;
}

/* There is a free one: the caller has looked at free_count. */
static inline uint64_t frames_take(struct frames *frames, uint32_t owner)
{
	uint64_t frame = frames->stack[--frames->free_count];

	frames_pass(frames, frame, owner);
	return frame;
}

/* The frame is not free: frames_owned_by() has confirmed another owner. */
static inline void frames_give(struct frames *frames, uint64_t frame)
{
	frames_pass(frames, frame, FRAMES_FREE);
	frames->stack[frames->free_count++] = frame;
}

/* The caller of rx has done with its packets. */
static inline void frames_release(struct frames *frames, const struct packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(frames_owned_by(frames, packets[i].frame, FRAMES_HELD));
		frames_give(frames, packets[i].frame);
	}
}

/* Empty packets for the caller, in frames of memory after so many bytes of headroom: at
 * most count. Returns how many there were. */
static inline size_t frames_lend(struct frames *frames, uint8_t *memory, uint32_t headroom,
				 struct packet *packets, size_t count)
{
	size_t lent = 0;

	for (; lent < count && frames->free_count; lent++) {
		uint64_t frame = frames_take(frames, FRAMES_HELD);

		packets[lent] = (struct packet){ .data = memory + frame + headroom,
						 .frame = frame,
						 .len = frames->frame_size - headroom };
	}
	return lent;
}

/* Once a burst: fewer free than none, or more than all, is a frame in two places. */
static inline void frames_check(const struct frames *frames)
{
	assert(frames->free_count <= frames->frame_count);
}

#endif
