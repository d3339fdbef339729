/* SPDX-License-Identifier: GPL-2.0-only */
/* drops.c - reads every counter of a datagram's way, those of the kernel as they have
 * grown since the start. What they mean is in drops_places.c. */
#include "control/drops.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/engine.h"
#include "control/report.h"
#include "core/counter.h"
#include "util/json_build.h"
#include "util/log.h"

/* Which interfaces there are, and what the kernel had counted before. */
struct drops {
	uint32_t port_count;
	char ifnames[PORT_COUNT_MAX][IF_NAMESIZE];
	struct nic_stats nics[PORT_COUNT_MAX];
	struct proc_net net;
};

static void port_add(struct drops *drops, const char *ifname)
{
	uint32_t port = drops->port_count++;
	int err = nic_stats_read(ifname, &drops->nics[port]);

	(void)snprintf(drops->ifnames[port], sizeof(drops->ifnames[port]), "%s", ifname);
	if (err)
		log_warn("cannot read the counters of %s: %s; `ringwayctl drops` shows them since "
			 "the interface was made",
			 ifname, strerror(-err));
}

/* Of an engine that knows no interfaces the first of this network namespace. */
static void ports_add_any(struct drops *drops)
{
	struct if_nameindex *interfaces = if_nameindex();

	for (size_t i = 0; interfaces && interfaces[i].if_name; i++) {
		const char *ifname = interfaces[i].if_name;

		if (strcmp(ifname, "lo") == 0)
			continue;
		if (drops->port_count < PORT_COUNT_MAX)
			port_add(drops, ifname);
		else
			log_info("`ringwayctl drops` does not show %s: %u interfaces are its most",
				 ifname, PORT_COUNT_MAX);
	}
	if (interfaces)
		if_freenameindex(interfaces);
}

struct drops *drops_open(const struct daemon *daemon)
{
	struct drops *drops = calloc(1, sizeof(*drops));

	if (!drops)
		return NULL;
	proc_net_read(&drops->net);
	if (!daemon->engine->has_interfaces)
		ports_add_any(drops);
	else
		for (uint32_t port = 0; port < daemon->port_count; port++)
			port_add(drops, daemon->lineup->config->interfaces[port].name);
	return drops;
}

void drops_close(struct drops *drops)
{
	if (!drops)
		return;
	for (uint32_t port = 0; port < PORT_COUNT_MAX; port++)
		nic_stats_free(&drops->nics[port]);
	free(drops);
}

static void ports_count(const struct drops *drops, const struct daemon *daemon,
			struct drops_counts *counts)
{
	counts->port_count = drops->port_count;
	for (uint32_t port = 0; port < counts->port_count; port++) {
		counts->ifnames[port] = drops->ifnames[port];
		if (daemon->engine->has_interfaces) {
			counts->drivers[port] = daemon->links[port].driver;
			counts->has_generic |= daemon->generic[port];
		}
		/* An interface that is gone has lost nothing; the daemon soon follows it. */
		(void)nic_stats_read(counts->ifnames[port], &counts->nics[port]);
		nic_stats_since(&counts->nics[port], &drops->nics[port]);
	}
}

static void workers_count(const struct daemon *daemon, struct drops_counts *counts)
{
	counts->worker_count = daemon->worker_count;
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		const struct forward_stats *forward = worker_forward_stats(daemon->workers[i]);

		daemon->engine->io->stats(daemon->ios[i], &counts->ios[i]);
		for (enum drop_reason reason = 0; reason < DROP_REASON_COUNT; reason++)
			counts->reasons[reason] += counter_read(&forward->dropped[reason]);
	}
}

/* What comes later on the way is read later: a datagram that is on its way meanwhile is
 * then never counted as lost, at most as not yet lost. */
static void counts_read(const struct drops *drops, const struct daemon *daemon,
			struct drops_counts *counts)
{
	counts->has_sockets = daemon->sockets;
	ports_count(drops, daemon, counts);
	proc_net_read(&counts->net);
	proc_net_since(&counts->net, &drops->net);
	/* Without them nothing of XDP is shown as lost. */
	if (daemon->attach)
		(void)attach_counters(daemon->attach, counts->xdp);
	if (daemon->sockets)
		socket_group_stats(daemon->sockets, &counts->sockets);
	workers_count(daemon, counts);
}

json_t *drops_report(const struct drops *drops, const struct daemon *daemon)
{
	struct drops_counts *counts = calloc(1, sizeof(*counts));
	json_t *object = json_object();

	if (!counts) {
		json_decref(object);
		return NULL;
	}
	counts_read(drops, daemon, counts);
	json_build_put(&object, "engine", json_string(daemon->engine->io->name));
	json_build_number(&object, "uptime_s", report_uptime_s(daemon));
	json_build_put(&object, "places", drops_places(counts));
	for (uint32_t port = 0; port < counts->port_count; port++)
		nic_stats_free(&counts->nics[port]);
	free(counts);
	return object;
}
