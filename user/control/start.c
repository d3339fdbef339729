/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/start.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/answer.h"
#include "control/backends.h"
#include "control/drops.h"
#include "control/probes.h"
#include "control/rules.h"
#include "util/log.h"
#include "util/number.h"

/* One UMEM for all ports has one mode for all ports. */
static enum io_mode mode_choose(const struct config *config)
{
	enum io_mode mode = IO_MODE_AUTO;

	for (size_t i = 0; i < config->interface_count; i++) {
		enum io_mode wanted = config->interfaces[i].mode;

		if (wanted == IO_MODE_COPY || wanted == IO_MODE_GENERIC)
			return IO_MODE_COPY;
		if (wanted == IO_MODE_ZERO_COPY)
			mode = wanted;
	}
	return mode;
}

static int worker_cpu(const struct config *config, uint32_t index)
{
	return config->cpu_count ? config->cpus[index % config->cpu_count] : -1;
}

/* Kernel memory of sockets comes from the node of the CPU that creates them. */
static int cpu_move(int cpu, char *error)
{
	cpu_set_t cpus;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (!sched_setaffinity(0, sizeof(cpus), &cpus))
		return 0;
	return fail(-errno, error, DAEMON_ERROR_SIZE,
		    "cpus: cannot run on CPU %d: %s; this machine has %ld of them, from 0", cpu,
		    strerror(errno), sysconf(_SC_NPROCESSORS_ONLN));
}

static int ios_open(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	const struct config *config = daemon->lineup->config;
	struct io_port_config ports[PORT_COUNT_MAX];
	struct io_config io = {
		.ports = ports,
		.port_count = (uint32_t)config->interface_count,
		.mode = mode_choose(config),
		.frame_count = config->limits.frames,
		.frame_size = config->limits.frame_size,
		.ring_size = config->limits.ring_size,
		.replay_in = options->replay_in,
		.replay_out = options->replay_out,
	};
	cpu_set_t before;
	int err = sched_getaffinity(0, sizeof(before), &before) ? -errno : 0;

	for (size_t i = 0; i < config->interface_count; i++)
		ports[i] = (struct io_port_config){ config->interfaces[i].name,
						    daemon->links[i].ifindex };
	for (; !err && io.queue < daemon->worker_count; io.queue++) {
		err = cpu_move(worker_cpu(config, io.queue), error);
		if (!err)
			err = daemon->engine->open(&io, &daemon->ios[io.queue], error,
						   DAEMON_ERROR_SIZE);
	}
	(void)sched_setaffinity(0, sizeof(before), &before);
	return err;
}

static int ports_attach(struct daemon *daemon, char *error)
{
	for (uint32_t port = 0; port < daemon->lineup->config->interface_count; port++) {
		const struct config_interface *interface =
			&daemon->lineup->config->interfaces[port];
		const struct host_link *link = &daemon->links[port];
		int err = -EOPNOTSUPP;

		if (interface->mode != IO_MODE_GENERIC)
			err = attach_port(daemon->attach, port, link->ifindex, interface->name,
					  link->mac, false, error, DAEMON_ERROR_SIZE);
		if (err == -EOPNOTSUPP &&
		    (interface->mode == IO_MODE_AUTO || interface->mode == IO_MODE_GENERIC)) {
			err = attach_port(daemon->attach, port, link->ifindex, interface->name,
					  link->mac, true, error, DAEMON_ERROR_SIZE);
			daemon->generic[port] = true;
			log_info("%s: generic XDP%s; what senders leave their card to cut up is "
				 "dropped: `ethtool -K DEV tx-udp-segmentation off` there",
				 interface->name,
				 interface->mode == IO_MODE_AUTO
					 ? ", as its driver has no native XDP: slower"
					 : "");
		}
		if (err)
			return err;
	}
	return 0;
}

static int sockets_set(struct daemon *daemon, char *error)
{
	for (uint32_t queue = 0; queue < daemon->worker_count; queue++) {
		for (uint32_t port = 0; port < daemon->lineup->config->interface_count; port++) {
			int socket = daemon->engine->socket(daemon->ios[queue], port);
			int err = attach_socket_set(daemon->attach, port, queue, socket);

			if (err)
				return fail(err, error, DAEMON_ERROR_SIZE,
					    "%s queue %u: cannot put its socket into the XSKMAP: "
					    "%s",
					    daemon->lineup->config->interfaces[port].name, queue,
					    strerror(-err));
		}
	}
	return 0;
}

/* Nor can they come back, through a file with capabilities or another user. What
 * stays is needed: CAP_NET_ADMIN to ask for neighbours, CAP_BPF to change
 * the maps on kernels before 5.19. Threads started from here on inherit it. */
static int privileges_drop(char *error)
{
	/* Without it (under the unit) the bounding set is the supervisor's to narrow. */
	const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail(-errno, error, DAEMON_ERROR_SIZE, "cannot forgo new privileges: %s",
			    strerror(errno));
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN, CAP_BPF,
			  -1) ||
	    capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		return fail(-EPERM, error, DAEMON_ERROR_SIZE, "cannot drop privileges: %s",
			    strerror(errno));
	return 0;
}

static int router_start(struct daemon *daemon, char *error)
{
	uint32_t connections = daemon->lineup->config->limits.connections;
	int err = router_new(connections, &daemon->router);

	if (!err)
		return 0;
	return fail(err, error, DAEMON_ERROR_SIZE,
		    "no memory to remember %u connections: %s; see limits.connections", connections,
		    strerror(-err));
}

static int workers_start(struct daemon *daemon, char *error)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		const struct worker_config config = {
			.index = i,
			.cpu = worker_cpu(daemon->lineup->config, i),
			.engine = daemon->engine,
			.io = daemon->ios[i],
			.table = &daemon->table,
			.router = daemon->router,
			.trace = &daemon->trace,
		};
		int err = worker_start(&config, &daemon->workers[i]);

		if (err)
			return fail(err, error, DAEMON_ERROR_SIZE, "cannot start worker %u: %s", i,
				    strerror(-err));
	}
	return 0;
}

static int drops_start(struct daemon *daemon, char *error)
{
	daemon->drops = drops_open(daemon);
	return daemon->drops ? 0
			     : fail(-ENOMEM, error, DAEMON_ERROR_SIZE,
				    "cannot read what was lost until now: %s", strerror(ENOMEM));
}

int start_forwarding(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	const struct config *config = daemon->lineup->config;
	int err = attach_open(&daemon->attach, error, DAEMON_ERROR_SIZE);

	if (!err)
		err = backends_open(daemon, error);
	if (!err)
		err = router_start(daemon, error);
	if (!err)
		err = ios_open(daemon, options, error);
	if (!err)
		err = drops_start(daemon, error);
	if (!err)
		err = ports_attach(daemon, error);
	if (!err)
		err = sockets_set(daemon, error);
	if (!err)
		err = control_socket_open(config->control_socket, answer, daemon, &daemon->control,
					  error, DAEMON_ERROR_SIZE);
	if (!err)
		err = privileges_drop(error);
	if (!err)
		err = workers_start(daemon, error);
	if (!err)
		err = probes_open(daemon, error);
	if (!err)
		probes_follow(daemon, NULL);
	/* Last: from here on traffic is ours. */
	if (!err)
		err = rules_services_set(daemon, daemon->lineup, error);
	return err;
}

int start_replay(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	int err;

	backends_invent(daemon);
	err = router_start(daemon, error);
	if (!err)
		err = ios_open(daemon, options, error);
	return err ? err : workers_start(daemon, error);
}
