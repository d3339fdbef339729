/* SPDX-License-Identifier: GPL-2.0-only */
/* lineup.h - a configuration with the slots of its services and backends, and what
 * is known of each backend: all that a reload replaces at once.
 *
 * A lineup is made from a configuration and the lineup before it, from which names
 * keep their slots and backends their state. Pure. Control; one thread. */
#ifndef RINGWAY_CONTROL_LINEUP_H
#define RINGWAY_CONTROL_LINEUP_H

#include "config/config.h"
#include "control/slots.h"
#include "host/next_hop.h"

struct lineup_backend {
	const struct config_service *service;
	const struct config_backend *config;
	uint16_t slot, service_slot;

	/* By command: until undrained, removed, or the end of the daemon. What is flushed
	 * is drained as well, and has no part in forwarding, as if it were removed. */
	bool is_drained, is_flushed;

	bool is_down; /* by its health probes */

	/* A reload may move a backend to other addresses. Then its old and its new
	 * place are watched at one time, and this tells them apart. */
	uint8_t place;

	/* As last reported; ids of next_hops_watch() are lineup_watch_id(). */
	bool is_watched[FAMILY_COUNT];
	struct next_hop next_hop[FAMILY_COUNT];
	uint8_t silent_ticks[FAMILY_COUNT]; /* that its MAC address has been asked for */
};

/* A QUIC-LB server id of a backend that is removed: whoever brings it asks for that one. */
struct lineup_gone {
	struct config_server_id server_id;
	uint16_t slot, service_slot;
	uint64_t expiry_s; /* of the slot */
};

struct lineup {
	struct config *config;
	uint8_t edition; /* not that of the lineup before */
	struct slots *service_slots, *backend_slots;
	struct lineup_backend *backends; /* in the order of the configuration */
	size_t backend_count;
	struct lineup_gone *gone; /* the last to go first; backends may have taken ids over */
	size_t gone_count;
};

/* before: NULL for the first. now_s: any clock, always the same; a slot that loses
 * its name is remembered for the longest idle_timeout that was in force, and so are its
 * server ids. 0 and *ret_lineup is the caller's (lineup_free) and has config; or, nothing
 * taken, -ENOSPC (too many names are gone but remembered: void them) or -ENOMEM. */
int lineup_make(struct config *config, const struct lineup *before, uint64_t now_s,
		struct lineup **ret_lineup);

/* With its configuration. NULL is a no-op. */
void lineup_free(struct lineup *lineup);

/* NULL: it has none of that slot, or of that name ("service/backend"). */
struct lineup_backend *lineup_find(const struct lineup *lineup, uint16_t slot);
struct lineup_backend *lineup_find_name(const struct lineup *lineup, const char *name);

/* Does the file give it no new connections? */
static inline bool lineup_is_drained_by_file(const struct lineup_backend *backend)
{
	return backend->config->drain || backend->config->weight == 0;
}

static inline uint32_t lineup_watch_id(const struct lineup_backend *backend, enum family family)
{
	return ((uint32_t)backend->place << 16 | backend->slot) * FAMILY_COUNT + family;
}

#endif
