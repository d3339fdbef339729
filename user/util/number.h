/* SPDX-License-Identifier: GPL-2.0-only */
/* number.h - numbers, addresses and sentences, to and from text. */
#ifndef RINGWAY_UTIL_NUMBER_H
#define RINGWAY_UTIL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal number of [minimum, maximum] and nothing else. */
bool number_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_number);

/* Hex digits, exactly size bytes of them. */
bool number_hex_parse(const char *text, uint8_t *ret_bytes, size_t size);

/* What a counter has grown by; one that went back began anew. */
static inline uint64_t number_since(uint64_t now, uint64_t before)
{
	return now < before ? now : now - before;
}

/* "192.0.2.1" or "2001:db8::1" to the 16 bytes of match_key; false if neither. */
bool address_parse(const char *text, uint8_t ret_addr[16]);
bool address_is_ipv4(const uint8_t addr[16]);

/* text: at least ADDRESS_TEXT_SIZE bytes; returned for convenience. */
#define ADDRESS_TEXT_SIZE 46
const char *address_format(const uint8_t addr[16], char *text);

/* "%zu backend%s", count, plural(count) */
const char *plural(uint64_t count);

/* snprintf into error[], then return err: `return fail(-EINVAL, error, size, ...)` */
int fail(int err, char *error, size_t error_size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
