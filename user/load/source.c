/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/source.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "load/capture.h"
#include "load/live.h"
#include "load/queues.h"
#include "load/run.h"
#include "load/sockets.h"
#include "ringway/wire.h"
#include "util/log.h"
#include "util/number.h"

typedef int transport_send_fn(struct load_run *run, struct load_source_result *ret_result,
			      char *error, size_t error_size);

static transport_send_fn *const transports[] = {
	[LOAD_BY_LIVE] = load_live_send,
	[LOAD_BY_AF_XDP] = load_queues_send,
	[LOAD_BY_SENDMMSG] = load_sockets_send,
};

static const char *const transport_names[] = {
#define X(constant, name, meaning) [LOAD_BY_##constant] = name,
	LOAD_TRANSPORTS(X)
#undef X
};

const char *load_transport_name(enum load_transport transport)
{
	return transport_names[transport];
}

static int cpu_pin(uint32_t cpu, char *error, size_t error_size)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return fail(-errno, error, error_size,
			    "running on CPU %u: %s: choose another with --cpu", cpu,
			    strerror(errno));
	return 0;
}

static int path_find(const struct load_source_config *config, struct load_path *path, char *error,
		     size_t error_size)
{
	if (config->by == LOAD_BY_SENDMMSG)
		return load_path_find_sockets(config->ifname, config->shape.to.addr, config->from,
					      path, error, error_size);
	return load_path_find(config->ifname, config->shape.to.addr, config->from, config->mac,
			      path, error, error_size);
}

/* The template of a capture is only headers: a flow for each of its own. */
static int capture_read(const struct load_source_config *config, const struct load_path *path,
			struct load_shape *shape, struct load_capture **ret_capture, char *error,
			size_t error_size)
{
	uint32_t head_len = (address_is_ipv4(shape->to.addr) ? sizeof(struct wire_ipv4)
							     : sizeof(struct wire_ipv6)) +
			    sizeof(struct wire_udp);
	uint32_t packet_max = LOAD_FRAME_LEN_MAX - sizeof(struct wire_eth);
	int err;

	if (path->mtu < packet_max)
		packet_max = path->mtu;
	err = load_capture_open(config->capture, packet_max - head_len, ret_capture, error,
				error_size);
	if (err)
		return err;
	if (load_capture_left_out(*ret_capture))
		log_warn(
			"%s: %llu packets are no whole UDP datagrams of at most %u bytes: left out",
			config->capture, (unsigned long long)load_capture_left_out(*ret_capture),
			packet_max - head_len);
	shape->kind = LOAD_UDP;
	shape->cid_len = 0;
	shape->size = 0;
	shape->flows = load_capture_flows(*ret_capture);
	shape->train = 1;
	return 0;
}

static void result_complete(const struct load_run *run, struct load_source_result *result)
{
	if (run->capture) {
		result->bytes = load_capture_bytes(run->capture, result->sent);
		return;
	}
	result->bytes = load_template_bytes(run->template, result->sent);
	result->initials = load_template_initials(&run->template->plan, result->sent);
	result->migrations = load_template_migrations(&run->template->plan, result->sent);
}

int load_source_run(const struct load_source_config *config, struct load_source_result *ret_result,
		    char *error, size_t error_size)
{
	struct load_shape shape = config->shape;
	struct load_capture *capture = NULL;
	struct load_template template;
	struct load_path path;
	struct load_run run = {
		.config = config, .template = &template, .path = &path, .count = config->count
	};
	int err = path_find(config, &path, error, error_size);

	if (!err && config->capture)
		err = capture_read(config, &path, &shape, &capture, error, error_size);
	if (!err)
		err = load_template_build(&shape, &path, &template, error, error_size);
	if (!err)
		err = cpu_pin(config->cpu, error, error_size);
	if (!err) {
		run.capture = capture;
		if (!run.count)
			run.count = load_capture_count(capture);
		err = transports[config->by](&run, ret_result, error, error_size);
	}
	if (!err)
		result_complete(&run, ret_result);
	load_capture_close(capture);
	return err;
}
