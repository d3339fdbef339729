/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/history.h"

#include <errno.h>
#include <stdlib.h>

int load_history_open(struct load_history *history)
{
	history->rows = calloc(LOAD_SINK_ROW_COUNT_MAX, sizeof(*history->rows));
	return history->rows ? 0 : -ENOMEM;
}

const struct load_sink_row *load_history_add(struct load_history *history,
					     const struct load_sink_totals *totals, double seconds,
					     bool is_last)
{
	const struct load_sink_totals *before = &history->before;
	struct load_sink_row *row = &history->rows[history->row_count];

	if (history->row_count >= LOAD_SINK_ROW_COUNT_MAX - (is_last ? 0u : 1u))
		return NULL;
	*row = (struct load_sink_row){
		.from = history->end,
		.to = seconds,
		.received = totals->received - before->received,
		.bytes = totals->bytes - before->bytes,
		.reordered = totals->reordered - before->reordered,
		.duplicates = totals->duplicates - before->duplicates,
		.bad = totals->bad - before->bad,
		.lost = (int64_t)(totals->lost - before->lost),
	};
	history->row_count++;
	history->before = *totals;
	history->end = seconds;
	return row;
}
