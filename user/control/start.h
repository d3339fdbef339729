/* SPDX-License-Identifier: GPL-2.0-only */
/* start.h - the steps of which engines' starts are made; they say in which order.
 * daemon_stop() takes down whatever has come up.
 *
 * All but the void: 0, or a negative errno and a sentence in error[DAEMON_ERROR_SIZE].
 * Control; the main thread. */
#ifndef RINGWAY_CONTROL_START_H
#define RINGWAY_CONTROL_START_H

#include "control/daemon.h"

/* Look at the links of the lineup's configuration, and whether the kernel forwards
 * between them. */
int start_links(struct daemon *daemon, char *error);

/* Warn of service addresses that nobody answers for on those links. */
void start_addresses_check(const struct daemon *daemon);

/* In place of links: one port that takes every frame. */
void start_port_invent(struct daemon *daemon);

/* Memory of what workers remember. */
int start_router(struct daemon *daemon, char *error);

/* An io for each worker, on its CPU. config: what the engine itself knows of it. */
int start_ios(struct daemon *daemon, const struct io_config *config, char *error);

/* From here on ringwayctl is answered, though not before daemon_run(). */
int start_control_socket(struct daemon *daemon, char *error);

/* All capabilities but these, and for good (util/privileges.h). Threads started from here
 * on inherit it; those of the engine's own have none by then. */
int start_privileges_drop(const unsigned int *kept, size_t kept_count, char *error);

int start_workers(struct daemon *daemon, char *error);
int start_probes(struct daemon *daemon, char *error);

#endif
