/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/receiver.h"

#include <stdlib.h>
#include <string.h>

void load_receiver_stream_set(struct load_sink_stream *ret_stream, uint32_t number,
			      const struct load_stream *stream)
{
	*ret_stream = (struct load_sink_stream){
		.number = number,
		.new = stream->new,
		.reordered = stream->reordered,
		.duplicates = stream->duplicates,
		.too_late = stream->too_late,
		.highest = stream->highest,
		.lost = stream->highest + 1 - stream->new,
	};
}

static int stream_compare(const void *left, const void *right)
{
	uint32_t left_number = ((const struct load_sink_stream *)left)->number;
	uint32_t right_number = ((const struct load_sink_stream *)right)->number;

	return (left_number > right_number) - (left_number < right_number);
}

void load_receiver_streams_sort(struct load_sink_result *result)
{
	qsort(result->streams, result->stream_count, sizeof(*result->streams), stream_compare);
}

static int destination_compare(const void *left_arg, const void *right_arg)
{
	const struct endpoint *left = &((const struct load_sink_destination *)left_arg)->endpoint;
	const struct endpoint *right = &((const struct load_sink_destination *)right_arg)->endpoint;
	int order = memcmp(left->addr, right->addr, sizeof(left->addr));

	return order ? order : (int)left->port - (int)right->port;
}

void load_receiver_destinations_sort(struct load_sink_result *result)
{
	qsort(result->destinations, result->destination_count, sizeof(*result->destinations),
	      destination_compare);
}
