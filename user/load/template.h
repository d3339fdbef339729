/* SPDX-License-Identifier: GPL-2.0-only */
/* template.h - the frame that every load datagram is a variation of. Pure.
 *
 * [Ethernet][IP][UDP][QUIC up to the Connection ID][filler][struct load_trailer] */
#ifndef RINGWAY_LOAD_TEMPLATE_H
#define RINGWAY_LOAD_TEMPLATE_H

#include <stdint.h>

#include "load/path.h"
#include "ringway/load_abi.h"
#include "util/endpoint.h"

/* X(constant, name, default bytes of UDP payload, meaning). A mix is Initials of new
 * connections among 1-RTT packets of those that exist. */
#define LOAD_KINDS(X)                                                                           \
	X(UDP, "udp", 100, "no header of its own")                                              \
	X(QUIC_SHORT, "quic-short", 100, "QUIC 1-RTT packet")                                   \
	X(QUIC_INITIAL, "quic-initial", 1200, "QUIC version 1 Initial packet")                  \
	X(QUIC_HANDSHAKE, "quic-handshake", 100, "QUIC version 1 Handshake packet of a server") \
	X(QUIC_MIX, "quic", 100, "quic-initial among quic-short")

enum load_kind {
#define X(constant, name, size, meaning) LOAD_##constant,
	LOAD_KINDS(X)
#undef X
		LOAD_KIND_COUNT,
};

/* Never NULL for what is less than its count; static storage. */
const char *load_kind_name(enum load_kind kind);

#define LOAD_FRAME_LEN_MAX 1514 /* no jumbo frames: a live test run has one page a frame */

/* A source address has at most so many flows, so that ports below 1024 stay out. */
#define LOAD_PORTS_MAX	60000
#define LOAD_FIRST_PORT 4096

struct load_shape {
	enum load_kind kind;
	struct endpoint to;
	uint16_t first_port;
	uint32_t size;	/* bytes of UDP payload; 0: the kind's default */
	uint32_t flows; /* at least 1 */
	uint32_t train; /* datagrams in a row of one flow, at least 1 */
	uint32_t ports; /* of an address: 1..LOAD_PORTS_MAX */
	uint32_t step;	/* from one address to the next, at least 1 */
	uint32_t cids;	/* at least 1 */
	uint64_t first_cid;
	uint32_t cid_len; /* 0..QUIC_CID_LEN_MAX; 0 for LOAD_UDP */
	uint32_t stream;
	/* Of LOAD_QUIC_MIX, else 0: */
	uint32_t initials;   /* per cent */
	uint32_t migrations; /* a second */
	uint64_t rate;	     /* frames a second: tells when the next migration is */
};

struct load_template {
	struct load_plan plan; /* count and interval_ps are the caller's to set */
	uint8_t frame[LOAD_FRAME_LEN_MAX];
	uint32_t frame_len; /* of the longest */
	uint32_t head_len;  /* up to the payload */
};

/* Lengths and sums of a datagram with `size` bytes of payload, whose folded sum udp_sum
 * is. The plan has its heads. */
void load_form_finish(const struct load_plan *plan, uint32_t size, struct load_form *form);

/* How many flows there are, with those that migrations and Initials take. */
uint64_t load_template_flows(const struct load_plan *plan);

/* How many of the first `count` datagrams are Initials of a mix; bytes of UDP payload in
 * the first `count`; and how many migrations there were before the last of them. */
uint64_t load_template_initials(const struct load_plan *plan, uint64_t count);
uint64_t load_template_bytes(const struct load_template *template, uint64_t count);
uint64_t load_template_migrations(const struct load_plan *plan, uint64_t count);

/* 0, or -EINVAL and a sentence in error[]: the size does not hold what it must or
 * exceeds the path's MTU, the flows need more addresses than there are, the families
 * differ. *ret_template is then undefined. */
int load_template_build(const struct load_shape *shape, const struct load_path *path,
			struct load_template *ret_template, char *error, size_t error_size);

#endif
