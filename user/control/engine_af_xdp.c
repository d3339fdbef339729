/* SPDX-License-Identifier: GPL-2.0-only */
/* engine_af_xdp.c - interfaces: their links, routes and neighbours are followed, XDP
 * is attached to them and told of services and backends. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "control/backends.h"
#include "control/engine.h"
#include "control/rules.h"
#include "control/start.h"
#include "host/xdp_features.h"
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

static bool returns_in_xdp(const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].return_path == CONFIG_RETURN_XDP)
			return true;
	return false;
}

/* Without native XDP nothing is redirected past the stack, which sends to any interface. */
static bool is_native_anywhere(const struct daemon *daemon)
{
	for (uint32_t port = 0; port < daemon->port_count; port++)
		if (!daemon->generic[port])
			return true;
	return false;
}

/* Can answers leave from XDP? What an interface does not take nobody counts. */
static int redirect_check(const struct daemon *daemon, const struct config *config, char *error)
{
	int err = 0;

	if (!returns_in_xdp(config) || !is_native_anywhere(daemon))
		return 0;
	for (uint32_t port = 0; !err && port < daemon->port_count; port++)
		if (config->interfaces[port].clients)
			err = xdp_features_check_redirect(config->interfaces[port].name,
							  &daemon->links[port], error,
							  DAEMON_ERROR_SIZE);
	return err;
}

static int sockets_set(struct daemon *daemon, char *error)
{
	for (uint32_t queue = 0; queue < daemon->worker_count; queue++) {
		for (uint32_t port = 0; port < daemon->lineup->config->interface_count; port++) {
			int socket = daemon->engine->io->socket(daemon->ios[queue], port);
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

/* What stays is needed: CAP_NET_ADMIN to ask for neighbours, CAP_BPF to change the maps
 * on kernels before 5.19. */
static int privileges_drop(char *error)
{
	static const unsigned int kept[] = { CAP_NET_ADMIN, CAP_BPF };

	return start_privileges_drop(kept, sizeof(kept) / sizeof(kept[0]), error);
}

static int af_xdp_start(struct daemon *daemon, const struct daemon_options *unused, char *error)
{
	const struct io_config config = { .mode = mode_choose(daemon->lineup->config) };
	int err = attach_open(&daemon->attach, error, DAEMON_ERROR_SIZE);

	(void)unused;
	if (!err)
		err = backends_open(daemon, error);
	if (!err)
		err = start_router(daemon, error);
	if (!err)
		err = start_ios(daemon, &config, error);
	if (!err)
		err = ports_attach(daemon, error);
	if (!err)
		err = redirect_check(daemon, daemon->lineup->config, error);
	if (!err)
		err = sockets_set(daemon, error);
	if (!err)
		err = start_control_socket(daemon, error);
	if (!err)
		err = privileges_drop(error);
	if (!err)
		err = start_workers(daemon, error);
	if (!err)
		err = start_probes(daemon, error);
	/* Last: from here on traffic is ours. */
	if (!err)
		err = rules_services_set(daemon, daemon->lineup, error);
	if (!err)
		start_addresses_check(daemon);
	return err;
}

static void neighbour_solicit(void *arg, const struct neighbour_wanted *wanted)
{
	struct daemon *daemon = arg;
	uint8_t addr[16];

	match_addr_set(addr, wanted->family == AF_INET ? wanted->addr : NULL, wanted->addr);
	(void)next_hops_solicit(daemon->hops, wanted->ifindex, addr);
}

static void af_xdp_events(const struct daemon *daemon, int fds[EVENT_COUNT])
{
	fds[EVENT_NEXT_HOPS] = next_hops_fd(daemon->hops);
	fds[EVENT_LINKS] = link_watch_fd(daemon->link_watch);
	fds[EVENT_WANTED] = attach_wanted_fd(daemon->attach);
}

static int af_xdp_serve(struct daemon *daemon, enum event event, char *error)
{
	switch (event) {
	case EVENT_TICK:
		next_hops_tick(daemon->hops);
		return link_watch_tick(daemon->link_watch, error, DAEMON_ERROR_SIZE);
	case EVENT_NEXT_HOPS: next_hops_read(daemon->hops); break;
	case EVENT_LINKS: return link_watch_read(daemon->link_watch, error, DAEMON_ERROR_SIZE);
	case EVENT_WANTED: attach_wanted_drain(daemon->attach, neighbour_solicit, daemon); break;
	default: break;
	}
	return 0;
}

static int af_xdp_reload_begin(struct daemon *daemon, char *error)
{
	int err = 0;

	if (!returns_in_xdp(daemon->lineup->config))
		err = redirect_check(daemon, daemon->next_lineup->config, error);
	if (err)
		return err;
	err = backends_watch(daemon, daemon->next_lineup, error);
	if (err)
		backends_unwatch(daemon, daemon->next_lineup, daemon->lineup);
	else
		backends_settle(daemon);
	return err;
}

static void af_xdp_reload_undo(struct daemon *daemon)
{
	backends_unwatch(daemon, daemon->next_lineup, daemon->lineup);
}

static void af_xdp_reload_after(struct daemon *daemon, const struct lineup *before,
				const struct lineup *now)
{
	rules_after(daemon, before, now);
	backends_unwatch(daemon, before, now);
}

const struct engine engine_af_xdp = {
	.io = &io_af_xdp,
	.has_interfaces = true,
	.ports = start_links,
	.start = af_xdp_start,
	.next_hops = backends_follow,
	.events = af_xdp_events,
	.serve = af_xdp_serve,
	.reload_begin = af_xdp_reload_begin,
	.reload_undo = af_xdp_reload_undo,
	.reload_before = rules_before,
	.reload_after = af_xdp_reload_after,
};
