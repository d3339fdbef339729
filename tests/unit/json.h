/* SPDX-License-Identifier: GPL-2.0-only */
/* json.h - JSON in tests' text, with ' for ". */
#ifndef RINGWAY_TESTS_JSON_H
#define RINGWAY_TESTS_JSON_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* The text in proper quotes; the caller's (free). */
static inline char *json_text(const char *quoted)
{
	char *text = strdup(quoted);

	assert_non_null(text);
	for (char *c = text; (c = strchr(c, '\'')); c++)
		*c = '"';
	return text;
}

static inline json_t *json_of(const char *quoted)
{
	char *text = json_text(quoted);
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		print_message("%s at %d: %s\n", error.text, error.position, text);
	assert_non_null(json);
	free(text);
	return json;
}

#endif
