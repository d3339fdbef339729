/* SPDX-License-Identifier: GPL-2.0-only */
/* history.h - what each interval of a run brought, kept as rows that follow one another
 * without a gap: their sums are the totals. Pure; one thread. */
#ifndef RINGWAY_LOAD_HISTORY_H
#define RINGWAY_LOAD_HISTORY_H

#include "load/sink.h"

struct load_history {
	struct load_sink_row *rows; /* LOAD_SINK_ROW_COUNT_MAX */
	size_t row_count;
	struct load_sink_totals before; /* at the end of the last row */
	double end;
};

/* All zeros until then. 0 or -ENOMEM. */
int load_history_open(struct load_history *history);

/* The totals `seconds` after the beginning end a row, which is returned. When there is
 * room for one more only, that one is kept open: NULL until is_last. */
const struct load_sink_row *load_history_add(struct load_history *history,
					     const struct load_sink_totals *totals, double seconds,
					     bool is_last);

#endif
