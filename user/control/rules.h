/* SPDX-License-Identifier: GPL-2.0-only */
/* rules.h - what XDP is told of services and backends.
 *
 * During a reload, in this order: before the workers have the new table,
 * rules_before(), afterwards rules_after(). So XDP hands frames over only while the
 * workers know whose they are, and no answer of a backend finds no rule. Control;
 * the main thread. */
#ifndef RINGWAY_CONTROL_RULES_H
#define RINGWAY_CONTROL_RULES_H

#include "control/daemon.h"

#define RULES_NO_PORT UINT8_MAX

/* The port by which a next hop is reached. */
uint8_t rules_port(const struct daemon *daemon, const struct next_hop *hop);

/* Where answers of a backend must come from, as its next hop is now. A failure is
 * logged. Nothing to be done in l2 mode. Those of a flushed backend go to the workers,
 * who drop them: without a rule the kernel would route them to the client. */
void rules_return_set(struct daemon *daemon, const struct lineup_backend *backend,
		      enum family family);

/* Take in traffic of all services of a lineup. 0, or a negative errno and a sentence
 * in error[DAEMON_ERROR_SIZE], with the others taken in. */
int rules_services_set(struct daemon *daemon, const struct lineup *lineup, char *error);

/* Let go of the services that next does not have; let in the backends that are new. */
void rules_before(struct daemon *daemon, const struct lineup *now, const struct lineup *next);

/* Take in the services of now; let go of the backends that only before had. */
void rules_after(struct daemon *daemon, const struct lineup *before, const struct lineup *now);

#endif
