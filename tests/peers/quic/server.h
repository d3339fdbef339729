/* SPDX-License-Identifier: GPL-2.0-only */
/* server.h - a QUIC server on one UDP socket: which datagram is whose, and the
 * answers that need no connection. */
#ifndef PEERS_QUIC_SERVER_H
#define PEERS_QUIC_SERVER_H

#include <signal.h>

#include "connection.h"

/* Connections at one time; Initials beyond are refused and counted. */
#define CONNECTION_COUNT_MAX 1000

struct server_config {
	const char *name; /* in the answers' header field `server` */
	uint8_t address[16];
	uint16_t port;
	const char *key_path, *certificate_path, *directory;
	struct cid_source cids;
	bool sends_resets; /* with tokens made by reset_key */
	uint8_t reset_key[RESET_KEY_LEN];
	bool sends_retry;
	uint64_t idle_timeout_s;
};

struct server;

/* config must outlive *ret_server, which is the caller's (server_free). Otherwise
 * -errno and a sentence in error. Raises no privilege and opens one port. */
int server_new(const struct server_config *config, struct server **ret_server, char *error,
	       size_t error_size);
void server_free(struct server *server); /* NULL is a no-op; clients are told nothing */

/* Serve until *stop is set, by a signal that is blocked but in waiting_mask. */
void server_run(struct server *server, const volatile sig_atomic_t *stop,
		const sigset_t *waiting_mask);

const struct quic_counters *server_counters(const struct server *server);

#endif
