/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/sink.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load/history.h"
#include "load/receiver.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS     1000000ull

struct run {
	const struct load_sink_config *config;
	const struct load_receiver_ops *ops;
	struct load_receiver *receiver;
	struct load_history history;
	struct load_sink_result result;
	sigset_t signals;
	uint64_t start_ns;
};

void load_sink_totals(const struct load_sink_result *result, struct load_sink_totals *ret_totals)
{
	const uint64_t *counters = result->counters;
	struct load_sink_totals totals = {
		.received = counters[LOAD_SINK_RECEIVED],
		.bytes = counters[LOAD_SINK_BYTES],
		.bad = counters[LOAD_SINK_BAD_CHECKSUM] + counters[LOAD_SINK_BAD_IP_CHECKSUM] +
		       counters[LOAD_SINK_BAD_HASH],
	};

	for (size_t i = 0; i < result->stream_count; i++) {
		totals.expected += result->streams[i].highest + 1;
		totals.lost += result->streams[i].lost;
		totals.reordered += result->streams[i].reordered;
		totals.duplicates += result->streams[i].duplicates;
		totals.too_late += result->streams[i].too_late;
	}
	*ret_totals = totals;
}

static void signals_block(sigset_t *ret_signals)
{
	(void)sigemptyset(ret_signals);
	(void)sigaddset(ret_signals, SIGINT);
	(void)sigaddset(ret_signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, ret_signals, NULL);
}

static void progress_say(const struct load_sink_row *row, bool is_checked)
{
	double expected = (double)row->received + (double)row->lost;
	double seconds = row->to - row->from;

	if (!is_checked) {
		log_info("%.1f s: %.0f/s, %.1f Mbit/s of payload", row->to,
			 (double)row->received / seconds, (double)row->bytes * 8 / seconds / 1e6);
		return;
	}
	log_info("%.1f s: %.0f/s, %.1f Mbit/s of payload, lost %lld (%.3f %%), reordered %llu, "
		 "duplicates %llu, bad %llu",
		 row->to, (double)row->received / seconds, (double)row->bytes * 8 / seconds / 1e6,
		 (long long)row->lost, expected > 0 ? 100 * (double)row->lost / expected : 0,
		 (unsigned long long)row->reordered, (unsigned long long)row->duplicates,
		 (unsigned long long)row->bad);
}

static int row_add(struct run *run, uint64_t now_ns, bool is_last)
{
	const struct load_sink_row *row;
	struct load_sink_totals totals;
	int err = run->ops->tallies_read(run->receiver, &run->result);

	if (err)
		return err;
	load_sink_totals(&run->result, &totals);
	row = load_history_add(&run->history, &totals,
			       (double)(now_ns - run->start_ns) / (double)NS_PER_SECOND, is_last);
	if (row && run->config->is_progress)
		progress_say(row, run->result.is_checked);
	return 0;
}

static int is_over(struct run *run, uint64_t now_ns, bool *ret_is_over)
{
	const struct load_sink_config *config = run->config;
	int err = 0;

	*ret_is_over = config->seconds && now_ns - run->start_ns >= config->seconds * NS_PER_SECOND;
	if (config->count) {
		err = run->ops->counters_read(run->receiver, &run->result);
		*ret_is_over |= run->result.counters[LOAD_SINK_RECEIVED] >= config->count;
	}
	return err;
}

static int count_until_end(struct run *run)
{
	uint64_t row_ns = run->config->interval_ms * NS_PER_MS, due_ns;
	bool is_last = false;
	int err = 0;

	run->start_ns = clock_ns();
	due_ns = run->start_ns + row_ns;
	while (!err && !is_last) {
		uint64_t now_ns;

		is_last = run->ops->wait(run->receiver, &run->signals) > 0;
		now_ns = clock_ns();
		if (!is_last)
			err = is_over(run, now_ns, &is_last);
		if (!err && !is_last && now_ns >= due_ns) {
			err = row_add(run, now_ns, false);
			due_ns += (now_ns - due_ns) / row_ns * row_ns + row_ns;
		}
	}
	run->ops->stop(run->receiver); /* before reading, so that the numbers stand still */
	return err ? err : row_add(run, clock_ns(), true);
}

static int connections_write(const uint8_t *connections, const struct load_sink_config *config,
			     char *error, size_t error_size)
{
	FILE *file = fopen(config->output, "we");
	size_t written = 0;
	int err = 0;

	if (file)
		written = fwrite(connections, 1, config->connections, file);
	if (!file || written != config->connections)
		err = -errno;
	if (file && fclose(file) && !err)
		err = -errno;
	if (err)
		return fail(err, error, error_size, "cannot write the connections to %s: %s",
			    config->output, strerror(-err));
	return 0;
}

/* With the sink open. */
static int run_open(struct run *run, char *error, size_t error_size)
{
	int err = load_history_open(&run->history);

	if (!err)
		err = count_until_end(run);
	if (!err)
		err = run->ops->details_read(run->receiver, &run->result);
	if (err)
		return fail(err, error, error_size, "reading the counters: %s", strerror(-err));
	if (run->config->output)
		return connections_write(run->ops->connections(run->receiver), run->config, error,
					 error_size);
	return 0;
}

int load_sink_run(const struct load_sink_config *config, struct load_sink_result *ret_result,
		  char *error, size_t error_size)
{
	struct run run = {
		.config = config,
		.ops = config->by_socket ? &load_receiver_socket : &load_receiver_xdp,
		.result.is_checked = !config->count_only,
	};
	int err;

	signals_block(&run.signals); /* who reads that we count may end us at once */
	err = run.ops->open(config, &run.receiver, error, error_size);
	if (err)
		return err;
	err = run_open(&run, error, error_size);
	run.ops->close(run.receiver);
	run.result.rows = run.history.rows;
	run.result.row_count = run.history.row_count;
	if (err) {
		load_sink_result_free(&run.result);
		return err;
	}
	*ret_result = run.result;
	return 0;
}

void load_sink_result_free(struct load_sink_result *result)
{
	if (!result)
		return;
	free(result->destinations);
	free(result->rows);
}
