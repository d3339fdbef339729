/* SPDX-License-Identifier: GPL-2.0-only */
/* cid.h - the Connection IDs that a server issues, by one of four habits. */
#ifndef PEERS_QUIC_CID_H
#define PEERS_QUIC_CID_H

#include <ngtcp2/ngtcp2.h>

#include "core/quic_lb.h"

/* Of the IDs that are not QUIC-LB's, like those of ngtcp2's own server. */
#define CID_LEN 18

/* What a server copies of the client's ID when it copies a prefix. */
#define CID_PREFIX_LEN 8

enum cid_kind {
	CID_RANDOM,
	CID_QUIC_LB,
	CID_CLIENT_PREFIX, /* the first bytes of the client's, then random ones */
	CID_CLIENT,	   /* the client's own; the following ones as above */
};

struct cid_source {
	enum cid_kind kind;
	struct quic_lb_config lb; /* these three: CID_QUIC_LB only */
	uint8_t lb_rotation;
	uint8_t lb_server_id[QUIC_LB_ID_LEN_MAX];
};

/* Bytes of every ID that the source gives. */
size_t cid_source_len(const struct cid_source *source);

/* An ID for the connection that a client opened to the ID client. 0, or -EINVAL: the
 * QUIC-LB configuration is not a legal one. */
int cid_source_first(const struct cid_source *source, const ngtcp2_cid *client,
		     ngtcp2_cid *ret_cid);

/* Likewise, for its further ones: at random, so that no two are the same. */
int cid_source_next(const struct cid_source *source, const ngtcp2_cid *client, ngtcp2_cid *ret_cid);

#endif
