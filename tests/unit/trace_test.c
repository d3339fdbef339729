/* SPDX-License-Identifier: GPL-2.0-only */
/* trace_test.c - which decisions are written down, and that a reader gets each of
 * them whole and once, or knows how many it has missed. */
#include "core/trace.h"

#include <pthread.h>
#include <string.h>

#include "core/key.h"
#include "ringway/match.h"
#include "test.h"

#define RACE_COUNT 500000

static struct trace_ring ring;
static struct trace_record records[TRACE_RECORD_COUNT];
static struct table table; /* its secret is read */
static const struct route_ctx ctx = { .table = &table, .now_ms = 4711 };

/* A client's datagram on its way, of 198.51.100.2:number. */
struct flight {
	struct wire_ipv4 ipv4;
	struct wire_udp udp;
	uint8_t cid[QUIC_CID_LEN_MAX];
	struct route route;
};

static void flight_set(struct flight *flight, uint16_t number, const uint8_t *cid, uint8_t cid_len)
{
	memset(flight, 0, sizeof(*flight));
	memcpy(flight->ipv4.src, (const uint8_t[]){ 198, 51, 100, 2 }, 4);
	flight->udp.src_be = wire_be16(number);
	if (cid_len)
		memcpy(flight->cid, cid, cid_len);
	flight->route = (struct route){
		.view = { .ipv4 = &flight->ipv4, .udp = &flight->udp, .ip_version = 4 },
		.is_quic = true,
		.type = QUIC_HANDSHAKE,
		.dcid = flight->cid,
		.dcid_len = cid_len,
		.cid_len = cid_len,
		.service_slot = 3,
		.slot = 12,
		.rule = ROUTE_CID
	};
}

static int set_up(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	hash_secret_derive((const uint8_t *)"0123456789abcdef", &table.secret);
	return 0;
}

static void a_decision_is_written_down_as_it_is(void **state)
{
	static const uint8_t cid[] = { 7, 0xab, 1, 2, 3 };
	const struct trace_filter all = { .every = 1 };
	struct flight flight;
	uint64_t tail = 0, lost = 0;

	(void)state;
	flight_set(&flight, 4000, cid, sizeof(cid));
	trace_decision(&ring, &all, &ctx, &flight.route, -1);
	flight.route.slot = -1;
	trace_decision(&ring, &all, &ctx, &flight.route, DROP_NO_BACKEND);
	flight.route.is_quic = false;
	trace_decision(&ring, &all, &ctx, &flight.route, -1);
	assert_int_equal(trace_read(&ring, &tail, records, ARRAY_LEN(records), &lost), 3);
	assert_int_equal(tail, 3);
	assert_int_equal(lost, 0);
	assert_int_equal(records[0].time_ms, 4711);
	assert_memory_equal(records[0].client, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02", 16);
	assert_int_equal(records[0].client_port_be, wire_be16(4000));
	assert_int_equal(records[0].service_slot, 3);
	assert_int_equal(records[0].slot, 12);
	assert_int_equal(records[0].rule, ROUTE_CID);
	assert_int_equal(records[0].reason, TRACE_KEPT);
	assert_int_equal(records[0].type, QUIC_HANDSHAKE);
	assert_int_equal(records[0].cid_len, sizeof(cid));
	assert_memory_equal(records[0].cid, cid, sizeof(cid));
	assert_int_equal(records[1].slot, -1);
	assert_int_equal(records[1].reason, DROP_NO_BACKEND);
	assert_int_equal(records[2].type, QUIC_TYPE_COUNT);
	assert_int_equal(records[2].cid_len, 0);
}

static void the_filter_decides(void **state)
{
	static const struct {
		const char *name;
		struct trace_filter filter;
		const char *cid;
		uint8_t cid_len;
		bool is_wanted;
	} cases[] = {
		{ "all", { .every = 1 }, "\x01", 1, true },
		{ "10000 of 10000", { .every = 10000 }, "\0\0\0\0\0\0\x27\x10", 8, true },
		{ "10001 of 10000", { .every = 10000 }, "\0\0\0\0\0\0\x27\x11", 8, false },
		{ "the first 8 bytes count",
		  { .every = 10000 },
		  "\0\0\0\0\0\0\x27\x10\x01",
		  9,
		  true },
		{ "fewer bytes", { .every = 10000 }, "\x27\x10", 2, true },
		{ "the whole ID", { .every = 1, .cid_len = 2, .cid = { 1, 2 } }, "\1\2", 2, true },
		{ "its beginning",
		  { .every = 1, .cid_len = 2, .cid = { 1, 2 } },
		  "\1\2\3",
		  3,
		  true },
		{ "another", { .every = 1, .cid_len = 2, .cid = { 1, 2 } }, "\1\3\2", 3, false },
		{ "too short", { .every = 1, .cid_len = 2, .cid = { 1, 0 } }, "\1", 1, false },
		{ "none", { .every = 1, .cid_len = 1, .cid = { 0 } }, "", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t before = trace_head(&ring);
		struct flight flight;

		print_message("case: %s\n", cases[i].name);
		flight_set(&flight, 1, (const uint8_t *)cases[i].cid, cases[i].cid_len);
		trace_decision(&ring, &cases[i].filter, &ctx, &flight.route, -1);
		assert_int_equal(trace_head(&ring) - before, cases[i].is_wanted);
	}
}

/* Behind a short header's Connection ID come bytes that are not of it. */
static void short_headers_count_as_far_as_their_id_is_known(void **state)
{
	static const uint8_t cid[] = { 0, 0, 0, 3, 5, 7, 0x10, 0, 0xbb };
	static const struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
		[0] = { .present = true, .server_id_len = 1, .nonce_len = 4 },
	};
	static const struct {
		const char *name;
		uint8_t configured, learned;
		bool is_quic_lb;
		uint32_t number; /* or what divides no other number */
	} cases[] = {
		{ "not known", 0, 0, false, 0x1000 },
		{ "learned", 0, 4, false, 0x3 },
		{ "configured", 5, 4, false, 0x305 },
		{ "by its rotation", 0, 4, true, 0x30507 },
		{ "longer than what is there", 20, 0, false, 0x1000 },
	};
	struct service *service = &table.services[3];
	struct quic_lb *lb;

	(void)state;
	assert_int_equal(quic_lb_build(configs, NULL, 0, &lb), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct trace_filter filter = { .every = cases[i].number };
		uint64_t before = trace_head(&ring);
		struct flight flight;

		print_message("case: %s\n", cases[i].name);
		service->connection_id_len = cases[i].configured;
		service->quic_lb = cases[i].is_quic_lb ? lb : NULL;
		flight_set(&flight, 1, cid, sizeof(cid));
		flight.route.type = QUIC_SHORT;
		flight.route.cid_len = cases[i].learned;
		trace_decision(&ring, &filter, &ctx, &flight.route, -1);
		assert_int_equal(trace_head(&ring) - before, 1);
	}
	*service = (struct service){ 0 };
	quic_lb_free(lb);
}

/* Without a Connection ID the number is that of the 4-tuple: always the same. */
static void without_an_id_the_4_tuple_counts(void **state)
{
	const struct trace_filter tenth = { .every = 10 };
	unsigned int wanted = 0;

	(void)state;
	for (uint16_t number = 0; number < 1000; number++) {
		uint64_t before = trace_head(&ring);
		struct flight flight;

		flight_set(&flight, number, NULL, 0);
		flight.route.is_quic = false;
		trace_decision(&ring, &tenth, &ctx, &flight.route, -1);
		trace_decision(&ring, &tenth, &ctx, &flight.route, -1);
		assert_int_not_equal(trace_head(&ring) - before, 1);
		wanted += trace_head(&ring) != before;
	}
	assert_in_range(wanted, 60, 140);
}

/* count more records, whose client ports go up from *next. */
static void write_some(uint32_t *next, uint32_t count)
{
	const struct trace_filter all = { .every = 1 };

	for (uint32_t i = 0; i < count; i++) {
		struct flight flight;

		flight_set(&flight, (uint16_t)(*next)++, (const uint8_t *)"x", 1);
		trace_decision(&ring, &all, &ctx, &flight.route, -1);
	}
}

static void what_is_overwritten_is_counted(void **state)
{
	static const struct {
		uint32_t written, max;
		size_t got;
		uint64_t lost;
	} steps[] = {
		{ 5, TRACE_RECORD_COUNT, 5, 0 },
		{ 0, TRACE_RECORD_COUNT, 0, 0 },
		{ 10, 4, 4, 0 },
		{ 0, TRACE_RECORD_COUNT, 6, 0 },
		{ TRACE_RECORD_COUNT - 1, TRACE_RECORD_COUNT, TRACE_RECORD_COUNT - 1, 0 },
		{ TRACE_RECORD_COUNT, TRACE_RECORD_COUNT, TRACE_RECORD_COUNT - 1, 1 },
		{ 3 * TRACE_RECORD_COUNT + 7, TRACE_RECORD_COUNT, TRACE_RECORD_COUNT - 1,
		  2 * TRACE_RECORD_COUNT + 8 },
	};
	uint64_t tail = 0;
	uint32_t next = 0, wanted = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		uint64_t lost = 0;

		print_message("step %zu\n", i);
		write_some(&next, steps[i].written);
		assert_int_equal(trace_read(&ring, &tail, records, steps[i].max, &lost),
				 steps[i].got);
		assert_int_equal(lost, steps[i].lost);
		wanted += (uint32_t)lost;
		for (size_t j = 0; j < steps[i].got; j++)
			assert_int_equal(records[j].client_port_be, wire_be16((uint16_t)wanted++));
	}
}

/* Every byte of the ID is the number: a record of two would show. Made before, so that
 * the writer is as fast as it can be. */
static void *race_write(void *unused)
{
	const struct trace_filter all = { .every = 1 };
	static struct flight flights[251]; /* prime: the next in a place is another */

	(void)unused;
	for (uint16_t i = 0; i < ARRAY_LEN(flights); i++) {
		uint8_t cid[QUIC_CID_LEN_MAX];

		memset(cid, i, sizeof(cid));
		flight_set(&flights[i], i, cid, sizeof(cid));
		flights[i].route.service_slot = i;
	}
	for (uint32_t i = 0; i < RACE_COUNT; i++)
		trace_decision(&ring, &all, &ctx, &flights[i % ARRAY_LEN(flights)].route, -1);
	return NULL;
}

/* Always from the oldest record on, the one that is written over next. */
static void a_reader_beside_the_writer_gets_whole_records(void **state)
{
	uint64_t got = 0;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, race_write, NULL), 0);
	while (trace_head(&ring) < RACE_COUNT) {
		uint64_t tail = 0, lost = 0;
		size_t count = trace_read(&ring, &tail, records, 4, &lost);

		for (size_t i = 0; i < count; i++) {
			uint16_t number = records[i].service_slot;
			uint8_t cid[QUIC_CID_LEN_MAX];

			memset(cid, (uint8_t)number, sizeof(cid));
			assert_memory_equal(records[i].cid, cid, sizeof(cid));
			assert_int_equal(records[i].client_port_be, wire_be16(number));
		}
		assert_int_equal(tail, count + lost);
		got += count;
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_not_equal(got, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_decision_is_written_down_as_it_is, set_up),
		cmocka_unit_test_setup(the_filter_decides, set_up),
		cmocka_unit_test_setup(short_headers_count_as_far_as_their_id_is_known, set_up),
		cmocka_unit_test_setup(without_an_id_the_4_tuple_counts, set_up),
		cmocka_unit_test_setup(what_is_overwritten_is_counted, set_up),
		cmocka_unit_test_setup(a_reader_beside_the_writer_gets_whole_records, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
