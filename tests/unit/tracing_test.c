/* SPDX-License-Identifier: GPL-2.0-only */
/* tracing_test.c - who may look, for how long, and what is shown. The workers' rings
 * are this file's. */
#include "control/tracing.h"

#include <string.h>

#include "control/daemon.h"
#include "util/number.h"

#include "test.h" /* last: cmocka's fail() would hide ours */

struct worker {
	struct trace_ring ring;
};

static struct worker workers[2];
static struct config_service service = { .name = "web" };
static struct config_backend backend = { .name = "b1" };
static struct lineup_backend backends[1] = { { &service, &backend, .slot = 7, .service_slot = 3 } };
static struct lineup lineup = { .backends = backends, .backend_count = 1 };
static struct daemon fixture;

const struct trace_ring *worker_trace(const struct worker *worker)
{
	return &worker->ring;
}

const struct trace_filter *trace_publish(const struct trace_filter **place,
					 const struct trace_filter *filter)
{
	const struct trace_filter *old = *place;

	*place = filter;
	return old;
}

static int set_up(void **state)
{
	(void)state;
	memset(workers, 0, sizeof(workers));
	fixture = (struct daemon){ .lineup = &lineup,
				   .workers = { &workers[0], &workers[1] },
				   .worker_count = 2 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tracing_end(&fixture);
	return 0;
}

/* As of the engine's thread. */
static void decide(unsigned int worker, uint64_t time_ms, int16_t slot, uint8_t reason)
{
	struct trace_ring *ring = &workers[worker].ring;
	struct trace_record record = { .time_ms = time_ms,
				       .service_slot = 3,
				       .slot = slot,
				       .rule = ROUTE_CID,
				       .reason = reason,
				       .type = QUIC_SHORT,
				       .client_port_be = wire_be16(4000),
				       .cid_len = 2,
				       .cid = { 0x07, 0xab } };

	(void)address_parse("198.51.100.2", record.client);
	memcpy(ring->records[ring->head++ % TRACE_RECORD_COUNT], &record, sizeof(record));
}

static json_t *ask(const char *line)
{
	struct command_words words;
	char text[128], error[128];

	strcpy(text, line);
	assert_int_equal(command_parse(text, &words, error, sizeof(error)), 0);
	return tracing_answer(&fixture, &words);
}

/* The number of its lease, or -1 for a refusal that has wanted in it. */
static json_int_t lease_of(const char *line, const char *wanted)
{
	json_t *answer = ask(line);
	const char *error = json_string_value(json_object_get(answer, "error"));
	json_int_t lease = error ? -1 : json_integer_value(json_object_get(answer, "lease"));

	print_message("%s: %s\n", line, error ? error : "");
	if (error)
		assert_non_null(strstr(error, wanted));
	json_decref(answer);
	return lease;
}

static void one_at_a_time_may_look(void **state)
{
	(void)state;
	assert_null(fixture.trace);
	assert_int_equal(lease_of("trace --every 10000", NULL), 1);
	assert_ptr_equal(fixture.trace, fixture.tracing.filter);
	assert_int_equal(fixture.trace->every, 10000);
	assert_int_equal(fixture.trace->cid_len, 0);
	assert_int_equal(lease_of("trace --every 10000", "another trace runs"), -1);
	assert_int_equal(lease_of("trace --every 10000 --lease 2", "another trace runs"), -1);
	assert_int_equal(lease_of("trace --every 10000 --lease 1", NULL), 1);
	tracing_tick(&fixture);
	assert_non_null(fixture.trace);
	/* with the lease alone: the end */
	assert_int_equal(lease_of("trace --lease 1", NULL), 1);
	assert_null(fixture.trace);
	assert_int_equal(lease_of("trace --lease 1", "either --cid HEX or --every N"), -1);
	assert_int_equal(lease_of("trace --cid 07ab", NULL), 2);
	assert_int_equal(fixture.trace->cid_len, 2);
	assert_memory_equal(fixture.trace->cid, "\x07\xab", 2);
	assert_int_equal(fixture.trace->every, 1);
}

static void a_lease_runs_out(void **state)
{
	(void)state;
	assert_int_equal(lease_of("trace --every 1", NULL), 1);
	fixture.tracing.asked_ns -= (TRACING_LEASE_S - 1) * 1000000000ull;
	tracing_tick(&fixture);
	assert_non_null(fixture.trace);
	fixture.tracing.asked_ns -= 1000000000u;
	tracing_tick(&fixture);
	assert_null(fixture.trace);
	tracing_tick(&fixture);
	/* also before a tick has seen it */
	assert_int_equal(lease_of("trace --every 1", NULL), 2);
	fixture.tracing.asked_ns -= (TRACING_LEASE_S + 1) * 1000000000ull;
	assert_int_equal(lease_of("trace --cid 01", NULL), 3);
	assert_int_equal(fixture.trace->cid_len, 1);
}

static void bad_filters_are_refused(void **state)
{
	static const struct {
		const char *line, *wanted;
	} cases[] = {
		{ "trace", "either --cid HEX or --every N" },
		{ "trace --cid 01 --every 1", "either --cid HEX or --every N" },
		{ "trace --every 0", "--every takes 1 to" },
		{ "trace --every 4294967296", "--every takes 1 to" },
		{ "trace --cid 1", "no beginning of a Connection ID" },
		{ "trace --cid 0g", "no beginning of a Connection ID" },
		{ "trace --cid 000102030405060708090a0b0c0d0e0f1011121314",
		  "no beginning of a Connection ID" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(lease_of(cases[i].line, cases[i].wanted), -1);
		assert_null(fixture.trace);
	}
}

static void assert_record(json_t *record, const char *backend_name, const char *rule,
			  const char *dropped)
{
	json_t *wanted =
		json_pack("{s:s s:s s:s? s:s? s:s s:s s:s?}", "client", "198.51.100.2:4000",
			  "service", "web", "backend", backend_name, "rule", rule, "type", "short",
			  "connection_id", "07ab", "dropped", dropped);

	assert_non_null(wanted);
	json_object_del(record, "time_ms");
	assert_true(json_equal(record, wanted));
	json_decref(wanted);
}

/* Only what was decided since, of all workers, in the order of time. */
static void records_come_once_and_in_order(void **state)
{
	json_t *answer, *records;

	(void)state;
	decide(0, 1, 7, TRACE_KEPT);
	assert_int_equal(lease_of("trace --every 1", NULL), 1);
	decide(0, 100, 7, TRACE_KEPT);
	decide(0, 300, -1, DROP_NO_BACKEND);
	decide(1, 200, 8, DROP_NO_NEIGHBOUR); /* a backend that is there no more */
	answer = ask("trace --every 1 --lease 1");
	records = json_object_get(answer, "records");
	assert_int_equal(json_array_size(records), 3);
	assert_int_equal(json_integer_value(json_object_get(answer, "lost")), 0);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(records, 2), "time_ms")) -
			json_integer_value(json_object_get(json_array_get(records, 0), "time_ms")),
		200);
	assert_record(json_array_get(records, 0), "b1", "connection_id", NULL);
	assert_record(json_array_get(records, 1), NULL, "connection_id", "no_neighbour");
	assert_record(json_array_get(records, 2), NULL, NULL, "no_backend");
	json_decref(answer);
	for (unsigned int i = 0; i < TRACE_RECORD_COUNT + 6; i++)
		decide(1, 400, 7, TRACE_KEPT);
	answer = ask("trace --every 1 --lease 1");
	assert_int_equal(json_array_size(json_object_get(answer, "records")),
			 TRACE_RECORD_COUNT - 1);
	assert_int_equal(json_integer_value(json_object_get(answer, "lost")), 7);
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_at_a_time_may_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_lease_runs_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_filters_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(records_come_once_and_in_order, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
