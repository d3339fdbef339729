/* SPDX-License-Identifier: GPL-2.0-only */
/* schema_write.c - what a table of fields says, as a file and as documentation. */
#include <assert.h>
#include <string.h>

#include "config/schema.h"

/* Spaces before a key of this depth. */
static int indent_of(unsigned int depth)
{
	return (int)(2 * depth);
}

static void write_mapping(const struct schema_field *fields, const char *container,
			  unsigned int depth, bool is_item, FILE *out);

static void write_scalar(const struct schema_field *field, const void *value, unsigned int depth,
			 FILE *out)
{
	char text[SCHEMA_TEXT_SIZE];

	if (field->scalar->format(field, value, text, sizeof(text)))
		(void)fprintf(out, "%*s%s: %s\n", indent_of(depth), "", field->key, text);
}

static void write_list(const struct schema_field *field, const char *container, unsigned int depth,
		       FILE *out)
{
	const struct schema_list *list = field->list;
	const char *items = list->is_allocated ? *(const char *const *)(container + field->offset)
					       : container + field->offset;
	size_t count = list->item_size > 0 ? *(const size_t *)(container + list->count_offset) : 1;
	char text[SCHEMA_TEXT_SIZE];

	if (count == 0)
		return;
	(void)fprintf(out, "%*s%s:", indent_of(depth), "", field->key);
	if (field->fields) {
		(void)fputc('\n', out);
		for (size_t i = 0; i < count; i++)
			write_mapping(field->fields, items + i * list->item_size, depth + 2, true,
				      out);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		(void)field->scalar->format(field, items + i * list->item_size, text, sizeof(text));
		(void)fprintf(out, "%s%s", i == 0 ? " [" : ", ", text);
	}
	(void)fputs("]\n", out);
}

/* The first key of an item stands behind its dash; it is a required scalar. */
static void write_mapping(const struct schema_field *fields, const char *container,
			  unsigned int depth, bool is_item, FILE *out)
{
	for (const struct schema_field *field = fields; field->key; field++) {
		unsigned int key_depth = depth;

		if (is_item && field == fields) {
			(void)fprintf(out, "%*s- ", indent_of(depth - 1), "");
			key_depth = 0;
		}
		if (field->list) {
			write_list(field, container, key_depth, out);
		} else if (field->scalar) {
			write_scalar(field, container + field->offset, key_depth, out);
		} else if (!field->present_offset ||
			   *(const bool *)(container + field->present_offset)) {
			(void)fprintf(out, "%*s%s:\n", indent_of(depth), "", field->key);
			write_mapping(field->fields, container + field->offset, depth + 1, false,
				      out);
		}
	}
}

void schema_write(const struct schema_field *fields, const void *value, FILE *out)
{
	write_mapping(fields, value, 0, false, out);
}

/* scdoc takes these for markup. */
static void help_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (strchr("\\_*", *text))
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
}

/* "a number from 1 to 9; required" */
static void help_type(const struct schema_field *field, char *text, size_t text_size)
{
	char type[SCHEMA_TEXT_SIZE];

	if (field->fields && field->list)
		(void)snprintf(type, sizeof(type), "a list of %zu to %zu mappings%s%s%s",
			       field->list->minimum, field->list->maximum,
			       field->list->has_shorthand ? " or " : "",
			       field->list->has_shorthand ? field->fields[0].key : "",
			       field->list->has_shorthand ? "s alone" : "");
	else if (field->fields)
		(void)snprintf(type, sizeof(type), "a mapping");
	else
		schema_describe(field, type, sizeof(type));
	(void)snprintf(text, text_size, "%s%s%s%s", type, field->required ? "; required" : "",
		       field->fallback || field->fallback_note ? "; default " : "",
		       field->fallback	      ? field->fallback
		       : field->fallback_note ? field->fallback_note
					      : "");
}

static void help_field_plain(const struct schema_field *field, unsigned int depth, FILE *out)
{
	char type[2 * SCHEMA_TEXT_SIZE];

	help_type(field, type, sizeof(type));
	(void)fprintf(out, "%*s%s: %s\n", indent_of(depth), "", field->key, type);
	(void)fprintf(out, "%*s%s\n", indent_of(depth + 2), "", field->meaning);
}

static void help_field_scdoc(const struct schema_field *field, unsigned int depth, FILE *out)
{
	static const char tabs[] = "\t\t\t\t";
	char type[2 * SCHEMA_TEXT_SIZE];

	assert(depth + 1 < sizeof(tabs));
	help_type(field, type, sizeof(type));
	(void)fprintf(out, "%.*s*", (int)depth, tabs);
	help_escaped(field->key, out);
	(void)fputs("*: ", out);
	help_escaped(type, out);
	(void)fprintf(out, "\n%.*s", (int)depth + 1, tabs);
	help_escaped(field->meaning, out);
	(void)fputs("\n\n", out);
}

static void help_fields(const struct schema_field *fields, unsigned int depth, FILE *out,
			bool scdoc)
{
	for (const struct schema_field *field = fields; field->key; field++) {
		if (scdoc)
			help_field_scdoc(field, depth, out);
		else
			help_field_plain(field, depth, out);
		if (field->fields)
			help_fields(field->fields, depth + 1, out, scdoc);
	}
}

void schema_help(const struct schema_field *fields, FILE *out, bool scdoc)
{
	help_fields(fields, 0, out, scdoc);
}
