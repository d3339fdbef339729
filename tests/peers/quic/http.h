/* SPDX-License-Identifier: GPL-2.0-only */
/* http.h - HTTP/3 on one QUIC connection, by nghttp3. A GET answers with a file of
 * the site; a request with a body, of any method, with that body's length and
 * SHA-256: "1048576 30e14955...\n".
 *
 * One thread. Functions that return int: 0, or an error of nghttp3 or ngtcp2
 * (negative), after which the connection is to be closed. */
#ifndef PEERS_QUIC_HTTP_H
#define PEERS_QUIC_HTTP_H

#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>

#include "counters.h"

/* What is served; the same for all connections. */
struct http_site {
	const char *name; /* in the header field `server` */
	int directory_fd;
};

struct http;

/* When the connection can send. Everything given must outlive *ret_http, which is
 * the caller's (http_free, before the connection is deleted). */
int http_new(const struct http_site *site, ngtcp2_conn *quic, struct quic_counters *counters,
	     struct http **ret_http);
void http_free(struct http *http); /* NULL is a no-op */

/* What ngtcp2's callbacks of the same names say. */
int http_recv_stream_data(struct http *http, uint32_t flags, int64_t stream_id, const uint8_t *data,
			  size_t len);
int http_acked_stream_data(struct http *http, int64_t stream_id, uint64_t len);
int http_stream_close(struct http *http, int64_t stream_id, uint64_t error_code);
int http_stream_shutdown_read(struct http *http, int64_t stream_id);
int http_extend_max_stream_data(struct http *http, int64_t stream_id);
void http_extend_max_streams(struct http *http, uint64_t max_streams);

/* Bytes to send next on a stream: stream_id is -1 if there are none. */
#define HTTP_VECTOR_COUNT 16
struct http_output {
	int64_t stream_id;
	int is_last;
	nghttp3_vec vectors[HTTP_VECTOR_COUNT];
	size_t vector_count;
};
int http_output(struct http *http, struct http_output *ret_output);

/* What became of them. */
int http_output_sent(struct http *http, int64_t stream_id, size_t len);
void http_output_blocked(struct http *http, int64_t stream_id);
void http_output_refused(struct http *http, int64_t stream_id);

#endif
