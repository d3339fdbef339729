/* SPDX-License-Identifier: GPL-2.0-only */
/* backends.h - where backends are reached, and what XDP and the workers know of it.
 *
 * The kernel's routes and neighbours are followed for the lineup in force and, during
 * a reload, for the next one. Control; the main thread. */
#ifndef RINGWAY_CONTROL_BACKENDS_H
#define RINGWAY_CONTROL_BACKENDS_H

#include "control/daemon.h"

/* Start following, for all backends of the lineup in force. 0, or a negative errno
 * and a sentence in error[DAEMON_ERROR_SIZE]. */
int backends_open(struct daemon *daemon, char *error);

/* Stop it for all. NULL next hops are fine. */
void backends_close(struct daemon *daemon);

/* engine.next_hops: as far as the kernel has said; */
void backends_follow(const struct daemon *daemon, const struct lineup *lineup, struct table *table);

/* or, where the kernel is not asked: every backend has a made-up MAC address that ends
 * in its slot, and clients are behind another one. */
void backends_invent(const struct daemon *daemon, const struct lineup *lineup, struct table *table);

/* Follow those backends of lineup, the one in force or the next, that are not
 * followed yet. As backends_open(). */
int backends_watch(struct daemon *daemon, struct lineup *lineup, char *error);

/* Stop following those of lineup that kept (NULL: none) has not in the same place. */
void backends_unwatch(struct daemon *daemon, const struct lineup *lineup,
		      const struct lineup *kept);

/* Wait, for a quarter of a second at most, until the next lineup's backends are
 * resolved, so that the first datagram of each can be sent. */
void backends_settle(struct daemon *daemon);

/* The table of a lineup, with all next hops that are known. As table_spec_build(). */
int backends_table(const struct daemon *daemon, const struct lineup *lineup,
		   struct table **ret_table);

/* A command: drain or flush a backend of the lineup in force, or neither any more. On
 * return it is so for every datagram to come. 0, or a negative errno with the old table in
 * place and the reason logged. */
int backends_order(struct daemon *daemon, struct lineup_backend *backend, bool is_drained,
		   bool is_flushed);

/* A backend has gone up or down by its probes. Takes effect with the next tick, so
 * that many changes make one table. A slot without backend is ignored. */
void backends_health_set(struct daemon *daemon, uint16_t slot, bool is_up);

/* Once a second: what backends_health_set() has left to be done, and slots of
 * removed backends that nobody can remember any more. */
void backends_tick(struct daemon *daemon);

#endif
