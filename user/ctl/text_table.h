/* SPDX-License-Identifier: GPL-2.0-only */
/* text_table.h - JSON rows as a table of aligned text.
 *
 * A table is an array of columns and an array of rows; rates come from the same
 * rows as they were some time ago, matched by their position. Knows nothing of
 * what the columns mean. */
#ifndef RINGWAY_CTL_TEXT_TABLE_H
#define RINGWAY_CTL_TEXT_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TEXT_TABLE_COLUMN_COUNT_MAX 24
#define TEXT_TABLE_CELL_SIZE_MAX    256 /* bytes; longer text is cut */

enum cell_kind {
	CELL_TEXT, /* left-aligned; a list's items are joined by commas */
	CELL_NUMBER,
	CELL_BYTES, /* a number, until bits a second take its place */
	/* From here on only where there are earlier rows. */
	CELL_RATE, /* a second */
	CELL_BITS, /* bytes as bits a second, with a decimal prefix */
	CELL_BUSY, /* nanoseconds as a share of the time */
};

struct column {
	const char *title;
	enum cell_kind kind;
	const char *path; /* of the row's member; "out.bytes" is bytes of out */
};

struct text_table {
	const struct column *columns;
	size_t column_count; /* at most TEXT_TABLE_COLUMN_COUNT_MAX */
	json_t *rows;
	json_t *before; /* the rows of `seconds` ago; NULL: no rates */
	double seconds;
	bool hide_zero; /* rows whose count is 0 */
};

/* A member that is missing gives a blank cell, null "-". */
void text_table_print(FILE *out, const struct text_table *table);

size_t text_table_rows_shown(const struct text_table *table);

/* What is at path: a borrowed reference, or NULL. */
json_t *text_table_member(json_t *row, const char *path);

/* 0 where there is no number. */
double text_table_number(json_t *row, const char *path);

/* text: TEXT_TABLE_CELL_SIZE_MAX bytes. Adds more, after a comma if it is not the
 * first. */
void text_table_append(char *text, const char *more);

#endif
