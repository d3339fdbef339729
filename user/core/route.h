/* SPDX-License-Identifier: GPL-2.0-only */
/* route.h - which backend gets a datagram, and what its answer teaches.
 *
 * For a client's datagram, in this order: (1) a Connection ID that a server made
 * for balancers says it; (2) the Connection ID is known; (3) the 4-tuple is known;
 * (4) it opens a connection, or could: Maglev; (5) a short header that nobody
 * knows: the backends are asked who owns it. In steps over the burst, so that its
 * memory accesses overlap, and a step for those only that are not decided yet.
 *
 * Against poisoning: what clients send only inserts where nothing is; only answers
 * of backends replace, and never an entry that another backend has used within
 * ROUTE_OWNER_TICKS. But a connection that is opened on the 4-tuple of a backend which is
 * gone, or drains or is down where no answers come by, takes the 4-tuple along. An entry is
 * unproven until its client uses a Connection ID that a server has named or, where answers do not
 * come by, is still there after a tick; unproven ones are rationed, and give way first. Pure. */
#ifndef RINGWAY_CORE_ROUTE_H
#define RINGWAY_CORE_ROUTE_H

#include "affinity.h"
#include "discovery.h"
#include "drop.h"
#include "guard.h"
#include "packet.h"
#include "ringway/quic.h"
#include "table.h"

/* 30 s, rounded up: for so long nobody else may take an entry over, and for so
 * long a 4-tuple without answers still decides for unknown short headers. */
#define ROUTE_OWNER_TICKS (30000 / AFFINITY_TICK_MS + 1)

/* X(constant, name, meaning) */
#define ROUTE_RULES(X)                                                            \
	X(QUIC_LB, "quic_lb", "the Connection ID names the server")               \
	X(CID, "connection_id", "the Connection ID is known")                     \
	X(TUPLE, "four_tuple", "the 4-tuple is known")                            \
	X(NEW, "new", "a new connection: Maglev")                                 \
	X(DISCOVERY, "discovery", "nobody knows it: sent to ask who owns it")     \
	X(UNKNOWN, "unknown", "nobody knows it, and nobody may be asked: Maglev") \
	X(GONE, "gone", "its backend was removed: given to another")

enum route_rule {
#define X(constant, name, meaning) ROUTE_##constant,
	ROUTE_RULES(X)
#undef X
		ROUTE_RULE_COUNT,
};

const char *route_rule_name(enum route_rule rule);
const char *route_rule_meaning(enum route_rule rule);

/* What all workers share. Zeroed memory and a secret make an empty one. */
struct router {
	struct affinity tuples, cids; /* line_count 0: nothing is remembered */
	struct hash_secret secret;    /* of the tables, random at each start */
	struct discovery discovery;
	uint64_t cid_lengths[SERVICE_COUNT_MAX]; /* atomic: lengths of short headers' IDs */
};

/* X(constant, name, meaning): a worker's counters besides those of the rules. */
#define ROUTE_COUNTERS(X)                                                                  \
	X(RATIONED, "rationed", "new entries refused: too many from one prefix or in all") \
	X(REPLACED, "replaced", "entries that an answer gave to another backend")          \
	X(DISCOVERIES, "discoveries", "owners sought")                                     \
	X(DISCOVERED, "discovered", "owners found")                                        \
	X(DISCOVERY_REFUSED, "discovery_refused", "owners not sought: no token or place")  \
	X(COPIES, "copies", "copies of datagrams, to ask who owns a connection")

enum route_counter {
#define X(constant, name, meaning) ROUTE_COUNT_##constant,
	ROUTE_COUNTERS(X)
#undef X
		ROUTE_COUNTER_COUNT,
};

const char *route_counter_name(enum route_counter counter);

/* How many Connection IDs a 4-tuple has taught this minute. */
struct route_pace {
	uint32_t tag;
	uint16_t minute;
	uint16_t count;
};
#define ROUTE_PACE_COUNT 4096

/* What one worker has to itself. */
struct router_worker {
	uint64_t decided[ROUTE_RULE_COUNT];
	uint64_t counts[ROUTE_COUNTER_COUNT];
	struct affinity_stats tuple_stats, cid_stats;
	struct quic_lb_scratch *quic_lb;
	struct guard unproven, copies;
	struct route_pace paces[ROUTE_PACE_COUNT];
};

/* Full rations. The scratch is the caller's to make and to free. */
void router_worker_init(struct router_worker *worker, struct quic_lb_scratch *quic_lb,
			uint64_t now_ms);

/* Where decisions are made: the table of this burst, and the time. */
struct route_ctx {
	const struct table *table;
	struct router *router;
	struct router_worker *worker;
	uint64_t now_ms;
	uint16_t now_ticks; /* affinity_ticks(now_ms); forward_burst() sets it */
	bool is_dry;	    /* only tell: nothing is learned, kept or asked */
};

/* What is to be done next. */
enum route_step {
	ROUTE_STEP_NONE,   /* there was nothing to decide */
	ROUTE_STEP_FIND,   /* the Connection ID is looked for */
	ROUTE_STEP_LEARN,  /* an answer: what it teaches */
	ROUTE_STEP_END,	   /* nothing; what follows is not ended by the Connection ID */
	ROUTE_STEP_SETTLE, /* the 4-tuple is looked for */
	ROUTE_STEP_KEEP,   /* likewise: decided, but the 4-tuple is to be looked after */
	ROUTE_STEP_CHOOSE, /* Maglev chooses, or it is asked who owns the connection */
};

#define ROUTE_FORWARD (-1)

/* One datagram on its way. */
struct route {
	struct udp_view view;
	const uint8_t *dcid;   /* if is_quic; of a client's datagram */
	const uint16_t *entry; /* Maglev's; NULL: none, or decided already */
	struct target *target; /* of whom it is for, or from; of what is forwarded */
	struct affinity_key
		place;	    /* of the Connection ID, from ROUTE_STEP_SETTLE on of the 4-tuple */
	uint64_t tuple_key; /* from ROUTE_STEP_SETTLE on */
	uint64_t cid_key;   /* if has_cid, from ROUTE_STEP_FIND on */
	int16_t slot;	    /* the backend's, or -1 */
	int16_t verdict;    /* ROUTE_FORWARD or an enum drop_reason */
	uint16_t service_slot;
	uint16_t dcid_len;
	uint8_t rule; /* enum route_rule */
	uint8_t step; /* enum route_step */
	uint8_t type; /* enum quic_type */
	uint8_t cid_len;
	bool is_quic;
	bool has_cid;  /* cid_key is of the Connection ID, or of its likeliest length */
	bool is_gone;  /* the connection's backend was removed */
	bool is_proof; /* the client uses a Connection ID that a server has named */
	bool asks_all; /* out: send copies to the service's other backends */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct route) == 128, "two lines");

/* Decide for a burst of at most BURST_MAX packets, each with a route of which view and
 * verdict are set; those with another verdict than ROUTE_FORWARD are left alone. A
 * FRAME_SERVICE packet is a client's for a service that exists, a FRAME_RETURN packet an
 * answer of a backend that exists. Packets to forward get their backend's slot. Returns
 * how many were Initials of clients. Hot. */
size_t routes_decide(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
		     size_t count);

#endif
