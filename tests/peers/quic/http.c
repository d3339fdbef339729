/* SPDX-License-Identifier: GPL-2.0-only */
#include "http.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LEN_MAX	     255
#define SHA256_LEN	     32
#define BLOCKED_STREAM_COUNT 100

struct stream {
	struct stream *next, **place; /* in http->streams */
	char path[PATH_LEN_MAX + 1];
	bool is_get;
	gnutls_hash_hd_t body_hash;
	uint64_t body_len;
	uint8_t *content; /* the answer's body: a mapped file, or text */
	size_t content_len;
	bool is_mapped;
	char text[20 + 1 + 2 * SHA256_LEN + 2];
};

struct http {
	nghttp3_conn *h3;
	ngtcp2_conn *quic;
	const struct http_site *site;
	struct quic_counters *counters;
	struct stream *streams;
};

/* --- Streams --- */

static struct stream *stream_new(struct http *http)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	if (gnutls_hash_init(&stream->body_hash, GNUTLS_DIG_SHA256)) {
		free(stream);
		return NULL;
	}
	stream->next = http->streams;
	stream->place = &http->streams;
	if (stream->next)
		stream->next->place = &stream->next;
	http->streams = stream;
	return stream;
}

static void stream_free(struct stream *stream)
{
	*stream->place = stream->next;
	if (stream->next)
		stream->next->place = stream->place;
	gnutls_hash_deinit(stream->body_hash, NULL);
	if (stream->is_mapped)
		(void)munmap(stream->content, stream->content_len);
	free(stream);
}

/* --- Answers --- */

/* False: there is no such file. An empty one has no content and is not mapped. */
static bool file_map(int directory_fd, const char *path, struct stream *stream)
{
	struct stat status;
	void *content = NULL;
	int fd;

	path += strspn(path, "/");
	if (strstr(path, ".."))
		return false;
	fd = openat(directory_fd, *path ? path : "index.html", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
		content = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (content == MAP_FAILED)
		return false;
	if (content) {
		stream->content = content;
		stream->content_len = (size_t)status.st_size;
		stream->is_mapped = true;
	}
	return true;
}

static void upload_describe(struct stream *stream)
{
	uint8_t digest[SHA256_LEN];
	int len = snprintf(stream->text, sizeof(stream->text), "%" PRIu64 " ", stream->body_len);

	gnutls_hash_output(stream->body_hash, digest);
	for (int i = 0; i < SHA256_LEN; i++)
		len += snprintf(stream->text + len, sizeof(stream->text) - (size_t)len, "%02x",
				digest[i]);
	stream->text[len++] = '\n';
	stream->content = (uint8_t *)stream->text;
	stream->content_len = (size_t)len;
}

/* All at once: nghttp3 keeps its place in it, and the stream keeps it until it ends. */
static nghttp3_ssize content_read(nghttp3_conn *h3, int64_t stream_id, nghttp3_vec *vectors,
				  size_t count, uint32_t *ret_flags, void *user, void *stream_user)
{
	struct stream *stream = stream_user;

	(void)h3;
	(void)stream_id;
	(void)count;
	(void)user;
	*ret_flags |= NGHTTP3_DATA_FLAG_EOF;
	vectors[0] = (nghttp3_vec){ stream->content, stream->content_len };
	return stream->content_len ? 1 : 0;
}

static nghttp3_nv field(const char *name, const char *value)
{
	return (nghttp3_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
			     NGHTTP3_NV_FLAG_NONE };
}

static int answer(struct http *http, int64_t stream_id, struct stream *stream)
{
	static const nghttp3_data_reader reader = { content_read };
	bool is_found = true;
	char len[21];

	http->counters->requests++;
	if (stream->is_get && stream->body_len == 0)
		is_found = file_map(http->site->directory_fd, stream->path, stream);
	else
		upload_describe(stream);
	(void)snprintf(len, sizeof(len), "%zu", stream->content_len);

	const nghttp3_nv fields[] = {
		field(":status", is_found ? "200" : "404"),
		field("server", http->site->name),
		field("content-length", len),
	};

	return nghttp3_conn_submit_response(http->h3, stream_id, fields,
					    sizeof(fields) / sizeof(fields[0]), &reader);
}

/* --- What nghttp3 calls --- */

static int begin_headers(nghttp3_conn *h3, int64_t stream_id, void *user, void *stream_user)
{
	struct stream *stream = stream_new(user);

	(void)stream_user;
	if (!stream)
		return NGHTTP3_ERR_CALLBACK_FAILURE;
	return nghttp3_conn_set_stream_user_data(h3, stream_id, stream);
}

static int recv_header(nghttp3_conn *h3, int64_t stream_id, int32_t token, nghttp3_rcbuf *name,
		       nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream_user)
{
	nghttp3_vec bytes = nghttp3_rcbuf_get_buf(value);
	struct stream *stream = stream_user;

	(void)h3;
	(void)stream_id;
	(void)name;
	(void)flags;
	(void)user;
	if (token == NGHTTP3_QPACK_TOKEN__METHOD)
		stream->is_get = bytes.len == 3 && memcmp(bytes.base, "GET", 3) == 0;
	/* A longer path is nobody's: it stays cut, and is not found. */
	if (token == NGHTTP3_QPACK_TOKEN__PATH)
		(void)snprintf(stream->path, sizeof(stream->path), "%.*s", (int)bytes.len,
			       (const char *)bytes.base);
	return 0;
}

static int consumed(struct http *http, int64_t stream_id, size_t len)
{
	int err = ngtcp2_conn_extend_max_stream_offset(http->quic, stream_id, len);

	ngtcp2_conn_extend_max_offset(http->quic, len);
	return err ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int recv_data(nghttp3_conn *h3, int64_t stream_id, const uint8_t *data, size_t len,
		     void *user, void *stream_user)
{
	struct stream *stream = stream_user;

	(void)h3;
	if (gnutls_hash(stream->body_hash, data, len))
		return NGHTTP3_ERR_CALLBACK_FAILURE;
	stream->body_len += len;
	return consumed(user, stream_id, len);
}

static int deferred_consume(nghttp3_conn *h3, int64_t stream_id, size_t len, void *user,
			    void *stream_user)
{
	(void)h3;
	(void)stream_user;
	return consumed(user, stream_id, len);
}

static int end_stream(nghttp3_conn *h3, int64_t stream_id, void *user, void *stream_user)
{
	(void)h3;
	return answer(user, stream_id, stream_user) ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int stream_close(nghttp3_conn *h3, int64_t stream_id, uint64_t error_code, void *user,
			void *stream_user)
{
	(void)h3;
	(void)stream_id;
	(void)error_code;
	(void)user;
	if (stream_user)
		stream_free(stream_user);
	return 0;
}

static int stop_sending(nghttp3_conn *h3, int64_t stream_id, uint64_t error_code, void *user,
			void *stream_user)
{
	struct http *http = user;

	(void)h3;
	(void)stream_user;
	return ngtcp2_conn_shutdown_stream_read(http->quic, stream_id, error_code)
		       ? NGHTTP3_ERR_CALLBACK_FAILURE
		       : 0;
}

static int reset_stream(nghttp3_conn *h3, int64_t stream_id, uint64_t error_code, void *user,
			void *stream_user)
{
	struct http *http = user;

	(void)h3;
	(void)stream_user;
	return ngtcp2_conn_shutdown_stream_write(http->quic, stream_id, error_code)
		       ? NGHTTP3_ERR_CALLBACK_FAILURE
		       : 0;
}

static const nghttp3_callbacks callbacks = {
	.begin_headers = begin_headers,
	.recv_header = recv_header,
	.recv_data = recv_data,
	.deferred_consume = deferred_consume,
	.end_stream = end_stream,
	.stream_close = stream_close,
	.stop_sending = stop_sending,
	.reset_stream = reset_stream,
};

/* --- The connection --- */

/* The control stream and QPACK's two (RFC 9114 section 6.2). */
static int streams_bind(struct http *http)
{
	int64_t ids[3];
	int err = 0;

	for (int i = 0; i < 3 && !err; i++)
		err = ngtcp2_conn_open_uni_stream(http->quic, &ids[i], NULL);
	if (!err)
		err = nghttp3_conn_bind_control_stream(http->h3, ids[0]);
	if (!err)
		err = nghttp3_conn_bind_qpack_streams(http->h3, ids[1], ids[2]);
	return err;
}

int http_new(const struct http_site *site, ngtcp2_conn *quic, struct quic_counters *counters,
	     struct http **ret_http)
{
	struct http *http = calloc(1, sizeof(*http));
	nghttp3_settings settings;
	int err;

	if (!http)
		return NGHTTP3_ERR_NOMEM;
	http->site = site;
	http->quic = quic;
	http->counters = counters;
	nghttp3_settings_default(&settings);
	settings.qpack_max_dtable_capacity = 4096;
	settings.qpack_blocked_streams = BLOCKED_STREAM_COUNT;
	err = nghttp3_conn_server_new(&http->h3, &callbacks, &settings, nghttp3_mem_default(),
				      http);
	if (!err)
		err = streams_bind(http);
	if (err) {
		http_free(http);
		return err;
	}
	http_extend_max_streams(http, BLOCKED_STREAM_COUNT);
	*ret_http = http;
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	nghttp3_conn_del(http->h3);
	while (http->streams)
		stream_free(http->streams);
	free(http);
}

int http_recv_stream_data(struct http *http, uint32_t flags, int64_t stream_id, const uint8_t *data,
			  size_t len)
{
	nghttp3_ssize used = nghttp3_conn_read_stream(http->h3, stream_id, data, len,
						      flags & NGTCP2_STREAM_DATA_FLAG_FIN);

	return used < 0 ? (int)used : consumed(http, stream_id, (size_t)used);
}

int http_acked_stream_data(struct http *http, int64_t stream_id, uint64_t len)
{
	return nghttp3_conn_add_ack_offset(http->h3, stream_id, len);
}

/* A stream that never had a header is none of nghttp3's. */
int http_stream_close(struct http *http, int64_t stream_id, uint64_t error_code)
{
	int err = nghttp3_conn_close_stream(http->h3, stream_id, error_code);

	if (ngtcp2_is_bidi_stream(stream_id))
		ngtcp2_conn_extend_max_streams_bidi(http->quic, 1);
	return err == NGHTTP3_ERR_STREAM_NOT_FOUND ? 0 : err;
}

int http_stream_shutdown_read(struct http *http, int64_t stream_id)
{
	return nghttp3_conn_shutdown_stream_read(http->h3, stream_id);
}

int http_extend_max_stream_data(struct http *http, int64_t stream_id)
{
	return nghttp3_conn_unblock_stream(http->h3, stream_id);
}

void http_extend_max_streams(struct http *http, uint64_t max_streams)
{
	nghttp3_conn_set_max_client_streams_bidi(http->h3, max_streams);
}

int http_output(struct http *http, struct http_output *ret_output)
{
	nghttp3_ssize count =
		nghttp3_conn_writev_stream(http->h3, &ret_output->stream_id, &ret_output->is_last,
					   ret_output->vectors, HTTP_VECTOR_COUNT);

	if (count < 0)
		return (int)count;
	ret_output->vector_count = (size_t)count;
	return 0;
}

int http_output_sent(struct http *http, int64_t stream_id, size_t len)
{
	return nghttp3_conn_add_write_offset(http->h3, stream_id, len);
}

void http_output_blocked(struct http *http, int64_t stream_id)
{
	nghttp3_conn_block_stream(http->h3, stream_id);
}

void http_output_refused(struct http *http, int64_t stream_id)
{
	nghttp3_conn_shutdown_stream_write(http->h3, stream_id);
}
