/* SPDX-License-Identifier: GPL-2.0-only */
#include "connection.h"

#include <errno.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Then it is the next connection's turn. */
#define DATAGRAMS_A_TURN 64

#define WINDOW_INITIAL_BYTES (1 << 20)
#define WINDOW_MAX_BYTES     (16 << 20)
#define STREAM_COUNT_MAX     100
#define CID_COUNT_MAX	     8

/* What max_tx_udp_payload_size may become by path MTU discovery. */
#define DATAGRAM_SIZE_MAX 1500

enum connection_state {
	CONNECTION_OPEN,
	CONNECTION_ENDING, /* closed: silent until late datagrams have come (RFC 9000 10.2) */
	CONNECTION_OVER,
};

struct connection {
	struct connection_context *context;
	enum connection_state state;
	uint64_t due_ns;
	ngtcp2_cid client_cid; /* what the client opened to */
	ngtcp2_conn *quic;
	ngtcp2_crypto_conn_ref tls_reference;
	gnutls_session_t tls;
	struct http *http; /* NULL until it can send */
};

/* --- What ngtcp2 calls --- */

static int callback_result(int err)
{
	return err ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void random_fill(uint8_t *bytes, size_t len, const ngtcp2_rand_ctx *context)
{
	(void)context;
	(void)getrandom(bytes, len, 0);
}

static int handshake_completed(ngtcp2_conn *quic, void *user)
{
	struct connection *connection = user;

	(void)quic;
	connection->context->counters.connections_established++;
	return 0;
}

static int recv_tx_key(ngtcp2_conn *quic, ngtcp2_crypto_level level, void *user)
{
	struct connection *connection = user;
	struct connection_context *context = connection->context;

	if (level != NGTCP2_CRYPTO_LEVEL_APPLICATION)
		return 0;
	return callback_result(
		http_new(&context->site, quic, &context->counters, &connection->http));
}

static int get_new_connection_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
				 void *user)
{
	struct connection *connection = user;
	struct connection_context *context = connection->context;
	int err = cid_source_next(&context->cids, &connection->client_cid, cid);

	(void)quic;
	(void)len;
	if (!err)
		err = ngtcp2_crypto_generate_stateless_reset_token(token, context->reset_key,
								   RESET_KEY_LEN, cid);
	if (!err)
		err = cid_map_add(context->map, cid, connection);
	return callback_result(err);
}

static int remove_connection_id(ngtcp2_conn *quic, const ngtcp2_cid *cid, void *user)
{
	struct connection *connection = user;

	(void)quic;
	cid_map_remove(connection->context->map, cid);
	return 0;
}

static int path_validation(ngtcp2_conn *quic, uint32_t flags, const ngtcp2_path *path,
			   ngtcp2_path_validation_result result, void *user)
{
	struct connection *connection = user;

	(void)quic;
	(void)flags;
	(void)path;
	if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
		connection->context->counters.paths_validated++;
	if (result == NGTCP2_PATH_VALIDATION_RESULT_FAILURE)
		connection->context->counters.paths_failed++;
	return 0;
}

static int recv_stream_data(ngtcp2_conn *quic, uint32_t flags, int64_t stream_id, uint64_t offset,
			    const uint8_t *data, size_t len, void *user, void *stream_user)
{
	struct connection *connection = user;

	(void)quic;
	(void)offset;
	(void)stream_user;
	if (!connection->http)
		return 0;
	return callback_result(
		http_recv_stream_data(connection->http, flags, stream_id, data, len));
}

static int acked_stream_data(ngtcp2_conn *quic, int64_t stream_id, uint64_t offset, uint64_t len,
			     void *user, void *stream_user)
{
	struct connection *connection = user;

	(void)quic;
	(void)offset;
	(void)stream_user;
	if (!connection->http)
		return 0;
	return callback_result(http_acked_stream_data(connection->http, stream_id, len));
}

static int stream_close(ngtcp2_conn *quic, uint32_t flags, int64_t stream_id, uint64_t error_code,
			void *user, void *stream_user)
{
	struct connection *connection = user;

	(void)quic;
	(void)stream_user;
	if (!connection->http)
		return 0;
	if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET))
		error_code = NGHTTP3_H3_NO_ERROR;
	return callback_result(http_stream_close(connection->http, stream_id, error_code));
}

static int stream_stop_sending(ngtcp2_conn *quic, int64_t stream_id, uint64_t error_code,
			       void *user, void *stream_user)
{
	struct connection *connection = user;

	(void)quic;
	(void)error_code;
	(void)stream_user;
	if (!connection->http)
		return 0;
	return callback_result(http_stream_shutdown_read(connection->http, stream_id));
}

static int stream_reset(ngtcp2_conn *quic, int64_t stream_id, uint64_t final_size,
			uint64_t error_code, void *user, void *stream_user)
{
	(void)final_size;
	return stream_stop_sending(quic, stream_id, error_code, user, stream_user);
}

static int extend_max_streams(ngtcp2_conn *quic, uint64_t max_streams, void *user)
{
	struct connection *connection = user;

	(void)quic;
	if (connection->http)
		http_extend_max_streams(connection->http, max_streams);
	return 0;
}

static int extend_max_stream_data(ngtcp2_conn *quic, int64_t stream_id, uint64_t max_data,
				  void *user, void *stream_user)
{
	struct connection *connection = user;

	(void)quic;
	(void)max_data;
	(void)stream_user;
	if (!connection->http)
		return 0;
	return callback_result(http_extend_max_stream_data(connection->http, stream_id));
}

static const ngtcp2_callbacks callbacks = {
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.handshake_completed = handshake_completed,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.recv_stream_data = recv_stream_data,
	.acked_stream_data_offset = acked_stream_data,
	.stream_close = stream_close,
	.rand = random_fill,
	.get_new_connection_id = get_new_connection_id,
	.remove_connection_id = remove_connection_id,
	.update_key = ngtcp2_crypto_update_key_cb,
	.path_validation = path_validation,
	.stream_reset = stream_reset,
	.extend_max_remote_streams_bidi = extend_max_streams,
	.extend_max_stream_data = extend_max_stream_data,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.stream_stop_sending = stream_stop_sending,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.recv_tx_key = recv_tx_key,
};

/* --- Opening --- */

static ngtcp2_path path_of(const struct udp_path *path)
{
	return (ngtcp2_path){
		.local = { (ngtcp2_sockaddr *)&path->local, sizeof(path->local) },
		.remote = { (ngtcp2_sockaddr *)&path->remote, sizeof(path->remote) },
	};
}

static void settings_fill(ngtcp2_settings *settings, const ngtcp2_pkt_hd *initial, uint64_t now_ns)
{
	ngtcp2_settings_default(settings);
	settings->initial_ts = now_ns;
	settings->token = initial->token;
	settings->max_window = WINDOW_MAX_BYTES;
	settings->max_stream_window = WINDOW_MAX_BYTES;
}

static int parameters_fill(ngtcp2_transport_params *parameters,
			   const struct connection_context *context, const ngtcp2_pkt_hd *initial,
			   const ngtcp2_cid *original, const ngtcp2_cid *own_cid)
{
	ngtcp2_transport_params_default(parameters);
	parameters->initial_max_stream_data_bidi_remote = WINDOW_INITIAL_BYTES;
	parameters->initial_max_stream_data_uni = WINDOW_INITIAL_BYTES;
	parameters->initial_max_data = WINDOW_INITIAL_BYTES;
	parameters->initial_max_streams_bidi = STREAM_COUNT_MAX;
	parameters->initial_max_streams_uni = STREAM_COUNT_MAX;
	parameters->max_idle_timeout = context->idle_timeout_ns;
	parameters->active_connection_id_limit = CID_COUNT_MAX;
	parameters->original_dcid = original ? *original : initial->dcid;
	if (original) {
		parameters->retry_scid = initial->dcid;
		parameters->retry_scid_present = 1;
	}
	parameters->stateless_reset_token_present = 1;
	return ngtcp2_crypto_generate_stateless_reset_token(
		parameters->stateless_reset_token, context->reset_key, RESET_KEY_LEN, own_cid);
}

static ngtcp2_conn *quic_of(ngtcp2_crypto_conn_ref *reference)
{
	return ((struct connection *)reference->user_data)->quic;
}

static int tls_open(struct connection *connection)
{
	static const gnutls_datum_t h3 = { (unsigned char *)"h3", 2 };
	const struct connection_context *context = connection->context;
	int err = gnutls_init(&connection->tls, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);

	if (err)
		return err;
	connection->tls_reference = (ngtcp2_crypto_conn_ref){ quic_of, connection };
	gnutls_session_set_ptr(connection->tls, &connection->tls_reference);
	err = gnutls_priority_set(connection->tls, context->priorities);
	if (!err)
		err = ngtcp2_crypto_gnutls_configure_server_session(connection->tls);
	if (!err)
		err = gnutls_alpn_set_protocols(connection->tls, &h3, 1, GNUTLS_ALPN_MANDATORY);
	if (!err)
		err = gnutls_credentials_set(connection->tls, GNUTLS_CRD_CERTIFICATE,
					     context->credentials);
	return err;
}

static int quic_open(struct connection *connection, const ngtcp2_pkt_hd *initial,
		     const ngtcp2_cid *original, const struct udp_path *path, uint64_t now_ns)
{
	struct connection_context *context = connection->context;
	ngtcp2_path quic_path = path_of(path);
	ngtcp2_transport_params parameters;
	ngtcp2_settings settings;
	ngtcp2_cid own_cid;
	int err = cid_source_first(&context->cids, &initial->dcid, &own_cid);

	if (!err)
		err = cid_map_add(context->map, &own_cid, connection);
	if (!err) /* until the client knows ours */
		err = cid_map_add(context->map, &initial->dcid, connection);
	if (!err)
		err = parameters_fill(&parameters, context, initial, original, &own_cid);
	if (err)
		return err;
	settings_fill(&settings, initial, now_ns);
	err = ngtcp2_conn_server_new(&connection->quic, &initial->scid, &own_cid, &quic_path,
				     initial->version, &callbacks, &settings, &parameters, NULL,
				     connection);
	if (!err)
		ngtcp2_conn_set_tls_native_handle(connection->quic, connection->tls);
	return err;
}

int connection_new(struct connection_context *context, const ngtcp2_pkt_hd *initial,
		   const ngtcp2_cid *original, const struct udp_path *path, uint64_t now_ns,
		   struct connection **ret_connection)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int err;

	if (!connection)
		return -ENOMEM;
	connection->context = context;
	connection->client_cid = initial->dcid;
	connection->due_ns = now_ns;
	err = tls_open(connection);
	if (!err)
		err = quic_open(connection, initial, original, path, now_ns);
	if (err) {
		connection_free(connection);
		return err;
	}
	*ret_connection = connection;
	return 0;
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	cid_map_remove_all(connection->context->map, connection);
	http_free(connection->http);
	ngtcp2_conn_del(connection->quic);
	if (connection->tls)
		gnutls_deinit(connection->tls);
	free(connection);
}

/* --- Ending --- */

static void datagram_send(struct connection *connection, const ngtcp2_path *path,
			  const uint8_t *bytes, size_t len)
{
	struct connection_context *context = connection->context;

	if (udp_send(context->fd, (const struct sockaddr_in6 *)path->local.addr,
		     (const struct sockaddr_in6 *)path->remote.addr, bytes, len)) {
		context->counters.send_failures++;
		return;
	}
	context->counters.datagrams_out++;
	context->counters.bytes_out += len;
}

static void close_send(struct connection *connection, int err, uint64_t now_ns)
{
	uint8_t bytes[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
	ngtcp2_connection_close_error reason;
	ngtcp2_path_storage path;
	ngtcp2_ssize len;

	ngtcp2_connection_close_error_default(&reason);
	if (err == NGTCP2_ERR_CRYPTO)
		ngtcp2_connection_close_error_set_transport_error_tls_alert(
			&reason, ngtcp2_conn_get_tls_alert(connection->quic), NULL, 0);
	else
		ngtcp2_connection_close_error_set_transport_error_liberr(&reason, err, NULL, 0);
	ngtcp2_path_storage_zero(&path);
	len = ngtcp2_conn_write_connection_close(connection->quic, &path.path, NULL, bytes,
						 sizeof(bytes), &reason, now_ns);
	if (len > 0)
		datagram_send(connection, &path.path, bytes, (size_t)len);
}

static void ending_begin(struct connection *connection, uint64_t now_ns)
{
	connection->state = CONNECTION_ENDING;
	connection->due_ns = now_ns + 3 * ngtcp2_conn_get_pto(connection->quic);
}

/* err is what reading, writing or the timers of ngtcp2 came to. */
static void connection_end(struct connection *connection, int err, uint64_t now_ns)
{
	struct quic_counters *counters = &connection->context->counters;

	switch (err) {
	case NGTCP2_ERR_DRAINING:
		counters->connections_finished++;
		ending_begin(connection, now_ns);
		return;
	case NGTCP2_ERR_IDLE_CLOSE:
	case NGTCP2_ERR_HANDSHAKE_TIMEOUT: counters->connections_timed_out++; break;
	case NGTCP2_ERR_DROP_CONN:
	case NGTCP2_ERR_RETRY: counters->connections_failed++; break;
	default:
		counters->connections_failed++;
		close_send(connection, err, now_ns);
		ending_begin(connection, now_ns);
		return;
	}
	connection->state = CONNECTION_OVER;
	connection->due_ns = now_ns;
}

/* --- Running --- */

void connection_receive(struct connection *connection, const struct udp_path *path,
			const uint8_t *bytes, size_t len, uint64_t now_ns)
{
	ngtcp2_path quic_path = path_of(path);
	ngtcp2_pkt_info info = { 0 };
	int err;

	if (connection->state != CONNECTION_OPEN)
		return;
	err = ngtcp2_conn_read_pkt(connection->quic, &quic_path, &info, bytes, len, now_ns);
	connection->due_ns = now_ns; /* there may be something to send */
	if (err)
		connection_end(connection, err, now_ns);
}

static int output_next(struct connection *connection, struct http_output *ret_output)
{
	*ret_output = (struct http_output){ .stream_id = -1 };
	if (!connection->http || ngtcp2_conn_get_max_data_left(connection->quic) == 0)
		return 0;
	return http_output(connection->http, ret_output);
}

/* The length of the datagram, 0 if there is nothing to send now, or an error. Every
 * round but the last takes stream data or stops a stream: the loop ends. */
static ngtcp2_ssize datagram_write(struct connection *connection, ngtcp2_path *path, uint8_t *bytes,
				   size_t size, uint64_t now_ns)
{
	struct http_output output;

	for (;;) {
		uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
		ngtcp2_ssize taken = -1, len = output_next(connection, &output);

		if (len < 0)
			return NGTCP2_ERR_CALLBACK_FAILURE;
		if (output.is_last)
			flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
		len = ngtcp2_conn_writev_stream(
			connection->quic, path, NULL, bytes, size, &taken, flags, output.stream_id,
			(const ngtcp2_vec *)output.vectors, output.vector_count, now_ns);
		if (taken >= 0 &&
		    http_output_sent(connection->http, output.stream_id, (size_t)taken))
			return NGTCP2_ERR_CALLBACK_FAILURE;
		if (len == NGTCP2_ERR_STREAM_DATA_BLOCKED)
			http_output_blocked(connection->http, output.stream_id);
		else if (len == NGTCP2_ERR_STREAM_SHUT_WR)
			http_output_refused(connection->http, output.stream_id);
		else if (len != NGTCP2_ERR_WRITE_MORE)
			return len;
	}
}
_Static_assert(sizeof(ngtcp2_vec) == sizeof(nghttp3_vec), "one is given for the other");

/* How many datagrams before the others' turn: what the pacer allows. */
static size_t turn_size(const struct connection *connection)
{
	size_t allowed = ngtcp2_conn_get_send_quantum(connection->quic) /
			 ngtcp2_conn_get_max_tx_udp_payload_size(connection->quic);

	if (allowed > DATAGRAMS_A_TURN)
		return DATAGRAMS_A_TURN;
	return allowed ? allowed : 1;
}

/* 0 or an error; sets when to come again. */
static int connection_write(struct connection *connection, uint64_t now_ns)
{
	size_t left = turn_size(connection);
	uint8_t bytes[DATAGRAM_SIZE_MAX];
	ngtcp2_path_storage path;
	ngtcp2_ssize len = 1;

	ngtcp2_path_storage_zero(&path);
	for (; left && len > 0; left--) {
		len = datagram_write(connection, &path.path, bytes, sizeof(bytes), now_ns);
		if (len < 0)
			return (int)len;
		if (len > 0)
			datagram_send(connection, &path.path, bytes, (size_t)len);
	}
	ngtcp2_conn_update_pkt_tx_time(connection->quic, now_ns);
	connection->due_ns = len > 0 ? now_ns : ngtcp2_conn_get_expiry(connection->quic);
	return 0;
}

void connection_service(struct connection *connection, uint64_t now_ns)
{
	int err = 0;

	if (connection->state == CONNECTION_ENDING && connection->due_ns <= now_ns)
		connection->state = CONNECTION_OVER;
	if (connection->state != CONNECTION_OPEN)
		return;
	if (ngtcp2_conn_get_expiry(connection->quic) <= now_ns)
		err = ngtcp2_conn_handle_expiry(connection->quic, now_ns);
	if (!err)
		err = connection_write(connection, now_ns);
	if (err)
		connection_end(connection, err, now_ns);
}

uint64_t connection_due_ns(const struct connection *connection)
{
	return connection->due_ns;
}

bool connection_is_over(const struct connection *connection)
{
	return connection->state == CONNECTION_OVER;
}
