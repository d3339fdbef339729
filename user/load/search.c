/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/search.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load/receiver.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

#define NS_PER_SECOND 1000000000ull
#define PPM	      1000000u

/* RFC 2544 section 23: how long to wait for what is still on its way. */
#define SETTLE_NS      (2 * NS_PER_SECOND)
#define SETTLE_POLL_NS (10 * 1000 * 1000)

/* A source ends by itself; one that has not by then never will. */
#define SOURCE_SLACK_S 10

/* A trial that passes while less than this of its rate was offered says little: it is
 * tried again, so often in all. */
#define OFFERED_SHARE	       0.99
#define ATTEMPT_COUNT_MAX      3
#define SEARCH_TRIAL_COUNT_MAX (LOAD_BISECT_TRIAL_COUNT_MAX * ATTEMPT_COUNT_MAX)

struct search {
	const struct load_search_config *config;
	struct load_bisect bisect;
	struct load_search_result result;
	struct load_receiver *sink;
	sigset_t signals; /* all three; and without SIGCHLD */
	sigset_t stops;
};

/* What a source's process tells before it ends. */
struct report {
	int err;
	struct load_source_result result;
	char error[256];
};

static void signals_block(struct search *search)
{
	(void)sigemptyset(&search->stops);
	(void)sigaddset(&search->stops, SIGINT);
	(void)sigaddset(&search->stops, SIGTERM);
	search->signals = search->stops;
	(void)sigaddset(&search->signals, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &search->signals, NULL);
}

/* A source takes signals, an alarm and the CPU over, once a process: so it gets one. */
static void source_process(const struct search *search, const struct load_source_config *config,
			   int report_fd)
{
	struct report report = { .err = 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)sigprocmask(SIG_UNBLOCK, &search->signals, NULL);
	log_level_set(LOG_LEVEL_WARN);
	report.err = load_source_run(config, &report.result, report.error, sizeof(report.error));
	_exit(write(report_fd, &report, sizeof(report)) != (ssize_t)sizeof(report));
}

/* 0 when it has ended, -EINTR when we are to end, -ETIMEDOUT when it does not. */
static int source_wait(const struct search *search, uint64_t deadline_ns)
{
	while (clock_ns() < deadline_ns) {
		uint64_t left_ns = deadline_ns - clock_ns();
		const struct timespec left = { .tv_sec = (time_t)(left_ns / NS_PER_SECOND),
					       .tv_nsec = (long)(left_ns % NS_PER_SECOND) };
		int signal = sigtimedwait(&search->signals, NULL, &left);

		if (signal == SIGCHLD)
			return 0;
		if (signal > 0)
			return -EINTR;
	}
	return -ETIMEDOUT;
}

static int source_run(const struct search *search, const struct load_source_config *config,
		      struct report *ret_report)
{
	int ends[2], err, status = 0;
	pid_t source;

	if (pipe(ends))
		return -errno;
	source = fork();
	if (source == 0)
		source_process(search, config, ends[1]);
	(void)close(ends[1]);
	if (source < 0) {
		(void)close(ends[0]);
		return -errno;
	}
	err = source_wait(search, clock_ns() + (config->seconds + SOURCE_SLACK_S) * NS_PER_SECOND);
	if (err)
		(void)kill(source, err == -EINTR ? SIGTERM : SIGKILL);
	if (waitpid(source, &status, 0) != source)
		err = err ? err : -errno;
	/* Smaller than what a pipe holds: it is there, whole, or never will be. */
	if (!err && read(ends[0], ret_report, sizeof(*ret_report)) != (ssize_t)sizeof(*ret_report))
		err = -ECHILD;
	(void)close(ends[0]);
	return err;
}

static void trial_set(struct load_search_trial *trial, const struct load_sink_result *result,
		      uint32_t stream_number)
{
	struct load_sink_totals totals;

	for (size_t i = 0; i < result->stream_count; i++) {
		const struct load_sink_stream *stream = &result->streams[i];

		if (stream->number != stream_number)
			continue;
		trial->received = stream->new;
		trial->reordered = stream->reordered;
		trial->duplicates = stream->duplicates;
		trial->too_late = stream->too_late;
	}
	load_sink_totals(result, &totals);
	trial->bad = totals.bad;
}

/* When all that was sent has come, or could no longer be on its way. */
static int trial_read(const struct search *search, uint32_t stream_number,
		      struct load_search_trial *trial)
{
	struct load_sink_result *result = calloc(1, sizeof(*result));
	const struct timespec interval = { .tv_nsec = SETTLE_POLL_NS };
	uint64_t deadline_ns = clock_ns() + SETTLE_NS;
	int err = result ? 0 : -ENOMEM;

	while (!err && trial->received < trial->sent && clock_ns() < deadline_ns) {
		if (sigtimedwait(&search->stops, NULL, &interval) > 0)
			err = -EINTR;
		else
			err = load_receiver_xdp.tallies_read(search->sink, result);
		if (!err)
			trial_set(trial, result, stream_number);
	}
	if (!err)
		err = load_receiver_xdp_latency_read(search->sink, result);
	if (!err)
		trial->latency = result->latency;
	free(result);
	return err;
}

/* Frames that were not sent at all fail a trial too. */
static bool has_passed(const struct load_search_config *config,
		       const struct load_search_trial *trial)
{
	uint64_t lost = trial->sent - trial->received;

	return trial->sent && trial->received <= trial->sent &&
	       lost <= trial->sent / PPM * config->tolerated_ppm +
			       trial->sent % PPM * config->tolerated_ppm / PPM;
}

static void trial_say(const struct search *search, const struct load_search_trial *trial)
{
	log_info("trial %zu: %llu/s asked, %.0f/s offered for %u s: %llu sent, %llu lost: %s",
		 search->result.trial_count, (unsigned long long)trial->rate, trial->offered,
		 search->config->seconds, (unsigned long long)trial->sent,
		 (unsigned long long)(trial->sent - trial->received),
		 trial->has_passed ? "passed" : "failed");
}

static int trial_run(struct search *search, uint64_t rate, char *error, size_t error_size)
{
	const struct load_search_config *config = search->config;
	struct load_search_trial *trial = &search->result.trials[search->result.trial_count];
	struct load_source_config source = config->source;
	struct report report = { .err = 0 };
	int err = load_receiver_xdp_reset(search->sink);

	source.rate = rate;
	source.shape.rate = rate;
	source.seconds = config->seconds;
	source.count = rate * config->seconds;
	source.shape.stream = config->stream + (uint32_t)search->result.trial_count;
	if (!err)
		err = source_run(search, &source, &report);
	if (!err && report.err)
		return fail(report.err, error, error_size, "%s", report.error);
	*trial = (struct load_search_trial){ .rate = rate, .sent = report.result.sent };
	trial->offered =
		report.result.seconds > 0 ? (double)report.result.sent / report.result.seconds : 0;
	if (!err)
		err = trial_read(search, source.shape.stream, trial);
	if (err)
		return fail(err, error, error_size, "trial at %llu/s: %s", (unsigned long long)rate,
			    err == -EINTR ? "interrupted" : strerror(-err));
	trial->has_passed = has_passed(config, trial);
	search->result.trial_count++;
	if (config->is_progress)
		trial_say(search, trial);
	return 0;
}

static enum load_search_limit limit_of(const struct search *search)
{
	const struct load_search_result *result = &search->result;

	if (!load_bisect_is_confirmed(&search->bisect))
		return search->bisect.trial_count < LOAD_BISECT_TRIAL_COUNT_MAX
			       ? LOAD_SEARCH_MINIMUM
			       : LOAD_SEARCH_TRIALS;
	if (result->offered < OFFERED_SHARE * (double)result->rate)
		return LOAD_SEARCH_SOURCE;
	return result->rate == search->config->maximum ? LOAD_SEARCH_MAXIMUM : LOAD_SEARCH_LOSS;
}

static bool is_short(const struct load_search_trial *trial)
{
	return trial->offered < OFFERED_SHARE * (double)trial->rate;
}

/* Whether trial bears the winner out, and the one before says more than it should: of
 * those in full the slowest counts, and only where there are none, of the others. */
static bool is_better_witness(const struct load_search_trial *trial,
			      const struct load_search_trial *before)
{
	if (!before || is_short(trial) != is_short(before))
		return !before || is_short(before);
	return trial->offered < before->offered;
}

static void conclude(struct search *search)
{
	struct load_search_result *result = &search->result;
	const struct load_search_trial *witness = NULL;

	result->rate = load_bisect_winner(&search->bisect);
	result->is_confirmed = load_bisect_is_confirmed(&search->bisect);
	for (size_t i = 0; i < result->trial_count; i++) {
		const struct load_search_trial *trial = &result->trials[i];

		if (trial->rate == result->rate && trial->has_passed &&
		    is_better_witness(trial, witness))
			witness = trial;
	}
	result->offered = witness ? witness->offered : 0;
	result->limit = limit_of(search);
}

/* One that passes in full, or fails; *ret_has_passed is how it ended. */
static int rate_try(struct search *search, uint64_t rate, bool *ret_has_passed, char *error,
		    size_t error_size)
{
	for (int i = 0; i < ATTEMPT_COUNT_MAX; i++) {
		const struct load_search_trial *trial =
			&search->result.trials[search->result.trial_count];
		int err = trial_run(search, rate, error, error_size);

		if (err)
			return err;
		*ret_has_passed = trial->has_passed;
		if (!trial->has_passed || !is_short(trial))
			break;
	}
	return 0;
}

static void announce(const struct load_search_config *config)
{
	const struct load_source_config *source = &config->source;
	char to[ENDPOINT_TEXT_SIZE];

	log_info("sending for %u s a trial, at %llu/s at most and %llu/s at least, out of %s to "
		 "%s, by %s",
		 config->seconds, (unsigned long long)config->maximum,
		 (unsigned long long)config->minimum, source->ifname,
		 endpoint_format(source->shape.to.addr, source->shape.to.port, to),
		 load_transport_name(source->by));
}

static int trials_run(struct search *search, char *error, size_t error_size)
{
	uint64_t rate;

	while ((rate = load_bisect_next(&search->bisect))) {
		bool passed = false;
		int err = rate_try(search, rate, &passed, error, error_size);

		if (err)
			return err;
		load_bisect_note(&search->bisect, rate, passed);
	}
	conclude(search);
	return 0;
}

int load_search_run(const struct load_search_config *config, struct load_search_result *ret_result,
		    char *error, size_t error_size)
{
	const struct load_sink_config sink = {
		.ifname = config->sink_ifname,
		.netns = config->sink_netns,
	};
	struct search search = {
		.config = config,
		.bisect = { .minimum = config->minimum,
			    .maximum = config->maximum,
			    .resolution = config->resolution,
			    .confirmations = config->confirmations },
	};
	int err;

	search.result.trials = calloc(SEARCH_TRIAL_COUNT_MAX, sizeof(*search.result.trials));
	if (!search.result.trials)
		return fail(-ENOMEM, error, error_size, "out of memory");
	signals_block(&search);
	err = load_receiver_xdp.open(&sink, &search.sink, error, error_size);
	if (!err) {
		announce(config);
		err = trials_run(&search, error, error_size);
	}
	load_receiver_xdp.close(search.sink);
	if (err) {
		load_search_result_free(&search.result);
		return err;
	}
	*ret_result = search.result;
	return 0;
}

void load_search_result_free(struct load_search_result *result)
{
	if (result)
		free(result->trials);
}
