/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_test.c - quic.h: invariants of every version, types of 1 and 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ringway/quic.h"

#include <cmocka.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define V1     0, 0, 0, 1
#define V2     0x6b, 0x33, 0x43, 0xcf
#define GREASE 0x1a, 0x2a, 0x3a, 0x4a
#define IDS    3, 'd', 'c', 'i', 2, 's', 'c'

static const struct {
	const char *name;
	uint8_t bytes[16];
	uint32_t len;
	enum quic_type type;
	uint32_t version;
	uint16_t dcid_len, scid_len;
} cases[] = {
	{ "v1 Initial", { 0xc0, V1, IDS }, 12, QUIC_INITIAL, 1, 3, 2 },
	{ "v1 0-RTT", { 0xd0, V1, IDS }, 12, QUIC_0RTT, 1, 3, 2 },
	{ "v1 Handshake", { 0xe0, V1, IDS }, 12, QUIC_HANDSHAKE, 1, 3, 2 },
	{ "v1 Retry", { 0xf0, V1, IDS }, 12, QUIC_RETRY, 1, 3, 2 },
	{ "v2 Retry", { 0xc0, V2, IDS }, 12, QUIC_RETRY, QUIC_VERSION_2, 3, 2 },
	{ "v2 Initial", { 0xd0, V2, IDS }, 12, QUIC_INITIAL, QUIC_VERSION_2, 3, 2 },
	{ "v2 0-RTT", { 0xe0, V2, IDS }, 12, QUIC_0RTT, QUIC_VERSION_2, 3, 2 },
	{ "v2 Handshake", { 0xf0, V2, IDS }, 12, QUIC_HANDSHAKE, QUIC_VERSION_2, 3, 2 },
	{ "lower bits say nothing", { 0xcf, V1, IDS }, 12, QUIC_INITIAL, 1, 3, 2 },
	{ "fixed bit cleared, long", { 0x80, V1, IDS }, 12, QUIC_INITIAL, 1, 3, 2 },
	{ "Version Negotiation",
	  { 0x80, 0, 0, 0, 0, IDS, V1 },
	  16,
	  QUIC_VERSION_NEGOTIATION,
	  0,
	  3,
	  2 },
	{ "type bits of Version Negotiation",
	  { 0xff, 0, 0, 0, 0, IDS, V2 },
	  16,
	  QUIC_VERSION_NEGOTIATION,
	  0,
	  3,
	  2 },
	{ "unknown version", { 0xc0, GREASE, IDS }, 12, QUIC_LONG_UNKNOWN, 0x1a2a3a4a, 3, 2 },
	{ "version of a draft",
	  { 0xc0, 0xff, 0, 0, 29, IDS },
	  12,
	  QUIC_LONG_UNKNOWN,
	  0xff00001d,
	  3,
	  2 },
	{ "no Connection IDs", { 0xc0, V1, 0, 0 }, 7, QUIC_INITIAL, 1, 0, 0 },
	{ "no destination ID", { 0xc0, V1, 0, 2, 's', 'c' }, 9, QUIC_INITIAL, 1, 0, 2 },
	{ "no source ID", { 0xc0, V1, 3, 'd', 'c', 'i', 0 }, 10, QUIC_INITIAL, 1, 3, 0 },
	{ "short", { 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, 11, QUIC_SHORT, 0, 10, 0 },
	{ "fixed bit cleared, short", { 0x00, 1, 2 }, 3, QUIC_SHORT, 0, 2, 0 },
	{ "short, first byte only", { 0x7f }, 1, QUIC_SHORT, 0, 0, 0 },
};

/* In memory of exactly that size, so that the sanitizer sees every byte too far. */
static int parse_exact(const uint8_t *bytes, uint32_t len, struct quic_header *ret_header,
		       uint8_t **ret_copy)
{
	*ret_copy = malloc(len ? len : 1);
	assert_non_null(*ret_copy);
	memcpy(*ret_copy, bytes, len);
	return quic_parse(*ret_copy, len, ret_header);
}

static void reads_what_every_version_shows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct quic_header header;
		uint8_t *copy;

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(parse_exact(cases[i].bytes, cases[i].len, &header, &copy), 0);
		assert_int_equal(header.type, cases[i].type);
		assert_int_equal(header.version, cases[i].version);
		assert_int_equal(header.dcid_len, cases[i].dcid_len);
		assert_int_equal(header.scid_len, cases[i].scid_len);
		if (cases[i].type == QUIC_SHORT) {
			assert_ptr_equal(header.dcid, copy + 1);
		} else {
			assert_ptr_equal(header.dcid, copy + 6);
			assert_ptr_equal(header.scid, copy + 7 + header.dcid_len);
		}
		free(copy);
	}
}

static void rejects_every_prefix_of_a_long_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct quic_header untouched = { .version = 0xdeadbeef };
		uint32_t header_len = 7u + cases[i].dcid_len + cases[i].scid_len;

		if (cases[i].type == QUIC_SHORT)
			continue;
		print_message("case: %s\n", cases[i].name);
		for (uint32_t len = 0; len < header_len; len++) {
			struct quic_header header = untouched;
			uint8_t *copy;

			assert_int_equal(parse_exact(cases[i].bytes, len, &header, &copy), -1);
			assert_memory_equal(&header, &untouched, sizeof(header));
			free(copy);
		}
	}
}

/* RFC 8999 section 5.1: what versions to come may use. */
static void reads_the_longest_connection_ids(void **state)
{
	uint8_t bytes[7 + 255 + 255] = { 0xc0, GREASE, 255, [6] = 'd', [6 + 255] = 255, 's' };
	struct quic_header header;
	uint8_t *copy;

	(void)state;
	assert_int_equal(parse_exact(bytes, sizeof(bytes), &header, &copy), 0);
	assert_int_equal(header.type, QUIC_LONG_UNKNOWN);
	assert_int_equal(header.dcid_len, 255);
	assert_int_equal(header.scid_len, 255);
	assert_int_equal(header.dcid[0], 'd');
	assert_int_equal(header.scid[0], 's');
	free(copy);
	for (uint32_t len = 0; len < sizeof(bytes); len++) {
		assert_int_equal(parse_exact(bytes, len, &header, &copy), -1);
		free(copy);
	}
}

static void short_header_of_the_longest_datagram(void **state)
{
	static const uint8_t bytes[0x10001] = { 0x40 };
	struct quic_header header;

	(void)state;
	assert_int_equal(quic_parse(bytes, 0xffff, &header), 0);
	assert_int_equal(header.dcid_len, 0xfffe);
	assert_int_equal(quic_parse(bytes, sizeof(bytes), &header), 0);
	assert_int_equal(header.dcid_len, 0xffff);
	assert_int_equal(quic_parse(bytes, 0, &header), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_every_version_shows),
		cmocka_unit_test(rejects_every_prefix_of_a_long_header),
		cmocka_unit_test(reads_the_longest_connection_ids),
		cmocka_unit_test(short_header_of_the_longest_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
