/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "util/number.h"

static const struct {
	const char *name, *meaning;
} counters[] = {
#define X(constant, name, meaning) [LOAD_SINK_##constant] = { name, meaning },
	LOAD_SINK_COUNTERS(X)
#undef X
};

struct totals {
	uint64_t lost, reordered, duplicates, too_late;
};

static struct totals streams_total(const struct load_sink_result *result)
{
	struct totals totals = { .lost = 0 };

	for (size_t i = 0; i < result->stream_count; i++) {
		totals.lost += result->streams[i].lost;
		totals.reordered += result->streams[i].reordered;
		totals.duplicates += result->streams[i].duplicates;
		totals.too_late += result->streams[i].too_late;
	}
	return totals;
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

static const char *const transport_names[] = {
#define X(constant, name, meaning) [LOAD_BY_##constant] = name,
	LOAD_TRANSPORTS(X)
#undef X
};

static const char *const kind_names[] = {
#define X(constant, name, size, meaning) [LOAD_##constant] = name,
	LOAD_KINDS(X)
#undef X
};

int load_summary_source(const struct load_source_config *config,
			const struct load_source_result *result, bool json)
{
	double rate = result->seconds > 0 ? (double)result->sent / result->seconds : 0;
	const char *by = transport_names[config->by];

	if (json)
		return json_print(json_pack(
			"{s:I, s:I, s:f, s:f, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "sent",
			(json_int_t)result->sent, "skipped", (json_int_t)result->skipped, "seconds",
			result->seconds, "rate", rate, "stream", (json_int_t)config->shape.stream,
			"by", by, "kind", config->capture ? "pcap" : kind_names[config->shape.kind],
			"bytes", (json_int_t)result->bytes, "initials",
			(json_int_t)result->initials, "migrations", (json_int_t)result->migrations,
			"calls", (json_int_t)result->calls));
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

static json_t *sink_json(const struct load_sink_result *result)
{
	struct totals totals = streams_total(result);
	/* "o" takes the arrays over, and fails on NULL. */
	json_t *object = json_pack(
		"{s:I, s:I, s:I, s:I, s:o, s:o}", "lost", (json_int_t)totals.lost, "reordered",
		(json_int_t)totals.reordered, "duplicates", (json_int_t)totals.duplicates,
		"too_late", (json_int_t)totals.too_late, "streams", streams_json(result),
		"destinations", destinations_json(result));

	for (int i = 0; i < LOAD_SINK_COUNTER_COUNT; i++)
		if (json_object_set_new(object, counters[i].name,
					json_integer((json_int_t)result->counters[i]))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

int load_summary_sink(const struct load_sink_result *result, bool json)
{
	struct totals totals = streams_total(result);

	if (json)
		return json_print(sink_json(result));
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
	for (int i = 0; i < LOAD_SINK_COUNTER_COUNT; i++)
		printf("%-16s %14" PRIu64 "  %s\n", counters[i].name, result->counters[i],
		       counters[i].meaning);
	printf("%-16s %14" PRIu64 "  sequences of 0 to the highest that never came\n", "lost",
	       totals.lost);
	printf("%-16s %14" PRIu64 "  came after a higher sequence\n", "reordered",
	       totals.reordered);
	printf("%-16s %14" PRIu64 "  came again\n", "duplicates", totals.duplicates);
	printf("%-16s %14" PRIu64 "  too far behind to tell whether they came before\n", "too_late",
	       totals.too_late);
	return text_end();
}
