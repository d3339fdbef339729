/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/start.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "control/answer.h"
#include "control/drops.h"
#include "control/engine.h"
#include "control/probes.h"
#include "util/number.h"
#include "util/privileges.h"

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

int start_ios(struct daemon *daemon, const struct io_config *of_engine, char *error)
{
	const struct config *config = daemon->lineup->config;
	struct io_port_config ports[PORT_COUNT_MAX];
	struct io_config io = *of_engine;
	cpu_set_t before;
	int err = sched_getaffinity(0, sizeof(before), &before) ? -errno : 0;

	for (size_t i = 0; i < daemon->port_count; i++)
		ports[i] = (struct io_port_config){ config->interfaces[i].name,
						    daemon->links[i].ifindex };
	io.ports = ports;
	io.port_count = daemon->port_count;
	io.frame_count = config->limits.frames;
	io.frame_size = config->limits.frame_size;
	io.ring_size = config->limits.ring_size;
	for (; !err && io.queue < daemon->worker_count; io.queue++) {
		io.receiver_cpu = daemon_thread_cpu(daemon, io.queue, true);
		err = cpu_move(io.receiver_cpu, error); /* only to see that there is one */
		if (!err)
			err = cpu_move(daemon_thread_cpu(daemon, io.queue, false), error);
		if (!err)
			err = daemon->engine->io->open(&io, &daemon->ios[io.queue], error,
						       DAEMON_ERROR_SIZE);
	}
	(void)sched_setaffinity(0, sizeof(before), &before);
	return err;
}

int start_privileges_drop(const unsigned int *kept, size_t kept_count, char *error)
{
	int err = privileges_drop(kept, kept_count);

	return err ? fail(err, error, DAEMON_ERROR_SIZE, "cannot drop privileges: %s",
			  strerror(-err))
		   : 0;
}

int start_router(struct daemon *daemon, char *error)
{
	uint32_t connections = daemon->lineup->config->limits.connections;
	int err = router_new(connections, &daemon->router);

	if (!err)
		return 0;
	return fail(err, error, DAEMON_ERROR_SIZE,
		    "no memory to remember %u connections: %s; see limits.connections", connections,
		    strerror(-err));
}

int start_workers(struct daemon *daemon, char *error)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		const struct worker_config config = {
			.index = i,
			.cpu = daemon_thread_cpu(daemon, i, false),
			.engine = daemon->engine->io,
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

int start_control_socket(struct daemon *daemon, char *error)
{
	/* What was lost before is not to be told as ours. */
	daemon->drops = drops_open(daemon);
	if (!daemon->drops)
		return fail(-ENOMEM, error, DAEMON_ERROR_SIZE,
			    "cannot note what was lost until now: %s", strerror(ENOMEM));
	return control_socket_open(daemon->lineup->config->control_socket, answer, daemon,
				   &daemon->control, error, DAEMON_ERROR_SIZE);
}

int start_probes(struct daemon *daemon, char *error)
{
	int err = probes_open(daemon, error);

	if (!err)
		probes_follow(daemon, NULL);
	return err;
}

void start_port_invent(struct daemon *daemon)
{
	static const uint8_t mac[6] = { 0x02, 'R', 'W', 0, 0, 0 };

	memcpy(daemon->links[0].mac, mac, sizeof(mac));
	daemon->links[0].mtu = UINT16_MAX;
	daemon->port_count = 1;
}
