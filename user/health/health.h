/* SPDX-License-Identifier: GPL-2.0-only */
/* health.h - which backends are up, from probes sent to each of them.
 *
 * Every watched address is probed once an interval from an ordinary socket of this
 * host, so no privilege is needed and the kernel's routes decide the way; the probes
 * of all are spread evenly over the interval. At most HEALTH_PROBE_COUNT_MAX wait for
 * an answer at one time, each with a socket; the others queue in the order in which
 * they are due.
 *
 * Never blocks. One thread. Time is CLOCK_MONOTONIC as clock_ns() has it, and is
 * given by the caller: it must not go backwards. */
#ifndef RINGWAY_HEALTH_HEALTH_H
#define RINGWAY_HEALTH_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum health_kind {
	HEALTH_NONE, /* not probed, always up */
	HEALTH_QUIC, /* a long header of an unknown version is answered by Version Negotiation */
	HEALTH_UDP,  /* a payload is answered, or at least not refused: see `expected` */
	HEALTH_TCP,  /* a connection comes about; it is reset at once */
};

/* Dampening, where nothing else is wanted. */
enum {
	HEALTH_FLAP_CHANGES_DEFAULT = 5,
	HEALTH_FLAP_INTERVALS_DEFAULT = 60,
};

/* All but the kind is within the limits of limits.h; none of it matters to
 * HEALTH_NONE. health_state.h has the meaning of the numbers. */
struct health_settings {
	enum health_kind kind;
	uint32_t interval_ms;
	uint32_t timeout_ms; /* at most interval_ms */
	uint16_t rise, fall; /* from 1 */
	uint16_t flap_changes, flap_intervals;

	/* HEALTH_UDP only. Without expected bytes any answer is a good one and so is
	 * silence: only an ICMP error, such as port unreachable, is a failure. */
	const uint8_t *payload;	 /* may be NULL if payload_len is 0 */
	const uint8_t *expected; /* what the answer begins with, likewise */
	size_t payload_len, expected_len;
};

struct health_status {
	bool is_up;
	uint64_t since_ns;	/* of its last change, or else of the first watch */
	uint64_t held_until_ns; /* dampening keeps it down until then; 0: it does not */
	char reason[96];	/* "no answer in 500 ms": the last failure with these settings */
};

struct health;

/* Called when a watched backend has gone up or down, and never otherwise. May ask for
 * health_status(); must not watch, unwatch or close. */
typedef void health_fn(void *arg, uint32_t id, bool is_up);

int health_open(health_fn *changed, void *arg, struct health **ret_health, char *error,
		size_t error_size);

/* Probe addr (as in match_key) and port under the caller's id, below
 * HEALTH_WATCH_COUNT_MAX. The settings are copied. It is taken to be up or down as
 * is_up says until probes have shown otherwise.
 *
 * An id that is watched already keeps its state if address and port are the same,
 * whatever is_up says: with the same settings nothing changes at all, so that
 * however often a configuration is reloaded, probes go on. Kind HEALTH_NONE is up
 * at once, with a call of `changed` if it was not.
 *
 * 0, -EINVAL (id or settings out of bounds) or -ENOMEM; on failure what was watched
 * before goes on. */
int health_watch(struct health *health, uint64_t now_ns, uint32_t id, const uint8_t addr[16],
		 uint16_t port_be, const struct health_settings *settings, bool is_up);

/* Forget it, its probe included. An id that is not watched is fine. */
void health_unwatch(struct health *health, uint32_t id);

/* Readable when a probe is due, answered or out of time: then call health_serve(). */
int health_fd(const struct health *health);
void health_serve(struct health *health, uint64_t now_ns);

/* 0, or -ENOENT for an id that is not watched. */
int health_status(const struct health *health, uint32_t id, struct health_status *ret_status);

void health_close(struct health *health); /* accepts NULL */

#endif
