/* SPDX-License-Identifier: GPL-2.0-only */
#include "ctl/ctl_drops.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ctl/text_table.h"
#include "util/json_build.h"

/* Columns of the sentences below the table. */
#define LINE_WIDTH 96

/* A first loss that is smaller than a later one by this much is told, and so is that. */
#define TRICKLE_RATIO 100

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_t *place_named(json_t *answer, const char *name)
{
	json_t *place;
	size_t i;

	json_array_foreach (json_object_get(answer, "places"), i, place) {
		if (strcmp(text_of(place, "place"), name) == 0)
			return place;
	}
	return NULL;
}

/* --- judging ------------------------------------------------------------------- */

static bool is_loss(json_t *place)
{
	return strcmp(text_of(place, "kind"), "loss") == 0;
}

/* Counters that went back count for another daemon, or were estimates. */
static double rate_of(json_t *place, json_t *before, double seconds)
{
	double change = text_table_number(place, "count") -
			text_table_number(place_named(before, text_of(place, "place")), "count");

	return change > 0 ? change / seconds : 0;
}

/* The first loss with more than 0 of that, or NULL. */
static json_t *first_with(json_t *places, const char *number)
{
	json_t *place;
	size_t i;

	json_array_foreach (places, i, place) {
		if (is_loss(place) && text_table_number(place, number) > 0)
			return place;
	}
	return NULL;
}

/* The loss beside which that first one is a trickle, or NULL. */
static json_t *flood_beside(json_t *places, json_t *first, const char *number)
{
	double most = TRICKLE_RATIO * text_table_number(first, number);
	json_t *place, *flood = NULL;
	size_t i;

	json_array_foreach (places, i, place) {
		if (is_loss(place) && text_table_number(place, number) >= most) {
			most = text_table_number(place, number);
			flood = place;
		}
	}
	return flood;
}

/* "most" is there where that is another place by far. */
static json_t *first_json(json_t *places)
{
	json_t *losing = first_with(places, "rate");
	json_t *first = losing ? losing : first_with(places, "count"), *flood;

	if (!first)
		return json_null();
	flood = flood_beside(places, first, losing ? "rate" : "count");
	return json_pack("{sssbss*}", "place", text_of(first, "place"), "now", losing != NULL,
			 "most", flood ? text_of(flood, "place") : NULL);
}

int ctl_drops_judge(json_t *now, json_t *before, double seconds)
{
	json_t *places = json_object_get(now, "places"), *place;
	int failed = 0;
	size_t i;

	if (!json_is_array(places) || !json_is_array(json_object_get(before, "places")))
		return -EPROTO;
	json_array_foreach (places, i, place) {
		failed |= json_object_set_new(place, "rate",
					      json_real(rate_of(place, before, seconds)));
	}
	failed |= json_object_set_new(now, "seconds", json_real(seconds));
	failed |= json_object_set_new(now, "first", first_json(places));
	return failed ? -EPROTO : 0;
}

/* --- printing ------------------------------------------------------------------- */

static const struct column columns[] = {
	{ "", CELL_TEXT, "mark" },	   { "STAGE", CELL_TEXT, "stage" },
	{ "PLACE", CELL_TEXT, "place" },   { "KIND", CELL_TEXT, "kind" },
	{ "COUNT", CELL_NUMBER, "count" }, { "COUNT/s", CELL_NUMBER, "rate" },
	{ "WHERE", CELL_TEXT, "where" },
};

/* "wan queue 0" or "eth0 (rx_missed_errors,rx_fifo_errors)", for each source. */
static json_t *where_json(json_t *place)
{
	json_t *array = json_array(), *source, *value;
	const char *name;
	size_t i;

	json_array_foreach (json_object_get(place, "sources"), i, source) {
		char names[TEXT_TABLE_CELL_SIZE_MAX] = "";

		json_object_foreach (json_object_get(source, "counters"), name, value) {
			text_table_append(names, name);
		}
		json_build_append(&array,
				  *names ? json_sprintf("%s (%s)", text_of(source, "name"), names)
					 : json_string(text_of(source, "name")));
	}
	return array;
}

static const char *mark_of(json_t *answer, json_t *place)
{
	json_t *first = json_object_get(answer, "first");

	if (!first || strcmp(text_of(first, "place"), text_of(place, "place")) != 0)
		return " ";
	return json_is_true(json_object_get(first, "now")) ? ">" : "*";
}

static json_t *place_row(json_t *answer, json_t *place)
{
	double rate = text_table_number(place, "rate");
	json_t *row = json_object();

	json_build_put(&row, "mark", json_string(mark_of(answer, place)));
	json_build_put(&row, "stage", json_string(text_of(place, "stage")));
	json_build_put(&row, "place", json_string(text_of(place, "place")));
	json_build_put(&row, "kind", json_string(text_of(place, "kind")));
	json_build_number(&row, "count", (uint64_t)text_table_number(place, "count"));
	/* What is lost is never shown as 0. */
	json_build_number(&row, "rate", rate > 0 && rate < 1 ? 1 : (uint64_t)(rate + 0.5));
	json_build_put(&row, "where", where_json(place));
	return row;
}

/* A stage that is as it should be is shown as well: it belongs to the way. */
static json_t *stage_row(const char *stage)
{
	return json_pack("{sssssisi}", "mark", " ", "stage", stage, "count", 0, "rate", 0);
}

static json_t *rows_of(json_t *answer)
{
	json_t *rows = json_array(), *places = json_object_get(answer, "places"), *place;
	size_t i, shown = 0;

	json_array_foreach (places, i, place) {
		const char *stage = text_of(place, "stage");
		json_t *next = json_array_get(places, i + 1);

		if (text_table_number(place, "count") > 0) {
			json_build_append(&rows, place_row(answer, place));
			shown++;
		}
		if (strcmp(stage, text_of(next, "stage")) == 0)
			continue;
		if (!shown)
			json_build_append(&rows, stage_row(stage));
		shown = 0;
	}
	return rows;
}

/* Breaks lines between words. */
static void paragraph_print(FILE *out, const char *title, const char *text)
{
	int column = fprintf(out, "%s:", title);

	for (size_t len; *text; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if (column + 1 + (int)len > LINE_WIDTH)
			column = fprintf(out, "\n  ") - 1;
		column += fprintf(out, " %.*s", (int)len, text);
	}
	(void)fputc('\n', out);
}

static void advice_print(FILE *out, json_t *place)
{
	paragraph_print(out, "Meaning", text_of(place, "meaning"));
	paragraph_print(out, "What to do", text_of(place, "advice"));
}

static void verdict_print(FILE *out, json_t *answer)
{
	json_t *first = json_object_get(answer, "first");
	json_t *place = place_named(answer, text_of(first, "place"));
	json_t *most = place_named(answer, text_of(first, "most"));

	if (!place) {
		(void)fputs("\nNothing is lost, and nothing was since ringwayd started.\n", out);
		return;
	}
	if (json_is_true(json_object_get(first, "now")))
		(void)fprintf(out, "\nLost now, first of all at %s (%s).\n",
			      text_of(place, "place"), text_of(place, "stage"));
	else
		(void)fprintf(out,
			      "\nNothing is lost now. Since ringwayd started, first of all at "
			      "%s (%s).\n",
			      text_of(place, "place"), text_of(place, "stage"));
	advice_print(out, place);
	if (!most)
		return;
	(void)fprintf(out, "\nBy far the most, %d times as much or more, at %s (%s).\n",
		      TRICKLE_RATIO, text_of(most, "place"), text_of(most, "stage"));
	advice_print(out, most);
}

int ctl_drops_print(FILE *out, json_t *answer)
{
	struct text_table table = {
		.columns = columns,
		.column_count = sizeof(columns) / sizeof(columns[0]),
		.rows = rows_of(answer),
	};

	if (!table.rows)
		return -EPROTO;
	(void)fprintf(out, "Engine %s, counted for %.0f s, rates over %.1f s\n\n",
		      text_of(answer, "engine"), text_table_number(answer, "uptime_s"),
		      text_table_number(answer, "seconds"));
	text_table_print(out, &table);
	json_decref(table.rows);
	verdict_print(out, answer);
	return 0;
}
