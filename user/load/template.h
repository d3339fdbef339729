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

/* X(constant, name, default bytes of UDP payload, meaning) */
#define LOAD_KINDS(X)                                                          \
	X(UDP, "udp", 100, "no header of its own")                             \
	X(QUIC_SHORT, "quic-short", 100, "QUIC 1-RTT packet")                  \
	X(QUIC_INITIAL, "quic-initial", 1200, "QUIC version 1 Initial packet") \
	X(QUIC_HANDSHAKE, "quic-handshake", 100, "QUIC version 1 Handshake packet of a server")

enum load_kind {
#define X(constant, name, size, meaning) LOAD_##constant,
	LOAD_KINDS(X)
#undef X
		LOAD_KIND_COUNT,
};

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
	uint32_t ports; /* of an address: 1..LOAD_PORTS_MAX */
	uint32_t step;	/* from one address to the next, at least 1 */
	uint32_t cids;	/* at least 1 */
	uint64_t first_cid;
	uint32_t cid_len; /* 0..QUIC_CID_LEN_MAX; 0 for LOAD_UDP */
	uint32_t stream;
};

struct load_template {
	struct load_plan plan; /* count and interval_ps are the caller's to set */
	uint8_t frame[LOAD_FRAME_LEN_MAX];
	uint32_t frame_len;
};

/* 0, or -EINVAL and a sentence in error[]: the size does not hold what it must or
 * exceeds the path's MTU, the flows need more addresses than there are, the families
 * differ. *ret_template is then undefined. */
int load_template_build(const struct load_shape *shape, const struct load_path *path,
			struct load_template *ret_template, char *error, size_t error_size);

#endif
