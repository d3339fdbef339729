/* SPDX-License-Identifier: GPL-2.0-only */
#include "ctl/text_table.h"

#include <assert.h>
#include <string.h>

json_t *text_table_member(json_t *row, const char *path)
{
	const char *dot;

	for (; (dot = strchr(path, '.')); path = dot + 1)
		row = json_object_getn(row, path, (size_t)(dot - path));
	return json_object_get(row, path);
}

double text_table_number(json_t *row, const char *path)
{
	return json_number_value(text_table_member(row, path));
}

void text_table_append(char *text, const char *more)
{
	size_t len = strlen(text);

	(void)snprintf(text + len, TEXT_TABLE_CELL_SIZE_MAX - len, "%s%s", len ? "," : "", more);
}

static void value_format(const json_t *value, char *text)
{
	const json_t *item;
	size_t i;

	text[0] = '\0';
	if (json_is_integer(value))
		(void)snprintf(text, TEXT_TABLE_CELL_SIZE_MAX, "%" JSON_INTEGER_FORMAT,
			       json_integer_value(value));
	else if (json_is_string(value))
		text_table_append(text, json_string_value(value));
	else if (json_is_null(value))
		text_table_append(text, "-");
	json_array_foreach (value, i, item) {
		if (json_is_string(item))
			text_table_append(text, json_string_value(item));
	}
}

/* Three digits that count: 0, 999, 1.23k, 45.6M, 789G. */
static void prefix_format(double number, char *text)
{
	static const char prefixes[] = " kMGTP";
	size_t prefix = 0;

	while (number >= 999.5 && prefix < strlen(prefixes) - 1) {
		number /= 1000;
		prefix++;
	}
	if (!prefix)
		(void)snprintf(text, TEXT_TABLE_CELL_SIZE_MAX, "%.0f", number);
	else
		(void)snprintf(text, TEXT_TABLE_CELL_SIZE_MAX, "%.*f%c",
			       number < 9.995	? 2
			       : number < 99.95 ? 1
						: 0,
			       number, prefixes[prefix]);
}

static void rate_format(const struct text_table *table, const struct column *column, size_t row,
			char *text)
{
	json_t *now = json_array_get(table->rows, row);
	json_t *before = json_array_get(table->before, row);
	double change =
		text_table_number(now, column->path) - text_table_number(before, column->path);
	double rate = change / table->seconds;

	text[0] = '\0';
	if (!text_table_member(now, column->path))
		return;
	/* A counter that went back counts for another daemon. */
	if (!text_table_member(before, column->path) || change < 0)
		text_table_append(text, "-");
	else if (column->kind == CELL_BITS)
		prefix_format(8 * rate, text);
	else if (column->kind == CELL_BUSY)
		(void)snprintf(text, TEXT_TABLE_CELL_SIZE_MAX, "%.0f%%", 100 * rate / 1e9);
	else
		(void)snprintf(text, TEXT_TABLE_CELL_SIZE_MAX, "%.0f", rate);
}

static void cell_format(const struct text_table *table, const struct column *column, size_t row,
			char *text)
{
	if (column->kind < CELL_RATE)
		value_format(text_table_member(json_array_get(table->rows, row), column->path),
			     text);
	else
		rate_format(table, column, row, text);
}

static bool column_is_shown(const struct text_table *table, const struct column *column)
{
	return table->before ? column->kind != CELL_BYTES : column->kind < CELL_RATE;
}

static bool row_is_shown(const struct text_table *table, size_t row)
{
	return !table->hide_zero ||
	       text_table_number(json_array_get(table->rows, row), "count") > 0;
}

size_t text_table_rows_shown(const struct text_table *table)
{
	size_t count = 0;

	for (size_t row = 0; row < json_array_size(table->rows); row++)
		count += row_is_shown(table, row);
	return count;
}

static int width_measure(const struct text_table *table, const struct column *column)
{
	char text[TEXT_TABLE_CELL_SIZE_MAX];
	size_t width = strlen(column->title);

	for (size_t row = 0; row < json_array_size(table->rows); row++) {
		if (!row_is_shown(table, row))
			continue;
		cell_format(table, column, row, text);
		if (strlen(text) > width)
			width = strlen(text);
	}
	return (int)width;
}

/* The columns that are shown, and their widths. */
static size_t columns_choose(const struct text_table *table, const struct column **ret_columns,
			     int *ret_widths)
{
	size_t count = 0;

	assert(table->column_count <= TEXT_TABLE_COLUMN_COUNT_MAX);
	for (size_t i = 0; i < table->column_count; i++) {
		const struct column *column = &table->columns[i];

		if (!column_is_shown(table, column))
			continue;
		ret_columns[count] = column;
		ret_widths[count++] = width_measure(table, column);
	}
	return count;
}

/* One row, or the titles where row is TITLES; no blanks at the end. */
#define TITLES ((size_t)-1)

static void line_print(FILE *out, const struct text_table *table, size_t row,
		       const struct column *const *columns, const int *widths, size_t count)
{
	char line[TEXT_TABLE_COLUMN_COUNT_MAX * (TEXT_TABLE_CELL_SIZE_MAX + 2)];
	char text[TEXT_TABLE_CELL_SIZE_MAX];
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (row != TITLES)
			cell_format(table, columns[i], row, text);
		len += (size_t)sprintf(line + len,
				       columns[i]->kind == CELL_TEXT ? "%-*s  " : "%*s  ",
				       widths[i], row == TITLES ? columns[i]->title : text);
	}
	while (len && line[len - 1] == ' ')
		len--;
	(void)fprintf(out, "%.*s\n", (int)len, line);
}

void text_table_print(FILE *out, const struct text_table *table)
{
	const struct column *columns[TEXT_TABLE_COLUMN_COUNT_MAX];
	int widths[TEXT_TABLE_COLUMN_COUNT_MAX];
	size_t count = columns_choose(table, columns, widths);

	line_print(out, table, TITLES, columns, widths, count);
	for (size_t row = 0; row < json_array_size(table->rows); row++)
		if (row_is_shown(table, row))
			line_print(out, table, row, columns, widths, count);
}
