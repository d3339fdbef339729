/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/receiver.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ringway/abi.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"
#include "util/per_cpu.h"

#include "load_sink.skel.h"

#define POLL_INTERVAL_NS (10 * 1000 * 1000)

struct load_receiver {
	struct load_sink *bpf;
	int link_fd; /* -1: detached */
	int cpu_count;
	bool count_only;
	struct load_span seen; /* without checks: when the first and the last came */
	uint64_t seen_count;   /* by then */
	uint64_t looked_ns;    /* the last time we did */
};

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

static int netns_open(const char *netns)
{
	const char *folder = strchr(netns, '/') ? "" : "/run/netns/";
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s%s", folder, netns) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The interface is looked up and attached to where it is; what is attached stays. */
static int attach_in(const struct load_sink *bpf, const struct load_sink_config *config,
		     char *error, size_t error_size)
{
	int own, there, link_fd;

	if (!config->netns)
		return attach(bpf, config, error, error_size);
	there = netns_open(config->netns);
	if (there < 0)
		return fail(there, error, error_size,
			    "no network namespace %s: %s; `ip netns` lists them", config->netns,
			    strerror(-there));
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(there, CLONE_NEWNET)) {
		link_fd = fail(-errno, error, error_size, "entering the network namespace %s: %s",
			       config->netns, strerror(errno));
	} else {
		link_fd = attach(bpf, config, error, error_size);
		if (setns(own, CLONE_NEWNET)) {
			(void)close(link_fd);
			link_fd = fail(-errno, error, error_size,
				       "returning from the network namespace %s: %s", config->netns,
				       strerror(errno));
		}
	}
	(void)close(there);
	(void)close(own);
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
		bpf->rodata->plan.count_only = config->count_only;
		bpf->rodata->plan.connections = config->connections;
		bpf->rodata->plan.stream = config->stream;
		err = load_sink__load(bpf);
	}
	if (err) {
		load_sink__destroy(bpf);
		return fail(err, error, error_size, "loading the BPF program: %s%s", strerror(-err),
			    err == -EPERM || err == -EACCES ? " (" LOAD_BPF_RIGHTS ")" : "");
	}
	*ret_bpf = bpf;
	return 0;
}

static void receiver_stop(struct load_receiver *receiver)
{
	if (receiver->link_fd >= 0)
		(void)close(receiver->link_fd);
	receiver->link_fd = -1;
}

static void receiver_close(struct load_receiver *receiver)
{
	if (!receiver)
		return;
	receiver_stop(receiver);
	load_sink__destroy(receiver->bpf);
	free(receiver);
}

static int receiver_open(const struct load_sink_config *config, struct load_receiver **ret_receiver,
			 char *error, size_t error_size)
{
	struct load_receiver *receiver = calloc(1, sizeof(*receiver));
	int err;

	if (!receiver)
		return fail(-ENOMEM, error, error_size, "out of memory");
	receiver->link_fd = -1;
	receiver->count_only = config->count_only;
	receiver->looked_ns = clock_ns();
	receiver->cpu_count = libbpf_num_possible_cpus();
	if (receiver->cpu_count < 0)
		err = fail(receiver->cpu_count, error, error_size, "counting the CPUs: %s",
			   strerror(-receiver->cpu_count));
	else
		err = bpf_load(config, &receiver->bpf, error, error_size);
	if (!err) {
		receiver->link_fd = attach_in(receiver->bpf, config, error, error_size);
		err = receiver->link_fd < 0 ? receiver->link_fd : 0;
	}
	if (err) {
		receiver_close(receiver);
		return err;
	}
	*ret_receiver = receiver;
	return 0;
}

static const uint8_t *connections(const struct load_receiver *receiver)
{
	return receiver->bpf->bss->connections;
}

/* Room for every CPU's value: the kernel's values begin on multiples of 8 bytes. */
static void *values_new(const struct load_receiver *receiver, size_t value_size)
{
	return calloc((size_t)receiver->cpu_count, value_size);
}

static int counters_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	return per_cpu_sum(bpf_map__fd(receiver->bpf->maps.counters), LOAD_SINK_COUNTER_COUNT,
			   result->counters);
}

static int destinations_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(receiver->bpf->maps.destinations);
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
	load_receiver_destinations_sort(result);
	return 0;
}

static int streams_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(receiver->bpf->maps.streams), err = 0;
	struct load_stream *stream = malloc(sizeof(*stream));
	uint32_t number, *previous = NULL;

	if (!stream)
		return -ENOMEM;
	result->stream_count = 0;
	while (!err && result->stream_count < LOAD_STREAM_COUNT_MAX &&
	       bpf_map_get_next_key(map_fd, previous, &number) == 0) {
		err = bpf_map_lookup_elem(map_fd, &number, stream);
		if (err)
			break;
		load_receiver_stream_set(&result->streams[result->stream_count++], number, stream);
		previous = &number;
	}
	free(stream);
	load_receiver_streams_sort(result);
	return err;
}

static int tallies_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	int err = counters_read(receiver, result);

	return err ? err : streams_read(receiver, result);
}

int load_receiver_xdp_latency_read(const struct load_receiver *receiver,
				   struct load_sink_result *result)
{
	struct load_histogram *values = values_new(receiver, sizeof(*values));
	uint32_t index = 0;
	int err;

	if (!values)
		return -ENOMEM;
	memset(&result->latency, 0, sizeof(result->latency));
	err = bpf_map_lookup_elem(bpf_map__fd(receiver->bpf->maps.latency), &index, values);
	for (int cpu = 0; cpu < receiver->cpu_count && !err; cpu++)
		load_histogram_merge(&result->latency, &values[cpu]);
	free(values);
	return err;
}

static int span_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	struct load_span *values = values_new(receiver, sizeof(*values)), all = { 0 };
	uint32_t index = 0;
	int err;

	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(receiver->bpf->maps.span), &index, values);
	for (int cpu = 0; cpu < receiver->cpu_count && !err; cpu++) {
		if (!all.first_ns || (values[cpu].first_ns && values[cpu].first_ns < all.first_ns))
			all.first_ns = values[cpu].first_ns;
		if (values[cpu].last_ns > all.last_ns)
			all.last_ns = values[cpu].last_ns;
	}
	result->span = all;
	free(values);
	return err;
}

static int details_read(const struct load_receiver *receiver, struct load_sink_result *result)
{
	int err;

	if (receiver->count_only) {
		result->span = receiver->seen;
		return 0;
	}
	err = destinations_read(receiver, result);
	if (!err)
		err = load_receiver_xdp_latency_read(receiver, result);
	return err ? err : span_read(receiver, result);
}

/* What came since the last look came in the middle between then and now, as far as we know.
 * A look that fails is made up for by the next. */
static void seen_note(struct load_receiver *receiver)
{
	uint64_t now_ns = clock_ns(), middle_ns = receiver->looked_ns / 2 + now_ns / 2;
	uint64_t counts[LOAD_SINK_RECEIVED + 1];

	if (per_cpu_sum(bpf_map__fd(receiver->bpf->maps.counters), LOAD_SINK_RECEIVED + 1, counts))
		return;
	receiver->looked_ns = now_ns;
	if (counts[LOAD_SINK_RECEIVED] == receiver->seen_count)
		return;
	if (!receiver->seen_count)
		receiver->seen.first_ns = middle_ns;
	receiver->seen.last_ns = middle_ns;
	receiver->seen_count = counts[LOAD_SINK_RECEIVED];
}

static int receiver_wait(struct load_receiver *receiver, const sigset_t *signals)
{
	static const struct timespec interval = { .tv_nsec = POLL_INTERVAL_NS };

	int is_signal = sigtimedwait(signals, NULL, &interval) > 0;

	if (receiver->count_only)
		seen_note(receiver);
	return is_signal;
}

/* Every value of a per-CPU array to zeros. */
static int array_clear(const struct load_receiver *receiver, const struct bpf_map *map)
{
	void *zeros = values_new(receiver, bpf_map__value_size(map));
	int err = zeros ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < bpf_map__max_entries(map) && !err; i++)
		err = bpf_map_update_elem(bpf_map__fd(map), &i, zeros, BPF_ANY);
	free(zeros);
	return err;
}

int load_receiver_xdp_reset(struct load_receiver *receiver)
{
	int map_fd = bpf_map__fd(receiver->bpf->maps.streams);
	int err = array_clear(receiver, receiver->bpf->maps.counters);
	uint32_t number;

	if (!err)
		err = array_clear(receiver, receiver->bpf->maps.latency);
	if (!err)
		err = array_clear(receiver, receiver->bpf->maps.span);
	for (int i = 0; !err && i < LOAD_STREAM_COUNT_MAX; i++) {
		if (bpf_map_get_next_key(map_fd, NULL, &number))
			break;
		err = bpf_map_delete_elem(map_fd, &number);
	}
	return err;
}

const struct load_receiver_ops load_receiver_xdp = {
	.open = receiver_open,
	.wait = receiver_wait,
	.counters_read = counters_read,
	.tallies_read = tallies_read,
	.details_read = details_read,
	.connections = connections,
	.stop = receiver_stop,
	.close = receiver_close,
};
