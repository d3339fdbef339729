/* SPDX-License-Identifier: GPL-2.0-only */
/* key_test.c - what hashes of 4-tuples and Connection IDs promise: both directions
 * agree, whatever differs tells apart, and no bit of them is worse than another. */
#include "core/key.h"

#include "ringway/limits.h"

#include "test.h"

static struct hash_secret secret;

static int set_up(void **state)
{
	(void)state;
	hash_secret_derive((const uint8_t *)"0123456789abcdef", &secret);
	return 0;
}

/* A datagram's headers, and a view of them. */
struct headers {
	struct wire_ipv4 ipv4;
	struct wire_ipv6 ipv6;
	struct wire_udp udp;
	struct udp_view view;
};

static void bytes_fill(uint8_t *bytes, size_t len, uint64_t *random)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_next(random);
}

static void headers_fill(struct headers *headers, uint8_t ip_version, uint64_t *random)
{
	bytes_fill((uint8_t *)headers, offsetof(struct headers, view), random);
	headers->view = (struct udp_view){ .ipv4 = ip_version == 4 ? &headers->ipv4 : NULL,
					   .ipv6 = ip_version == 6 ? &headers->ipv6 : NULL,
					   .udp = &headers->udp,
					   .ip_version = ip_version };
}

static void an_answer_has_the_key_of_its_question(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint8_t ip_version = i % 2 ? 4 : 6;
		struct headers out, back;
		struct target target = { 0 };
		uint64_t key;

		headers_fill(&out, ip_version, &random);
		headers_fill(&back, ip_version, &random);
		memcpy(back.ipv4.dst, out.ipv4.src, 4);
		memcpy(back.ipv6.dst, out.ipv6.src, 16);
		back.udp.dst_be = out.udp.src_be;
		memcpy(target.service_addr, out.ipv6.dst, 16);
		if (ip_version == 4)
			memcpy(target.service_addr + 12, out.ipv4.dst, 4);
		target.service_port_be = out.udp.dst_be;
		key = key_tuple(&out.view, &secret);
		assert_int_equal(key, key_tuple_back(&back.view, &target, &secret));
		back.udp.dst_be ^= 1;
		assert_int_not_equal(key, key_tuple_back(&back.view, &target, &secret));
	}
}

static void whose_it_is_and_its_length_make_another_key(void **state)
{
	const uint8_t zeros[QUIC_CID_LEN_MAX] = { 0 };
	uint64_t keys[2 * QUIC_CID_LEN_MAX];
	size_t count = 0;

	(void)state;
	for (uint8_t len = 1; len <= QUIC_CID_LEN_MAX; len++)
		for (uint16_t service = 0; service < 2; service++)
			keys[count++] = key_cid(service, zeros, len, &secret);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(keys[i], keys[j]);
}

static void who_named_it_makes_another_place_in_the_same_lines(void **state)
{
	static uint64_t line[8] __attribute__((aligned(64)));
	const uint64_t keys[] = { 0, 1, UINT64_MAX, UINT64_MAX << 39, 1ull << 38 };
	struct affinity_stats stats = { 0 };
	struct affinity cids;

	(void)state;
	affinity_init(&cids, line, sizeof(line));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct affinity_key server = key_cid_place(&cids, keys[i], KEY_CID_OF_SERVER);
		struct affinity_key client = key_cid_place(&cids, keys[i], KEY_CID_OF_CLIENT);
		struct affinity_entry entry = { 0 };

		memset(line, 0, sizeof(line));
		assert_memory_equal(server.lines, client.lines, sizeof(server.lines));
		assert_true(affinity_insert_at(&server, 7, false, 0, 0, &stats));
		assert_true(affinity_find_at(&server, 0, 0, &entry));
		assert_false(affinity_find_at(&client, 0, 0, &entry));
		assert_true(affinity_insert_at(&client, 8, false, 0, 0, &stats));
		assert_true(affinity_find_at(&client, 0, 0, &entry));
		assert_int_equal(entry.slot, 8);
		assert_true(affinity_find_at(&server, 0, 0, &entry));
		assert_int_equal(entry.slot, 7);
	}
}

static void another_secret_makes_another_key(void **state)
{
	const uint8_t cid[QUIC_CID_LEN_MAX] = { 1, 2, 3 };
	struct hash_secret other;

	(void)state;
	hash_secret_derive((const uint8_t *)"0123456789abcdeg", &other);
	for (uint8_t len = 1; len <= QUIC_CID_LEN_MAX; len++)
		assert_int_not_equal(key_cid(0, cid, len, &secret), key_cid(0, cid, len, &other));
}

/* The key of bytes, by what they are taken for. */
enum kind {
	TUPLE_IPV4,
	TUPLE_IPV6,
	CID, /* of CID_LEARN_LEN_MIN bytes, and longer ones */
};
#define KIND_COUNT (CID + QUIC_CID_LEN_MAX - CID_LEARN_LEN_MIN + 1)

#define BYTES_MAX 36

static size_t kind_len(int kind)
{
	switch (kind) {
	case TUPLE_IPV4: return 12;
	case TUPLE_IPV6: return BYTES_MAX;
	default: return (size_t)(kind - CID + CID_LEARN_LEN_MIN);
	}
}

static uint64_t kind_key(int kind, const uint8_t bytes[BYTES_MAX])
{
	switch (kind) {
	case TUPLE_IPV4:
		return key_tuple_ipv4(hash_load4(bytes), hash_load4(bytes + 4),
				      hash_load4(bytes + 8), &secret);
	case TUPLE_IPV6: return key_tuple_ipv6(bytes, bytes + 16, hash_load4(bytes + 32), &secret);
	default: return key_cid(7, bytes, (uint8_t)kind_len(kind), &secret);
	}
}

#define CASES 4096

/* How often each bit of the key changes with one of the bytes'. */
static void changes_count(int kind, size_t bit, uint64_t *random, int ret_changes[64])
{
	memset(ret_changes, 0, 64 * sizeof(*ret_changes));
	for (int i = 0; i < CASES; i++) {
		uint8_t bytes[BYTES_MAX] = { 0 };
		uint64_t differs;

		bytes_fill(bytes, kind_len(kind), random);
		differs = kind_key(kind, bytes);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		differs ^= kind_key(kind, bytes);
		for (int out = 0; out < 64; out++)
			ret_changes[out] += differs >> out & 1;
	}
}

/* In half of all cases, within six standard deviations. */
static void every_bit_reaches_every_bit(void **state)
{
	const int far = 6 * 32; /* sqrt(CASES) / 2 each */
	uint64_t random = 2;

	(void)state;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		print_message("kind: %d\n", kind);
		for (size_t bit = 0; bit < 8 * kind_len(kind); bit++) {
			int changes[64];

			changes_count(kind, bit, &random, changes);
			for (int out = 0; out < 64; out++)
				assert_in_range(changes[out], CASES / 2 - far, CASES / 2 + far);
		}
	}
}

#define CELLS 4096

/* Chi square over CELLS cells of 12 bits of the keys of numbers that count up in the
 * bytes from place on. */
static double spread_of(int kind, size_t place, int shift)
{
	static uint32_t cells[CELLS];
	const uint32_t each = 64;
	double chi = 0;

	memset(cells, 0, sizeof(cells));
	for (uint32_t i = 0; i < each * CELLS; i++) {
		uint8_t bytes[BYTES_MAX] = { 0 };

		memcpy(bytes + place, &i, sizeof(i));
		cells[kind_key(kind, bytes) >> shift & (CELLS - 1)]++;
	}
	for (int i = 0; i < CELLS; i++)
		chi += ((double)cells[i] - each) * ((double)cells[i] - each) / each;
	return chi;
}

/* As real clients' addresses and servers' IDs do: shifts are where the affinity tables
 * and Maglev take their bits. */
static void numbers_that_count_up_are_spread_evenly(void **state)
{
	static const int shifts[] = { 0, 13, 27, 39, 52 };
	const double far = 6 * 90.5; /* standard deviations: sqrt(2 * CELLS) each */

	(void)state;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		print_message("kind: %d\n", kind);
		for (size_t place = 0; place + 4 <= kind_len(kind); place += 4)
			for (size_t i = 0; i < ARRAY_LEN(shifts); i++) {
				double chi = spread_of(kind, place, shifts[i]);

				assert_true(chi > CELLS - far && chi < CELLS + far);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_has_the_key_of_its_question),
		cmocka_unit_test(whose_it_is_and_its_length_make_another_key),
		cmocka_unit_test(who_named_it_makes_another_place_in_the_same_lines),
		cmocka_unit_test(another_secret_makes_another_key),
		cmocka_unit_test(every_bit_reaches_every_bit),
		cmocka_unit_test(numbers_that_count_up_are_spread_evenly),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
