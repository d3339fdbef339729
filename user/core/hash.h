/* SPDX-License-Identifier: GPL-2.0-only */
/* hash.h - XXH3, inlined, under a secret derived from a key.
 *
 * The same key and bytes give the same hash on every machine. */
#ifndef RINGWAY_CORE_HASH_H
#define RINGWAY_CORE_HASH_H

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct hash_secret {
	uint8_t bytes[XXH3_SECRET_DEFAULT_SIZE];
} __attribute__((aligned(64)));

/* key: 16 bytes. Control. */
static inline void hash_secret_derive(const uint8_t key[16], struct hash_secret *ret_secret)
{
	XXH3_generateSecret(ret_secret->bytes, sizeof(ret_secret->bytes), key, 16);
}

/* Hot: some 5 ns for the 12 or 36 bytes of a 4-tuple. */
static inline uint64_t hash_bytes(const void *bytes, uint32_t len, const struct hash_secret *secret)
{
	return XXH3_64bits_withSecret(bytes, len, secret->bytes, sizeof(secret->bytes));
}

#endif
