/* SPDX-License-Identifier: GPL-2.0-only */
#include "dataplane/router_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util/huge_memory.h"

/* A connection has one 4-tuple at a time, but two Connection IDs: the one its client made
 * up, by which retransmissions of the start find the backend, and its server's. */
#define CIDS_A_CONNECTION 2

static int table_alloc(struct affinity *table, size_t key_count)
{
	size_t size = affinity_size(key_count);
	void *memory = huge_memory_new(size);

	if (!memory)
		return -ENOMEM;
	affinity_init(table, memory, size);
	return 0;
}

int router_new(size_t connection_count, struct router **ret_router)
{
	size_t size = (sizeof(struct router) + 63) & ~(size_t)63;
	struct router *router = aligned_alloc(64, size);
	uint8_t key[16];
	int err = 0;

	if (!router)
		return -ENOMEM;
	memset(router, 0, size);
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		err = -errno;
	hash_secret_derive(key, &router->secret);
	if (!err && connection_count)
		err = table_alloc(&router->tuples, connection_count);
	if (!err && connection_count)
		err = table_alloc(&router->cids, CIDS_A_CONNECTION * connection_count);
	if (err) {
		router_free(router);
		return err;
	}
	*ret_router = router;
	return 0;
}

void router_free(struct router *router)
{
	if (!router)
		return;
	free(router->tuples.words);
	free(router->cids.words);
	free(router);
}
