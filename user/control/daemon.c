/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/daemon.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "control/report.h"
#include "control/table_spec.h"
#include "util/log.h"
#include "util/number.h"

#define ERROR_SIZE 512
#define NO_PORT	   UINT8_MAX

/* How often the end of a replay is looked for. */
#define REPLAY_POLL_MS 10

/* --- next hops of backends ---------------------------------------------- */

static uint8_t port_of(const struct daemon *daemon, uint32_t ifindex)
{
	for (size_t i = 0; i < daemon->config->interface_count; i++)
		if (daemon->links[i].ifindex == ifindex)
			return (uint8_t)i;
	return NO_PORT;
}

static void next_hop_log(const struct daemon_backend *backend, enum family family, uint8_t port)
{
	const struct next_hop *hop = &backend->next_hop[family];
	char addr[ADDRESS_TEXT_SIZE], ifname[IF_NAMESIZE] = "?";

	address_format(backend->config->endpoint.addr[family], addr);
	switch (hop->state) {
	case NEXT_HOP_NO_ROUTE:
		log_warn("backend %s/%s: there is no route to %s; it gets nothing",
			 backend->service->name, backend->config->name, addr);
		break;
	case NEXT_HOP_LOCAL:
		log_warn("backend %s/%s: %s is an address of this host; it gets nothing, as "
			 "ringway forwards to other hosts only",
			 backend->service->name, backend->config->name, addr);
		break;
	case NEXT_HOP_UNRESOLVED:
	case NEXT_HOP_RESOLVED:
		if (port == NO_PORT)
			log_warn("backend %s/%s: the route to %s leaves by %s, which is not among "
				 "the interfaces of the configuration; it gets nothing",
				 backend->service->name, backend->config->name, addr,
				 if_indextoname(hop->ifindex, ifname) ? ifname : "?");
		else
			log_debug("backend %s/%s: %s is %s", backend->service->name,
				  backend->config->name, addr,
				  hop->state == NEXT_HOP_RESOLVED ? "resolved" : "being asked for");
		break;
	}
}

static void return_rule_set(struct daemon *daemon, uint16_t slot, enum family family, uint8_t port)
{
	const struct daemon_backend *backend = &daemon->backends[slot];
	const struct table_endpoint *service = &backend->service->endpoint;
	struct match_key key = { .port_be = backend->config->endpoint.port_be,
				 .protocol = WIRE_PROTOCOL_UDP };
	struct return_rule rule = { .slot = slot,
				    .port = port,
				    .service_port_be = service->port_be };
	int err;

	memcpy(key.addr, backend->config->endpoint.addr[family], sizeof(key.addr));
	memcpy(rule.service_addr, service->addr[family], sizeof(rule.service_addr));
	memcpy(rule.next_hop_mac, backend->next_hop[family].mac, sizeof(rule.next_hop_mac));
	if (port == NO_PORT || daemon->config->interfaces[port].clients)
		rule.flags = RETURN_CHECK_MAC;
	err = attach_return_set(daemon->attach, &key, &rule);
	if (err)
		log_error("backend %s/%s: cannot tell XDP about it: %s; its answers are not "
			  "forwarded",
			  backend->service->name, backend->config->name, strerror(-err));
}

static void next_hop_changed(void *arg, uint32_t id, const struct next_hop *hop)
{
	struct daemon *daemon = arg;
	uint16_t slot = (uint16_t)(id / FAMILY_COUNT);
	enum family family = id % FAMILY_COUNT;
	bool has_route = hop->state == NEXT_HOP_UNRESOLVED || hop->state == NEXT_HOP_RESOLVED;
	uint8_t port = has_route ? port_of(daemon, hop->ifindex) : NO_PORT;
	bool is_usable = port != NO_PORT && hop->state == NEXT_HOP_RESOLVED;

	daemon->backends[slot].next_hop[family] = *hop;
	table_next_hop_set(daemon->table.table, slot, family, port, is_usable ? hop->mac : NULL);
	return_rule_set(daemon, slot, family, port);
	next_hop_log(&daemon->backends[slot], family, port);
}

static int next_hops_start(struct daemon *daemon, char *error)
{
	int err = next_hops_open(next_hop_changed, daemon, &daemon->hops, error, ERROR_SIZE);

	for (uint32_t id = 0; !err && id < daemon->backend_count * FAMILY_COUNT; id++) {
		const struct daemon_backend *backend = &daemon->backends[id / FAMILY_COUNT];
		const struct table_endpoint *endpoint = &backend->config->endpoint;

		if (!endpoint->present[id % FAMILY_COUNT])
			continue;
		err = next_hops_watch(daemon->hops, id, endpoint->addr[id % FAMILY_COUNT]);
		if (err)
			fail(err, error, ERROR_SIZE,
			     "cannot look up the route to backend %s/%s: %s",
			     backend->service->name, backend->config->name, strerror(-err));
	}
	return err;
}

/* A replay has no kernel to ask: every backend has a made-up MAC address that
 * ends in its slot, and clients are behind another one. */
static void next_hops_invent(struct daemon *daemon)
{
	static const uint8_t client_mac[6] = { 0x02, 'R', 'W', 2, 0, 0 };

	for (uint16_t slot = 0; slot < daemon->backend_count; slot++) {
		const uint8_t mac[6] = { 0x02, 'R', 'W', 1, (uint8_t)(slot >> 8), (uint8_t)slot };

		for (enum family family = 0; family < FAMILY_COUNT; family++)
			table_next_hop_set(daemon->table.table, slot, family, 0, mac);
	}
	table_client_next_hop_set(daemon->table.table, 0, client_mac);
}

/* One port that takes every frame. */
static void links_invent(struct daemon *daemon)
{
	static const uint8_t mac[6] = { 0x02, 'R', 'W', 0, 0, 0 };

	memcpy(daemon->links[0].mac, mac, sizeof(mac));
	daemon->links[0].mtu = UINT16_MAX;
	daemon->worker_count = 1;
}

/* --- the host ------------------------------------------------------------- */

static int links_read(struct daemon *daemon, char *error)
{
	const struct config *config = daemon->config;
	const char *ifnames[PORT_COUNT_MAX];
	int count;

	for (size_t i = 0; i < config->interface_count; i++) {
		int err;

		ifnames[i] = config->interfaces[i].name;
		err = host_link_read(ifnames[i], &daemon->links[i], error, ERROR_SIZE);
		if (err)
			return err;
	}
	count = host_worker_count(ifnames, daemon->links, config->interface_count, config->queues,
				  error, ERROR_SIZE);
	if (count < 0)
		return count;
	daemon->worker_count = (uint32_t)count;
	return 0;
}

static bool family_used(const struct config *config, enum family family)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].endpoint.present[family])
			return true;
	return false;
}

static int forwarding_check(const struct daemon *daemon, char *error)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!family_used(daemon->config, family))
			continue;
		for (size_t i = 0; i < daemon->config->interface_count; i++) {
			int err = host_forwarding_check(daemon->config->interfaces[i].name, family,
							error, ERROR_SIZE);

			if (err)
				return err;
		}
	}
	return 0;
}

static int host_check(struct daemon *daemon, char *error)
{
	int err = links_read(daemon, error);

	return err ? err : forwarding_check(daemon, error);
}

static void addresses_check(const struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->config->service_count; i++) {
		const struct config_service *service = &daemon->config->services[i];

		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			char advice[ERROR_SIZE];

			if (service->endpoint.present[family] &&
			    !host_address_check(service->endpoint.addr[family], daemon->links,
						daemon->config->interface_count, advice,
						sizeof(advice)))
				log_warn("service %s: %s", service->name, advice);
		}
	}
}

/* --- engines and workers -------------------------------------------------- */

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
	return fail(-errno, error, ERROR_SIZE,
		    "cpus: cannot run on CPU %d: %s; this machine has %ld of them, from 0", cpu,
		    strerror(errno), sysconf(_SC_NPROCESSORS_ONLN));
}

static int ios_open(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	const struct config *config = daemon->config;
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
			err = daemon->engine->open(&io, &daemon->ios[io.queue], error, ERROR_SIZE);
	}
	(void)sched_setaffinity(0, sizeof(before), &before);
	return err;
}

static int ports_attach(struct daemon *daemon, char *error)
{
	for (uint32_t port = 0; port < daemon->config->interface_count; port++) {
		const struct config_interface *interface = &daemon->config->interfaces[port];
		uint32_t ifindex = daemon->links[port].ifindex;
		int err = -EOPNOTSUPP;

		if (interface->mode != IO_MODE_GENERIC)
			err = attach_port(daemon->attach, port, ifindex, interface->name, false,
					  error, ERROR_SIZE);
		if (err == -EOPNOTSUPP &&
		    (interface->mode == IO_MODE_AUTO || interface->mode == IO_MODE_GENERIC)) {
			err = attach_port(daemon->attach, port, ifindex, interface->name, true,
					  error, ERROR_SIZE);
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
		for (uint32_t port = 0; port < daemon->config->interface_count; port++) {
			int socket = daemon->engine->socket(daemon->ios[queue], port);
			int err = attach_socket_set(daemon->attach, port, queue, socket);

			if (err)
				return fail(err, error, ERROR_SIZE,
					    "%s queue %u: cannot put its socket into the XSKMAP: "
					    "%s",
					    daemon->config->interfaces[port].name, queue,
					    strerror(-err));
		}
	}
	return 0;
}

static int services_set(struct daemon *daemon, char *error)
{
	for (size_t i = 0; i < daemon->config->service_count; i++) {
		const struct config_service *service = &daemon->config->services[i];
		const struct service_rule rule = { .slot = (uint16_t)i };

		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			struct match_key key = { .port_be = service->endpoint.port_be,
						 .protocol = WIRE_PROTOCOL_UDP };
			int err;

			if (!service->endpoint.present[family])
				continue;
			memcpy(key.addr, service->endpoint.addr[family], sizeof(key.addr));
			err = attach_service_set(daemon->attach, &key, &rule);
			if (err)
				return fail(err, error, ERROR_SIZE,
					    "service %s: cannot tell XDP about it: %s",
					    service->name, strerror(-err));
		}
	}
	return 0;
}

/* What stays is needed: CAP_NET_ADMIN to ask for neighbours, CAP_BPF to change
 * the maps on kernels before 5.19. Threads started from here on inherit it. */
static int privileges_drop(char *error)
{
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN, CAP_BPF,
			  -1) ||
	    capng_apply(CAPNG_SELECT_CAPS))
		return fail(-EPERM, error, ERROR_SIZE, "cannot drop privileges: %s",
			    strerror(errno));
	return 0;
}

static int workers_start(struct daemon *daemon, char *error)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		const struct worker_config config = {
			.index = i,
			.cpu = worker_cpu(daemon->config, i),
			.engine = daemon->engine,
			.io = daemon->ios[i],
			.table = &daemon->table,
		};
		int err = worker_start(&config, &daemon->workers[i]);

		if (err)
			return fail(err, error, ERROR_SIZE, "cannot start worker %u: %s", i,
				    strerror(-err));
	}
	return 0;
}

static json_t *command_answer(void *arg, const char *command)
{
	return report_command(arg, command);
}

static int kernel_path_start(struct daemon *daemon, const struct daemon_options *options,
			     char *error)
{
	int err = attach_open(&daemon->attach, error, ERROR_SIZE);

	if (!err)
		err = next_hops_start(daemon, error);
	if (!err)
		err = ios_open(daemon, options, error);
	if (!err)
		err = ports_attach(daemon, error);
	if (!err)
		err = sockets_set(daemon, error);
	if (!err)
		err = control_socket_open(daemon->config->control_socket, command_answer, daemon,
					  &daemon->control, error, ERROR_SIZE);
	if (!err)
		err = privileges_drop(error);
	if (!err)
		err = workers_start(daemon, error);
	/* Last: from here on traffic is ours. */
	if (!err)
		err = services_set(daemon, error);
	return err;
}

static int replay_start(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	int err;

	next_hops_invent(daemon);
	err = ios_open(daemon, options, error);
	return err ? err : workers_start(daemon, error);
}

static int table_start(struct daemon *daemon, char *error)
{
	int err = table_spec_build(daemon->config, daemon->links, &daemon->table.table);

	if (err)
		return fail(err, error, ERROR_SIZE, "cannot build the forwarding table: %s",
			    strerror(-err));
	daemon->backends = table_spec_backends(daemon->config, &daemon->backend_count);
	if (!daemon->backends)
		return fail(-ENOMEM, error, ERROR_SIZE, "%s", strerror(ENOMEM));
	return 0;
}

/* A replay without a key is the same each time; what faces clients is secret. */
static void hash_key_choose(struct config *config, bool is_replay)
{
	if (is_replay || getrandom(config->hash_key, sizeof(config->hash_key), 0) < 0)
		return;
	log_warn("no hash_key: a random one is used until the next start, and other nodes choose "
		 "other backends; add `hash_key: ` and 32 random hex digits, the same on every "
		 "node");
}

int daemon_start(struct config *config, const struct daemon_options *options,
		 struct daemon **ret_daemon)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	bool is_replay = options->engine == &io_replay;
	char error[ERROR_SIZE] = "out of memory";
	int err = -ENOMEM;

	if (!daemon) {
		config_free(config);
		goto out;
	}
	daemon->config = config;
	daemon->engine = options->engine;
	(void)clock_gettime(CLOCK_MONOTONIC, &daemon->started);
	if (!config->has_hash_key)
		hash_key_choose(config, is_replay);
	if (is_replay)
		links_invent(daemon);
	err = is_replay ? 0 : host_check(daemon, error);
	if (!err)
		err = table_start(daemon, error);
	if (!err)
		err = is_replay ? replay_start(daemon, options, error)
				: kernel_path_start(daemon, options, error);
	if (err) {
		daemon_stop(daemon);
		goto out;
	}
	if (!is_replay)
		addresses_check(daemon);
	*ret_daemon = daemon;
out:
	if (err)
		log_error("%s", error);
	return err;
}

/* --- running -------------------------------------------------------------- */

static void neighbour_solicit(void *arg, const struct neighbour_wanted *wanted)
{
	struct daemon *daemon = arg;
	uint8_t addr[16];

	match_addr_set(addr, wanted->family == AF_INET ? wanted->addr : NULL, wanted->addr);
	(void)next_hops_solicit(daemon->hops, wanted->ifindex, addr);
}

static bool workers_done(const struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		if (!worker_done(daemon->workers[i]))
			return false;
	return true;
}

/* What the loop waits for, by the number that epoll returns. */
enum event {
	EVENT_SIGNAL,
	EVENT_TICK,
	EVENT_NEXT_HOPS,
	EVENT_WANTED,
	EVENT_CONTROL,
	EVENT_COUNT,
};

static void event_serve(struct daemon *daemon, enum event event, int fd)
{
	uint64_t expirations;

	switch (event) {
	case EVENT_TICK:
		if (read(fd, &expirations, sizeof(expirations)) < 0)
			break;
		next_hops_tick(daemon->hops);
		control_socket_tick(daemon->control);
		break;
	case EVENT_NEXT_HOPS: next_hops_read(daemon->hops); break;
	case EVENT_WANTED: attach_wanted_drain(daemon->attach, neighbour_solicit, daemon); break;
	case EVENT_CONTROL: control_socket_serve(daemon->control); break;
	default: break;
	}
}

static int signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int ticks_open(void)
{
	const struct itimerspec second = { .it_interval = { 1, 0 }, .it_value = { 1, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timerfd_settime(fd, 0, &second, NULL)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int events_add(int epoll, const int *fds)
{
	for (enum event event = 0; event < EVENT_COUNT; event++) {
		struct epoll_event registration = { .events = EPOLLIN, .data.u32 = event };

		if (fds[event] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fds[event], &registration))
			return -errno;
	}
	return 0;
}

static int events_serve(struct daemon *daemon, int epoll, const int *fds)
{
	for (;;) {
		struct epoll_event ready[EVENT_COUNT];
		int count =
			epoll_wait(epoll, ready, EVENT_COUNT, daemon->attach ? -1 : REPLAY_POLL_MS);

		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count; i++) {
			if (ready[i].data.u32 == EVENT_SIGNAL)
				return 0;
			event_serve(daemon, ready[i].data.u32, fds[ready[i].data.u32]);
		}
		if (!daemon->attach && workers_done(daemon))
			return 0;
	}
}

/* What became of a replay's datagrams, to stdout. */
static void report_print(const struct daemon *daemon)
{
	json_t *report = report_command(daemon, "stats");

	(void)json_dumpf(report, stdout, JSON_INDENT(2));
	(void)putchar('\n');
	json_decref(report);
}

int daemon_run(struct daemon *daemon)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int fds[EVENT_COUNT] = { signals_open(), -1, -1, -1, -1 };
	int err;

	if (daemon->attach) {
		fds[EVENT_TICK] = ticks_open();
		fds[EVENT_NEXT_HOPS] = next_hops_fd(daemon->hops);
		fds[EVENT_WANTED] = attach_wanted_fd(daemon->attach);
		fds[EVENT_CONTROL] = control_socket_fd(daemon->control);
	}
	err = epoll < 0 ? -errno : events_add(epoll, fds);
	if (!err) {
		log_info("ready: %u worker%s, %zu service%s, %zu backend%s", daemon->worker_count,
			 daemon->worker_count == 1 ? "" : "s", daemon->config->service_count,
			 daemon->config->service_count == 1 ? "" : "s", daemon->backend_count,
			 daemon->backend_count == 1 ? "" : "s");
		err = events_serve(daemon, epoll, fds);
	}
	if (err)
		log_error("cannot wait for events: %s", strerror(-err));
	if (!daemon->attach)
		report_print(daemon);
	close(fds[EVENT_TICK]);
	close(fds[EVENT_SIGNAL]);
	close(epoll);
	return err;
}

void daemon_stop(struct daemon *daemon)
{
	if (!daemon)
		return;
	control_socket_close(daemon->control);
	attach_close(daemon->attach); /* first, so that the workers run dry */
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		worker_stop(daemon->workers[i]);
	for (uint32_t i = 0; i < daemon->worker_count; i++)
		daemon->engine->close(daemon->ios[i]);
	next_hops_close(daemon->hops);
	table_free(daemon->table.table);
	free(daemon->backends);
	config_free(daemon->config);
	free(daemon);
}
