/* SPDX-License-Identifier: GPL-2.0-only */
/* connections.h - what the workers remember of connections, as far as the control
 * plane changes it. Control; one thread, beside workers. */
#ifndef RINGWAY_CONTROL_CONNECTIONS_H
#define RINGWAY_CONTROL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "ringway/limits.h"

struct daemon;

/* Forget all connections of the backends in these slots. */
void connections_void(struct daemon *daemon, const bool slots[BACKEND_COUNT_MAX]);

#endif
