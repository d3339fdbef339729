/* SPDX-License-Identifier: GPL-2.0-only */
/* connections.h - what the workers remember of connections, as far as the control
 * plane changes it. Control; one thread, beside workers. */
#ifndef RINGWAY_CONTROL_CONNECTIONS_H
#define RINGWAY_CONTROL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/limits.h"

struct daemon;

/* A table on its way to being swept once. */
struct connections_sweep {
	uint64_t next_line, seen;
	uint64_t live;	  /* entries that the last whole sweep has seen */
	bool is_complete; /* there has been one */
};

/* Forget all connections of the backends in these slots. */
void connections_void(struct daemon *daemon, const bool slots[BACKEND_COUNT_MAX]);

/* Once a second: forget some of what nobody has used for longer than an entry's time
 * can tell. */
void connections_tick(struct daemon *daemon);

#endif
