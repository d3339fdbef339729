/* SPDX-License-Identifier: GPL-2.0-only */
/* parse_test.c - parse.h, match.h and checksum.h, which XDP and userspace share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/frame.h"
#include "ringway/checksum.h"
#include "ringway/match.h"
#include "ringway/parse.h"

/* Last, as it defines fail(). */
#include <cmocka.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define IPV4 .src = "192.0.2.7", .dst = "198.51.100.9", .src_port = 4000, .dst_port = 443
#define IPV6 .src = "2001:db8::7", .dst = "2001:db8::9", .src_port = 4000, .dst_port = 443

static const struct {
	const char *name;
	struct frame_spec spec;
	enum parse_result want;
} cases[] = {
	{ "IPv4", { IPV4, .payload_len = 5 }, PARSE_OK },
	{ "IPv6", { IPV6, .payload_len = 5 }, PARSE_OK },
	{ "IPv4, empty datagram", { IPV4 }, PARSE_OK },
	{ "IPv6, empty datagram", { IPV6 }, PARSE_OK },
	{ "IPv4, padded", { IPV4, .payload_len = 5, .frame_len_min = 60 }, PARSE_OK },
	{ "IPv6, padded", { IPV6, .payload_len = 5, .frame_len_min = 99 }, PARSE_OK },
	{ "IPv4, VLAN", { IPV4, .payload_len = 5, .tags = { 0x8100 } }, PARSE_OK },
	{ "IPv6, QinQ", { IPV6, .payload_len = 5, .tags = { 0x88a8, 0x8100 } }, PARSE_OK },
	{ "three tags", { IPV4, .tags = { 0x88a8, 0x8100, 0x8100 } }, PARSE_NOT_IP },
	{ "ARP", { IPV4, .ethertype = 0x0806 }, PARSE_NOT_IP },
	{ "802.3 length", { IPV4, .ethertype = 0x0026 }, PARSE_NOT_IP },
	{ "ethertype 0", { IPV4, .ethertype = 0x0100, .tags = { 0x8100 } }, PARSE_NOT_IP },

	{ "IPv4, don't fragment", { IPV4, .fragment = 0x4000 }, PARSE_OK },
	{ "IPv4, first fragment", { IPV4, .fragment = 0x2000 }, PARSE_FRAGMENT },
	{ "IPv4, later fragment", { IPV4, .fragment = 0x2001 }, PARSE_FRAGMENT },
	{ "IPv4, last fragment", { IPV4, .fragment = 0x1fff }, PARSE_FRAGMENT },
	{ "IPv4, TCP", { IPV4, .protocol = 6 }, PARSE_NOT_UDP },
	{ "IPv4, ICMP", { IPV4, .protocol = 1 }, PARSE_NOT_UDP },
	{ "IPv4, options", { IPV4, .extra_len = 4 }, PARSE_OPTIONS },
	{ "IPv4, most options", { IPV4, .extra_len = 40 }, PARSE_OPTIONS },
	{ "IPv4, header too short", { IPV4, .ip_version_ihl = 0x44 }, PARSE_MALFORMED },
	{ "IPv4, version 6", { IPV4, .ip_version_ihl = 0x65 }, PARSE_MALFORMED },
	{ "IPv4 length beyond the frame", { IPV4, .ip_len_error = 1 }, PARSE_MALFORMED },
	{ "IPv4 length in the padding",
	  { IPV4, .ip_len_error = 1, .frame_len_min = 60 },
	  PARSE_OK },
	{ "IPv4 length 65535", { IPV4, .ip_len_error = 65535 - 28 }, PARSE_MALFORMED },
	{ "IPv4 length ends in UDP", { IPV4, .ip_len_error = -1 }, PARSE_MALFORMED },
	{ "IPv4 length 0", { IPV4, .ip_len_error = -28 }, PARSE_MALFORMED },
	{ "UDP length 7", { IPV4, .udp_len_error = -1 }, PARSE_MALFORMED },
	{ "UDP length 0", { IPV4, .udp_len_error = -8 }, PARSE_MALFORMED },
	{ "UDP length beyond IP",
	  { IPV4, .udp_len_error = 1, .frame_len_min = 60 },
	  PARSE_MALFORMED },
	{ "UDP length below IP's", { IPV4, .payload_len = 9, .udp_len_error = -9 }, PARSE_OK },

	{ "IPv6, TCP", { IPV6, .protocol = 6 }, PARSE_NOT_UDP },
	{ "IPv6, ICMPv6", { IPV6, .protocol = 58 }, PARSE_NOT_UDP },
	{ "IPv6, no next header", { IPV6, .protocol = 59 }, PARSE_NOT_UDP },
	{ "IPv6, fragment", { IPV6, .protocol = 44, .extra_len = 8 }, PARSE_FRAGMENT },
	{ "IPv6, hop-by-hop",
	  { IPV6, .protocol = FRAME_HOP_BY_HOP, .extra_len = 8 },
	  PARSE_OPTIONS },
	{ "IPv6, routing", { IPV6, .protocol = 43, .extra_len = 8 }, PARSE_OPTIONS },
	{ "IPv6, authentication", { IPV6, .protocol = 51, .extra_len = 8 }, PARSE_OPTIONS },
	{ "IPv6, destination options", { IPV6, .protocol = 60, .extra_len = 8 }, PARSE_OPTIONS },
	{ "IPv6, mobility", { IPV6, .protocol = 135, .extra_len = 8 }, PARSE_OPTIONS },
	{ "IPv6, version 4", { IPV6, .ip_version_ihl = 0x40 }, PARSE_MALFORMED },
	{ "IPv6 length beyond the frame", { IPV6, .ip_len_error = 1 }, PARSE_MALFORMED },
	{ "IPv6 length of a jumbogram", { IPV6, .ip_len_error = -8 }, PARSE_MALFORMED },
	{ "IPv6 length above 65535", { IPV6, .ip_len_error = 65535 - 8 }, PARSE_MALFORMED },
	{ "IPv6, UDP length 7", { IPV6, .udp_len_error = -1 }, PARSE_MALFORMED },
	{ "IPv6, UDP length beyond IP",
	  { IPV6, .udp_len_error = 1, .frame_len_min = 80 },
	  PARSE_MALFORMED },
	{ "IPv6, mapped source",
	  { .src = "192.0.2.7", .dst = "2001:db8::9", .src_port = 1, .dst_port = 2 },
	  PARSE_MALFORMED },
	{ "IPv6, mapped destination",
	  { .src = "2001:db8::7", .dst = "::ffff:192.0.2.7", .src_port = 1, .dst_port = 2 },
	  PARSE_MALFORMED },
};

/* In memory of exactly that size, so that the sanitizer sees every byte too far. */
static enum parse_result parse_exact(const uint8_t *bytes, size_t len, struct udp_view *ret_view,
				     uint8_t **ret_copy)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct cursor cur = { copy, copy + len };

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	*ret_copy = copy;
	return parse_udp(&cur, ret_view);
}

static void check_view(const struct frame *frame, const struct udp_view *view, const uint8_t *copy)
{
	const void *ip = view->ipv4 ? (const void *)view->ipv4 : view->ipv6;

	assert_true(!view->ipv4 != !view->ipv6);
	assert_int_equal(view->ip_version, view->ipv4 ? 4 : 6);
	assert_ptr_equal(view->eth, copy);
	assert_ptr_equal(ip, copy + frame->ip_offset);
	assert_ptr_equal(view->udp, copy + frame->udp_offset);
	assert_int_equal(view->ip_len, frame->ip_len);
	assert_int_equal(view->udp_len, frame->udp_len);
}

static void parses_or_says_why_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct udp_view view = { 0 };
		struct frame frame;
		uint8_t *copy;

		print_message("case: %s\n", cases[i].name);
		frame_build(&cases[i].spec, &frame);
		assert_int_equal(parse_exact(frame.bytes, frame.len, &view, &copy), cases[i].want);
		if (cases[i].want == PARSE_OK)
			check_view(&frame, &view, copy);
		free(copy);
	}
}

static void rejects_every_proper_prefix(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct frame frame;
		size_t needed;

		if (cases[i].want != PARSE_OK)
			continue;
		print_message("case: %s\n", cases[i].name);
		frame_build(&cases[i].spec, &frame);
		needed = frame.ip_offset + frame.ip_len; /* what follows is padding */
		for (size_t len = 0; len < needed; len++) {
			struct udp_view view;
			uint8_t *copy;

			assert_int_equal(parse_exact(frame.bytes, len, &view, &copy),
					 PARSE_MALFORMED);
			free(copy);
		}
	}
}

static void keys_are_source_and_destination(void **state)
{
	static const struct {
		const char *name;
		struct frame_spec spec;
		struct match_key service, back;
	} rows[] = {
		{ "IPv4",
		  { IPV4 },
		  { { [10] = 0xff, 0xff, 198, 51, 100, 9 }, wire_be16(443), 17, 0 },
		  { { [10] = 0xff, 0xff, 192, 0, 2, 7 }, wire_be16(4000), 17, 0 } },
		{ "IPv6",
		  { IPV6 },
		  { { 0x20, 1, 0x0d, 0xb8, [15] = 9 }, wire_be16(443), 17, 0 },
		  { { 0x20, 1, 0x0d, 0xb8, [15] = 7 }, wire_be16(4000), 17, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct match_key key;
		struct udp_view view;
		struct frame frame;
		uint8_t *copy;

		print_message("case: %s\n", rows[i].name);
		frame_build(&rows[i].spec, &frame);
		assert_int_equal(parse_exact(frame.bytes, frame.len, &view, &copy), PARSE_OK);
		memset(&key, 0xa5, sizeof(key));
		match_key_service(&view, &key);
		assert_memory_equal(&key, &rows[i].service, sizeof(key));
		memset(&key, 0xa5, sizeof(key));
		match_key_return(&view, &key);
		assert_memory_equal(&key, &rows[i].back, sizeof(key));
		free(copy);
	}
}

static void return_must_come_from_where_the_backend_is(void **state)
{
	static const struct wire_eth right = { .src = { 2, 0, 0, 0, 0, 1 } };
	static const struct wire_eth wrong = { .src = { 2, 0, 0, 0, 0, 2 } };
	static const struct wire_eth zero = { .src = { 0 } };
	static const struct return_rule loose = { .port = 1, .next_hop_mac = { 2, 0, 0, 0, 0, 1 } };
	static const struct return_rule strict = { .port = 1,
						   .flags = RETURN_CHECK_MAC,
						   .next_hop_mac = { 2, 0, 0, 0, 0, 1 } };
	static const struct return_rule unresolved = { .port = 1, .flags = RETURN_CHECK_MAC };

	(void)state;
	assert_int_equal(match_return(&loose, 1, &right), MATCH_OURS);
	assert_int_equal(match_return(&loose, 1, &wrong), MATCH_OURS);
	assert_int_equal(match_return(&loose, 0, &right), MATCH_SPOOFED);
	assert_int_equal(match_return(&loose, 257, &right), MATCH_SPOOFED);
	assert_int_equal(match_return(&strict, 1, &right), MATCH_OURS);
	assert_int_equal(match_return(&strict, 1, &wrong), MATCH_SPOOFED);
	assert_int_equal(match_return(&strict, 0, &right), MATCH_SPOOFED);
	assert_int_equal(match_return(&unresolved, 1, &right), MATCH_SPOOFED);
	assert_int_equal(match_return(&unresolved, 1, &zero), MATCH_SPOOFED);
}

/* Byte by byte, as RFC 1071 writes it down. The result is for the wire. */
static uint16_t checksum_slow(const uint8_t *bytes, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint64_t)bytes[i] << (i % 2 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return wire_be16((uint16_t)~sum);
}

static void random_fill(uint8_t *bytes, size_t len)
{
	/* Runs of 00 and ff are where ones' complement arithmetic is special. */
	int kind = rand() % 4;

	for (size_t i = 0; i < len; i++)
		bytes[i] = kind == 0 ? 0 : kind == 1 ? 0xff : (uint8_t)rand();
}

static void full_and_incremental_sums_agree(void **state)
{
	const unsigned int seed = 20240229;

	(void)state;
	print_message("seed: %u\n", seed);
	srand(seed);
	for (int round = 0; round < 100000; round++) {
		_Alignas(2) uint8_t data[64], replacement[36];
		size_t len = 2 * (size_t)(1 + rand() % 32);
		size_t changed_len = 2 * (size_t)(rand() % 19);
		uint16_t before, after, delta;
		size_t offset;

		if (changed_len > len)
			changed_len = len;
		offset = 2 * ((size_t)rand() % ((len - changed_len) / 2 + 1));
		random_fill(data, len);
		random_fill(replacement, changed_len);

		before = checksum_slow(data, len);
		assert_int_equal((uint16_t)~checksum_fold(checksum_words(data, len)), before);

		delta = checksum_delta(checksum_words(data + offset, changed_len),
				       checksum_words(replacement, changed_len));
		memcpy(data + offset, replacement, changed_len);
		after = checksum_slow(data, len);
		/* Zero has two forms; what is left of all zeros shows which. */
		assert_int_equal(checksum_udp_nonzero(checksum_update(before, delta)),
				 checksum_udp_nonzero(after));
	}
}

/* The pseudo-header of RFC 768 and RFC 8200, written out. */
static size_t pseudo_header(const struct udp_view *view, uint8_t *bytes)
{
	size_t addr_len = view->ipv4 ? 4 : 16;

	memset(bytes, 0, 40);
	memcpy(bytes, view->ipv4 ? view->ipv4->src : view->ipv6->src, 2 * addr_len);
	bytes += 2 * addr_len;
	if (view->ipv4) {
		bytes[1] = 17;
		bytes[2] = view->udp_len >> 8;
		bytes[3] = view->udp_len & 0xff;
		return 12;
	}
	bytes[2] = view->udp_len >> 8;
	bytes[3] = view->udp_len & 0xff;
	bytes[7] = 17;
	return 40;
}

static void pseudo_header_sum_is_what_a_local_sender_writes(void **state)
{
	static const struct frame_spec specs[] = {
		{ IPV4, .payload_len = 64 },
		{ IPV6, .payload_len = 65 },
		{ .src = "0.0.0.0", .dst = "0.0.0.0" },
		{ .src = "255.255.255.255", .dst = "255.255.255.255", .payload_len = 1400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		uint8_t pseudo[40];
		struct udp_view view;
		struct frame frame;
		uint8_t *copy;
		size_t len;

		print_message("case: %s\n", specs[i].src);
		frame_build(&specs[i], &frame);
		assert_int_equal(parse_exact(frame.bytes, frame.len, &view, &copy), PARSE_OK);
		len = pseudo_header(&view, pseudo);
		assert_int_equal(checksum_udp_pseudo(&view), (uint16_t)~checksum_slow(pseudo, len));
		free(copy);
	}
	assert_int_equal(checksum_udp_nonzero(0), 0xffff);
	assert_int_equal(checksum_udp_nonzero(1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_or_says_why_not),
		cmocka_unit_test(rejects_every_proper_prefix),
		cmocka_unit_test(keys_are_source_and_destination),
		cmocka_unit_test(return_must_come_from_where_the_backend_is),
		cmocka_unit_test(full_and_incremental_sums_agree),
		cmocka_unit_test(pseudo_header_sum_is_what_a_local_sender_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
