/* SPDX-License-Identifier: GPL-2.0-only */
/* health_probe.h - one probe of one backend: a non-blocking connected socket, from
 * the question to the answer.
 *
 * A result is 0 (healthy), -EINPROGRESS (wait on) or why not: -ETIMEDOUT for silence,
 * -EBADMSG for an answer to something else, or what the kernel said. */
#ifndef RINGWAY_HEALTH_HEALTH_PROBE_H
#define RINGWAY_HEALTH_HEALTH_PROBE_H

#include "health/health.h"
#include "health/health_quic.h"

struct health_probe {
	int fd;
	bool has_other_answer; /* something came that was no answer */
	struct health_quic quic;
};

/* Open the socket and ask. -EINPROGRESS: the probe is open, until it is closed, and
 * its result comes when fd is readable, writable (TCP) or in error. Otherwise there
 * is nothing to close. */
int health_probe_open(struct health_probe *probe, const struct health_settings *settings,
		      const uint8_t addr[16], uint16_t port_be);

/* What epoll must wait for. */
uint32_t health_probe_events(const struct health_settings *settings);

int health_probe_read(struct health_probe *probe, const struct health_settings *settings);

/* The result when the time is over; never -EINPROGRESS. */
int health_probe_expire(const struct health_probe *probe, const struct health_settings *settings);

void health_probe_close(struct health_probe *probe);

/* This host could not probe, which says nothing about the backend. */
bool health_probe_is_local(int result);

/* A sentence about a result that is a failure, without a full stop. */
void health_probe_reason(int result, const struct health_settings *settings, char *text,
			 size_t text_size);

#endif
