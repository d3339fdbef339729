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
 * A fixed array, shared by all workers, because answers arrive on other queues. A
 * question may be in any place of one set, and no prefix has more than half of a
 * set: junk from one neither keeps others from asking nor ends their questions. A
 * set is held for some instructions by who works on it; nobody waits: who finds it
 * held treats it as unknown. What is not sought costs a look at one line. Pure. */
#ifndef RINGWAY_CORE_DISCOVERY_H
#define RINGWAY_CORE_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/limits.h"

/* How long answers are waited for. A sender whom nobody has answered is silent for as
 * long again as an outage took, and the owner of a slow upload tells by its second
 * answer: it is worth to wait. But a question keeps its place for the first part only,
 * later until a new one needs it. The same 4-tuple may ask again after the pause, during
 * which resets get through to those whose connection is nobody's. */
#define DISCOVERY_KEEP_MS  1000
#define DISCOVERY_TIME_MS  15000
#define DISCOVERY_PAUSE_MS 20000

/* Places of a set: their keys share a line. And those of one source prefix. */
#define DISCOVERY_WAYS		  4
#define DISCOVERY_WAYS_PER_PREFIX 2
#define DISCOVERY_SET_COUNT	  (DISCOVERY_COUNT / DISCOVERY_WAYS)

/* Backends whose short answers are remembered: all that are asked. */
#define DISCOVERY_ANSWERS_MAX (DISCOVERY_COPIES_MAX + 1)

struct discovery_answer {
	uint16_t slot;
	uint16_t tail; /* mix of the last 16 bytes */
};

struct discovery_question {
	uint16_t slot; /* whom it went to first, then the owner */
	uint16_t asked_len;
	uint8_t asked; /* datagrams */
	uint8_t answer_count;
	bool is_known; /* the owner */
	struct discovery_answer answers[DISCOVERY_ANSWERS_MAX];
};

/* Only who holds it writes it, or reads what is not atomic. */
struct discovery_set {
	uint64_t keys[DISCOVERY_WAYS];	     /* atomic; of the 4-tuple; 0: never used */
	uint32_t started_ms[DISCOVERY_WAYS]; /* atomic */
	uint32_t held;			     /* atomic */
	uint16_t prefixes[DISCOVERY_WAYS];   /* a few bits of who asked */
	struct discovery_question questions[DISCOVERY_WAYS];
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct discovery_set, questions) <= 64, "keys and times are one line");

struct discovery {
	uint32_t newest_ms; /* atomic: when a question was last begun */
	struct discovery_set sets[DISCOVERY_SET_COUNT];
};

enum discovery_step {
	DISCOVERY_NEW,	   /* no question is open: discovery_start() may open one */
	DISCOVERY_REFUSED, /* asked not long ago, or enough: nothing to learn */
	DISCOVERY_ALL,	   /* ask *ret_slot again, and all others */
};

/* A datagram of len bytes by a client on the 4-tuple of key (not 0, well mixed).
 * ret_slot: whom to send it to, if the step says so. */
enum discovery_step discovery_ask(struct discovery *discovery, uint64_t key, uint16_t len,
				  uint64_t now_ms, uint16_t *ret_slot);

/* Open a question: the datagram goes to the likeliest backend, in slot. prefix: mixed
 * bits of the source prefix. False: there is no place. */
bool discovery_start(struct discovery *discovery, uint64_t key, uint16_t prefix, uint16_t len,
		     uint64_t now_ms, uint16_t slot);

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
