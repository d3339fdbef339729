/* SPDX-License-Identifier: GPL-2.0-only */
/* health_quic_test.c - the QUIC probe byte for byte, and what answers it. */
#include "health/health_quic.h"

#include <string.h>

#include "ringway/quic.h"

#include "test.h"

static const uint8_t random_bytes[20] = {
	0x12, 0x34, 0x56, 0x78, 1,    2,    3,	  4,	5,    6,
	7,    8,    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
};

/* Version Negotiation with the Connection IDs of random_bytes mirrored. */
static const uint8_t answer[] = {
	0x95, 0,    0,	  0,	0,			      /* version 0 */
	8,    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, /* our SCID */
	8,    1,    2,	  3,	4,    5,    6,	  7,	8,    /* our DCID */
	0,    0,    0,	  1,	0x6b, 0x33, 0x43, 0xcf,	      /* v1 and v2 */
};

static void writes_an_initial(void **state)
{
	static const uint8_t wanted[26] = {
		0xc3,						      /* long, Initial */
		0,    0,    0,	  0,				      /* version: below */
		8,    1,    2,	  3,	4,    5,    6,	  7,	8,    /* DCID */
		8,    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, /* SCID */
		0,						      /* no token */
		0x44, 0x96,					      /* 1174 bytes follow */
	};
	uint8_t datagram[HEALTH_QUIC_DATAGRAM_SIZE + 1],
		expected[HEALTH_QUIC_DATAGRAM_SIZE] = { 0 };
	struct health_quic quic;
	struct quic_header header;

	(void)state;
	memset(datagram, 0xee, sizeof(datagram));
	health_quic_init(&quic, random_bytes);
	health_quic_write(&quic, datagram);
	assert_int_equal(datagram[HEALTH_QUIC_DATAGRAM_SIZE], 0xee);

	memcpy(expected, wanted, sizeof(wanted));
	memcpy(expected + 1, datagram + 1, 4);
	assert_memory_equal(datagram, expected, sizeof(expected));
	assert_int_equal(quic_parse(datagram, HEALTH_QUIC_DATAGRAM_SIZE, &header), 0);
	assert_int_equal(header.type, QUIC_LONG_UNKNOWN);
	assert_int_equal(header.version, quic.version);
}

/* RFC 9000 section 15: 0x?a?a?a?a, whatever the random bytes are. */
static void version_is_reserved(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint8_t bytes[20];
		struct health_quic quic;

		for (size_t n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)random_next(&seed);
		health_quic_init(&quic, bytes);
		assert_int_equal(quic.version & 0x0f0f0f0f, 0x0a0a0a0a);
	}
}

static void takes_the_answer(void **state)
{
	struct health_quic quic;

	(void)state;
	health_quic_init(&quic, random_bytes);
	assert_true(health_quic_answers(&quic, answer, sizeof(answer)));
	assert_true(health_quic_answers(&quic, answer, sizeof(answer) - 4)); /* one version */
	for (size_t len = 0; len < sizeof(answer) - 4; len++)
		assert_false(health_quic_answers(&quic, answer, len));
	for (size_t len = sizeof(answer) - 3; len < sizeof(answer); len++)
		assert_false(health_quic_answers(&quic, answer, len));
}

/* One byte of it changed: only its first seven bits and the versions may differ. */
static void refuses_others(void **state)
{
	struct health_quic quic;

	(void)state;
	health_quic_init(&quic, random_bytes);
	for (size_t i = 0; i < sizeof(answer); i++) {
		uint8_t other[sizeof(answer)];

		memcpy(other, answer, sizeof(answer));
		other[i] ^= i ? 0x01 : 0x80;
		print_message("byte %zu changed\n", i);
		assert_int_equal(health_quic_answers(&quic, other, sizeof(other)), i >= 23);
	}
}

static void refuses_our_own_version(void **state)
{
	uint8_t datagram[HEALTH_QUIC_DATAGRAM_SIZE], other[sizeof(answer)];
	struct health_quic quic;

	(void)state;
	health_quic_init(&quic, random_bytes);
	health_quic_write(&quic, datagram);
	assert_false(health_quic_answers(&quic, datagram, sizeof(datagram))); /* an echo */
	memcpy(other, answer, sizeof(answer));
	memcpy(other + sizeof(other) - 4, datagram + 1, 4);
	assert_false(health_quic_answers(&quic, other, sizeof(other)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_an_initial),	   cmocka_unit_test(version_is_reserved),
		cmocka_unit_test(takes_the_answer),	   cmocka_unit_test(refuses_others),
		cmocka_unit_test(refuses_our_own_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
