/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/tracing.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/daemon.h"
#include "util/clock.h"
#include "util/endpoint.h"
#include "util/json_build.h"
#include "util/log.h"
#include "util/number.h"

#define LEASE_NS (TRACING_LEASE_S * 1000000000ull)

/* Of one answer; what remains is in the next one. */
#define RECORD_COUNT_MAX 4096

static const char *const type_names[QUIC_TYPE_COUNT + 1] = {
	[QUIC_SHORT] = "short",	      [QUIC_INITIAL] = "initial",
	[QUIC_0RTT] = "0rtt",	      [QUIC_HANDSHAKE] = "handshake",
	[QUIC_RETRY] = "retry",	      [QUIC_VERSION_NEGOTIATION] = "version_negotiation",
	[QUIC_LONG_UNKNOWN] = "long", [QUIC_TYPE_COUNT] = "not_quic",
};

/* --- the question ------------------------------------------------------------- */

static int filter_read(const struct command_words *words, struct trace_filter *filter, char *error,
		       size_t error_size)
{
	const char *cid = words->options[COMMAND_OPTION_CID];
	const char *every = words->options[COMMAND_OPTION_EVERY];
	uint64_t number = 1;
	size_t len;

	if (!cid == !every)
		return fail(-1, error, error_size, "give either --cid HEX or --every N");
	if (every && !number_parse(every, 1, UINT32_MAX, &number))
		return fail(-1, error, error_size, "--every takes 1 to %u, not \"%.64s\"",
			    UINT32_MAX, every);
	filter->every = (uint32_t)number;
	if (every)
		return 0;
	len = strlen(cid) / 2;
	if (len < 1 || len > QUIC_CID_LEN_MAX || !number_hex_parse(cid, filter->cid, len))
		return fail(-1, error, error_size,
			    "\"%.64s\" is no beginning of a Connection ID: give 1 to %d bytes, two "
			    "hex digits each",
			    cid, QUIC_CID_LEN_MAX);
	filter->cid_len = (uint8_t)len;
	return 0;
}

/* The lease that is named is the one in force. */
static bool has_lease(const struct tracing *tracing, const struct command_words *words)
{
	const char *text = words->options[COMMAND_OPTION_LEASE];
	uint64_t lease;

	return tracing->filter && text && number_parse(text, 1, UINT64_MAX, &lease) &&
	       lease == tracing->lease;
}

static bool is_in_force(const struct tracing *tracing, uint64_t now_ns)
{
	return tracing->filter && now_ns - tracing->asked_ns <= LEASE_NS;
}

/* --- on and off --------------------------------------------------------------- */

void tracing_end(struct daemon *daemon)
{
	if (!daemon->tracing.filter)
		return;
	(void)trace_publish(&daemon->trace, NULL);
	free(daemon->tracing.filter);
	daemon->tracing.filter = NULL;
	log_info("tracing has ended");
}

void tracing_tick(struct daemon *daemon)
{
	if (!is_in_force(&daemon->tracing, clock_ns()))
		tracing_end(daemon);
}

static int tracing_begin(struct daemon *daemon, const struct trace_filter *filter)
{
	struct trace_filter *copy = malloc(sizeof(*copy));

	if (!copy)
		return -1;
	*copy = *filter;
	tracing_end(daemon);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		daemon->tracing.tails[i] = trace_head(worker_trace(daemon->workers[i]));
	daemon->tracing.filter = copy;
	daemon->tracing.lease++;
	(void)trace_publish(&daemon->trace, copy);
	log_info("tracing decisions");
	return 0;
}

/* --- the answer --------------------------------------------------------------- */

/* What stands between the clock of decisions and that of people. */
static uint64_t wall_clock_ahead_ms(void)
{
	struct timespec wall;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000 -
	       clock_ns() / 1000000;
}

/* NULL: a reload has removed it since. */
static const struct config_service *service_find(const struct lineup *lineup, uint16_t slot)
{
	for (size_t i = 0; i < lineup->backend_count; i++)
		if (lineup->backends[i].service_slot == slot)
			return lineup->backends[i].service;
	return NULL;
}

static json_t *cid_json(const struct trace_record *record)
{
	char text[2 * QUIC_CID_LEN_MAX + 1] = "";

	for (size_t i = 0; i < record->cid_len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", record->cid[i]);
	return record->cid_len ? json_string(text) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *record_json(const struct lineup *lineup, const struct trace_record *record,
			   uint64_t ahead_ms)
{
	const struct config_service *service = service_find(lineup, record->service_slot);
	const struct lineup_backend *backend =
		record->slot < 0 ? NULL : lineup_find(lineup, (uint16_t)record->slot);
	char client[ENDPOINT_TEXT_SIZE];
	json_t *object = json_object();

	json_build_number(&object, "time_ms", record->time_ms + ahead_ms);
	json_build_put(&object, "client",
		       json_string(endpoint_format(record->client, ntohs(record->client_port_be),
						   client)));
	json_build_put(&object, "service", text_or_null(service ? service->name : NULL));
	json_build_put(&object, "backend", text_or_null(backend ? backend->config->name : NULL));
	json_build_put(&object, "rule",
		       text_or_null(record->slot < 0 ? NULL : route_rule_name(record->rule)));
	json_build_put(&object, "type", json_string(type_names[record->type]));
	json_build_put(&object, "connection_id", cid_json(record));
	json_build_put(&object, "dropped",
		       text_or_null(record->reason == TRACE_KEPT
					    ? NULL
					    : drop_reason_name(record->reason)));
	return object;
}

static int record_compare(const void *a, const void *b)
{
	const struct trace_record *first = a, *second = b;

	return (first->time_ms > second->time_ms) - (first->time_ms < second->time_ms);
}

static size_t records_read(struct daemon *daemon, struct trace_record *records, uint64_t *ret_lost)
{
	size_t count = 0;

	for (uint32_t i = 0; i < daemon->worker_count; i++)
		count += trace_read(worker_trace(daemon->workers[i]), &daemon->tracing.tails[i],
				    records + count, RECORD_COUNT_MAX - count, ret_lost);
	qsort(records, count, sizeof(*records), record_compare);
	return count;
}

static json_t *records_answer(struct daemon *daemon)
{
	struct trace_record *records = malloc(RECORD_COUNT_MAX * sizeof(*records));
	uint64_t lost = 0, ahead_ms = wall_clock_ahead_ms();
	json_t *object = json_object(), *array = json_array();
	size_t count = records ? records_read(daemon, records, &lost) : 0;

	for (size_t i = 0; i < count; i++)
		json_build_append(&array, record_json(daemon->lineup, &records[i], ahead_ms));
	free(records);
	json_build_number(&object, "lease", daemon->tracing.lease);
	json_build_number(&object, "lost", lost);
	json_build_put(&object, "records", array);
	return object;
}

json_t *tracing_answer(struct daemon *daemon, const struct command_words *words)
{
	struct tracing *tracing = &daemon->tracing;
	struct trace_filter filter = { .every = 1 };
	bool is_holder = has_lease(tracing, words);
	char error[256];

	if (is_holder && !words->options[COMMAND_OPTION_CID] &&
	    !words->options[COMMAND_OPTION_EVERY]) {
		json_t *last = records_answer(daemon);

		tracing_end(daemon);
		return last;
	}
	if (filter_read(words, &filter, error, sizeof(error)))
		return json_build_refusal(error);
	if (!is_holder && is_in_force(tracing, clock_ns()))
		return json_build_refusal(
			"another trace runs, and there can be only one: end it, or try again when "
			"it has been gone for 5 seconds");
	if ((!is_holder || memcmp(&filter, tracing->filter, sizeof(filter)) != 0) &&
	    tracing_begin(daemon, &filter))
		return json_build_refusal("out of memory");
	tracing->asked_ns = clock_ns();
	return records_answer(daemon);
}
