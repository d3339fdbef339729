/* SPDX-License-Identifier: GPL-2.0-only */
/* connection.h - one client's QUIC connection: ngtcp2, its TLS session and HTTP/3.
 *
 * It is given datagrams and time, and sends by itself. One thread. */
#ifndef PEERS_QUIC_CONNECTION_H
#define PEERS_QUIC_CONNECTION_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "cid.h"
#include "cid_map.h"
#include "counters.h"
#include "http.h"
#include "udp.h"

#define RESET_KEY_LEN 16

/* What all connections of a server share: the server's, and outlives them. */
struct connection_context {
	struct cid_source cids;
	uint8_t reset_key[RESET_KEY_LEN];
	uint64_t idle_timeout_ns;
	struct http_site site;
	struct cid_map *map;
	struct quic_counters counters;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities;
	int fd;
};

struct connection;

/* For an Initial that belongs to no connection; hand it to connection_receive() then.
 * original is NULL, or the ID that the client opened to before it was sent a Retry.
 * 0 and *ret_connection is the caller's, or a negative error: of ngtcp2 or errno. */
int connection_new(struct connection_context *context, const ngtcp2_pkt_hd *initial,
		   const ngtcp2_cid *original, const struct udp_path *path, uint64_t now_ns,
		   struct connection **ret_connection);
void connection_free(struct connection *connection); /* NULL is a no-op */

/* A datagram to one of its Connection IDs. */
void connection_receive(struct connection *connection, const struct udp_path *path,
			const uint8_t *bytes, size_t len, uint64_t now_ns);

/* When connection_service() is to be called, which does what is due and sends what
 * there is to send, a bounded number of datagrams. */
uint64_t connection_due_ns(const struct connection *connection);
void connection_service(struct connection *connection, uint64_t now_ns);

/* Nothing more will come of it: free it. */
bool connection_is_over(const struct connection *connection);

#endif
