/* SPDX-License-Identifier: GPL-2.0-only */
/* discovery.h - who owns a connection that nobody knows? The backends are asked.
 *
 * A client that has moved sends short headers with a Connection ID that nobody
 * between has seen. Its datagram goes to the likeliest backend, the next ones to
 * all others as well, and the answers tell. A backend that does not own the
 * connection is silent, or sends a stateless reset, which must be shorter than
 * what triggered it (RFC 9000 section 10.3.3) and ends in the same 16 bytes each
 * time; the owner sends as much as it got, or 1200 bytes to validate the path, or
 * short answers that differ at their end. Until that is clear, short answers are
 * not let through, so that no wrong backend's reset reaches the client.
 *
 * A fixed array, shared by all workers, because answers arrive on other queues.
 * An entry is held for some instructions by who works on it; nobody waits: who
 * finds it held treats it as unknown. Pure. */
#ifndef RINGWAY_CORE_DISCOVERY_H
#define RINGWAY_CORE_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "ringway/limits.h"

/* How long answers are waited for, and how long until the same 4-tuple may ask. */
#define DISCOVERY_TIME_MS  250
#define DISCOVERY_PAUSE_MS 5000

/* Backends whose short answers are remembered. */
#define DISCOVERY_ANSWERS 4

struct discovery_answer {
	uint16_t slot;
	bool present, repeated; /* repeated: two short answers that differ at their end */
	uint64_t tail;		/* mix of the last 16 bytes */
};

struct discovery_entry {
	uint32_t held; /* atomic */
	uint32_t started_ms;
	uint64_t key; /* of the 4-tuple; 0: never used */
	uint16_t first_slot, asked_len;
	uint8_t wave; /* 1, 2; 3: the owner is known */
	struct discovery_answer answers[DISCOVERY_ANSWERS];
} __attribute__((aligned(64)));

struct discovery {
	uint32_t newest_ms; /* atomic: when a question was last begun */
	struct discovery_entry entries[DISCOVERY_COUNT];
};

enum discovery_step {
	DISCOVERY_REFUSED, /* no place, or asked not long ago: nothing to learn */
	DISCOVERY_FIRST,   /* ask *slot */
	DISCOVERY_OTHERS,  /* ask *slot again, and all others */
	DISCOVERY_WAITING, /* all have been asked: ask them again */
};

/* A datagram of len bytes by a client on the 4-tuple of key (not 0). *slot: in, the
 * likeliest backend; out, whom to send it to. may_start: are there tokens? */
enum discovery_step discovery_ask(struct discovery *discovery, uint64_t key, uint16_t len,
				  bool may_start, uint64_t now_ms, uint16_t *slot);

enum discovery_verdict {
	DISCOVERY_NOT_SOUGHT, /* no question is open on this 4-tuple */
	DISCOVERY_OWNER,      /* this backend owns the connection: let it through, learn */
	DISCOVERY_UNCLEAR,    /* drop the answer */
};

/* May a question be open, or its late answers come? False costs one line that all
 * answers share, while an entry of their own would seldom be in a cache. Signed, as
 * another worker's clock may be ahead. Hot. */
static inline bool discovery_is_open(const struct discovery *discovery, uint64_t now_ms)
{
	uint32_t newest_ms = __atomic_load_n(&discovery->newest_ms, __ATOMIC_RELAXED);

	return (int32_t)((uint32_t)now_ms - newest_ms) < DISCOVERY_PAUSE_MS;
}

/* A short-header answer of len >= 1 bytes from the backend in slot. */
enum discovery_verdict discovery_answer(struct discovery *discovery, uint64_t key, uint16_t slot,
					const uint8_t *answer, uint16_t len, uint64_t now_ms);

#endif
