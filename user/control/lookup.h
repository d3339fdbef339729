/* SPDX-License-Identifier: GPL-2.0-only */
/* lookup.h - which backend would get a datagram, told without sending one.
 *
 * The datagram is made in memory and goes through the workers' own code, on the
 * table and what is remembered as they stand, but teaches nobody anything.
 * Control; the thread that publishes tables. */
#ifndef RINGWAY_CONTROL_LOOKUP_H
#define RINGWAY_CONTROL_LOOKUP_H

#include <jansson.h>

#include "control/command.h"
#include "core/route.h"
#include "util/endpoint.h"

struct daemon;

struct lookup_query {
	uint16_t service_slot;
	const struct table_endpoint *service; /* has an address of the client's family */
	struct endpoint client;
	const uint8_t *cid;
	uint8_t cid_len;  /* at most QUIC_CID_LEN_MAX */
	uint32_t version; /* of an Initial; 0: a short header */
};

struct lookup_result {
	int slot; /* the backend's, or -1: then the rule says nothing */
	enum route_rule rule;
	int drop;	 /* enum drop_reason, or -1: it would be sent */
	uint8_t cid_len; /* bytes that a short header's Connection ID is taken to have */
};

/* What look-ups need for themselves. NULL: out of memory. */
struct lookup;
struct lookup *lookup_new(void);
void lookup_free(struct lookup *lookup); /* NULL is a no-op */

void lookup_decide(struct lookup *lookup, const struct table *table, struct router *router,
		   uint64_t now_ms, const struct lookup_query *query,
		   struct lookup_result *ret_result);

/* The answer to `lookup SERVICE ...`. */
json_t *lookup_answer(struct daemon *daemon, const struct command_words *words);

#endif
