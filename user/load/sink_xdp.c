/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/sink_xdp.h"

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
#include "util/log.h"
#include "util/number.h"

#include "load_sink.skel.h"

struct load_sink_xdp {
	struct load_sink *bpf;
	int link_fd; /* -1: detached */
	int cpu_count;
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

int load_sink_xdp_open(const struct load_sink_config *config, struct load_sink_xdp **ret_sink,
		       char *error, size_t error_size)
{
	struct load_sink_xdp *sink = calloc(1, sizeof(*sink));
	int err;

	if (!sink)
		return fail(-ENOMEM, error, error_size, "out of memory");
	sink->link_fd = -1;
	sink->cpu_count = libbpf_num_possible_cpus();
	if (sink->cpu_count < 0)
		err = fail(sink->cpu_count, error, error_size, "counting the CPUs: %s",
			   strerror(-sink->cpu_count));
	else
		err = bpf_load(config, &sink->bpf, error, error_size);
	if (!err) {
		sink->link_fd = attach_in(sink->bpf, config, error, error_size);
		err = sink->link_fd < 0 ? sink->link_fd : 0;
	}
	if (err) {
		load_sink_xdp_close(sink);
		return err;
	}
	*ret_sink = sink;
	return 0;
}

void load_sink_xdp_detach(struct load_sink_xdp *sink)
{
	if (sink->link_fd >= 0)
		(void)close(sink->link_fd);
	sink->link_fd = -1;
}

void load_sink_xdp_close(struct load_sink_xdp *sink)
{
	if (!sink)
		return;
	load_sink_xdp_detach(sink);
	load_sink__destroy(sink->bpf);
	free(sink);
}

const uint8_t *load_sink_xdp_connections(const struct load_sink_xdp *sink)
{
	return sink->bpf->bss->connections;
}

/* Room for every CPU's value: the kernel's values begin on multiples of 8 bytes. */
static void *values_new(const struct load_sink_xdp *sink, size_t value_size)
{
	return calloc((size_t)sink->cpu_count, value_size);
}

int load_sink_xdp_counters_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	uint64_t *values = values_new(sink, sizeof(*values));
	int err = 0;

	if (!values)
		return -ENOMEM;
	memset(result->counters, 0, sizeof(result->counters));
	for (uint32_t i = 0; i < LOAD_SINK_COUNTER_COUNT && !err; i++) {
		err = bpf_map_lookup_elem(bpf_map__fd(sink->bpf->maps.counters), &i, values);
		for (int cpu = 0; cpu < sink->cpu_count; cpu++)
			result->counters[i] += values[cpu];
	}
	free(values);
	return err;
}

static int destination_compare(const void *left_arg, const void *right_arg)
{
	const struct endpoint *left = &((const struct load_sink_destination *)left_arg)->endpoint;
	const struct endpoint *right = &((const struct load_sink_destination *)right_arg)->endpoint;
	int order = memcmp(left->addr, right->addr, sizeof(left->addr));

	return order ? order : (int)left->port - (int)right->port;
}

static int destinations_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(sink->bpf->maps.destinations);
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

static int streams_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	int map_fd = bpf_map__fd(sink->bpf->maps.streams), err = 0;
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
		load_sink_stream_set(&result->streams[result->stream_count++], number, stream);
		previous = &number;
	}
	free(stream);
	qsort(result->streams, result->stream_count, sizeof(*result->streams), stream_compare);
	return err;
}

int load_sink_xdp_tallies_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	int err = load_sink_xdp_counters_read(sink, result);

	return err ? err : streams_read(sink, result);
}

int load_sink_xdp_latency_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	struct load_histogram *values = values_new(sink, sizeof(*values));
	uint32_t index = 0;
	int err;

	if (!values)
		return -ENOMEM;
	memset(&result->latency, 0, sizeof(result->latency));
	err = bpf_map_lookup_elem(bpf_map__fd(sink->bpf->maps.latency), &index, values);
	for (int cpu = 0; cpu < sink->cpu_count && !err; cpu++)
		load_histogram_merge(&result->latency, &values[cpu]);
	free(values);
	return err;
}

static int span_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	struct load_span *values = values_new(sink, sizeof(*values)), all = { 0 };
	uint32_t index = 0;
	int err;

	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(bpf_map__fd(sink->bpf->maps.span), &index, values);
	for (int cpu = 0; cpu < sink->cpu_count && !err; cpu++) {
		if (!all.first_ns || (values[cpu].first_ns && values[cpu].first_ns < all.first_ns))
			all.first_ns = values[cpu].first_ns;
		if (values[cpu].last_ns > all.last_ns)
			all.last_ns = values[cpu].last_ns;
	}
	result->span = all;
	free(values);
	return err;
}

int load_sink_xdp_details_read(const struct load_sink_xdp *sink, struct load_sink_result *result)
{
	int err = destinations_read(sink, result);

	if (!err)
		err = load_sink_xdp_latency_read(sink, result);
	return err ? err : span_read(sink, result);
}

/* Every value of a per-CPU array to zeros. */
static int array_clear(const struct load_sink_xdp *sink, const struct bpf_map *map)
{
	void *zeros = values_new(sink, bpf_map__value_size(map));
	int err = zeros ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < bpf_map__max_entries(map) && !err; i++)
		err = bpf_map_update_elem(bpf_map__fd(map), &i, zeros, BPF_ANY);
	free(zeros);
	return err;
}

int load_sink_xdp_reset(struct load_sink_xdp *sink)
{
	int map_fd = bpf_map__fd(sink->bpf->maps.streams);
	int err = array_clear(sink, sink->bpf->maps.counters);
	uint32_t number;

	if (!err)
		err = array_clear(sink, sink->bpf->maps.latency);
	if (!err)
		err = array_clear(sink, sink->bpf->maps.span);
	for (int i = 0; !err && i < LOAD_STREAM_COUNT_MAX; i++) {
		if (bpf_map_get_next_key(map_fd, NULL, &number))
			break;
		err = bpf_map_delete_elem(map_fd, &number);
	}
	return err;
}
