/* SPDX-License-Identifier: GPL-2.0-only */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/number.h"

/* Received before connections have their turn to send. */
#define DATAGRAMS_A_TURN 64

/* The longest wait, should no connection want anything. */
#define WAIT_MAX_NS NGTCP2_SECONDS

#define RETRY_TOKEN_TIME_MAX (10 * NGTCP2_SECONDS)

/* RFC 9000 section 10.3: no shorter one can be told from a packet, and a longer one
 * is not needed. The token is its end. */
#define RESET_SIZE_MIN 21
#define RESET_SIZE_MAX 42

/* TLS 1.3 and what QUIC knows of it (RFC 9001 section 5.3). */
#define PRIORITIES                                                                                \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:" \
	"+AES-128-CCM:%DISABLE_TLS13_COMPAT_MODE"

struct server {
	const struct server_config *config;
	struct connection_context context;
	uint8_t retry_key[RESET_KEY_LEN];
	struct connection *connections[CONNECTION_COUNT_MAX];
	size_t connection_count;
};

struct datagram {
	struct udp_path path;
	const uint8_t *bytes;
	size_t len;
};

/* --- Opening --- */

static int tls_open(struct server *server, char *error, size_t error_size)
{
	const struct server_config *config = server->config;
	struct connection_context *context = &server->context;
	int err = gnutls_certificate_allocate_credentials(&context->credentials);

	if (!err)
		err = gnutls_priority_init(&context->priorities, PRIORITIES, NULL);
	if (err)
		return fail(-EINVAL, error, error_size, "TLS does not start: %s",
			    gnutls_strerror(err));
	err = gnutls_certificate_set_x509_key_file(context->credentials, config->certificate_path,
						   config->key_path, GNUTLS_X509_FMT_PEM);
	if (err < 0)
		return fail(-EINVAL, error, error_size,
			    "%s and %s are no certificate and its key: %s",
			    config->certificate_path, config->key_path, gnutls_strerror(err));
	return 0;
}

/* An ID is made, so that a bad configuration ends the program and no connection. */
static int cids_check(const struct server_config *config, char *error, size_t error_size)
{
	const ngtcp2_cid client = { .datalen = NGTCP2_MIN_INITIAL_DCIDLEN };
	ngtcp2_cid cid;
	int err = cid_source_first(&config->cids, &client, &cid);

	if (err)
		return fail(err, error, error_size,
			    "no QUIC-LB Connection ID has rotation %u, %u bytes of server id and "
			    "%u of nonce: at most 6, 1 to 15, 4 to 18, together at most 19",
			    config->cids.lb_rotation, config->cids.lb.server_id_len,
			    config->cids.lb.nonce_len);
	return 0;
}

static void context_fill(struct server *server)
{
	const struct server_config *config = server->config;
	struct connection_context *context = &server->context;

	context->cids = config->cids;
	context->idle_timeout_ns = config->idle_timeout_s * NGTCP2_SECONDS;
	context->site.name = config->name;
	context->site.directory_fd = -1;
	context->fd = -1;
	(void)getrandom(server->retry_key, sizeof(server->retry_key), 0);
	if (config->sends_resets)
		memcpy(context->reset_key, config->reset_key, RESET_KEY_LEN);
	else
		(void)getrandom(context->reset_key, RESET_KEY_LEN, 0);
}

static int server_open(struct server *server, char *error, size_t error_size)
{
	const struct server_config *config = server->config;
	struct connection_context *context = &server->context;
	int err = cids_check(config, error, error_size);

	if (!err)
		err = tls_open(server, error, error_size);
	if (err)
		return err;
	context->site.directory_fd = open(config->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (context->site.directory_fd < 0)
		return fail(-errno, error, error_size, "cannot open the directory %s: %s",
			    config->directory, strerror(errno));
	context->map = cid_map_new();
	if (!context->map)
		return fail(-ENOMEM, error, error_size, "no memory for Connection IDs");
	context->fd = udp_open(config->address, config->port, error, error_size);
	return context->fd < 0 ? context->fd : 0;
}

int server_new(const struct server_config *config, struct server **ret_server, char *error,
	       size_t error_size)
{
	struct server *server = calloc(1, sizeof(*server));
	int err;

	if (!server)
		return fail(-ENOMEM, error, error_size, "no memory for the server");
	server->config = config;
	context_fill(server);
	err = server_open(server, error, error_size);
	if (err) {
		server_free(server);
		return err;
	}
	*ret_server = server;
	return 0;
}

void server_free(struct server *server)
{
	struct connection_context *context;

	if (!server)
		return;
	context = &server->context;
	for (size_t i = 0; i < server->connection_count; i++)
		connection_free(server->connections[i]);
	if (context->fd >= 0)
		(void)close(context->fd);
	cid_map_free(context->map);
	if (context->site.directory_fd >= 0)
		(void)close(context->site.directory_fd);
	if (context->priorities)
		gnutls_priority_deinit(context->priorities);
	if (context->credentials)
		gnutls_certificate_free_credentials(context->credentials);
	free(server);
}

/* --- Answers without a connection --- */

/* len is what ngtcp2 made: nothing is sent if that was an error. */
static void answer_send(struct server *server, const struct datagram *datagram,
			const uint8_t *bytes, ngtcp2_ssize len, uint64_t *counter)
{
	struct quic_counters *counters = &server->context.counters;
	const struct udp_path *path = &datagram->path;

	if (len <= 0)
		return;
	if (udp_send(server->context.fd, &path->local, &path->remote, bytes, (size_t)len)) {
		counters->send_failures++;
		return;
	}
	++*counter;
	counters->datagrams_out++;
	counters->bytes_out += (uint64_t)len;
}

static void negotiation_send(struct server *server, const struct datagram *datagram,
			     const ngtcp2_version_cid *ids)
{
	static const uint32_t versions[] = { NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2_DRAFT };
	uint8_t bytes[NGTCP2_MAX_UDP_PAYLOAD_SIZE], random;
	ngtcp2_ssize len;

	(void)getrandom(&random, sizeof(random), 0);
	len = ngtcp2_pkt_write_version_negotiation(bytes, sizeof(bytes), random, ids->scid,
						   ids->scidlen, ids->dcid, ids->dcidlen, versions,
						   sizeof(versions) / sizeof(versions[0]));
	answer_send(server, datagram, bytes, len,
		    &server->context.counters.version_negotiations_sent);
}

/* Shorter than what it answers, so that two servers do not reset each other for ever. */
static void reset_send(struct server *server, const struct datagram *datagram,
		       const ngtcp2_version_cid *ids)
{
	size_t size = datagram->len - 1 < RESET_SIZE_MAX ? datagram->len - 1 : RESET_SIZE_MAX;
	uint8_t bytes[RESET_SIZE_MAX], random[RESET_SIZE_MAX];
	uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN];
	ngtcp2_cid cid;
	ngtcp2_ssize len;

	if (size < RESET_SIZE_MIN)
		return;
	ngtcp2_cid_init(&cid, ids->dcid, ids->dcidlen);
	if (ngtcp2_crypto_generate_stateless_reset_token(token, server->config->reset_key,
							 RESET_KEY_LEN, &cid))
		return;
	(void)getrandom(random, sizeof(random), 0);
	len = ngtcp2_pkt_write_stateless_reset(bytes, sizeof(bytes), token, random,
					       size - sizeof(token));
	answer_send(server, datagram, bytes, len, &server->context.counters.resets_sent);
}

static void retry_send(struct server *server, const struct datagram *datagram,
		       const ngtcp2_pkt_hd *initial, uint64_t now_ns)
{
	uint8_t bytes[NGTCP2_MAX_UDP_PAYLOAD_SIZE], token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
	const struct sockaddr_in6 *remote = &datagram->path.remote;
	ngtcp2_ssize token_len, len;
	ngtcp2_cid cid;

	if (cid_source_next(&server->context.cids, &initial->dcid, &cid))
		return;
	token_len = ngtcp2_crypto_generate_retry_token(
		token, server->retry_key, sizeof(server->retry_key), initial->version,
		(const ngtcp2_sockaddr *)remote, sizeof(*remote), &cid, &initial->dcid, now_ns);
	if (token_len < 0)
		return;
	len = ngtcp2_crypto_write_retry(bytes, sizeof(bytes), initial->version, &initial->scid,
					&cid, &initial->dcid, token, (size_t)token_len);
	answer_send(server, datagram, bytes, len, &server->context.counters.retries_sent);
}

/* --- Datagrams --- */

static bool token_is_valid(struct server *server, const struct datagram *datagram,
			   const ngtcp2_pkt_hd *initial, uint64_t now_ns, ngtcp2_cid *ret_original)
{
	const struct sockaddr_in6 *remote = &datagram->path.remote;

	return ngtcp2_crypto_verify_retry_token(
		       ret_original, initial->token.base, initial->token.len, server->retry_key,
		       sizeof(server->retry_key), initial->version, (const ngtcp2_sockaddr *)remote,
		       sizeof(*remote), &initial->dcid, RETRY_TOKEN_TIME_MAX, now_ns) == 0;
}

static void connection_open(struct server *server, const struct datagram *datagram,
			    const ngtcp2_pkt_hd *initial, const ngtcp2_cid *original,
			    uint64_t now_ns)
{
	struct quic_counters *counters = &server->context.counters;
	struct connection *connection;

	if (server->connection_count == CONNECTION_COUNT_MAX ||
	    connection_new(&server->context, initial, original, &datagram->path, now_ns,
			   &connection)) {
		counters->connections_refused++;
		return;
	}
	counters->connections_accepted++;
	server->connections[server->connection_count++] = connection;
	if (server->connection_count > counters->connections_peak)
		counters->connections_peak = server->connection_count;
	connection_receive(connection, &datagram->path, datagram->bytes, datagram->len, now_ns);
}

static void long_header_receive(struct server *server, const struct datagram *datagram,
				uint64_t now_ns)
{
	struct quic_counters *counters = &server->context.counters;
	ngtcp2_pkt_hd initial;
	ngtcp2_cid original;

	if (ngtcp2_accept(&initial, datagram->bytes, datagram->len)) {
		counters->unknown_connection_ids++;
		return;
	}
	if (!server->config->sends_retry)
		connection_open(server, datagram, &initial, NULL, now_ns);
	else if (initial.token.len == 0)
		retry_send(server, datagram, &initial, now_ns);
	else if (token_is_valid(server, datagram, &initial, now_ns, &original))
		connection_open(server, datagram, &initial, &original, now_ns);
	else
		counters->tokens_refused++;
}

static void datagram_receive(struct server *server, const struct datagram *datagram,
			     uint64_t now_ns)
{
	struct connection_context *context = &server->context;
	struct connection *connection;
	ngtcp2_version_cid ids;
	int err = NGTCP2_ERR_INVALID_ARGUMENT;

	if (datagram->len > 0) /* ngtcp2 asserts it */
		err = ngtcp2_pkt_decode_version_cid(&ids, datagram->bytes, datagram->len,
						    cid_source_len(&context->cids));
	if (err == NGTCP2_ERR_VERSION_NEGOTIATION) {
		negotiation_send(server, datagram, &ids);
		return;
	}
	if (err) {
		context->counters.malformed++;
		return;
	}
	connection = cid_map_find(context->map, ids.dcid, ids.dcidlen);
	if (connection) {
		connection_receive(connection, &datagram->path, datagram->bytes, datagram->len,
				   now_ns);
		return;
	}
	if (datagram->bytes[0] & 0x80) {
		long_header_receive(server, datagram, now_ns);
		return;
	}
	context->counters.unknown_connection_ids++;
	if (server->config->sends_resets)
		reset_send(server, datagram, &ids);
}

/* --- Running --- */

static void server_receive(struct server *server, uint64_t now_ns)
{
	struct quic_counters *counters = &server->context.counters;
	uint8_t bytes[1 << 16];

	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct datagram datagram = { .bytes = bytes };
		ssize_t len = udp_receive(server->context.fd, server->config->port, bytes,
					  sizeof(bytes), &datagram.path);

		if (len < 0)
			return;
		datagram.len = (size_t)len;
		counters->datagrams_in++;
		counters->bytes_in += datagram.len;
		datagram_receive(server, &datagram, now_ns);
	}
}

static void server_send(struct server *server, uint64_t now_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->connection_count; i++) {
		struct connection *connection = server->connections[i];

		if (connection_due_ns(connection) <= now_ns)
			connection_service(connection, now_ns);
		if (connection_is_over(connection))
			connection_free(connection);
		else
			server->connections[kept++] = connection;
	}
	server->connection_count = kept;
}

static void server_wait(struct server *server, const sigset_t *waiting_mask)
{
	struct pollfd pollfd = { .fd = server->context.fd, .events = POLLIN };
	uint64_t now_ns = clock_ns(), wait_ns = WAIT_MAX_NS;
	struct timespec wait;

	for (size_t i = 0; i < server->connection_count; i++) {
		uint64_t due_ns = connection_due_ns(server->connections[i]);
		uint64_t left_ns = due_ns > now_ns ? due_ns - now_ns : 0;

		if (left_ns < wait_ns)
			wait_ns = left_ns;
	}
	wait = (struct timespec){ (time_t)(wait_ns / NGTCP2_SECONDS),
				  (long)(wait_ns % NGTCP2_SECONDS) };
	(void)ppoll(&pollfd, 1, &wait, waiting_mask);
}

void server_run(struct server *server, const volatile sig_atomic_t *stop,
		const sigset_t *waiting_mask)
{
	while (!*stop) {
		server_wait(server, waiting_mask);
		server_receive(server, clock_ns());
		server_send(server, clock_ns());
	}
}

const struct quic_counters *server_counters(const struct server *server)
{
	return &server->context.counters;
}
