/* SPDX-License-Identifier: GPL-2.0-only */
/* sink.h - counts and checks the load datagrams that arrive on an interface. */
#ifndef RINGWAY_LOAD_SINK_H
#define RINGWAY_LOAD_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/load_abi.h"
#include "ringway/load_histogram.h"
#include "util/endpoint.h"

/* Addresses of the host, at most, that a socket tells apart. */
#define LOAD_SOCKET_DESTINATION_COUNT_MAX 64

struct load_sink_config {
	const char *ifname;
	const char *netns;    /* the namespace it is in, a name or a path; NULL: ours */
	const char *output;   /* file for connections: byte n is 1 if connection n was there */
	uint64_t count;	      /* stop after so many datagrams; 0: never */
	uint32_t seconds;     /* 0: until a signal comes */
	uint32_t interval_ms; /* of the rows, at least 1 */
	uint32_t connections; /* note which of so many there were; 0: none */
	uint32_t stream;      /* of this stream; 0: of every one */
	uint16_t port;	      /* destination port; 0: every one */
	bool echo;	      /* send datagrams back instead of dropping them */
	bool handshake;	      /* answer Initials with a Handshake, drop all else */
	bool count_only;      /* check nothing; as of load_sink_result, by a program only */
	bool by_socket;	      /* a UDP socket instead of a program: with a port, no answers */
	bool is_progress;     /* say every interval on stderr what it brought */
};

struct load_sink_destination {
	struct endpoint endpoint;
	struct load_destination tally;
};

struct load_sink_stream {
	uint32_t number;
	uint64_t new, reordered, duplicates, too_late, highest; /* as in struct load_stream */
	uint64_t lost; /* of 0..highest: never seen, or too late to tell */
};

/* Over all streams. */
struct load_sink_totals {
	uint64_t received, bytes;
	uint64_t expected; /* sequences of 0..highest */
	uint64_t lost, reordered, duplicates, too_late;
	uint64_t bad; /* wrong checksum or hash */
};

/* What an interval brought. */
struct load_sink_row {
	double from, to; /* seconds since counting began */
	uint64_t received, bytes, reordered, duplicates, bad;
	int64_t lost; /* more missing than before; less where late ones filled gaps */
};

/* An hour and more by the second; the last one holds all the rest. */
#define LOAD_SINK_ROW_COUNT_MAX 4096

/* Without checks only the counters RECEIVED and BYTES, the rows' and the span are set. */
struct load_sink_result {
	bool is_checked;
	uint64_t counters[LOAD_SINK_COUNTER_COUNT];
	struct load_sink_destination *destinations; /* by address, then port */
	size_t destination_count;
	struct load_sink_stream streams[LOAD_STREAM_COUNT_MAX]; /* by number */
	size_t stream_count;
	struct load_sink_row *rows; /* that follow one another without a gap */
	size_t row_count;
	struct load_span span;	       /* without checks to within 10 ms, by the sink's clock */
	struct load_histogram latency; /* of good datagrams that say when they were made */
};

/* Attach, say so on stderr ("counting on ..."), count until the first of count,
 * seconds, SIGINT and SIGTERM, detach. 0 and *ret_result is the caller's
 * (load_sink_result_free), or a negative errno and a sentence in error[]. Leaves
 * SIGINT and SIGTERM blocked; one thread. */
int load_sink_run(const struct load_sink_config *config, struct load_sink_result *ret_result,
		  char *error, size_t error_size);

void load_sink_result_free(struct load_sink_result *result); /* accepts NULL and zeros */

void load_sink_totals(const struct load_sink_result *result, struct load_sink_totals *ret_totals);

#endif
