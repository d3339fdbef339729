/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_lb.h - Connection IDs that carry the server's id: draft-ietf-quic-load-
 * balancers-21, sections 3 and 5.
 *
 * Any number of configurations, one a rotation codepoint (0..6): plaintext, one
 * AES-128-ECB block where id and nonce are 16 bytes, four Feistel passes elsewhere.
 * Decoding works on a burst, so that the cipher is called a few times a burst and
 * not a few times a datagram. Pure but for libcrypto, which computes only. */
#ifndef RINGWAY_CORE_QUIC_LB_H
#define RINGWAY_CORE_QUIC_LB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/limits.h"

#define QUIC_LB_ROTATION_COUNT 7
#define QUIC_LB_ID_LEN_MAX     15
#define QUIC_LB_KEY_LEN	       16

struct quic_lb_config {
	bool present;
	bool has_key;
	uint8_t server_id_len; /* 1..15 bytes */
	uint8_t nonce_len;     /* 4..18 bytes; with the id at most 19 */
	uint8_t key[QUIC_LB_KEY_LEN];
};

struct quic_lb_server {
	uint8_t rotation;
	uint8_t id[QUIC_LB_ID_LEN_MAX]; /* server_id_len bytes of the rotation's configuration */
	uint16_t slot;
};

/* The codec of one service; immutable, shared by all workers. */
struct quic_lb;

/* 0 and *ret_lb is the caller's (quic_lb_free); or, *ret_lb untouched, -EINVAL
 * (lengths out of bounds, a server of a rotation that is not present, one id twice
 * in a rotation) or -ENOMEM. Control. */
int quic_lb_build(const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT],
		  const struct quic_lb_server *servers, size_t server_count,
		  struct quic_lb **ret_lb);
void quic_lb_free(struct quic_lb *lb); /* NULL is a no-op */

/* Of Connection IDs that begin with this octet; 0: no such rotation. */
uint8_t quic_lb_cid_len(const struct quic_lb *lb, uint8_t first_octet);

/* One Connection ID to decode; cid has len readable bytes, of which those behind
 * the configured length are ignored. */
struct quic_lb_query {
	const struct quic_lb *lb;
	const uint8_t *cid;
	uint16_t len;
	int32_t slot; /* out: the server's slot, or one of QUIC_LB_* below */
};

enum {
	QUIC_LB_UNROUTABLE = -1,     /* no such rotation, too short, rotation 7 */
	QUIC_LB_UNKNOWN_SERVER = -2, /* decodes, but nobody has that id */
};

/* A worker's own cipher state and scratch memory: NULL if memory is out. */
struct quic_lb_scratch;
struct quic_lb_scratch *quic_lb_scratch_new(void);
void quic_lb_scratch_free(struct quic_lb_scratch *scratch); /* NULL is a no-op */

/* Decode count (at most BURST_MAX) queries, of any mixture of services and
 * rotations. No allocation. Hot: for each key that occurs in the burst, at most four
 * cipher calls for Feistel passes and one for single blocks; none for plaintext. A
 * key that the worker has not used lately costs some 300 ns. */
void quic_lb_decode(struct quic_lb_scratch *scratch, struct quic_lb_query *queries, size_t count);

/* The Connection ID that a server of that id would choose, for tests and tools:
 * 1 + server_id_len + nonce_len bytes into ret_cid. first_octet_low: the five low
 * bits of the first octet (length - 1 where lengths are encoded). Returns the
 * length, or -EINVAL (lengths, rotation or bits out of bounds) or -ENOMEM. Control. */
int quic_lb_encode(const struct quic_lb_config *config, uint8_t rotation, const uint8_t *server_id,
		   const uint8_t *nonce, uint8_t first_octet_low,
		   uint8_t ret_cid[QUIC_CID_LEN_MAX]);

#endif
