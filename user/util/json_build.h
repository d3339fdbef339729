/* SPDX-License-Identifier: GPL-2.0-only */
/* json_build.h - building objects and arrays with one check at the end.
 *
 * Each call takes its value. Once memory has run out, *object or *array is NULL,
 * and stays so. */
#ifndef RINGWAY_UTIL_JSON_BUILD_H
#define RINGWAY_UTIL_JSON_BUILD_H

#include <jansson.h>
#include <stdint.h>

static inline void json_build_put(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value)) {
		json_decref(*object);
		*object = NULL;
	}
}

static inline void json_build_number(json_t **object, const char *key, uint64_t number)
{
	json_build_put(object, key, json_integer((json_int_t)number));
}

static inline void json_build_append(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value)) {
		json_decref(*array);
		*array = NULL;
	}
}

/* What the control socket answers where it does not do what is asked. */
static inline json_t *json_build_refusal(const char *sentence)
{
	return json_pack("{ss}", "error", sentence);
}

#endif
