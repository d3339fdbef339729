/* SPDX-License-Identifier: GPL-2.0-only */
/* probes.h - the health of a lineup's backends: what its services say of probes, and
 * what the probes say of its backends. Control; the main thread. */
#ifndef RINGWAY_CONTROL_PROBES_H
#define RINGWAY_CONTROL_PROBES_H

#include "control/lineup.h"

struct daemon;

/* A backend is probed at each of its addresses: the id of health.h. */
static inline uint32_t probes_id(const struct lineup_backend *backend, enum family family)
{
	return (uint32_t)backend->slot * FAMILY_COUNT + family;
}

/* Before the first lineup is probed. 0, or a negative errno and a sentence in
 * error[DAEMON_ERROR_SIZE]. */
int probes_open(struct daemon *daemon, char *error);

/* The lineup in force has changed: probe its backends, forget those of before that are
 * not among them. before: NULL at start. What fails is logged: such a backend is
 * taken to be up. */
void probes_follow(struct daemon *daemon, const struct lineup *before);

#endif
