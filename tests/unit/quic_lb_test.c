/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_lb_test.c - Connection IDs of the draft's vectors and of every legal length,
 * beside a slow twin written from the draft; bursts, reloads, calls, allocations. */
#include "core/quic_lb.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "test.h"

#define SERVER_COUNT 5 /* of a rotation */

static struct quic_lb_scratch *scratch;

/* --- What the codec asks others for --- */

static _Thread_local size_t allocations, cipher_calls, key_changes;
static bool cipher_fails, key_fails;

int EVP_CipherUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *out_len, const unsigned char *in,
		     int in_len)
{
	int (*real)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);

	*(void **)&real = dlsym(RTLD_NEXT, "EVP_CipherUpdate");
	cipher_calls++;
	return cipher_fails ? 0 : real(ctx, out, out_len, in, in_len);
}

int EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const unsigned char *key,
		       const unsigned char *iv, int enc, const OSSL_PARAM params[])
{
	int (*real)(EVP_CIPHER_CTX *, const EVP_CIPHER *, const unsigned char *,
		    const unsigned char *, int, const OSSL_PARAM *);

	*(void **)&real = dlsym(RTLD_NEXT, "EVP_CipherInit_ex2");
	key_changes++;
	return key_fails ? 0 : real(ctx, cipher, key, iv, enc, params);
}

/* Sanitizers have a malloc of their own, which must not be replaced. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALLOCATIONS false
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS false
#endif
#ifndef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS true

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __libc_memalign(alignment, size);
}
#endif

/* --- The slow twin: draft sections 5.3 and 5.4, word by word --- */

static void slow_aes(const uint8_t key[16], bool decrypts, const uint8_t in[16], uint8_t out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;

	if (decrypts) {
		assert_int_equal(EVP_DecryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL), 1);
		assert_int_equal(EVP_CIPHER_CTX_set_padding(ctx, 0), 1);
		assert_int_equal(EVP_DecryptUpdate(ctx, out, &len, in, 16), 1);
	} else {
		assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL), 1);
		assert_int_equal(EVP_EncryptUpdate(ctx, out, &len, in, 16), 1);
	}
	assert_int_equal(len, 16);
	EVP_CIPHER_CTX_free(ctx);
}

static void slow_pass(const uint8_t key[16], size_t len, uint8_t left[16], uint8_t right[16],
		      uint8_t pass)
{
	bool to_right = pass == 1 || pass == 3;
	uint8_t *from = to_right ? left : right, *to = to_right ? right : left;
	uint8_t expanded[16] = { 0 }, cipher[16];
	size_t half = (len + 1) / 2;

	for (size_t i = 0; i < half; i++)
		expanded[i] = from[i];
	expanded[14] = (uint8_t)len;
	expanded[15] = pass;
	slow_aes(key, false, expanded, cipher);
	for (size_t i = 0; i < half; i++)
		to[i] ^= cipher[i];
	if (len % 2 && to_right)
		right[0] &= 0x0f;
	if (len % 2 && !to_right)
		left[half - 1] &= 0xf0;
}

/* bytes: server id and nonce, both ways. */
static void slow_crypt(const struct quic_lb_config *config, bool decrypts, uint8_t *bytes)
{
	size_t len = config->server_id_len + config->nonce_len, half = (len + 1) / 2;
	uint8_t left[16] = { 0 }, right[16] = { 0 };

	if (!config->has_key)
		return;
	if (len == 16) {
		slow_aes(config->key, decrypts, bytes, left);
		memcpy(bytes, left, 16);
		return;
	}
	memcpy(left, bytes, half);
	memcpy(right, bytes + len - half, half);
	if (len % 2) {
		left[half - 1] &= 0xf0;
		right[0] &= 0x0f;
	}
	for (uint8_t step = 1; step <= 4; step++)
		slow_pass(config->key, len, left, right, decrypts ? 5 - step : step);
	memcpy(bytes, left, half);
	if (len % 2)
		right[0] |= left[half - 1];
	memcpy(bytes + len - half, right, half);
}

/* --- Helpers --- */

static void random_bytes(uint64_t *random, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_next(random);
}

/* In memory of exactly that size, so that the sanitizer sees every byte too far. */
static int32_t decode(const struct quic_lb *lb, const uint8_t *cid, size_t len)
{
	uint8_t *copy = len ? malloc(len) : NULL;
	struct quic_lb_query query = { .lb = lb, .cid = copy, .len = (uint16_t)len, .slot = 99 };

	if (len)
		memcpy(copy, cid, len);
	quic_lb_decode(scratch, &query, 1);
	free(copy);
	return query.slot;
}

/* Every rotation of a service, with servers of ids that differ in the first byte. */
struct service {
	struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT];
	struct quic_lb_server servers[QUIC_LB_ROTATION_COUNT * SERVER_COUNT];
	struct quic_lb *lb;
};

static void service_build(struct service *service)
{
	service->lb = NULL;
	assert_int_equal(quic_lb_build(service->configs, service->servers,
				       ARRAY_LEN(service->servers), &service->lb),
			 0);
	assert_non_null(service->lb);
}

/* Lengths: plaintext, single block, odd and even, the id in the left half or not. */
static void service_init(struct service *service, uint64_t *random, uint16_t first_slot)
{
	static const uint8_t lengths[QUIC_LB_ROTATION_COUNT][2] = { { 3, 5 }, { 8, 8 },	 { 12, 4 },
								    { 3, 4 }, { 15, 4 }, { 9, 9 },
								    { 7, 5 } };

	for (uint8_t r = 0; r < QUIC_LB_ROTATION_COUNT; r++) {
		service->configs[r] = (struct quic_lb_config){ .present = true,
							       .has_key = r != 0,
							       .server_id_len = lengths[r][0],
							       .nonce_len = lengths[r][1] };
		random_bytes(random, service->configs[r].key, QUIC_LB_KEY_LEN);
		for (size_t i = 0; i < SERVER_COUNT; i++) {
			struct quic_lb_server *server = &service->servers[r * SERVER_COUNT + i];

			server->rotation = r;
			server->slot = (uint16_t)(first_slot + r * SERVER_COUNT + i);
			random_bytes(random, server->id, sizeof(server->id));
			server->id[0] = (uint8_t)(16 * r + i);
		}
	}
	service_build(service);
}

/* A Connection ID of one of its servers, and what it must decode to. */
static uint8_t service_cid(const struct service *service, uint64_t *random,
			   uint8_t cid[QUIC_CID_LEN_MAX], int32_t *ret_slot)
{
	uint64_t choice = random_next(random);
	const struct quic_lb_server *server =
		&service->servers[choice % ARRAY_LEN(service->servers)];
	uint8_t nonce[18];
	int len;

	random_bytes(random, nonce, sizeof(nonce));
	len = quic_lb_encode(&service->configs[server->rotation], server->rotation, server->id,
			     nonce, choice >> 59, cid);
	assert_true(len > 0);
	*ret_slot = server->slot;
	return (uint8_t)len;
}

/* --- Tests --- */

/* Draft appendix B.1 and B.2. The draft prints the last one's first octet as 0x12,
 * which says rotation 0; its configuration says 3. */
#define KEY_B2 "\x8f\x95\xf0\x92\x45\x76\x5f\x80\x25\x69\x34\xe5\x0c\x66\x20\x7f"
static const struct {
	const char *name, *key, *server_id, *nonce, *cid;
	uint8_t rotation, server_id_len, nonce_len;
} vectors[] = {
	{ "plaintext, 3 and 4", NULL, "\xc4\x60\x5e", "\x45\x04\xcc\x4f",
	  "\x07\xc4\x60\x5e\x45\x04\xcc\x4f", 0, 3, 4 },
	{ "plaintext, 8 and 5", NULL, "\xed\x79\x3a\x51\xd4\x9b\x8f\x5f", "\xee\x15\xda\x27\xc4",
	  "\x2d\xed\x79\x3a\x51\xd4\x9b\x8f\x5f\xee\x15\xda\x27\xc4", 1, 8, 5 },
	{ "four passes, odd", KEY_B2, "\xed\x79\x3a", "\xee\x08\x0d\xbf",
	  "\x07\x20\xb1\xd0\x7b\x35\x9d\x3c", 0, 3, 4 },
	{ "single block", KEY_B2, "\xed\x79\x3a\x51\xd4\x9b\x8f\x5f",
	  "\xee\x08\x0d\xbf\x48\xc0\xd1\xe5",
	  "\x50\x4d\xd2\xd0\x5a\x7b\x0d\xe9\xb2\xb9\x90\x7a\xfb\x5e\xcf\x8c\xc3", 2, 8, 8 },
	{ "four passes, even", KEY_B2, "\xed\x79\x3a\x51\xd4\x9b\x8f\x5f\xab",
	  "\xee\x08\x0d\xbf\x48\xc0\xd1\xe5\x5d",
	  "\x72\x57\x79\xc9\xcc\x86\xbe\xb3\xa3\xa4\xa3\xca\x96\xfc\xe4\xbf\xe0\xcd\xbc", 3, 9, 9 },
};

static void vectors_of_the_draft(void **state)
{
	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(vectors); v++) {
		struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = { 0 };
		struct quic_lb_config *config = &configs[vectors[v].rotation];
		struct quic_lb_server server = { .rotation = vectors[v].rotation, .slot = 4095 };
		uint8_t len = 1 + vectors[v].server_id_len + vectors[v].nonce_len;
		uint8_t cid[32] = { 0 }, slow[QUIC_CID_LEN_MAX];
		struct quic_lb *lb = NULL;

		print_message("vector: %s\n", vectors[v].name);
		*config = (struct quic_lb_config){ true,
						   vectors[v].key != NULL,
						   vectors[v].server_id_len,
						   vectors[v].nonce_len,
						   { 0 } };
		if (vectors[v].key)
			memcpy(config->key, vectors[v].key, QUIC_LB_KEY_LEN);
		memcpy(server.id, vectors[v].server_id, vectors[v].server_id_len);
		assert_int_equal(quic_lb_build(configs, &server, 1, &lb), 0);

		assert_int_equal(quic_lb_encode(config, server.rotation, server.id,
						(const uint8_t *)vectors[v].nonce,
						vectors[v].cid[0] & 0x1f, cid),
				 len);
		assert_memory_equal(cid, vectors[v].cid, len);
		memcpy(slow, vectors[v].cid, len);
		slow_crypt(config, true, slow + 1);
		assert_memory_equal(slow + 1, server.id, vectors[v].server_id_len);
		assert_memory_equal(slow + 1 + vectors[v].server_id_len, vectors[v].nonce,
				    vectors[v].nonce_len);

		for (size_t given = 0; given <= sizeof(cid); given++)
			assert_int_equal(decode(lb, cid, given),
					 given < len ? QUIC_LB_UNROUTABLE : 4095);
		for (uint8_t low = 0; low < 0x20; low++) {
			cid[0] = (uint8_t)(server.rotation << 5 | low);
			assert_int_equal(decode(lb, cid, len), 4095);
		}
		quic_lb_free(lb);
	}
}

/* One pair of lengths: what servers make, and what nobody made. */
static void round_trips(const struct quic_lb_config *config, uint8_t rotation, uint64_t *random)
{
	struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = { 0 };
	struct quic_lb_server servers[SERVER_COUNT] = { 0 };
	uint8_t len = config->server_id_len + config->nonce_len, low = random_next(random) & 0x1f;
	uint8_t cid[32], slow[QUIC_CID_LEN_MAX], nonce[18];
	struct quic_lb *lb = NULL;
	int32_t want = QUIC_LB_UNKNOWN_SERVER;

	configs[rotation] = *config;
	for (size_t i = 0; i < SERVER_COUNT; i++) {
		random_bytes(random, servers[i].id, sizeof(servers[i].id));
		servers[i].rotation = rotation;
		servers[i].id[0] = (uint8_t)i;
		servers[i].slot = (uint16_t)(1000 + i);
	}
	assert_int_equal(quic_lb_build(configs, servers, SERVER_COUNT, &lb), 0);
	for (size_t i = 0; i < SERVER_COUNT; i++) {
		random_bytes(random, nonce, sizeof(nonce));
		random_bytes(random, cid, sizeof(cid));
		memcpy(slow, servers[i].id, config->server_id_len);
		memcpy(slow + config->server_id_len, nonce, config->nonce_len);
		slow_crypt(config, false, slow);
		assert_int_equal(quic_lb_encode(config, rotation, servers[i].id, nonce, low, cid),
				 1 + len);
		assert_int_equal(cid[0], rotation << 5 | low);
		assert_memory_equal(cid + 1, slow, len);
		for (size_t given = 0; given <= sizeof(cid); given++)
			assert_int_equal(decode(lb, cid, given),
					 given < 1u + len ? QUIC_LB_UNROUTABLE : servers[i].slot);
	}
	random_bytes(random, cid, sizeof(cid));
	cid[0] = (uint8_t)(rotation << 5 | low);
	memcpy(slow, cid + 1, len);
	slow_crypt(config, true, slow);
	for (size_t i = 0; i < SERVER_COUNT; i++)
		if (memcmp(slow, servers[i].id, config->server_id_len) == 0)
			want = servers[i].slot;
	assert_int_equal(decode(lb, cid, sizeof(cid)), want);
	quic_lb_free(lb);
}

static void every_legal_length(void **state)
{
	uint64_t random = 21;
	size_t pairs = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)random);
	for (uint8_t id_len = 1; id_len <= QUIC_LB_ID_LEN_MAX; id_len++) {
		for (uint8_t nonce_len = 4; id_len + nonce_len <= 19; nonce_len++, pairs++) {
			struct quic_lb_config config = { true, false, id_len, nonce_len, { 0 } };

			for (uint8_t rotation = 0; rotation < QUIC_LB_ROTATION_COUNT; rotation++) {
				config.has_key = false;
				round_trips(&config, rotation, &random);
				config.has_key = true;
				random_bytes(&random, config.key, sizeof(config.key));
				round_trips(&config, rotation, &random);
			}
		}
	}
	assert_int_equal(pairs, 120);
}

static void refuses_illegal_lengths(void **state)
{
	static const struct {
		const char *name;
		uint8_t server_id_len, nonce_len;
		int want;
	} cases[] = {
		{ "no id", 0, 4, -EINVAL },	     { "id of 16", 16, 4, -EINVAL },
		{ "id of 255", 255, 4, -EINVAL },    { "no nonce", 8, 0, -EINVAL },
		{ "nonce of 3", 8, 3, -EINVAL },     { "nonce of 19", 1, 19, -EINVAL },
		{ "20 in all", 15, 5, -EINVAL },     { "20 in all, long nonce", 2, 18, -EINVAL },
		{ "256 in all", 128, 128, -EINVAL }, { "shortest", 1, 4, 0 },
		{ "longest id", 15, 4, 0 },	     { "longest nonce", 1, 18, 0 },
	};
	static const uint8_t id[255], nonce[255];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
			[6] = { true, true, cases[i].server_id_len, cases[i].nonce_len, { 0 } }
		};
		uint8_t cid[QUIC_CID_LEN_MAX];
		struct quic_lb *lb = NULL;
		int len = 1 + cases[i].server_id_len + cases[i].nonce_len;

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(quic_lb_build(configs, NULL, 0, &lb), cases[i].want);
		assert_int_equal(lb == NULL, cases[i].want != 0);
		assert_int_equal(quic_lb_encode(&configs[6], 6, id, nonce, 0, cid),
				 cases[i].want ? cases[i].want : len);
		quic_lb_free(lb);

		configs[6].present = false; /* whose lengths say nothing */
		lb = NULL;
		assert_int_equal(quic_lb_build(configs, NULL, 0, &lb), 0);
		quic_lb_free(lb);
	}
}

static void refuses_servers(void **state)
{
	static const struct {
		const char *name;
		struct quic_lb_server servers[2];
		int want;
	} cases[] = {
		{ "rotation that is not present", { { 1, "ab", 1 }, { 0, "ab", 2 } }, -EINVAL },
		{ "rotation 7", { { 0, "ab", 1 }, { 7, "ab", 2 } }, -EINVAL },
		{ "rotation 255", { { 0, "ab", 1 }, { 255, "ab", 2 } }, -EINVAL },
		{ "one id twice", { { 0, "ab", 1 }, { 0, "ab", 2 } }, -EINVAL },
		{ "one id and slot twice", { { 0, "ab", 1 }, { 0, "ab", 1 } }, -EINVAL },
		{ "alike in the bytes that count", { { 0, "abc", 1 }, { 0, "abd", 2 } }, -EINVAL },
		{ "one id in two rotations", { { 0, "ab", 1 }, { 2, "ab", 2 } }, 0 },
		{ "two ids of one server", { { 0, "ab", 1 }, { 0, "ac", 1 } }, 0 },
		{ "an id of zeros, slot 0", { { 0, "\0\0", 0 }, { 2, "\0\0", UINT16_MAX } }, 0 },
	};
	const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
		[0] = { true, false, 2, 4, { 0 } }, [2] = { true, false, 2, 4, { 0 } }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct quic_lb *lb = NULL;

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(quic_lb_build(configs, cases[i].servers, 2, &lb), cases[i].want);
		assert_int_equal(lb == NULL, cases[i].want != 0);
		for (size_t s = 0; lb && s < 2; s++) {
			const struct quic_lb_server *server = &cases[i].servers[s];
			const uint8_t cid[7] = { (uint8_t)(server->rotation << 5), server->id[0],
						 server->id[1] };

			assert_int_equal(decode(lb, cid, sizeof(cid)), server->slot);
		}
		quic_lb_free(lb);
	}
}

static void refuses_to_encode(void **state)
{
	const struct quic_lb_config config = { true, true, 8, 8, { 0 } };
	uint8_t bytes[8] = { 0 }, cid[QUIC_CID_LEN_MAX] = { 0xaa };

	(void)state;
	assert_int_equal(quic_lb_encode(&config, 7, bytes, bytes, 0, cid), -EINVAL);
	assert_int_equal(quic_lb_encode(&config, 0, bytes, bytes, 0x20, cid), -EINVAL);
	cipher_fails = true;
	assert_int_equal(quic_lb_encode(&config, 0, bytes, bytes, 0, cid), -ENOMEM);
	cipher_fails = false;
	assert_int_equal(cid[0], 0xaa);
}

static void unroutable_and_unknown(void **state)
{
	const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
		[2] = { true, false, 2, 4, { 0 } }
	};
	const struct quic_lb_server server = { 2, "ab", 7 };
	uint8_t cid[7] = { 0, 'a', 'b' };
	struct quic_lb *lb = NULL, *nobody = NULL;

	(void)state;
	assert_int_equal(quic_lb_build(configs, &server, 1, &lb), 0);
	assert_int_equal(quic_lb_build(configs, NULL, 0, &nobody), 0);
	for (unsigned int first = 0; first < 256; first++) {
		cid[0] = (uint8_t)first;
		assert_int_equal(decode(lb, cid, sizeof(cid)),
				 first >> 5 == 2 ? 7 : QUIC_LB_UNROUTABLE);
		assert_int_equal(decode(nobody, cid, sizeof(cid)),
				 first >> 5 == 2 ? QUIC_LB_UNKNOWN_SERVER : QUIC_LB_UNROUTABLE);
	}
	cid[0] = 2 << 5;
	cid[1] = 'x';
	assert_int_equal(decode(lb, cid, sizeof(cid)), QUIC_LB_UNKNOWN_SERVER);
	quic_lb_free(lb);
	quic_lb_free(nobody);
}

static void many_servers(void **state)
{
	enum { COUNT = 4096 };
	const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
		{ true, false, 2, 4, { 0 } }
	};
	struct quic_lb_server *servers = calloc(COUNT, sizeof(*servers));
	struct quic_lb *lb = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		servers[i] = (struct quic_lb_server){ 0, { i >> 8, i & 0xff }, (uint16_t)i };
	assert_int_equal(quic_lb_build(configs, servers, COUNT, &lb), 0);
	for (size_t i = 0; i < 0x10000; i++) {
		const uint8_t cid[7] = { 0, i >> 8, i & 0xff };

		assert_int_equal(decode(lb, cid, sizeof(cid)),
				 i < COUNT ? (int32_t)i : QUIC_LB_UNKNOWN_SERVER);
	}
	quic_lb_free(lb);
	free(servers);
}

static void wrong_key_finds_nobody(void **state)
{
	struct service right = { 0 }, wrong;
	uint64_t random = 5;
	size_t asked = 0;

	(void)state;
	service_init(&right, &random, 0);
	wrong = right;
	for (uint8_t r = 0; r < QUIC_LB_ROTATION_COUNT; r++)
		wrong.configs[r].key[15] ^= 1;
	service_build(&wrong);
	while (asked < 1000) {
		uint8_t cid[QUIC_CID_LEN_MAX], len;
		int32_t slot;

		len = service_cid(&right, &random, cid, &slot);
		if (cid[0] >> 5 == 0) /* plaintext */
			continue;
		asked++;
		assert_int_equal(decode(wrong.lb, cid, len), QUIC_LB_UNKNOWN_SERVER);
		assert_int_equal(decode(right.lb, cid, len), slot);
	}
	quic_lb_free(right.lb);
	quic_lb_free(wrong.lb);
}

/* A burst over services, a fourth of it noise; what each must decode to is known. */
struct burst {
	uint8_t cids[BURST_MAX][QUIC_CID_LEN_MAX];
	struct quic_lb_query queries[BURST_MAX];
	int32_t wanted[BURST_MAX];
};

static void burst_fill(struct burst *burst, const struct service *services, size_t service_count,
		       uint64_t *random)
{
	for (size_t i = 0; i < BURST_MAX; i++) {
		const struct service *service = &services[random_next(random) % service_count];
		struct quic_lb_query *query = &burst->queries[i];
		uint8_t *cid = burst->cids[i];

		*query = (struct quic_lb_query){ .lb = service->lb, .cid = cid, .slot = 99 };
		query->len = service_cid(service, random, cid, &burst->wanted[i]);
		switch (random_next(random) % 12) {
		case 0:
			query->len--;
			burst->wanted[i] = QUIC_LB_UNROUTABLE;
			break;
		case 1:
			cid[0] |= 0xe0;
			burst->wanted[i] = QUIC_LB_UNROUTABLE;
			break;
		case 2:
			query->len = 0;
			burst->wanted[i] = QUIC_LB_UNROUTABLE;
			break;
		default: break;
		}
	}
}

/* A third of the services have keys of their own, more than a worker remembers, a
 * third one key for all rotations, a third the keys of the first service. */
static void mixed_bursts(void **state)
{
	enum { SERVICES = 150 };
	static struct service services[SERVICES];
	static struct burst burst;
	uint64_t random = 64;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)random);
	for (size_t i = 0; i < SERVICES; i++) {
		service_init(&services[i], &random, (uint16_t)(100 * i));
		for (size_t r = 0; i % 3 && r < QUIC_LB_ROTATION_COUNT; r++)
			memcpy(services[i].configs[r].key,
			       i % 3 == 1 ? services[i].configs[0].key : services[0].configs[r].key,
			       QUIC_LB_KEY_LEN);
		quic_lb_free(services[i].lb);
		service_build(&services[i]);
	}
	for (size_t round = 0; round < 600; round++) {
		size_t count = round % 8 ? BURST_MAX : random_next(&random) % BURST_MAX;

		burst_fill(&burst, services, round % 2 ? 3 : SERVICES, &random);
		quic_lb_decode(scratch, burst.queries, count);
		for (size_t i = 0; i < BURST_MAX; i++) {
			struct quic_lb_query *query = &burst.queries[i];

			assert_int_equal(query->slot, i < count ? burst.wanted[i] : 99);
			quic_lb_decode(scratch, query, 1);
			assert_int_equal(query->slot, burst.wanted[i]);
		}
	}
	for (size_t i = 0; i < SERVICES; i++)
		quic_lb_free(services[i].lb);
}

/* A codec in the memory of the one before, with keys of its own, then the old keys. */
static void reload_changes_keys(void **state)
{
	struct service old = { 0 }, new = { 0 };
	uint64_t random = 9;

	(void)state;
	service_init(&old, &random, 0);
	service_init(&new, &random, 100);
	for (size_t round = 0; round < 50; round++) {
		struct service *service = round % 2 ? &old : &new;

		quic_lb_free(service->lb);
		service_build(service);
		for (size_t i = 0; i < 50; i++) {
			uint8_t cid[QUIC_CID_LEN_MAX], len;
			int32_t slot;

			len = service_cid(service, &random, cid, &slot);
			assert_int_equal(decode(service->lb, cid, len), slot);
		}
	}
	quic_lb_free(old.lb);
	quic_lb_free(new.lb);
}

/* BURST_MAX random-looking Connection IDs that take turns: service, then rotation. */
static void burst_of(struct burst *burst, const struct service *services, size_t service_count,
		     size_t rotation, size_t rotation_count)
{
	for (size_t i = 0; i < BURST_MAX; i++) {
		size_t r = rotation + i / service_count % rotation_count;

		burst->cids[i][0] = (uint8_t)(r << 5);
		burst->queries[i] = (struct quic_lb_query){ .lb = services[i % service_count].lb,
							    .cid = burst->cids[i],
							    .len = QUIC_CID_LEN_MAX };
	}
}

/* The point of decoding a burst. */
static void calls_per_key(void **state)
{
	static const struct {
		const char *name;
		size_t rotation, rotation_count;
		size_t service_count, calls;
		bool one_key;
	} cases[] = {
		{ "plaintext", 0, 1, 1, 0, false },
		{ "single block", 1, 1, 1, 1, false },
		{ "id no longer than the nonce", 3, 1, 1, 3, false },
		{ "id longer than the nonce", 4, 1, 1, 4, false },
		{ "two services, two keys", 4, 1, 2, 8, false },
		{ "two services, one key", 4, 1, 2, 4, true },
		{ "all rotations, 6 keys", 0, 7, 1, 1 + 1 + 3 + 4 + 3 + 4, false },
		{ "all rotations, one key, both directions", 0, 7, 1, 4 + 1, true },
	};
	static struct service services[2];
	static struct burst burst;
	uint64_t random = 3;

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		print_message("case: %s\n", cases[c].name);
		for (size_t i = 0; i < ARRAY_LEN(services); i++) {
			service_init(&services[i], &random, 0);
			for (size_t r = 0; cases[c].one_key && r < QUIC_LB_ROTATION_COUNT; r++)
				memset(services[i].configs[r].key, 'k', QUIC_LB_KEY_LEN);
			quic_lb_free(services[i].lb);
			service_build(&services[i]);
		}
		burst_of(&burst, services, cases[c].service_count, cases[c].rotation,
			 cases[c].rotation_count);
		cipher_calls = 0;
		quic_lb_decode(scratch, burst.queries, BURST_MAX);
		assert_int_equal(cipher_calls, cases[c].calls);
		for (size_t i = 0; i < ARRAY_LEN(services); i++)
			quic_lb_free(services[i].lb);
	}
}

/* Expanding a key costs more than a burst's AES: a worker does it once. */
static void keys_are_remembered(void **state)
{
	enum { SERVICES = 4, KEYS = SERVICES * (QUIC_LB_ROTATION_COUNT - 1) };
	static struct service services[SERVICES];
	static struct burst burst;
	uint64_t random = 23;

	(void)state;
	for (size_t i = 0; i < SERVICES; i++)
		service_init(&services[i], &random, 0);
	for (size_t round = 0; round < 3; round++) {
		burst_of(&burst, services, SERVICES, 1, QUIC_LB_ROTATION_COUNT - 1);
		key_changes = 0;
		quic_lb_decode(scratch, burst.queries, BURST_MAX);
		assert_int_equal(key_changes, round ? 0 : KEYS);
	}
	for (size_t i = 0; i < SERVICES; i++)
		quic_lb_free(services[i].lb);
}

static void decoding_does_not_allocate(void **state)
{
	enum { SERVICES = 50 };
	static struct service services[SERVICES];
	static struct burst burst;
	uint64_t random = 11;
	size_t before = allocations;

	(void)state;
	if (!COUNTS_ALLOCATIONS)
		skip();
	for (size_t i = 0; i < SERVICES; i++)
		service_init(&services[i], &random, (uint16_t)(100 * i));
	assert_true(allocations >= before + SERVICES); /* so they are counted */
	for (size_t round = 0; round < 100; round++) {
		burst_fill(&burst, services, SERVICES, &random);
		before = allocations;
		quic_lb_decode(scratch, burst.queries, BURST_MAX);
		assert_int_equal(allocations, before);
	}
	for (size_t i = 0; i < SERVICES; i++)
		quic_lb_free(services[i].lb);
}

/* What cannot be deciphered is unroutable, and the next burst is none the worse. */
static void survives_a_failing_cipher(void **state)
{
	static struct burst burst;
	struct service service = { 0 };
	uint64_t random = 13;

	(void)state;
	service_init(&service, &random, 0);
	for (size_t round = 0; round < 6; round++) {
		burst_fill(&burst, &service, 1, &random);
		key_fails = round == 0; /* when the worker does not know the keys yet */
		cipher_fails = round == 2 || round == 4;
		quic_lb_decode(scratch, burst.queries, BURST_MAX);
		for (size_t i = 0; i < BURST_MAX; i++) {
			bool plaintext = burst.cids[i][0] >> 5 == 0;

			assert_int_equal(burst.queries[i].slot, round % 2 || plaintext
									? burst.wanted[i]
									: QUIC_LB_UNROUTABLE);
		}
		key_fails = false;
		cipher_fails = false;
	}
	key_fails = true;
	assert_null(quic_lb_scratch_new());
	key_fails = false;
	quic_lb_free(service.lb);
}

static void *worker(void *service)
{
	struct quic_lb_scratch *own = quic_lb_scratch_new();
	static _Thread_local struct burst burst;
	uint64_t random = 17;
	size_t wrong = 0;

	for (size_t round = 0; round < 200; round++) {
		burst_fill(&burst, service, 1, &random);
		quic_lb_decode(own, burst.queries, BURST_MAX);
		for (size_t i = 0; i < BURST_MAX; i++)
			wrong += burst.queries[i].slot != burst.wanted[i];
	}
	quic_lb_scratch_free(own);
	return (void *)wrong;
}

static void workers_share_a_codec(void **state)
{
	struct service service = { 0 };
	pthread_t threads[3];
	uint64_t random = 19;

	(void)state;
	service_init(&service, &random, 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, &service), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	quic_lb_free(service.lb);
}

static void nothing_to_free(void **state)
{
	(void)state;
	quic_lb_free(NULL);
	quic_lb_scratch_free(NULL);
	quic_lb_decode(scratch, NULL, 0);
}

static int scratch_open(void **state)
{
	(void)state;
	scratch = quic_lb_scratch_new();
	return scratch ? 0 : -1;
}

static int scratch_close(void **state)
{
	(void)state;
	quic_lb_scratch_free(scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_the_draft),
		cmocka_unit_test(every_legal_length),
		cmocka_unit_test(refuses_illegal_lengths),
		cmocka_unit_test(refuses_servers),
		cmocka_unit_test(refuses_to_encode),
		cmocka_unit_test(unroutable_and_unknown),
		cmocka_unit_test(many_servers),
		cmocka_unit_test(wrong_key_finds_nobody),
		cmocka_unit_test(mixed_bursts),
		cmocka_unit_test(reload_changes_keys),
		cmocka_unit_test(calls_per_key),
		cmocka_unit_test(keys_are_remembered),
		cmocka_unit_test(decoding_does_not_allocate),
		cmocka_unit_test(survives_a_failing_cipher),
		cmocka_unit_test(workers_share_a_codec),
		cmocka_unit_test(nothing_to_free),
	};

	return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
