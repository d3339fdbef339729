/* SPDX-License-Identifier: GPL-2.0-only */
/* Load datagrams: every byte of a template's frames, the hash, and which frame is what. */
#include "load/template.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ringway/load_frame.h"
#include "test.h"

#define NOW 123456789012345ull

static char error[512];

static const struct load_path path4 = { .mtu = 1500, .from = { [10] = 0xff, 0xff, 10, 0, 0, 1 } };
static const struct load_path path6 = { .mtu = 1500, .from = { 0xfd, [15] = 1 } };

static struct load_shape shape_of(enum load_kind kind, bool is_ipv6, uint32_t cid_len,
				  uint32_t size)
{
	struct load_shape shape = {
		.kind = kind,
		.to = { .addr = { [10] = 0xff, 0xff, 10, 0, 0, 2 }, .port = 443 },
		.first_port = 4096,
		.size = size,
		.flows = 7,
		.train = 1,
		.ports = 3,
		.step = 256,
		.cids = 5,
		.first_cid = 40,
		.cid_len = kind == LOAD_UDP ? 0 : cid_len,
		.stream = 99,
		.initials = kind == LOAD_QUIC_MIX ? 30 : 0,
		.migrations = kind == LOAD_QUIC_MIX ? 10 : 0,
		.rate = 25,
	};

	if (is_ipv6)
		shape.to.addr[0] = 0xfd;
	return shape;
}

static int build(const struct load_shape *shape, struct load_template *template)
{
	bool is_ipv6 = shape->to.addr[0];

	return load_template_build(shape, is_ipv6 ? &path6 : &path4, template, error,
				   sizeof(error));
}

/* The sum of len bytes, however odd. */
static uint16_t slow_sum(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void cid_check(const struct load_plan *plan, const uint8_t *payload, uint64_t number)
{
	bool is_initial = payload[0] == LOAD_FIRST_INITIAL;
	bool is_handshake = payload[0] == LOAD_FIRST_HANDSHAKE;
	const uint8_t *cid = payload + (is_initial ? 6 : is_handshake ? 7 : 1);

	for (uint32_t i = 0; i < plan->forms[0].cid_len; i++) {
		uint8_t want = (uint8_t)(load_cid_word(number, i / 8) >> (56 - 8 * (i % 8)));

		assert_int_equal(cid[i], is_initial ? want ^ LOAD_CID_MASK_CLIENT : want);
	}
}

/* Datagram `sequence` as it lies in the frame: lengths, checksums, trailer, filler. */
static void frame_check(const struct load_template *template, const uint8_t *frame, uint32_t len,
			uint64_t sequence)
{
	bool is_ipv6 = template->plan.is_ipv6;
	const uint8_t *ip = frame + 14, *udp = ip + (is_ipv6 ? 40 : 20), *payload = udp + 8;
	uint32_t size = len - template->head_len, udp_len = size + 8;
	const uint8_t *addresses = ip + (is_ipv6 ? 8 : 12);
	struct load_trailer trailer;
	struct load_pick pick;

	assert_int_equal(udp[4] << 8 | udp[5], udp_len);
	assert_int_equal(ip[is_ipv6 ? 4 : 2] << 8 | ip[is_ipv6 ? 5 : 3],
			 is_ipv6 ? udp_len : udp_len + 20);
	if (!is_ipv6)
		assert_int_equal(slow_sum(ip, 20, 0), 0xffff);
	assert_int_equal(
		slow_sum(udp, udp_len, slow_sum(addresses, is_ipv6 ? 32 : 8, 17 + udp_len)),
		0xffff);

	memcpy(&trailer, payload + size - sizeof(trailer), sizeof(trailer));
	assert_int_equal(load_be64(trailer.sent_ns_be), NOW);
	assert_int_equal(load_be64(trailer.sequence_be), sequence);
	assert_int_equal(wire_be32(trailer.magic_be), LOAD_MAGIC);
	assert_int_equal(wire_be32(trailer.stream_be), 99);
	assert_int_equal(load_be64(trailer.hash_be),
			 load_hash(payload, size - (uint32_t)sizeof(trailer), sequence));
	for (uint32_t i = 32; i < size - sizeof(trailer); i++)
		assert_int_equal(payload[i], i & 0xff);
	load_pick(&template->plan, sequence, &pick);
	cid_check(&template->plan, payload, pick.cid);
}

/* One buffer for all: as the kernel gives a page again, with the last datagram in it. */
static void frames_are_whole(void **state)
{
	static const uint32_t sizes[] = { 0, 69, 70, 101, 333, 1200, 1401 };
	struct load_template template;
	uint8_t frame[LOAD_FRAME_LEN_MAX];

	(void)state;
	for (unsigned i = 0; i < LOAD_KIND_COUNT * ARRAY_LEN(sizes) * 2 * 21; i++) {
		enum load_kind kind = (enum load_kind)(i % LOAD_KIND_COUNT);
		unsigned rest = i / LOAD_KIND_COUNT;
		struct load_shape shape = shape_of(kind, rest % 2, rest / 2 % 21,
						   sizes[rest / 42 % ARRAY_LEN(sizes)]);

		if (build(&shape, &template)) {
			print_message("kind %d, size %u: %s\n", kind, shape.size, error);
			fail();
		}
		memcpy(frame, template.frame, template.frame_len);
		for (uint64_t sequence = 0; sequence < 40; sequence++) {
			struct cursor cur = { frame, frame + template.frame_len };
			struct load_varying varying;
			uint32_t len;

			load_vary(&template.plan, sequence, NOW, &varying);
			len = load_frame_write(&template.plan, &cur, &varying);
			frame_check(&template, frame, len, sequence);
		}
	}
}

/* The least size holds everything; one byte less is refused, and told which it is. */
static void least_size_is_named(void **state)
{
	static const struct {
		enum load_kind kind;
		uint32_t cid_len, least;
	} cases[] = {
		{ LOAD_UDP, 0, 32 },	       { LOAD_QUIC_SHORT, 0, 33 },
		{ LOAD_QUIC_SHORT, 20, 53 },   { LOAD_QUIC_INITIAL, 8, 50 },
		{ LOAD_QUIC_INITIAL, 20, 62 }, { LOAD_QUIC_HANDSHAKE, 20, 61 },
		{ LOAD_QUIC_MIX, 8, 50 },
	};
	struct load_template template;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct load_shape shape =
			shape_of(cases[i].kind, false, cases[i].cid_len, cases[i].least);
		uint8_t frame[LOAD_FRAME_LEN_MAX];
		struct load_varying varying;
		struct cursor cur;
		char want[64];

		print_message("case: kind %d, Connection ID of %u\n", cases[i].kind,
			      cases[i].cid_len);
		assert_int_equal(build(&shape, &template), 0);
		memcpy(frame, template.frame, template.frame_len);
		cur = (struct cursor){ frame, frame + template.frame_len };
		load_vary(&template.plan, 3, NOW, &varying);
		frame_check(&template, frame, load_frame_write(&template.plan, &cur, &varying), 3);

		shape.size--;
		assert_true(build(&shape, &template) < 0);
		(void)snprintf(want, sizeof(want), "at least %u", cases[i].least);
		assert_non_null(strstr(error, want));
	}
}

/* A flip of any bit, and a swap of any two bytes or words that differ, shows. */
static void hash_shows_changes(void **state)
{
	uint8_t bytes[133], other[133];
	uint64_t random = 11, hash;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	hash = load_hash(bytes, sizeof(bytes), 5);
	assert_int_not_equal(hash, load_hash(bytes, sizeof(bytes), 6));
	assert_int_not_equal(hash, load_hash(bytes, sizeof(bytes) - 1, 5));
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		memcpy(other, bytes, sizeof(bytes));
		other[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(hash, load_hash(other, sizeof(other), 5));
		other[random_next(&random) % sizeof(other)] ^= (uint8_t)(1 << bit % 8);
		if (memcmp(other, bytes, sizeof(bytes)) != 0)
			assert_int_not_equal(hash, load_hash(other, sizeof(other), 5));
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		for (size_t j = 0; j < i; j++) {
			memcpy(other, bytes, sizeof(bytes));
			other[i] = bytes[j];
			other[j] = bytes[i];
			assert_int_not_equal(hash, load_hash(other, sizeof(other), 5));
		}
	for (size_t i = 0; i + 8 <= sizeof(bytes); i += 8)
		for (size_t j = 0; j < i; j += 8) {
			memcpy(other, bytes, sizeof(bytes));
			memcpy(other + i, bytes + j, 8);
			memcpy(other + j, bytes + i, 8);
			assert_int_not_equal(hash, load_hash(other, sizeof(other), 5));
		}
}

/* In words, chunk by chunk, with zeros behind the end. */
static void hash_is_a_sum_of_words(void **state)
{
	uint64_t words[16] = { 0 };

	(void)state;
	for (uint32_t len = 0; len <= 120; len++) {
		uint64_t sum = len + load_hash_word(9, LOAD_HASH_SEQUENCE_PLACE);

		memset(words, 0, sizeof(words));
		for (uint32_t i = 0; i < len; i++)
			((uint8_t *)words)[i] = (uint8_t)(i * 37 + 1);
		sum += load_hash_words((const __u64 *)words + 4, len > 32 ? (len - 25) / 8 : 0, 4);
		sum += load_hash_words((const __u64 *)words, len > 32 ? 4 : (len + 7) / 8, 0);
		assert_int_equal(sum, load_hash(words, len, 9));
	}
}

/* The mix, lived through datagram by datagram. */
static void mix_is_as_told(void **state)
{
	struct load_shape shape = shape_of(LOAD_QUIC_MIX, false, 8, 0);
	struct load_template template;
	uint64_t paths[5] = { 0 }, initials = 0, shorts = 0, migrations = 0;

	(void)state;
	shape.train = 2;
	assert_int_equal(build(&shape, &template), 0);
	assert_int_equal(load_template_flows(&template.plan), 5 * 7);
	for (uint64_t n = 0; n < 3000; n++) {
		struct load_pick pick;

		/* 10 migrations of 25 datagrams, one connection after the other. */
		while ((migrations + 1) * 25 <= n * 10)
			paths[migrations++ % 5]++;
		assert_int_equal(load_template_initials(&template.plan, n), initials);
		assert_int_equal(load_template_bytes(&template, n), 100 * shorts + 1200 * initials);
		assert_int_equal(load_template_migrations(&template.plan, n + 1), migrations);
		load_pick(&template.plan, n, &pick);
		if (initials * 100 + 100 <= (n + 1) * 30) {
			assert_ptr_equal(pick.form, &template.plan.forms[LOAD_FORM_INITIAL]);
			assert_int_equal(pick.cid, 40 + 5 + initials);
			assert_int_equal(pick.flow, 4 * 7 + initials % 7);
			initials++;
		} else {
			uint64_t connection = shorts++ / 2 % 5;

			assert_ptr_equal(pick.form, &template.plan.forms[LOAD_FORM_MAIN]);
			assert_int_equal(pick.cid, 40 + connection);
			assert_int_equal(pick.flow, paths[connection] % 4 * 7 + connection);
		}
	}
}

static void flows_take_addresses(void **state)
{
	struct load_shape shape = shape_of(LOAD_UDP, false, 0, 0);
	struct load_template template;

	(void)state;
	assert_int_equal(build(&shape, &template), 0);
	for (uint64_t n = 0; n < 20; n++) {
		struct load_varying varying;

		load_vary(&template.plan, n, NOW, &varying);
		assert_int_equal(wire_be16(varying.port_be), 4096 + n % 7 % 3);
		assert_int_equal(wire_be32(varying.address_be), 0x0a000001 + n % 7 / 3 * 256);
	}
	shape.flows = 100000000;
	shape.step = 1 << 20;
	assert_true(build(&shape, &template) < 0);
	assert_non_null(strstr(error, "source addresses"));
	shape = shape_of(LOAD_UDP, false, 0, 1473);
	assert_true(build(&shape, &template) < 0);
	assert_non_null(strstr(error, "more than the MTU"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_whole),   cmocka_unit_test(least_size_is_named),
		cmocka_unit_test(hash_shows_changes), cmocka_unit_test(hash_is_a_sum_of_words),
		cmocka_unit_test(mix_is_as_told),     cmocka_unit_test(flows_take_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
