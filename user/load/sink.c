/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/sink.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ringway/abi.h"
#include "util/log.h"
#include "util/number.h"
#include "util/per_cpu.h"

#include "load_sink.skel.h"

#define POLL_INTERVAL_NS (10 * 1000 * 1000)

/* Native, or generic where the driver has none. The link's descriptor, or a negative
 * errno: the kernel detaches when it is closed. */
static int link_create(int program_fd, uint32_t ifindex, const char **ret_mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int link_fd = bpf_link_create(program_fd, (int)ifindex, BPF_XDP, &native);

	*ret_mode = "native";
	if (link_fd >= 0 || link_fd == -EBUSY || link_fd == -EEXIST)
		return link_fd;
	*ret_mode = "generic";
	return bpf_link_create(program_fd, (int)ifindex, BPF_XDP, &generic);
}

static int attach(const struct load_sink *bpf, const struct load_sink_config *config, char *error,
		  size_t error_size)
{
	uint32_t ifindex = if_nametoindex(config->ifname);
	const char *mode;
	int link_fd;

	if (!ifindex)
		return fail(-ENODEV, error, error_size, "no interface %s: `ip link` lists them",
			    config->ifname);
	link_fd = link_create(bpf_program__fd(bpf->progs.count), ifindex, &mode);
	if (link_fd == -EBUSY || link_fd == -EEXIST)
		return fail(link_fd, error, error_size,
			    "%s has an XDP program already: `bpftool net show dev %s` says which; "
			    "remove it, or count elsewhere",
			    config->ifname, config->ifname);
	if (link_fd < 0)
		return fail(link_fd, error, error_size, "attaching to %s: %s", config->ifname,
			    strerror(-link_fd));
	log_info("counting on %s (%s XDP)", config->ifname, mode);
	return link_fd;
}

static int bpf_load(const struct load_sink_config *config, struct load_sink **ret_bpf, char *error,
		    size_t error_size)
{
	struct load_sink *bpf = load_sink__open();
	int err = bpf ? 0 : -errno;

	if (bpf) {
		bpf->rodata->plan.port_be = wire_be16(config->port);
		bpf->rodata->plan.echo = config->echo;
		bpf->rodata->plan.handshake = config->handshake;
		bpf->rodata->plan.connections = config->connections;
		bpf->rodata->plan.stream = config->stream;
		err = load_sink__load(bpf);
	}
	if (err) {
		load_sink__destroy(bpf);
		return fail(err, error, error_size, "loading the BPF program: %s%s", strerror(-err),
			    err == -EPERM ? " (run as root: it takes CAP_BPF and CAP_NET_ADMIN)"
					  : "");
	}
	*ret_bpf = bpf;
	return 0;
}

static int counters_read(const struct load_sink *bpf, uint64_t *ret_counters)
{
	return per_cpu_sum(bpf_map__fd(bpf->maps.counters), LOAD_SINK_COUNTER_COUNT, ret_counters);
}

static int destination_compare(const void *left_arg, const void *right_arg)
{
	const struct endpoint *left = &((const struct load_sink_destination *)left_arg)->endpoint;
	const struct endpoint *right = &((const struct load_sink_destination *)right_arg)->endpoint;
	int order = memcmp(left->addr, right->addr, sizeof(left->addr));

	return order ? order : (int)left->port - (int)right->port;
}

static int destinations_read(const struct load_sink *bpf, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(bpf->maps.destinations);
	struct match_key key, *previous = NULL;

	result->destinations = calloc(LOAD_DESTINATION_COUNT_MAX, sizeof(*result->destinations));
	if (!result->destinations)
		return -ENOMEM;
	while (result->destination_count < LOAD_DESTINATION_COUNT_MAX &&
	       bpf_map_get_next_key(map_fd, previous, &key) == 0) {
		struct load_sink_destination *destination =
			&result->destinations[result->destination_count++];
		int err = bpf_map_lookup_elem(map_fd, &key, &destination->tally);

		if (err)
			return err;
		memcpy(destination->endpoint.addr, key.addr, sizeof(key.addr));
		destination->endpoint.port = wire_be16(key.port_be);
		previous = &key;
	}
	qsort(result->destinations, result->destination_count, sizeof(*result->destinations),
	      destination_compare);
	return 0;
}

static int stream_compare(const void *left, const void *right)
{
	uint32_t left_number = ((const struct load_sink_stream *)left)->number;
	uint32_t right_number = ((const struct load_sink_stream *)right)->number;

	return (left_number > right_number) - (left_number < right_number);
}

static int streams_read(const struct load_sink *bpf, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(bpf->maps.streams), err = 0;
	struct load_stream *stream = malloc(sizeof(*stream));
	uint32_t number, *previous = NULL;

	if (!stream)
		return -ENOMEM;
	while (!err && result->stream_count < LOAD_STREAM_COUNT_MAX &&
	       bpf_map_get_next_key(map_fd, previous, &number) == 0) {
		err = bpf_map_lookup_elem(map_fd, &number, stream);
		if (err)
			break;
		result->streams[result->stream_count++] = (struct load_sink_stream){
			.number = number,
			.new = stream->new,
			.reordered = stream->reordered,
			.duplicates = stream->duplicates,
			.too_late = stream->too_late,
			.highest = stream->highest,
			.lost = stream->highest + 1 - stream->new,
		};
		previous = &number;
	}
	free(stream);
	qsort(result->streams, result->stream_count, sizeof(*result->streams), stream_compare);
	return err;
}

static bool is_count_reached(const struct load_sink *bpf, uint64_t count)
{
	uint64_t counters[LOAD_SINK_COUNTER_COUNT];

	return count && counters_read(bpf, counters) == 0 && counters[LOAD_SINK_RECEIVED] >= count;
}

static void signals_block(sigset_t *ret_signals)
{
	(void)sigemptyset(ret_signals);
	(void)sigaddset(ret_signals, SIGINT);
	(void)sigaddset(ret_signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, ret_signals, NULL);
}

static void wait_for_end(const struct load_sink *bpf, const struct load_sink_config *config,
			 const sigset_t *signals)
{
	const struct timespec interval = { .tv_nsec = POLL_INTERVAL_NS };
	struct timespec start, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	now = start;
	while (!is_count_reached(bpf, config->count)) {
		if (config->seconds && now.tv_sec - start.tv_sec - (now.tv_nsec < start.tv_nsec) >=
					       (time_t)config->seconds)
			return;
		if (sigtimedwait(signals, NULL, &interval) > 0)
			return;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	}
}

static int connections_write(const struct load_sink *bpf, const struct load_sink_config *config,
			     char *error, size_t error_size)
{
	FILE *file = fopen(config->output, "we");
	size_t written = 0;
	int err = 0;

	if (file)
		written = fwrite(bpf->bss->connections, 1, config->connections, file);
	if (!file || written != config->connections)
		err = -errno;
	if (file && fclose(file) && !err)
		err = -errno;
	if (err)
		return fail(err, error, error_size, "cannot write the connections to %s: %s",
			    config->output, strerror(-err));
	return 0;
}

static int result_read(const struct load_sink *bpf, struct load_sink_result *ret_result,
		       char *error, size_t error_size)
{
	struct load_sink_result result = { .destinations = NULL };
	int err = counters_read(bpf, result.counters);

	if (!err)
		err = destinations_read(bpf, &result);
	if (!err)
		err = streams_read(bpf, &result);
	if (err) {
		load_sink_result_free(&result);
		return fail(err, error, error_size, "reading the counters: %s", strerror(-err));
	}
	*ret_result = result;
	return 0;
}

int load_sink_run(const struct load_sink_config *config, struct load_sink_result *ret_result,
		  char *error, size_t error_size)
{
	struct load_sink *bpf = NULL;
	int err = bpf_load(config, &bpf, error, error_size);
	sigset_t signals;
	int link_fd;

	if (err)
		return err;
	signals_block(&signals); /* who reads that we count may end us at once */
	link_fd = attach(bpf, config, error, error_size);
	if (link_fd < 0) {
		load_sink__destroy(bpf);
		return link_fd;
	}
	wait_for_end(bpf, config, &signals);
	(void)close(link_fd); /* before reading, so that the numbers stand still */
	err = config->output ? connections_write(bpf, config, error, error_size) : 0;
	if (!err)
		err = result_read(bpf, ret_result, error, error_size);
	load_sink__destroy(bpf);
	return err;
}

void load_sink_result_free(struct load_sink_result *result)
{
	if (result)
		free(result->destinations);
}
