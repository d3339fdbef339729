/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/connections.h"

#include "control/daemon.h"
#include "util/clock.h"

/* Lines looked at in a second: all of them well before an entry's time has gone
 * half round. */
#define SWEEP_SECONDS 1000

/* And at least so many, which takes a millisecond or two: what a table holds, up to
 * ten million connections, is known within a minute. */
#define SWEEP_LINES_MIN 65536

static uint16_t ticks_now(void)
{
	return affinity_ticks(clock_ns() / 1000000);
}

void connections_void(struct daemon *daemon, const bool slots[BACKEND_COUNT_MAX])
{
	struct affinity *tables[] = { &daemon->router->tuples, &daemon->router->cids };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		(void)affinity_sweep(tables[i], 0, tables[i]->line_count, ticks_now(),
				     AFFINITY_AGE_MAX_TICKS, slots);
}

static void table_sweep(struct affinity *table, struct connections_sweep *sweep)
{
	uint64_t count = table->line_count / SWEEP_SECONDS + 1;

	if (count < SWEEP_LINES_MIN)
		count = SWEEP_LINES_MIN;
	if (sweep->next_line + count > table->line_count)
		count = table->line_count - sweep->next_line;
	sweep->seen += affinity_sweep(table, sweep->next_line, count, ticks_now(),
				      AFFINITY_AGE_MAX_TICKS, NULL);
	sweep->next_line += count;
	if (sweep->next_line < table->line_count)
		return;
	sweep->live = sweep->seen;
	sweep->is_complete = true;
	sweep->next_line = sweep->seen = 0;
}

void connections_tick(struct daemon *daemon)
{
	table_sweep(&daemon->router->tuples, &daemon->tuples_sweep);
	table_sweep(&daemon->router->cids, &daemon->cids_sweep);
}
