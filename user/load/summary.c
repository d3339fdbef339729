/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "util/number.h"

static const struct {
	const char *name, *meaning;
} counters[] = {
#define X(constant, name, meaning) [LOAD_SINK_##constant] = { name, meaning },
	LOAD_SINK_COUNTERS(X)
#undef X
};

/* In the order of printing. */
static const struct {
	const char *name;
	uint32_t per_mille;
} percentiles[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 } };

static const struct {
	const char *name, *meaning;
	size_t offset;
} totals_printed[] = {
#define TOTAL(member, meaning)                                              \
	{                                                                   \
#member, meaning, offsetof(struct load_sink_totals, member) \
	}
	TOTAL(expected, "sequences of 0 to the highest"),
	TOTAL(lost, "of those, that never came"),
	TOTAL(reordered, "came after a higher sequence"),
	TOTAL(duplicates, "came again"),
	TOTAL(too_late, "too far behind to tell whether they came before"),
#undef TOTAL
};

static uint64_t total_of(const struct load_sink_totals *totals, size_t index)
{
	uint64_t value;

	memcpy(&value, (const char *)totals + totals_printed[index].offset, sizeof(value));
	return value;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static double span_seconds(const struct load_span *span)
{
	return (double)(span->last_ns - span->first_ns) / 1e9;
}

/* As many intervals as datagrams after the first. */
static double sink_rate(const struct load_sink_result *result)
{
	uint64_t received = result->counters[LOAD_SINK_RECEIVED];
	double seconds = span_seconds(&result->span);

	return seconds > 0 ? (double)(received - 1) / seconds : 0;
}

static double latency_mean(const struct load_histogram *latency)
{
	return latency->count ? (double)latency->sum_ns / (double)latency->count : 0;
}

/* Takes over the reference; NULL is what jansson gives when memory runs out. */
static int json_print(json_t *object)
{
	int err = object ? 0 : -ENOMEM;

	if (object && json_dumpf(object, stdout, JSON_INDENT(2)))
		err = -EIO;
	json_decref(object);
	if (!err && (putchar('\n') == EOF || fflush(stdout)))
		err = -EIO;
	return err;
}

static int text_end(void)
{
	return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}

int load_summary_source(const struct load_source_config *config,
			const struct load_source_result *result, bool json)
{
	double rate = result->seconds > 0 ? (double)result->sent / result->seconds : 0;
	const char *by = load_transport_name(config->by);

	if (json)
		return json_print(json_pack(
			"{s:I, s:I, s:f, s:f, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "sent",
			(json_int_t)result->sent, "skipped", (json_int_t)result->skipped, "seconds",
			result->seconds, "rate", rate, "stream", (json_int_t)config->shape.stream,
			"by", by, "kind",
			config->capture ? "pcap" : load_kind_name(config->shape.kind), "bytes",
			(json_int_t)result->bytes, "initials", (json_int_t)result->initials,
			"migrations", (json_int_t)result->migrations, "calls",
			(json_int_t)result->calls));
	printf("sent %" PRIu64 " datagrams by %s in %.3f s, %.0f/s, stream %u\n", result->sent, by,
	       result->seconds, rate, config->shape.stream);
	return text_end();
}

static json_t *destinations_json(const struct load_sink_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->destination_count; i++) {
		const struct load_sink_destination *destination = &result->destinations[i];
		char address[ADDRESS_TEXT_SIZE];

		if (json_array_append_new(
			    array, json_pack("{s:s, s:i, s:I, s:I}", "address",
					     address_format(destination->endpoint.addr, address),
					     "port", destination->endpoint.port, "datagrams",
					     (json_int_t)destination->tally.datagrams, "bytes",
					     (json_int_t)destination->tally.bytes))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *streams_json(const struct load_sink_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->stream_count; i++) {
		const struct load_sink_stream *stream = &result->streams[i];

		if (json_array_append_new(array,
					  json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "stream",
						    (json_int_t)stream->number, "new",
						    (json_int_t)stream->new, "highest",
						    (json_int_t)stream->highest, "lost",
						    (json_int_t)stream->lost, "reordered",
						    (json_int_t)stream->reordered, "duplicates",
						    (json_int_t)stream->duplicates, "too_late",
						    (json_int_t)stream->too_late))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *row_json(const struct load_sink_row *row, bool is_checked)
{
	double seconds = row->to - row->from;
	json_t *object =
		json_pack("{s:f, s:f, s:I, s:I, s:f}", "from", row->from, "to", row->to, "received",
			  (json_int_t)row->received, "bytes", (json_int_t)row->bytes, "rate",
			  seconds > 0 ? (double)row->received / seconds : 0);
	json_t *checks;

	if (!is_checked)
		return object;
	checks = json_pack("{s:I, s:I, s:I, s:I}", "lost", (json_int_t)row->lost, "reordered",
			   (json_int_t)row->reordered, "duplicates", (json_int_t)row->duplicates,
			   "bad", (json_int_t)row->bad);
	if (json_object_update_new(object, checks)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *rows_json(const struct load_sink_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->row_count; i++)
		if (json_array_append_new(array, row_json(&result->rows[i], result->is_checked))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static json_t *latency_json(const struct load_histogram *latency)
{
	json_t *object = json_pack("{s:I, s:I, s:f, s:I}", "count", (json_int_t)latency->count,
				   "min", (json_int_t)load_histogram_min(latency), "mean",
				   latency_mean(latency), "max", (json_int_t)latency->max_ns);

	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		uint64_t ns = load_histogram_percentile(latency, percentiles[i].per_mille);

		if (json_object_set_new(object, percentiles[i].name,
					json_integer((json_int_t)ns))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* Without checks, what is known all the same: a 0 for what nobody looked at would lie. */
static json_t *sink_counted_json(const struct load_sink_result *result)
{
	return json_pack(
		"{s:b, s:I, s:I, s:f, s:f, s:o}", "checked", result->is_checked,
		counters[LOAD_SINK_RECEIVED].name, (json_int_t)result->counters[LOAD_SINK_RECEIVED],
		counters[LOAD_SINK_BYTES].name, (json_int_t)result->counters[LOAD_SINK_BYTES],
		"seconds", span_seconds(&result->span), "rate", sink_rate(result), "intervals",
		rows_json(result));
}

static json_t *sink_json(const struct load_sink_result *result)
{
	struct load_sink_totals totals;
	json_t *object, *checks;
	int err;

	object = sink_counted_json(result);
	if (!result->is_checked)
		return object;
	load_sink_totals(result, &totals);
	/* "o" takes what it is given over, and fails on NULL. */
	checks = json_pack("{s:f, s:o, s:o, s:o}", "loss_percent",
			   share(totals.lost, totals.expected), "latency_ns",
			   latency_json(&result->latency), "streams", streams_json(result),
			   "destinations", destinations_json(result));
	err = json_object_update_new(object, checks);
	for (size_t i = 0; i < sizeof(totals_printed) / sizeof(totals_printed[0]); i++)
		err |= json_object_set_new(object, totals_printed[i].name,
					   json_integer((json_int_t)total_of(&totals, i)));
	for (int i = 0; i < LOAD_SINK_COUNTER_COUNT; i++)
		err |= json_object_set_new(object, counters[i].name,
					   json_integer((json_int_t)result->counters[i]));
	if (err) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static void latency_print(const struct load_histogram *latency)
{
	printf("%-16s %14" PRIu64 "  datagrams that say when they were made, in microseconds:\n",
	       "latency", (uint64_t)latency->count);
	if (!latency->count)
		return;
	printf("%-16s min %.1f, mean %.1f", "", (double)load_histogram_min(latency) / 1e3,
	       latency_mean(latency) / 1e3);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		printf(", %s %.1f", percentiles[i].name,
		       (double)load_histogram_percentile(latency, percentiles[i].per_mille) / 1e3);
	printf(", max %.1f\n", (double)latency->max_ns / 1e3);
}

static void destinations_print(const struct load_sink_result *result)
{
	if (result->destination_count)
		printf("%-46s %5s %14s %16s\n", "destination", "port", "datagrams", "bytes");
	for (size_t i = 0; i < result->destination_count; i++) {
		const struct load_sink_destination *destination = &result->destinations[i];
		char address[ADDRESS_TEXT_SIZE];

		printf("%-46s %5u %14" PRIu64 " %16" PRIu64 "\n",
		       address_format(destination->endpoint.addr, address),
		       destination->endpoint.port, (uint64_t)destination->tally.datagrams,
		       (uint64_t)destination->tally.bytes);
	}
}

static int counted_print(const struct load_sink_result *result)
{
	printf("%" PRIu64 " datagrams, %" PRIu64 " bytes of UDP payload; nothing was checked\n",
	       result->counters[LOAD_SINK_RECEIVED], result->counters[LOAD_SINK_BYTES]);
	printf("%.0f datagrams a second for %.3f s\n", sink_rate(result),
	       span_seconds(&result->span));
	return text_end();
}

int load_summary_sink(const struct load_sink_result *result, bool json)
{
	struct load_sink_totals totals;

	if (json)
		return json_print(sink_json(result));
	if (!result->is_checked)
		return counted_print(result);
	load_sink_totals(result, &totals);
	destinations_print(result);
	for (int i = 0; i < LOAD_SINK_COUNTER_COUNT; i++)
		printf("%-16s %14" PRIu64 "  %s\n", counters[i].name, result->counters[i],
		       counters[i].meaning);
	for (size_t i = 0; i < sizeof(totals_printed) / sizeof(totals_printed[0]); i++)
		printf("%-16s %14" PRIu64 "  %s\n", totals_printed[i].name, total_of(&totals, i),
		       totals_printed[i].meaning);
	latency_print(&result->latency);
	printf("%.0f datagrams a second for %.3f s, %.4f %% lost\n", sink_rate(result),
	       span_seconds(&result->span), share(totals.lost, totals.expected));
	return text_end();
}

static const struct {
	const char *name, *meaning;
} limits[] = {
#define X(constant, name, meaning) [LOAD_SEARCH_##constant] = { name, meaning },
	LOAD_SEARCH_LIMITS(X)
#undef X
};

static json_t *trial_json(const struct load_search_trial *trial)
{
	uint64_t lost = trial->sent - trial->received;

	return json_pack("{s:I, s:f, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:b, s:o}", "rate",
			 (json_int_t)trial->rate, "offered", trial->offered, "sent",
			 (json_int_t)trial->sent, "received", (json_int_t)trial->received, "lost",
			 (json_int_t)lost, "loss_percent", share(lost, trial->sent), "reordered",
			 (json_int_t)trial->reordered, "duplicates", (json_int_t)trial->duplicates,
			 "too_late", (json_int_t)trial->too_late, "bad", (json_int_t)trial->bad,
			 "passed", trial->has_passed, "latency_ns", latency_json(&trial->latency));
}

static json_t *trials_json(const struct load_search_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->trial_count; i++)
		if (json_array_append_new(array, trial_json(&result->trials[i]))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

int load_summary_search(const struct load_search_result *result, bool json)
{
	if (json)
		return json_print(json_pack(
			"{s:f, s:I, s:b, s:s, s:o}", "offered", result->offered, "rate",
			(json_int_t)result->rate, "confirmed", result->is_confirmed, "limit",
			limits[result->limit].name, "trials", trials_json(result)));
	printf("%10s %12s %12s %12s %10s %9s %9s\n", "rate", "offered", "sent", "lost", "p50 us",
	       "p99 us", "");
	for (size_t i = 0; i < result->trial_count; i++) {
		const struct load_search_trial *trial = &result->trials[i];

		printf("%10" PRIu64 " %12.0f %12" PRIu64 " %12" PRIu64 " %10.1f %9.1f %9s\n",
		       trial->rate, trial->offered, trial->sent, trial->sent - trial->received,
		       (double)load_histogram_percentile(&trial->latency, 500) / 1e3,
		       (double)load_histogram_percentile(&trial->latency, 990) / 1e3,
		       trial->has_passed ? "passed" : "failed");
	}
	printf("%.0f datagrams a second passed%s; limit: %s\n", result->offered,
	       result->is_confirmed ? "" : " (not confirmed)", limits[result->limit].meaning);
	return text_end();
}
