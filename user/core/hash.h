/* SPDX-License-Identifier: GPL-2.0-only */
/* hash.h - hashes under a secret derived from a key: XXH3 of any bytes, and folded
 * multiplications of words that are in registers already.
 *
 * The same key and bytes give the same hash on every machine. */
#ifndef RINGWAY_CORE_HASH_H
#define RINGWAY_CORE_HASH_H

#include <stdint.h>
#include <string.h>

#include "hot.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct hash_secret {
	union {
		uint8_t bytes[XXH3_SECRET_DEFAULT_SIZE];
		uint64_t words[XXH3_SECRET_DEFAULT_SIZE / 8];
	};
} __attribute__((aligned(64)));
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words and bytes of a key are one");

/* key: 16 bytes. Control. */
static inline void hash_secret_derive(const uint8_t key[16], struct hash_secret *ret_secret)
{
	XXH3_generateSecret(ret_secret->bytes, sizeof(ret_secret->bytes), key, 16);
}

static inline uint64_t hash_bytes(const void *bytes, uint32_t len, const struct hash_secret *secret)
{
	return XXH3_64bits_withSecret(bytes, len, secret->bytes, sizeof(secret->bytes));
}

/* As they lie in memory. */
HOT_INLINE uint64_t hash_load8(const void *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

HOT_INLINE uint32_t hash_load4(const void *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Both halves of a product, so that every bit of a factor reaches every bit. */
HOT_INLINE uint64_t hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of two words one for hash_pair(), under words of the secret that it does not use:
 * [4] and on. */
HOT_INLINE uint64_t hash_half(uint64_t a, uint64_t b, const uint64_t secret[2])
{
	return hash_fold(a ^ secret[0], b ^ secret[1]);
}

/* Of two words. salt tells apart what has the same ones: it comes between the two
 * multiplications, where nobody knows which other words could make up for it. It is
 * mixed once only, so it is no place for a third word. Hot: 10 instructions. */
HOT_INLINE uint64_t hash_pair(uint64_t a, uint64_t b, uint64_t salt,
			      const struct hash_secret *secret)
{
	const uint64_t *words = secret->words;
	unsigned __int128 product = (unsigned __int128)(a ^ words[0]) * (b ^ words[1]);

	return hash_fold((uint64_t)product ^ words[2] ^ salt, (uint64_t)(product >> 64) ^ words[3]);
}

#endif
