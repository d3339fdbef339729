/* SPDX-License-Identifier: GPL-2.0-only */
/* router_memory.h - memory for what all workers remember, got once, at start. */
#ifndef RINGWAY_DATAPLANE_ROUTER_MEMORY_H
#define RINGWAY_DATAPLANE_ROUTER_MEMORY_H

#include <stddef.h>

#include "core/route.h"

/* An empty router with tables for connection_count 4-tuples and twice as many
 * Connection IDs (0: it remembers nothing), on huge pages where there are any, under
 * a random secret. 0 and *ret_router is the caller's (router_free), or -ENOMEM.
 * Control. */
int router_new(size_t connection_count, struct router **ret_router);

/* NULL is a no-op. No worker may still use it. */
void router_free(struct router *router);

#endif
