/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_lb - what decoding a Connection ID costs a datagram, in bursts of 64.
 *
 * Each case decodes the same bursts: as many services as the case says, each with
 * a key and 100 servers of its own. The naive rows call the cipher for every block
 * of every datagram, then decode the plaintext. All cases alternate; prints
 * a JSON row of each with every pass; its value is their tenth percentile, since
 * what else the machine does may double the time of a pass and never shortens it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../unit/test.h"
#include "core/quic_lb.h"
#include "util/clock.h"
#include "util/options.h"

#define SERVER_COUNT   100
#define SERVICE_MAX    1000
#define DATAGRAM_COUNT 4096
#define DATAGRAM_SIZE  64 /* of which the Connection ID is the start */
#define PASS_COUNT_MAX 10000

enum method {
	BURSTS,
	NAIVE,
};

static const struct bench_case {
	const char *subject;
	enum method method;
	bool has_key, is_long_header; /* that is, nothing readable behind the ID */
	uint8_t server_id_len, nonce_len;
	size_t service_count;
} cases[] = {
	{ "plaintext, 3 + 4", BURSTS, false, false, 3, 4, 1 },
	{ "plaintext, 3 + 4, long header", BURSTS, false, true, 3, 4, 1 },
	{ "plaintext, 8 + 8", BURSTS, false, false, 8, 8, 1 },
	{ "single block, 8 + 8", BURSTS, true, false, 8, 8, 1 },
	{ "single block, 8 + 8, naive", NAIVE, true, false, 8, 8, 1 },
	{ "four-pass, 3 + 4", BURSTS, true, false, 3, 4, 1 },
	{ "four-pass, 3 + 4, long header", BURSTS, true, true, 3, 4, 1 },
	{ "four-pass, 3 + 4, naive", NAIVE, true, false, 3, 4, 1 },
	{ "four-pass, 9 + 9", BURSTS, true, false, 9, 9, 1 },
	{ "four-pass, 15 + 4", BURSTS, true, false, 15, 4, 1 },
	{ "four-pass, 15 + 4, naive", NAIVE, true, false, 15, 4, 1 },
	{ "four-pass, 3 + 4, 4 keys", BURSTS, true, false, 3, 4, 4 },
	{ "four-pass, 3 + 4, 64 keys", BURSTS, true, false, 3, 4, 64 },
	{ "four-pass, 3 + 4, 1000 keys", BURSTS, true, false, 3, 4, 1000 },
};

struct subject {
	const struct bench_case *bench;
	struct quic_lb_config config;
	struct quic_lb *services[SERVICE_MAX];
	struct quic_lb_query queries[DATAGRAM_COUNT];
	uint8_t datagrams[DATAGRAM_COUNT][DATAGRAM_SIZE];
	int32_t wanted[DATAGRAM_COUNT];
	/* Naive: decrypts into plain_datagrams, for plain_codec. */
	EVP_CIPHER_CTX *ctx;
	struct quic_lb *plain_codec;
	struct quic_lb_query plain[BURST_MAX];
	uint8_t plain_datagrams[BURST_MAX][DATAGRAM_SIZE];
	double runs[PASS_COUNT_MAX];
};

static struct {
	const char *passes;
} arguments = { .passes = "200" };

static const struct option_entry entries[] = {
	{ 0, "passes", "COUNT", "of 4096 datagrams; default 200", .value = &arguments.passes },
};

static const struct options options = {
	.usage = "quic_lb [OPTION]...",
	.summary = "Time quic_lb_decode() beside one cipher call a block.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

static void require(bool done, const char *what)
{
	if (done)
		return;
	(void)fprintf(stderr, "quic_lb: %s: the figures mean nothing\n", what);
	exit(EXIT_FAILURE);
}

static void server_id(uint8_t id[QUIC_LB_ID_LEN_MAX], size_t server)
{
	memset(id, 0xa5, QUIC_LB_ID_LEN_MAX);
	id[0] = (uint8_t)server;
}

static struct quic_lb_config service_config(const struct bench_case *bench, size_t service)
{
	struct quic_lb_config config = { .present = true,
					 .has_key = bench->has_key,
					 .server_id_len = bench->server_id_len,
					 .nonce_len = bench->nonce_len };

	memcpy(config.key, &service, sizeof(service));
	return config;
}

static struct quic_lb *codec_build(struct quic_lb_config config)
{
	const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = { config };
	struct quic_lb_server servers[SERVER_COUNT];
	struct quic_lb *lb = NULL;

	for (size_t i = 0; i < SERVER_COUNT; i++) {
		servers[i] = (struct quic_lb_server){ .rotation = 0, .slot = (uint16_t)i };
		server_id(servers[i].id, i);
	}
	require(!quic_lb_build(configs, servers, SERVER_COUNT, &lb), "no codec");
	return lb;
}

/* A datagram from a random server of a random service. */
static void datagram_make(struct subject *subject, size_t i, uint64_t *random)
{
	size_t service = random_next(random) % subject->bench->service_count;
	size_t server = random_next(random) % SERVER_COUNT;
	struct quic_lb_config config = service_config(subject->bench, service);
	uint8_t id[QUIC_LB_ID_LEN_MAX], nonce[18];
	int len;

	for (size_t n = 0; n < sizeof(nonce); n++)
		nonce[n] = (uint8_t)random_next(random);
	server_id(id, server);
	len = quic_lb_encode(&config, 0, id, nonce, 0, subject->datagrams[i]);
	if (!subject->bench->is_long_header)
		len = DATAGRAM_SIZE;
	subject->queries[i] = (struct quic_lb_query){ .lb = subject->services[service],
						      .cid = subject->datagrams[i],
						      .len = (uint16_t)len };
	subject->wanted[i] = (int32_t)server;
}

static void naive_prepare(struct subject *subject)
{
	struct quic_lb_config config = subject->config;

	config.has_key = false;
	subject->plain_codec = codec_build(config);
	for (size_t i = 0; i < BURST_MAX; i++)
		subject->plain[i] = (struct quic_lb_query){ .lb = subject->plain_codec,
							    .cid = subject->plain_datagrams[i],
							    .len = DATAGRAM_SIZE };
	subject->ctx = EVP_CIPHER_CTX_new();
	require(EVP_CipherInit_ex2(subject->ctx, EVP_aes_128_ecb(), config.key, NULL,
				   config.server_id_len + config.nonce_len != 16, NULL) &&
			EVP_CIPHER_CTX_set_padding(subject->ctx, 0),
		"no cipher");
}

static struct subject *subject_make(const struct bench_case *bench)
{
	struct subject *subject = calloc(1, sizeof(*subject));
	uint64_t random = 1;

	require(subject, "no memory");
	subject->bench = bench;
	subject->config = service_config(bench, 0);
	for (size_t s = 0; s < bench->service_count; s++)
		subject->services[s] = codec_build(service_config(bench, s));
	for (size_t i = 0; i < DATAGRAM_COUNT; i++)
		datagram_make(subject, i, &random);
	if (bench->method == NAIVE)
		naive_prepare(subject);
	return subject;
}

/* --- One cipher call a block --- */

static void naive_pass(EVP_CIPHER_CTX *ctx, uint8_t *to, const uint8_t *from, size_t half,
		       size_t len, uint8_t pass)
{
	uint8_t block[16] = { 0 };
	int done;

	memcpy(block, from, half);
	block[14] = (uint8_t)len;
	block[15] = pass;
	EVP_CipherUpdate(ctx, block, &done, block, sizeof(block));
	for (size_t i = 0; i < half; i++)
		to[i] ^= block[i];
	if (len % 2)
		to[pass % 2 ? 0 : half - 1] &= pass % 2 ? 0x0f : 0xf0;
}

static void naive_decrypt(EVP_CIPHER_CTX *ctx, const struct quic_lb_config *config,
			  const uint8_t *encoded, uint8_t *plain)
{
	size_t len = config->server_id_len + config->nonce_len, half = (len + 1) / 2;
	uint8_t left[16], right[16], last_pass = config->nonce_len >= config->server_id_len ? 2 : 1;
	int done;

	if (len == 16) {
		EVP_CipherUpdate(ctx, plain, &done, encoded, 16);
		return;
	}
	memcpy(left, encoded, half);
	memcpy(right, encoded + len - half, half);
	if (len % 2) {
		left[half - 1] &= 0xf0;
		right[0] &= 0x0f;
	}
	for (uint8_t pass = 4; pass >= last_pass; pass--)
		naive_pass(ctx, pass % 2 ? right : left, pass % 2 ? left : right, half, len, pass);
	if (len % 2)
		right[0] |= left[half - 1];
	memcpy(plain, left, half);
	memcpy(plain + len - half, right, half);
}

static void naive_decode(struct quic_lb_scratch *scratch, struct subject *subject,
			 struct quic_lb_query *queries)
{
	for (size_t i = 0; i < BURST_MAX; i++)
		naive_decrypt(subject->ctx, &subject->config, queries[i].cid + 1,
			      subject->plain_datagrams[i] + 1);
	quic_lb_decode(scratch, subject->plain, BURST_MAX);
	for (size_t i = 0; i < BURST_MAX; i++)
		queries[i].slot = subject->plain[i].slot;
}

/* --- Passes --- */

static double pass_time_ns(struct quic_lb_scratch *scratch, struct subject *subject)
{
	uint64_t start_ns = clock_ns();

	for (size_t i = 0; i < DATAGRAM_COUNT; i += BURST_MAX) {
		if (subject->bench->method == BURSTS)
			quic_lb_decode(scratch, &subject->queries[i], BURST_MAX);
		else
			naive_decode(scratch, subject, &subject->queries[i]);
	}
	return (double)(clock_ns() - start_ns) / DATAGRAM_COUNT;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(struct subject *subject, size_t count)
{
	json_t *row = json_object(), *values = json_array();
	char name[96];

	for (size_t i = 0; i < DATAGRAM_COUNT; i++)
		require(subject->queries[i].slot == subject->wanted[i], subject->bench->subject);
	(void)snprintf(name, sizeof(name), "quic_lb_decode %s", subject->bench->subject);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(values, json_real(subject->runs[i]));
	qsort(subject->runs, count, sizeof(subject->runs[0]), compare);
	json_object_set_new(row, "subject", json_string(name));
	json_object_set_new(row, "metric", json_string("time a datagram"));
	json_object_set_new(row, "unit", json_string("ns"));
	json_object_set_new(row, "value", json_real(subject->runs[count / 10]));
	json_object_set_new(row, "runs", values);
	(void)json_dumpf(row, stdout, JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(row);
}

static void subject_free(struct subject *subject)
{
	for (size_t s = 0; s < subject->bench->service_count; s++)
		quic_lb_free(subject->services[s]);
	quic_lb_free(subject->plain_codec);
	EVP_CIPHER_CTX_free(subject->ctx);
	free(subject);
}

int main(int argc, char **argv)
{
	struct subject *subjects[ARRAY_LEN(cases)];
	struct quic_lb_scratch *scratch;
	int operands, status = options_parse(&options, argc, argv, &operands);
	size_t passes;

	if (status >= 0)
		return status;
	passes = strtoul(arguments.passes, NULL, 10);
	require(passes >= 1 && passes <= PASS_COUNT_MAX, "1 to 10000 passes");
	scratch = quic_lb_scratch_new();
	require(scratch, "no scratch");
	for (size_t c = 0; c < ARRAY_LEN(cases); c++)
		subjects[c] = subject_make(&cases[c]);
	for (size_t pass = 0; pass < passes; pass++)
		for (size_t c = 0; c < ARRAY_LEN(cases); c++)
			subjects[c]->runs[pass] = pass_time_ns(scratch, subjects[c]);
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		report(subjects[c], passes);
		subject_free(subjects[c]);
	}
	quic_lb_scratch_free(scratch);
	return EXIT_SUCCESS;
}
