/* SPDX-License-Identifier: GPL-2.0-only */
#include "ctl/ctl_trace.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LINE "%-12s  %-21s  %-10s  %-10s  %-13s  %-9s  %-16s  %s\n"

void ctl_trace_heading_print(FILE *out)
{
	(void)fprintf(out, LINE, "TIME", "CLIENT", "SERVICE", "BACKEND", "RULE", "TYPE", "DROPPED",
		      "CONNECTION ID");
}

static const char *member(json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : "-";
}

/* text: 16 bytes; local time of day to the millisecond. */
static const char *time_format(json_t *record, char *text)
{
	json_int_t time_ms = json_integer_value(json_object_get(record, "time_ms"));
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm local = { 0 };

	(void)localtime_r(&seconds, &local);
	(void)snprintf(text, 16, "%02u:%02u:%02u.%03u", (unsigned int)local.tm_hour % 24,
		       (unsigned int)local.tm_min % 60, (unsigned int)local.tm_sec % 61,
		       (unsigned int)(time_ms % 1000));
	return text;
}

static void record_print(FILE *out, json_t *record)
{
	char text[16];

	(void)fprintf(out, LINE, time_format(record, text), member(record, "client"),
		      member(record, "service"), member(record, "backend"), member(record, "rule"),
		      member(record, "type"), member(record, "dropped"),
		      member(record, "connection_id"));
}

int ctl_trace_print(FILE *out, json_t *answer, bool is_json, uint64_t *left)
{
	json_t *records = json_object_get(answer, "records"), *record;
	size_t i;

	if (!json_is_array(records))
		return -EPROTO;
	json_array_foreach (records, i, record) {
		if (!*left)
			break;
		--*left;
		if (!is_json)
			record_print(out, record);
		else if (!json_dumpf(record, out, JSON_COMPACT))
			(void)fputc('\n', out);
	}
	return 0;
}
