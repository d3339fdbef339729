/* SPDX-License-Identifier: GPL-2.0-only */
/* schema_scalar.c - the kinds of value that any schema may use. */
#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "config/schema.h"
#include "util/number.h"

#define DIGITS "0123456789"

static const char *number_complaint(const struct schema_field *field, const char *text,
				    uint64_t *ret_number)
{
	if (number_parse(text, field->minimum, field->maximum, ret_number))
		return NULL;
	return strspn(text, DIGITS) == strlen(text) ? "is out of range"
						    : "is not a whole decimal number";
}

static void number_store(const struct schema_field *field, uint64_t number, void *value)
{
	switch (field->size) {
	case 1: *(uint8_t *)value = (uint8_t)number; break;
	case 2: *(uint16_t *)value = (uint16_t)number; break;
	case 4: *(uint32_t *)value = (uint32_t)number; break;
	default: assert(!"a number of that size");
	}
}

static uint64_t number_fetch(const struct schema_field *field, const void *value)
{
	switch (field->size) {
	case 1: return *(const uint8_t *)value;
	case 2: return *(const uint16_t *)value;
	default: return *(const uint32_t *)value;
	}
}

static const char *number_read(const struct schema_field *field, const char *text, void *value)
{
	uint64_t number;
	const char *complaint = number_complaint(field, text, &number);

	if (!complaint)
		number_store(field, number, value);
	return complaint;
}

/* Zero below the minimum is what an absent key without fallback leaves. */
static bool number_format(const struct schema_field *field, const void *value, char *text,
			  size_t text_size)
{
	uint64_t number = number_fetch(field, value);

	(void)snprintf(text, text_size, "%" PRIu64, number);
	return number >= field->minimum;
}

static void range_describe(const char *what, const struct schema_field *field, char *text,
			   size_t text_size)
{
	(void)snprintf(text, text_size, "%s from %" PRIu64 " to %" PRIu64 "%s%s", what,
		       field->minimum, field->maximum, field->unit ? " " : "",
		       field->unit ? field->unit : "");
}

static void number_describe(const struct schema_field *field, char *text, size_t text_size)
{
	range_describe("a number", field, text, text_size);
}

const struct schema_scalar schema_number = {
	.parse = number_read,
	.format = number_format,
	.describe = number_describe,
};

static const char *power_of_two_read(const struct schema_field *field, const char *text,
				     void *value)
{
	uint64_t number;
	const char *complaint = number_complaint(field, text, &number);

	if (!complaint && (number & (number - 1)) != 0)
		complaint = "is not a power of two";
	if (!complaint)
		number_store(field, number, value);
	return complaint;
}

static void power_of_two_describe(const struct schema_field *field, char *text, size_t text_size)
{
	range_describe("a power of two", field, text, text_size);
}

const struct schema_scalar schema_power_of_two = {
	.parse = power_of_two_read,
	.format = number_format,
	.describe = power_of_two_describe,
};

static const char *port_read(const struct schema_field *field, const char *text, void *value)
{
	uint64_t number;
	const char *complaint = number_complaint(field, text, &number);

	if (!complaint)
		number_store(field, htons((uint16_t)number), value);
	return complaint;
}

static bool port_format(const struct schema_field *field, const void *value, char *text,
			size_t text_size)
{
	uint16_t port = ntohs((uint16_t)number_fetch(field, value));

	(void)snprintf(text, text_size, "%" PRIu16, port);
	return port > 0;
}

const struct schema_scalar schema_port = {
	.parse = port_read,
	.format = port_format,
	.describe = number_describe,
};

/* Largest first: a duration is written with the first that divides it. */
static const struct {
	const char *name;
	uint32_t ms;
} duration_units[] = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };

#define DURATION_UNIT_COUNT (sizeof(duration_units) / sizeof(duration_units[0]))

static void duration_print(uint64_t ms, char *text, size_t text_size)
{
	size_t unit = 0;

	while (ms % duration_units[unit].ms != 0)
		unit++;
	(void)snprintf(text, text_size, "%" PRIu64 "%s", ms / duration_units[unit].ms,
		       duration_units[unit].name);
}

/* count_ms: of one of what is stored, and the smallest unit. */
static const char *duration_parse(const struct schema_field *field, const char *text,
				  uint32_t count_ms, void *value)
{
	char digits[12] = "";
	size_t len = strspn(text, DIGITS);
	uint64_t number;

	for (size_t i = 0; i < DURATION_UNIT_COUNT && duration_units[i].ms >= count_ms; i++) {
		if (len == 0 || strcmp(text + len, duration_units[i].name) != 0)
			continue;
		if (len >= sizeof(digits))
			return "is out of range";
		memcpy(digits, text, len);
		if (!number_parse(digits, 0, UINT64_MAX, &number))
			return "is out of range";
		number *= duration_units[i].ms / count_ms;
		if (number < field->minimum || number > field->maximum)
			return "is out of range";
		number_store(field, number, value);
		return NULL;
	}
	return "is not a whole number with a unit";
}

static const char *duration_read(const struct schema_field *field, const char *text, void *value)
{
	return duration_parse(field, text, 1000, value);
}

static bool duration_format(const struct schema_field *field, const void *value, char *text,
			    size_t text_size)
{
	duration_print(number_fetch(field, value) * 1000, text, text_size);
	return number_fetch(field, value) >= field->minimum;
}

static void duration_describe(const struct schema_field *field, char *text, size_t text_size)
{
	char minimum[24], maximum[24];

	duration_print(field->minimum * 1000, minimum, sizeof(minimum));
	duration_print(field->maximum * 1000, maximum, sizeof(maximum));
	(void)snprintf(text, text_size, "a duration in s, m or h from %s to %s", minimum, maximum);
}

const struct schema_scalar schema_duration = {
	.parse = duration_read,
	.format = duration_format,
	.describe = duration_describe,
};

static const char *duration_ms_read(const struct schema_field *field, const char *text, void *value)
{
	return duration_parse(field, text, 1, value);
}

static bool duration_ms_format(const struct schema_field *field, const void *value, char *text,
			       size_t text_size)
{
	duration_print(number_fetch(field, value), text, text_size);
	return number_fetch(field, value) >= field->minimum;
}

static void duration_ms_describe(const struct schema_field *field, char *text, size_t text_size)
{
	char minimum[24], maximum[24];

	duration_print(field->minimum, minimum, sizeof(minimum));
	duration_print(field->maximum, maximum, sizeof(maximum));
	(void)snprintf(text, text_size, "a duration in ms, s, m or h from %s to %s", minimum,
		       maximum);
}

const struct schema_scalar schema_duration_ms = {
	.parse = duration_ms_read,
	.format = duration_ms_format,
	.describe = duration_ms_describe,
};

static const char *choice_read(const struct schema_field *field, const char *text, void *value)
{
	for (size_t i = field->minimum; field->choices[i]; i++) {
		if (strcmp(field->choices[i], text) != 0)
			continue;
		number_store(field, i, value);
		return NULL;
	}
	return "is unknown";
}

static bool choice_format(const struct schema_field *field, const void *value, char *text,
			  size_t text_size)
{
	(void)snprintf(text, text_size, "%s", field->choices[number_fetch(field, value)]);
	return number_fetch(field, value) >= field->minimum;
}

static void choice_describe(const struct schema_field *field, char *text, size_t text_size)
{
	size_t len = 0;

	for (size_t i = field->minimum; field->choices[i] && len < text_size; i++) {
		const char *separator = field->choices[i + 1] ? ", " : " or ";

		len += (size_t)snprintf(text + len, text_size - len, "%s%s",
					i == field->minimum ? "" : separator, field->choices[i]);
	}
}

const struct schema_scalar schema_choice = {
	.parse = choice_read,
	.format = choice_format,
	.describe = choice_describe,
};
