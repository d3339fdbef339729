/* SPDX-License-Identifier: GPL-2.0-only */
/* fake_xsk.h - the kernel behind user/io/xsk.h, in memory and scriptable.
 *
 * It does what the real one does, as far as an engine can see, including what is
 * unpleasant: completion addresses without their lowest bit, a fill ring whose
 * consumer is published late, a completion slot reserved before each frame is
 * sent, frames completed though refused. It keeps its own account of the frames,
 * which a test holds against the engine's. One struct xsk at a time, one thread. */
#ifndef RINGWAY_TESTS_FAKE_XSK_H
#define RINGWAY_TESTS_FAKE_XSK_H

#include <stdbool.h>
#include <stdint.h>

#include "io/xsk.h"

#define FAKE_FOREVER UINT32_MAX

struct fake_port {
	/* The script, which a test may change at any time. */
	int bind_error[2]; /* of copy and of zero-copy binds: a negative errno, or 0 */
	uint32_t budget;   /* descriptors that one kick moves: 32 after a reset */
	int kick_error;	   /* what the next kick_error_count kicks return, sending nothing; */
	uint32_t kick_error_count; /* -EBUSY drops, and completes, one frame each */
	bool link_down;		   /* kicks return -ENETDOWN */
	bool stuck;		   /* kicks return 0 and send nothing */
	bool hold_completions;	   /* sent frames stay in flight until fake_complete() */
	uint32_t completion_xor;   /* applied to completed addresses; bit 0 is lost anyway */
	bool fill_sleeps; /* the fill ring is read only after a kick of it, once it ran dry */
	void (*on_send)(uint32_t port, const uint8_t *data, uint32_t len);

	/* What happened. */
	uint32_t filled_at_bind;
	uint64_t kicks, fill_kicks, sent, refused, invalid;
	uint64_t rx_ring_full, rx_fill_empty;

	/* The kernel's side of the rings. */
	uint32_t fill_cursor, fill_known; /* read so far; the producer as last looked at */
	uint32_t tx_cursor;
	uint64_t *in_flight; /* addresses sent and not completed */
	uint32_t in_flight_count;
};

struct fake_kernel {
	struct fake_port ports[PORT_COUNT_MAX];
	int open_error;	 /* of xsk_open() */
	struct xsk *xsk; /* the open one, or NULL */
	uint32_t opened, closed;
	int wait_ms; /* of the last xsk_wait() */
	uint32_t wakes;
};

extern struct fake_kernel fake;

/* Forget everything but leaks: no xsk may be open. */
void fake_reset(void);

/* Receive len bytes at an offset in the next frame of the fill ring (the kernel's
 * is 256), with metadata in front of them if not NULL. false: no room or no frame. */
bool fake_receive(uint32_t port, uint32_t offset, const void *data, uint32_t len,
		  const struct frame_meta *meta);

/* Frames that lie in the receive ring. */
uint32_t fake_rx_waiting(uint32_t port);

/* The same with a descriptor that says desc_len whatever was written. */
bool fake_receive_lying(uint32_t port, uint32_t offset, uint32_t desc_len);

/* A receive descriptor, a completion, out of nowhere. */
void fake_receive_raw(uint32_t port, uint64_t address, uint32_t len);
void fake_complete_raw(uint32_t port, uint64_t address);

/* Complete up to count frames in flight, the latest first. Returns how many. */
uint32_t fake_complete(uint32_t port, uint32_t count);

/* Swap two frames in flight, so that they complete in another order. */
void fake_shuffle(uint32_t port, uint32_t a, uint32_t b);

/* Frames that lie in a ring or with the kernel; -1 if one lies in two places. */
int fake_frames_out(void);

#endif
