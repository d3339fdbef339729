/* SPDX-License-Identifier: GPL-2.0-only */
/* search.h - the highest rate at which what stands between source and sink loses
 * nothing, in the manner of RFC 2544 section 26.1: trials of one length at one rate
 * each, halving the distance (bisect.h), the winner repeated.
 *
 * Source and sink are of one machine; a trial's source is a process of its own. */
#ifndef RINGWAY_LOAD_SEARCH_H
#define RINGWAY_LOAD_SEARCH_H

#include "load/bisect.h"
#include "load/sink.h"
#include "load/source.h"

struct load_search_config {
	struct load_source_config source; /* but count, rate, seconds and the shape's stream */
	const char *sink_ifname;
	const char *sink_netns;		       /* a name or a path; NULL: ours */
	uint64_t minimum, maximum, resolution; /* frames a second */
	uint32_t confirmations;
	uint32_t seconds;	/* of a trial */
	uint32_t tolerated_ppm; /* of the frames sent may be lost */
	uint32_t stream;	/* of the first trial; the others follow */
	bool is_progress;	/* each trial on stderr */
};

struct load_search_trial {
	uint64_t rate;		 /* that was asked for */
	double offered;		 /* the source's own: less where it cannot, or was held up */
	uint64_t sent, received; /* received: good, and for the first time */
	uint64_t reordered, duplicates, too_late, bad;
	struct load_histogram latency;
	bool has_passed;
};

/* X(constant, name, meaning): what keeps the result from being higher */
#define LOAD_SEARCH_LIMITS(X)                                                    \
	X(LOSS, "loss", "a rate above it, within the resolution, lost too much") \
	X(SOURCE, "source", "the source offered less than it was asked for")     \
	X(MAXIMUM, "maximum", "nothing: --maximum itself passed")                \
	X(MINIMUM, "minimum", "not even --minimum passed")                       \
	X(TRIALS, "trials", "trials ran out, as their outcomes contradict each other")

enum load_search_limit {
#define X(constant, name, meaning) LOAD_SEARCH_##constant,
	LOAD_SEARCH_LIMITS(X)
#undef X
		LOAD_SEARCH_LIMIT_COUNT,
};

struct load_search_result {
	double offered; /* what the winner's trials offered, at least; 0: none passed */
	uint64_t rate;	/* what they were asked for */
	enum load_search_limit limit;
	bool is_confirmed;
	struct load_search_trial *trials; /* in their order */
	size_t trial_count;
};

/* 0 and *ret_result is the caller's (load_search_result_free), or a negative errno and a
 * sentence in error[]: -EINTR after SIGINT or SIGTERM. Leaves those and SIGCHLD blocked.
 * One thread; takes as long as the trials and up to 2 s after each. */
int load_search_run(const struct load_search_config *config, struct load_search_result *ret_result,
		    char *error, size_t error_size);

void load_search_result_free(struct load_search_result *result); /* accepts NULL and zeros */

#endif
