/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes are handled as blocks of 16: what a mask does not let through may be
 * anything, so Connection IDs are loaded whole and never cut byte by byte.
 *
 * libcrypto's contexts hold one expanded key each, cost memory to make, some 300 ns
 * to give another key, and serve one thread at a time. So every worker has a fixed
 * set of them in its scratch, found by the key itself: services that share a key
 * share its calls, and a reload finds the keys that it kept. */
#include "quic_lb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "hash.h"
#include "hot.h"

#define NONCE_LEN_MIN	4
#define ENCODED_LEN_MAX 19 /* id and nonce: a Connection ID but for its first octet */
#define PASS_COUNT	4

/* Keys are sorted into buckets, one bit of a word each; a worker remembers WAYS of
 * every bucket: 256 contexts, 170 KB, so that 64 keys in use rarely evict another. */
#define BUCKET_COUNT 64
#define WAYS	     4
#define BUCKET_END   UINT8_MAX
_Static_assert(BURST_MAX < BUCKET_END, "indices of queries fit a byte");

typedef uint64_t block __attribute__((vector_size(16)));
_Static_assert(sizeof(block) == QUIC_LB_KEY_LEN, "AES-128: keys as long as blocks");

struct cipher_key {
	uint8_t bytes[QUIC_LB_KEY_LEN];
	bool decrypts; /* single blocks; Feistel passes only ever encrypt */
};
_Static_assert(sizeof(struct cipher_key) == QUIC_LB_KEY_LEN + 1, "hashed and compared as bytes");

struct cipher {
	EVP_CIPHER_CTX *ctx;
	struct cipher_key key;
	bool has_key;
};

enum encoding {
	ENCODING_NONE, /* all zero: no such rotation */
	ENCODING_PLAIN,
	ENCODING_SINGLE_BLOCK,
	ENCODING_FEISTEL,
};

/* A configuration, with all that can be known before there is a Connection ID. */
struct rotation {
	uint8_t encoding;
	uint8_t len;	   /* of id and nonce */
	uint8_t half_len;  /* rounded up: the halves of an odd number share an octet */
	uint8_t last_pass; /* of decoding: 2 where the first would change the nonce only */
	uint8_t bucket;
	struct cipher_key key;
	block id_mask, id_tag;	      /* plaintext to the key of a server */
	block half_masks[2];	      /* left, right */
	block expansions[PASS_COUNT]; /* what a pass adds to a half */
};

struct server {
	block key;
	int32_t slot; /* QUIC_LB_UNKNOWN_SERVER: a free entry */
};

struct quic_lb {
	struct rotation rotations[QUIC_LB_ROTATION_COUNT + 1]; /* the last is never present */
	size_t server_mask;
	struct server servers[]; /* at most half of them used */
};

/* Queries of one key, their bytes side by side for the cipher. */
struct group {
	size_t count;
	struct quic_lb_query *queries[BURST_MAX];
	const struct rotation *rotations[BURST_MAX];
	block halves[2][BURST_MAX];
	block blocks[BURST_MAX];
};

struct bucket {
	struct cipher ciphers[WAYS];
	uint8_t victim; /* the way that the next unknown key takes */
	uint8_t first;	/* query; BUCKET_END between two bursts */
};

struct quic_lb_scratch {
	struct bucket buckets[BUCKET_COUNT];
	uint8_t next[BURST_MAX]; /* query of the same bucket */
	const struct rotation *rotations[BURST_MAX];
	struct group group;
};

/* --- Blocks --- */

HOT_INLINE block block_load(const uint8_t *bytes, size_t len)
{
	block loaded = { 0, 0 };

	if (len >= sizeof(loaded))
		memcpy(&loaded, bytes, sizeof(loaded));
	else
		memcpy(&loaded, bytes, len);
	return loaded;
}

static bool block_equal(block a, block b)
{
	return a[0] == b[0] && a[1] == b[1];
}

/* --- Ciphers --- */

static int cipher_open(struct cipher *cipher, const EVP_CIPHER *aes)
{
	cipher->ctx = EVP_CIPHER_CTX_new();
	if (!cipher->ctx || !EVP_CipherInit_ex2(cipher->ctx, aes, NULL, NULL, 1, NULL) ||
	    !EVP_CIPHER_CTX_set_padding(cipher->ctx, 0))
		return -ENOMEM;
	return 0;
}

static void cipher_close(struct cipher *cipher)
{
	EVP_CIPHER_CTX_free(cipher->ctx); /* NULL is a no-op; wipes the expanded key */
	OPENSSL_cleanse(cipher, sizeof(*cipher));
}

static bool cipher_set_key(struct cipher *cipher, const struct cipher_key *key)
{
	cipher->key = *key;
	cipher->has_key =
		EVP_CipherInit_ex2(cipher->ctx, NULL, key->bytes, NULL, !key->decrypts, NULL);
	return cipher->has_key;
}

static bool cipher_run(struct cipher *cipher, block *blocks, size_t count)
{
	uint8_t *bytes = (uint8_t *)blocks;
	int len = (int)(count * sizeof(*blocks)), done;

	return EVP_CipherUpdate(cipher->ctx, bytes, &done, bytes, len) && done == len;
}

static bool cipher_key_equal(const struct cipher_key *a, const struct cipher_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* NULL if libcrypto fails, which it has no reason to. */
static struct cipher *bucket_cipher(struct bucket *bucket, const struct cipher_key *key)
{
	struct cipher *cipher;

	for (size_t way = 0; way < WAYS; way++) {
		cipher = &bucket->ciphers[way];
		if (cipher->has_key && cipher_key_equal(&cipher->key, key))
			return cipher;
	}
	cipher = &bucket->ciphers[bucket->victim];
	bucket->victim = (bucket->victim + 1) % WAYS;
	return cipher_set_key(cipher, key) ? cipher : NULL;
}

struct quic_lb_scratch *quic_lb_scratch_new(void)
{
	struct quic_lb_scratch *scratch = calloc(1, sizeof(*scratch));
	EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
	int err = scratch && aes ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < BUCKET_COUNT; i++) {
		scratch->buckets[i].first = BUCKET_END;
		for (size_t way = 0; !err && way < WAYS; way++)
			err = cipher_open(&scratch->buckets[i].ciphers[way], aes);
	}
	EVP_CIPHER_free(aes); /* the contexts hold it */
	if (err) {
		quic_lb_scratch_free(scratch);
		return NULL;
	}
	return scratch;
}

void quic_lb_scratch_free(struct quic_lb_scratch *scratch)
{
	if (!scratch)
		return;
	for (size_t i = 0; i < BUCKET_COUNT; i++)
		for (size_t way = 0; way < WAYS; way++)
			cipher_close(&scratch->buckets[i].ciphers[way]);
	free(scratch);
}

/* --- Configurations --- */

_Static_assert(QUIC_LB_ID_LEN_MAX + NONCE_LEN_MIN == ENCODED_LEN_MAX, "bounds the id, too");
_Static_assert(1 + ENCODED_LEN_MAX == QUIC_CID_LEN_MAX, "one octet before them");

static bool config_is_legal(const struct quic_lb_config *config)
{
	return config->server_id_len >= 1 && config->nonce_len >= NONCE_LEN_MIN &&
	       config->server_id_len + config->nonce_len <= ENCODED_LEN_MAX;
}

static void rotation_set_halves(struct rotation *rotation)
{
	uint8_t left[sizeof(block)] = { 0 }, right[sizeof(block)] = { 0 };
	uint8_t expansion[sizeof(block)] = { 0 };

	memset(left, 0xff, rotation->half_len);
	memset(right, 0xff, rotation->half_len);
	if (rotation->len % 2) {
		left[rotation->half_len - 1] = 0xf0;
		right[0] = 0x0f;
	}
	rotation->half_masks[0] = block_load(left, sizeof(left));
	rotation->half_masks[1] = block_load(right, sizeof(right));
	expansion[14] = rotation->len;
	for (uint8_t pass = 1; pass <= PASS_COUNT; pass++) {
		expansion[15] = pass;
		rotation->expansions[pass - 1] = block_load(expansion, sizeof(expansion));
	}
}

static int rotation_init(struct rotation *rotation, const struct quic_lb_config *config,
			 uint8_t index)
{
	uint8_t mask[sizeof(block)] = { 0 }, tag[sizeof(block)] = { 0 };

	_Static_assert(QUIC_LB_ID_LEN_MAX == sizeof(tag) - 1, "an octet is left for the index");
	if (!config_is_legal(config))
		return -EINVAL;
	memset(mask, 0xff, config->server_id_len);
	tag[sizeof(tag) - 1] = index;
	rotation->id_mask = block_load(mask, sizeof(mask));
	rotation->id_tag = block_load(tag, sizeof(tag));
	rotation->len = config->server_id_len + config->nonce_len;
	rotation->half_len = (rotation->len + 1) / 2;
	rotation->last_pass = config->nonce_len >= config->server_id_len ? 2 : 1;
	rotation_set_halves(rotation);

	rotation->encoding = ENCODING_PLAIN;
	if (!config->has_key)
		return 0;
	rotation->encoding =
		rotation->len == sizeof(block) ? ENCODING_SINGLE_BLOCK : ENCODING_FEISTEL;
	memcpy(rotation->key.bytes, config->key, sizeof(config->key));
	rotation->key.decrypts = rotation->encoding == ENCODING_SINGLE_BLOCK;
	rotation->bucket = XXH3_64bits(&rotation->key, sizeof(rotation->key)) % BUCKET_COUNT;
	return 0;
}

/* --- Servers --- */

/* The entry of that key, or the free one where it would be. Whose Connection ID is
 * made to collide walks past the servers that he could also have named. */
HOT_INLINE const struct server *server_entry(const struct quic_lb *lb, block key)
{
	static const uint64_t spread[2] = { 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03 };
	size_t i = hash_half(key[0], key[1], spread) & lb->server_mask;

	while (lb->servers[i].slot != QUIC_LB_UNKNOWN_SERVER &&
	       !block_equal(lb->servers[i].key, key))
		i = (i + 1) & lb->server_mask;
	return &lb->servers[i];
}

HOT_INLINE int32_t server_find(const struct quic_lb *lb, const struct rotation *rotation,
			       block plaintext)
{
	block key = (plaintext & rotation->id_mask) | rotation->id_tag;

	return server_entry(lb, key)->slot;
}

static int server_add(struct quic_lb *lb, const struct quic_lb_server *server)
{
	const struct rotation *rotation;
	struct server *entry;
	block id;

	if (server->rotation >= QUIC_LB_ROTATION_COUNT)
		return -EINVAL;
	rotation = &lb->rotations[server->rotation];
	if (rotation->encoding == ENCODING_NONE)
		return -EINVAL;
	id = (block_load(server->id, sizeof(server->id)) & rotation->id_mask) | rotation->id_tag;
	entry = (struct server *)server_entry(lb, id);
	if (entry->slot != QUIC_LB_UNKNOWN_SERVER)
		return -EINVAL;
	*entry = (struct server){ .key = id, .slot = server->slot };
	return 0;
}

int quic_lb_build(const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT],
		  const struct quic_lb_server *servers, size_t server_count,
		  struct quic_lb **ret_lb)
{
	size_t entry_count = 8;
	struct quic_lb *lb;
	int err = 0;

	while (entry_count < 2 * server_count)
		entry_count *= 2;
	lb = calloc(1, sizeof(*lb) + entry_count * sizeof(lb->servers[0]));
	if (!lb)
		return -ENOMEM;
	lb->server_mask = entry_count - 1;
	for (size_t i = 0; i < entry_count; i++)
		lb->servers[i].slot = QUIC_LB_UNKNOWN_SERVER;
	for (uint8_t i = 0; !err && i < QUIC_LB_ROTATION_COUNT; i++)
		if (configs[i].present)
			err = rotation_init(&lb->rotations[i], &configs[i], i);
	for (size_t i = 0; !err && i < server_count; i++)
		err = server_add(lb, &servers[i]);
	if (err) {
		quic_lb_free(lb);
		return err;
	}
	*ret_lb = lb;
	return 0;
}

void quic_lb_free(struct quic_lb *lb)
{
	if (!lb)
		return;
	OPENSSL_cleanse(lb->rotations, sizeof(lb->rotations));
	free(lb);
}

/* --- Groups: draft section 5.4 --- */

uint8_t quic_lb_cid_len(const struct quic_lb *lb, uint8_t first_octet)
{
	const struct rotation *rotation = &lb->rotations[first_octet >> 5];

	return rotation->encoding == ENCODING_NONE ? 0 : (uint8_t)(1 + rotation->len);
}

HOT_INLINE void group_add(struct group *group, const struct rotation *rotation,
			  const uint8_t *encoded, size_t len)
{
	size_t i = group->count++, right = rotation->len - rotation->half_len;
	block first = block_load(encoded, len);

	group->rotations[i] = rotation;
	if (rotation->encoding == ENCODING_SINGLE_BLOCK) {
		group->blocks[i] = first;
		return;
	}
	group->halves[0][i] = first & rotation->half_masks[0];
	group->halves[1][i] = block_load(encoded + right, len - right) & rotation->half_masks[1];
}

/* Odd passes change the right half, even ones the left; each undoes itself. */
static bool group_pass(struct group *group, struct cipher *cipher, unsigned int pass)
{
	block *target = group->halves[pass % 2];
	const block *source = group->halves[(pass + 1) % 2];

	for (size_t i = 0; i < group->count; i++)
		group->blocks[i] = source[i] | group->rotations[i]->expansions[pass - 1];
	if (!cipher_run(cipher, group->blocks, group->count))
		return false;
	for (size_t i = 0; i < group->count; i++)
		target[i] =
			(target[i] ^ group->blocks[i]) & group->rotations[i]->half_masks[pass % 2];
	return true;
}

/* Queries of one key are all of one encoding, as it is known by its direction. */
static bool group_decrypt(struct group *group, struct cipher *cipher)
{
	unsigned int last_pass = PASS_COUNT;
	bool done = true;

	if (group->rotations[0]->encoding == ENCODING_SINGLE_BLOCK)
		return cipher_run(cipher, group->blocks, group->count);
	for (size_t i = 0; i < group->count; i++)
		if (group->rotations[i]->last_pass < last_pass)
			last_pass = group->rotations[i]->last_pass;
	for (unsigned int pass = PASS_COUNT; done && pass >= last_pass; pass--)
		done = group_pass(group, cipher, pass);
	return done;
}

#define JOINED_SIZE (2 * sizeof(block))

/* The halves side by side, as group_add() found them; zero behind them. */
static void group_join(const struct group *group, size_t i, uint8_t ret_bytes[JOINED_SIZE])
{
	const struct rotation *rotation = group->rotations[i];
	uint8_t *right = ret_bytes + rotation->len - rotation->half_len, shared;

	memset(ret_bytes, 0, JOINED_SIZE);
	memcpy(ret_bytes, &group->halves[0][i], sizeof(block));
	shared = *right; /* of an odd number; else zero, being behind the left half */
	memcpy(right, &group->halves[1][i], sizeof(block));
	*right |= shared;
}

static block group_plaintext(const struct group *group, size_t i)
{
	const struct rotation *rotation = group->rotations[i];
	uint8_t joined[JOINED_SIZE];

	if (rotation->encoding == ENCODING_SINGLE_BLOCK)
		return group->blocks[i];
	if (rotation->last_pass == 2)
		return group->halves[0][i]; /* the whole id */
	group_join(group, i, joined);
	return block_load(joined, sizeof(joined));
}

/* --- Decoding --- */

/* NULL if it is unroutable. */
HOT_INLINE const struct rotation *query_rotation(const struct quic_lb_query *query)
{
	const struct rotation *rotation;

	if (query->len == 0)
		return NULL;
	rotation = &query->lb->rotations[query->cid[0] >> 5];
	if (rotation->encoding == ENCODING_NONE || query->len < 1 + rotation->len)
		return NULL;
	return rotation;
}

/* Moves the bucket's first query, and all others of its key, to the group. */
static void group_take(struct quic_lb_scratch *scratch, struct bucket *bucket,
		       struct quic_lb_query *queries)
{
	const struct rotation *first = scratch->rotations[bucket->first];
	uint8_t *link = &bucket->first;

	scratch->group.count = 0;
	while (*link != BUCKET_END) {
		struct quic_lb_query *query = &queries[*link];
		const struct rotation *rotation = scratch->rotations[*link];

		if (rotation != first && !cipher_key_equal(&rotation->key, &first->key)) {
			link = &scratch->next[*link];
			continue;
		}
		*link = scratch->next[*link];
		scratch->group.queries[scratch->group.count] = query;
		group_add(&scratch->group, rotation, query->cid + 1, query->len - 1u);
	}
}

/* One turn a key; two keys in one bucket are rare, as they are hashed to it. */
static void bucket_decode(struct quic_lb_scratch *scratch, struct bucket *bucket,
			  struct quic_lb_query *queries)
{
	struct group *group = &scratch->group;

	while (bucket->first != BUCKET_END) {
		struct cipher *cipher;

		group_take(scratch, bucket, queries);
		cipher = bucket_cipher(bucket, &group->rotations[0]->key);
		if (!cipher || !group_decrypt(group, cipher))
			continue; /* they stay unroutable */
		for (size_t i = 0; i < group->count; i++)
			group->queries[i]->slot =
				server_find(group->queries[i]->lb, group->rotations[i],
					    group_plaintext(group, i));
	}
}

void quic_lb_decode(struct quic_lb_scratch *scratch, struct quic_lb_query *queries, size_t count)
{
	uint64_t occupied = 0;

	_Static_assert(BUCKET_COUNT == 64, "a bit of occupied each");
	assert(count <= BURST_MAX);
	for (size_t i = 0; i < count; i++) {
		struct quic_lb_query *query = &queries[i];
		const struct rotation *rotation = query_rotation(query);

		query->slot = QUIC_LB_UNROUTABLE;
		if (!rotation)
			continue;
		if (rotation->encoding == ENCODING_PLAIN) {
			query->slot = server_find(query->lb, rotation,
						  block_load(query->cid + 1, query->len - 1u));
			continue;
		}
		scratch->rotations[i] = rotation;
		scratch->next[i] = scratch->buckets[rotation->bucket].first;
		scratch->buckets[rotation->bucket].first = (uint8_t)i;
		occupied |= 1ull << rotation->bucket;
	}
	for (; occupied; occupied &= occupied - 1)
		bucket_decode(scratch, &scratch->buckets[__builtin_ctzll(occupied)], queries);
}

/* --- Encoding --- */

static bool encrypt(const struct rotation *rotation, struct cipher *cipher,
		    uint8_t bytes[JOINED_SIZE])
{
	struct group group = { 0 };
	struct cipher_key key = rotation->key;
	bool done = true;

	key.decrypts = false;
	if (!cipher_set_key(cipher, &key))
		return false;
	group_add(&group, rotation, bytes, JOINED_SIZE);
	if (rotation->encoding == ENCODING_SINGLE_BLOCK) {
		done = cipher_run(cipher, group.blocks, 1);
		memcpy(bytes, group.blocks, sizeof(group.blocks[0]));
		return done;
	}
	for (unsigned int pass = 1; done && pass <= PASS_COUNT; pass++)
		done = group_pass(&group, cipher, pass);
	group_join(&group, 0, bytes);
	return done;
}

int quic_lb_encode(const struct quic_lb_config *config, uint8_t rotation_index,
		   const uint8_t *server_id, const uint8_t *nonce, uint8_t first_octet_low,
		   uint8_t ret_cid[QUIC_CID_LEN_MAX])
{
	uint8_t bytes[JOINED_SIZE] = { 0 };
	struct rotation rotation = { 0 };
	struct cipher cipher = { 0 };
	int err = rotation_init(&rotation, config, rotation_index);

	if (err || rotation_index >= QUIC_LB_ROTATION_COUNT || first_octet_low > 0x1f)
		return -EINVAL;
	memcpy(bytes, server_id, config->server_id_len);
	memcpy(bytes + config->server_id_len, nonce, config->nonce_len);
	if (rotation.encoding != ENCODING_PLAIN) {
		EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);

		if (!aes || cipher_open(&cipher, aes) || !encrypt(&rotation, &cipher, bytes))
			err = -ENOMEM;
		cipher_close(&cipher);
		EVP_CIPHER_free(aes);
	}
	if (err)
		return err;
	ret_cid[0] = (uint8_t)(rotation_index << 5 | first_octet_low);
	memcpy(ret_cid + 1, bytes, rotation.len);
	return 1 + rotation.len;
}
