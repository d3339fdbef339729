/* SPDX-License-Identifier: GPL-2.0-only */
/* report.c - a running daemon as JSON.
 *
 * The workers go on counting meanwhile: every number is whole, but two of them
 * need not be of the same instant. */
#include "control/report.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "control/engine.h"
#include "control/probes.h"
#include "core/counter.h"
#include "core/drop.h"
#include "core/route.h"
#include "util/clock.h"
#include "util/json_build.h"
#include "util/number.h"

static const char *const family_names[] = {
	[FAMILY_IPV4] = "ipv4",
	[FAMILY_IPV6] = "ipv6",
};

static const char *const mode_names[] = {
	[IO_MODE_AUTO] = NULL, /* no sockets to be bound in any mode */
	[IO_MODE_ZERO_COPY] = "zero-copy",
	[IO_MODE_COPY] = "copy",
	[IO_MODE_GENERIC] = "generic",
};

static const char *const protocol_names[] = {
	[CONFIG_PROTOCOL_QUIC] = "quic",
	[CONFIG_PROTOCOL_UDP] = "udp",
};

static const char *const service_mode_names[] = {
	[CONFIG_MODE_NAT] = "nat",
	[CONFIG_MODE_L2] = "l2",
};

static const char *const next_hop_state_names[] = {
	[NEXT_HOP_NO_ROUTE] = "no-route",
	[NEXT_HOP_LOCAL] = "local",
	[NEXT_HOP_UNRESOLVED] = "unresolved",
	[NEXT_HOP_RESOLVED] = "resolved",
};

/* null for NULL, and for what is no UTF-8: the kernel takes any interface name. */
static json_t *text_or_null(const char *text)
{
	json_t *string = text ? json_string(text) : NULL;

	return string ? string : json_null();
}

static json_t *dropped_json(const uint64_t dropped[DROP_REASON_COUNT])
{
	json_t *object = json_object();

	for (enum drop_reason reason = 0; reason < DROP_REASON_COUNT; reason++)
		json_build_number(&object, drop_reason_name(reason), dropped[reason]);
	return object;
}

static json_t *kick_errors_json(const uint64_t errors[IO_KICK_ERROR_COUNT])
{
	json_t *object = json_object();

#define X(constant, name) json_build_number(&object, name, errors[IO_KICK_##constant]);
	IO_KICK_ERRORS(X)
#undef X
	return object;
}

static json_t *xdp_json(const uint64_t counters[INGRESS_COUNTER_COUNT])
{
	json_t *object = json_object();

#define X(constant, name, meaning) json_build_number(&object, name, counters[INGRESS_##constant]);
	INGRESS_COUNTERS(X)
#undef X
	return object;
}

static json_t *sockets_json(const struct socket_group *sockets)
{
	struct socket_stats stats;
	json_t *object = json_object();

	socket_group_stats(sockets, &stats);
	json_build_number(&object, "flows", stats.flows);
#define X(constant, name, meaning) \
	json_build_number(&object, name, stats.counts[SOCKET_COUNT_##constant]);
	SOCKET_COUNTERS(X)
#undef X
	json_build_number(&object, "dropped_service", stats.dropped_service);
	json_build_number(&object, "dropped_flow", stats.dropped_flow);
	return object;
}

static json_t *cpu_json(const struct daemon *daemon, uint32_t worker)
{
	int cpu = daemon_thread_cpu(daemon, worker, false);

	return cpu < 0 ? json_null() : json_integer(cpu);
}

/* stats */

/* What is counted of one worker, and of all of them. */
struct numbers {
	uint64_t received, copies, sent, forwarded, dropped[DROP_REASON_COUNT];
	uint64_t decided[ROUTE_RULE_COUNT], routing[ROUTE_COUNTER_COUNT];
	struct affinity_stats tuples, cids;
};

static void counters_add(uint64_t *sums, const uint64_t *counters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sums[i] += counter_read(&counters[i]);
}

static void affinity_stats_add(struct affinity_stats *sum, const struct affinity_stats *stats)
{
	sum->inserted += counter_read(&stats->inserted);
	sum->evicted += counter_read(&stats->evicted);
	sum->refused += counter_read(&stats->refused);
}

static void numbers_add(struct numbers *sum, const struct worker *worker)
{
	const struct worker_stats *stats = worker_stats(worker);
	const struct forward_stats *forward = worker_forward_stats(worker);
	const struct router_worker *router = worker_router(worker);

	sum->received += counter_read(&stats->received);
	sum->copies += counter_read(&router->counts[ROUTE_COUNT_COPIES]);
	sum->sent += counter_read(&stats->sent);
	sum->forwarded += counter_read(&forward->forwarded);
	counters_add(sum->dropped, forward->dropped, DROP_REASON_COUNT);
	counters_add(sum->decided, router->decided, ROUTE_RULE_COUNT);
	counters_add(sum->routing, router->counts, ROUTE_COUNTER_COUNT);
	affinity_stats_add(&sum->tuples, &router->tuple_stats);
	affinity_stats_add(&sum->cids, &router->cid_stats);
}

static json_t *decided_json(const uint64_t decided[ROUTE_RULE_COUNT])
{
	json_t *object = json_object();

	for (enum route_rule rule = 0; rule < ROUTE_RULE_COUNT; rule++)
		json_build_number(&object, route_rule_name(rule), decided[rule]);
	return object;
}

static json_t *routing_json(const uint64_t routing[ROUTE_COUNTER_COUNT])
{
	json_t *object = json_object();

	for (enum route_counter counter = 0; counter < ROUTE_COUNTER_COUNT; counter++)
		json_build_number(&object, route_counter_name(counter), routing[counter]);
	return object;
}

static json_t *affinity_stats_json(const struct affinity_stats *stats)
{
	json_t *object = json_object();

	json_build_number(&object, "inserted", stats->inserted);
	json_build_number(&object, "evicted", stats->evicted);
	json_build_number(&object, "refused", stats->refused);
	return object;
}

static void numbers_put(json_t **object, const struct numbers *numbers)
{
	json_build_number(object, "received", numbers->received);
	json_build_number(object, "copies", numbers->copies);
	json_build_number(object, "sent", numbers->sent);
	json_build_number(object, "forwarded", numbers->forwarded);
	json_build_put(object, "dropped", dropped_json(numbers->dropped));
	json_build_put(object, "decided", decided_json(numbers->decided));
	json_build_put(object, "routing", routing_json(numbers->routing));
	json_build_put(object, "tuples", affinity_stats_json(&numbers->tuples));
	json_build_put(object, "cids", affinity_stats_json(&numbers->cids));
}

/* NULL: the port is no interface. */
static const char *port_name(const struct daemon *daemon, size_t port)
{
	return daemon->engine->has_interfaces ? daemon->lineup->config->interfaces[port].name
					      : NULL;
}

static size_t interface_count(const struct daemon *daemon)
{
	return daemon->engine->has_interfaces ? daemon->port_count : 0;
}

static json_t *mode_json(const struct daemon *daemon, size_t port, enum io_mode bound)
{
	return text_or_null(mode_names[daemon->generic[port] ? IO_MODE_GENERIC : bound]);
}

static json_t *port_json(const struct daemon *daemon, size_t index,
			 const struct io_port_stats *port)
{
	json_t *object = json_object();

	json_build_put(&object, "interface", text_or_null(port_name(daemon, index)));
	json_build_put(&object, "mode", mode_json(daemon, index, port->mode));
	json_build_number(&object, "received", port->received);
	json_build_number(&object, "sent", port->sent);
	json_build_number(&object, "completed", port->completed);
	json_build_number(&object, "posted", port->posted);
	json_build_number(&object, "kicks", port->kicks);
	json_build_put(&object, "kick_errors", kick_errors_json(port->kick_errors));
	json_build_number(&object, "rx_ring_full", port->rx_ring_full);
	json_build_number(&object, "rx_fill_empty", port->rx_fill_empty);
	json_build_number(&object, "rx_dropped", port->rx_dropped);
	json_build_number(&object, "rx_invalid", port->rx_invalid);
	json_build_number(&object, "tx_invalid", port->tx_invalid);
	return object;
}

static json_t *ports_json(const struct daemon *daemon, const struct io_stats *io)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < io->port_count; i++)
		json_build_append(&array, port_json(daemon, i, &io->ports[i]));
	return array;
}

static json_t *frames_json(const struct io_stats *io)
{
	uint64_t posted = 0, outstanding = 0;
	json_t *object = json_object();

	for (uint32_t i = 0; i < io->port_count; i++) {
		const struct io_port_stats *port = &io->ports[i];

		posted += port->posted;
		/* The two are read apart; a moment may lie between them. */
		outstanding += port->sent > port->completed ? port->sent - port->completed : 0;
	}
	json_build_number(&object, "all", io->frames);
	json_build_number(&object, "free", io->free);
	json_build_number(&object, "held", io->held);
	json_build_number(&object, "posted", posted);
	json_build_number(&object, "outstanding", outstanding);
	return object;
}

static json_t *worker_json(const struct daemon *daemon, uint32_t index)
{
	const struct worker_stats *worker = worker_stats(daemon->workers[index]);
	const struct forward_stats *forward = worker_forward_stats(daemon->workers[index]);
	struct numbers numbers = { 0 };
	struct io_stats io = { 0 };
	json_t *object = json_object();

	numbers_add(&numbers, daemon->workers[index]);
	daemon->engine->io->stats(daemon->ios[index], &io);
	json_build_number(&object, "index", index);
	json_build_put(&object, "cpu", cpu_json(daemon, index));
	numbers_put(&object, &numbers);
	json_build_number(&object, "checksums_completed",
			  counter_read(&forward->checksums_completed));
	json_build_number(&object, "new_connections", counter_read(&forward->new_connections));
	json_build_number(&object, "rounds", counter_read(&worker->rounds));
	json_build_number(&object, "empty_rounds", counter_read(&worker->empty_rounds));
	json_build_number(&object, "busy_ns", counter_read(&worker->busy_ns));
	json_build_number(&object, "forward_ns", counter_read(&worker->forward_ns));
	json_build_number(&object, "waits", io.waits);
	json_build_put(&object, "frames", frames_json(&io));
	json_build_put(&object, "ports", ports_json(daemon, &io));
	return object;
}

static json_t *workers_json(const struct daemon *daemon)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < daemon->worker_count; i++)
		json_build_append(&array, worker_json(daemon, i));
	return array;
}

static json_t *totals_json(const struct daemon *daemon)
{
	struct numbers totals = { 0 };
	json_t *object = json_object();

	for (uint32_t i = 0; i < daemon->worker_count; i++)
		numbers_add(&totals, daemon->workers[i]);
	numbers_put(&object, &totals);
	return object;
}

static json_t *table_json(const struct affinity *table, const struct connections_sweep *sweep)
{
	uint64_t places = table->line_count * AFFINITY_LINE_WORDS;
	json_t *object = json_object();

	json_build_number(&object, "places", places);
	json_build_number(&object, "bytes", table->line_count * AFFINITY_LINE_SIZE_BYTES);
	json_build_put(&object, "entries",
		       sweep->is_complete ? json_integer((json_int_t)sweep->live) : json_null());
	json_build_put(&object, "fill",
		       sweep->is_complete && places
			       ? json_real((double)sweep->live / (double)places)
			       : json_null());
	return object;
}

static json_t *tables_json(const struct daemon *daemon)
{
	json_t *object = json_object();

	json_build_put(&object, "tuples",
		       table_json(&daemon->router->tuples, &daemon->tuples_sweep));
	json_build_put(&object, "cids", table_json(&daemon->router->cids, &daemon->cids_sweep));
	return object;
}

json_t *report_stats(const struct daemon *daemon)
{
	uint64_t xdp[INGRESS_COUNTER_COUNT];
	json_t *object = json_object();

	json_build_put(&object, "workers", workers_json(daemon));
	json_build_put(&object, "xdp", json_object());
	if (daemon->attach) {
		int err = attach_counters(daemon->attach, xdp);

		if (err) {
			json_decref(object);
			return json_pack(
				"{so}", "error",
				json_sprintf("cannot read the XDP counters: %s", strerror(-err)));
		}
		json_build_put(&object, "xdp", xdp_json(xdp));
	}
	json_build_put(&object, "sockets",
		       daemon->sockets ? sockets_json(daemon->sockets) : json_object());
	json_build_put(&object, "tables", tables_json(daemon));
	json_build_put(&object, "totals", totals_json(daemon));
	return object;
}

/* backends, services */

static json_t *addresses_json(const struct table_endpoint *endpoint)
{
	json_t *array = json_array();
	char text[ADDRESS_TEXT_SIZE];

	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (endpoint->present[family])
			json_build_append(
				&array, json_string(address_format(endpoint->addr[family], text)));
	return array;
}

/* Ours by the name in the configuration, others as the kernel has them now. */
static json_t *interface_json(const struct daemon *daemon, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	for (size_t i = 0; i < interface_count(daemon); i++)
		if (daemon->links[i].ifindex == ifindex)
			return text_or_null(daemon->lineup->config->interfaces[i].name);
	return text_or_null(if_indextoname(ifindex, name));
}

static json_t *mac_json(const uint8_t mac[6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

static json_t *next_hop_json(const struct daemon *daemon, enum family family,
			     const struct next_hop *hop)
{
	bool is_resolved = hop->state == NEXT_HOP_RESOLVED;
	bool has_route = is_resolved || hop->state == NEXT_HOP_UNRESOLVED;
	char text[ADDRESS_TEXT_SIZE];
	json_t *object = json_object();

	json_build_put(&object, "family", json_string(family_names[family]));
	json_build_put(&object, "state", json_string(next_hop_state_names[hop->state]));
	json_build_put(&object, "interface",
		       has_route ? interface_json(daemon, hop->ifindex) : json_null());
	json_build_put(&object, "mac", is_resolved ? mac_json(hop->mac) : json_null());
	json_build_put(&object, "gateway",
		       has_route ? json_string(address_format(hop->gateway, text)) : json_null());
	return object;
}

static json_t *next_hops_json(const struct daemon *daemon, const struct lineup_backend *backend)
{
	json_t *array = json_array();

	for (enum family family = 0; daemon->hops && family < FAMILY_COUNT; family++)
		if (backend->config->endpoint.present[family])
			json_build_append(
				&array, next_hop_json(daemon, family, &backend->next_hop[family]));
	return array;
}

/* What all workers forwarded to and from count backends. */
static struct backend_traffic traffic_sum(const struct daemon *daemon,
					  const struct lineup_backend *backends, size_t count)
{
	struct backend_traffic sum = { 0 };

	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		const struct forward_stats *stats = worker_forward_stats(daemon->workers[i]);

		for (size_t j = 0; j < count; j++) {
			const struct backend_traffic *one = &stats->backends[backends[j].slot];

			sum.out.datagrams += counter_read(&one->out.datagrams);
			sum.out.bytes += counter_read(&one->out.bytes);
			sum.back.datagrams += counter_read(&one->back.datagrams);
			sum.back.bytes += counter_read(&one->back.bytes);
		}
	}
	return sum;
}

static json_t *traffic_json(const struct traffic *traffic)
{
	json_t *object = json_object();

	json_build_number(&object, "datagrams", traffic->datagrams);
	json_build_number(&object, "bytes", traffic->bytes);
	return object;
}

const char *report_state(const struct lineup_backend *backend)
{
	if (backend->is_flushed)
		return "flushed";
	if (backend->is_drained || lineup_is_drained_by_file(backend))
		return "drained";
	return backend->is_down ? "down" : "up";
}

static json_t *drained_by_json(const struct lineup_backend *backend)
{
	if (lineup_is_drained_by_file(backend) && !backend->is_flushed)
		return json_string("file");
	return backend->is_drained ? json_string("command") : json_null();
}

static json_t *probed_json(enum family family, const struct health_status *status)
{
	uint64_t now_ns = clock_ns();
	bool is_held = status->held_until_ns > now_ns;
	json_t *object = json_object();

	json_build_put(&object, "family", json_string(family_names[family]));
	json_build_put(&object, "state", json_string(status->is_up ? "up" : "down"));
	json_build_number(&object, "for_s", (now_ns - status->since_ns) / 1000000000u);
	json_build_number(&object, "held_for_s",
			  is_held ? (status->held_until_ns - now_ns) / 1000000000u + 1 : 0);
	json_build_put(&object, "reason", text_or_null(status->reason[0] ? status->reason : NULL));
	return object;
}

/* One for each address that is probed. */
static json_t *health_json(const struct daemon *daemon, const struct lineup_backend *backend)
{
	json_t *array = json_array();
	struct health_status status;

	if (!daemon->health || backend->service->health.probe == CONFIG_PROBE_NONE)
		return array;
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (!health_status(daemon->health, probes_id(backend, family), &status))
			json_build_append(&array, probed_json(family, &status));
	return array;
}

static json_t *backend_json(const struct daemon *daemon, const struct lineup_backend *backend)
{
	const struct backend_traffic traffic = traffic_sum(daemon, backend, 1);
	json_t *object = json_object();

	json_build_put(&object, "service", json_string(backend->service->name));
	json_build_put(&object, "backend", json_string(backend->config->name));
	json_build_number(&object, "slot", backend->slot);
	json_build_put(&object, "addresses", addresses_json(&backend->config->endpoint));
	json_build_number(&object, "port", ntohs(backend->config->endpoint.port_be));
	json_build_number(&object, "weight", backend->config->weight);
	json_build_put(&object, "state", json_string(report_state(backend)));
	json_build_put(&object, "drained_by", drained_by_json(backend));
	json_build_put(&object, "health", health_json(daemon, backend));
	json_build_put(&object, "next_hop", next_hops_json(daemon, backend));
	json_build_put(&object, "out", traffic_json(&traffic.out));
	json_build_put(&object, "back", traffic_json(&traffic.back));
	return object;
}

json_t *report_backends(const struct daemon *daemon)
{
	json_t *array = json_array();

	for (size_t i = 0; i < daemon->lineup->backend_count; i++)
		json_build_append(&array, backend_json(daemon, &daemon->lineup->backends[i]));
	return array;
}

/* first: its backends. */
static json_t *service_json(const struct daemon *daemon, const struct lineup_backend *first)
{
	const struct config_service *service = first->service;
	const struct backend_traffic traffic = traffic_sum(daemon, first, service->backend_count);
	json_t *object = json_object();

	json_build_put(&object, "service", json_string(service->name));
	json_build_put(&object, "addresses", addresses_json(&service->endpoint));
	json_build_number(&object, "port", ntohs(service->endpoint.port_be));
	json_build_put(&object, "protocol", json_string(protocol_names[service->protocol]));
	json_build_put(&object, "mode", json_string(service_mode_names[service->mode]));
	json_build_number(&object, "backends", service->backend_count);
	json_build_put(&object, "out", traffic_json(&traffic.out));
	json_build_put(&object, "back", traffic_json(&traffic.back));
	return object;
}

json_t *report_services(const struct daemon *daemon)
{
	const struct lineup_backend *first = daemon->lineup->backends;
	json_t *array = json_array();

	for (size_t i = 0; i < daemon->lineup->config->service_count; i++) {
		json_build_append(&array, service_json(daemon, first));
		first += first->service->backend_count;
	}
	return array;
}

/* status */

/* Worker i has queue i of every port. */
static json_t *queue_json(const struct daemon *daemon, uint32_t index, size_t port)
{
	struct io_stats io = { 0 };
	json_t *object = json_object();

	daemon->engine->io->stats(daemon->ios[index], &io);
	json_build_number(&object, "queue", index);
	json_build_number(&object, "worker", index);
	json_build_put(&object, "cpu", cpu_json(daemon, index));
	json_build_put(&object, "mode", mode_json(daemon, port, io.ports[port].mode));
	return object;
}

static json_t *interface_status_json(const struct daemon *daemon, size_t port)
{
	const struct host_link *link = &daemon->links[port];
	json_t *object = json_object();
	json_t *queues = json_array();

	for (uint32_t i = 0; i < daemon->worker_count; i++)
		json_build_append(&queues, queue_json(daemon, i, port));
	json_build_put(&object, "interface", text_or_null(port_name(daemon, port)));
	json_build_number(&object, "ifindex", link->ifindex);
	json_build_put(&object, "driver", text_or_null(link->driver));
	json_build_number(&object, "mtu", link->mtu);
	json_build_put(&object, "queues", queues);
	return object;
}

uint64_t report_uptime_s(const struct daemon *daemon)
{
	const uint64_t second_ns = 1000000000u;
	const struct timespec *started = &daemon->started;

	return (clock_ns() - (uint64_t)started->tv_sec * second_ns - (uint64_t)started->tv_nsec) /
	       second_ns;
}

static bool is_port(const struct daemon *daemon, uint32_t ifindex)
{
	for (size_t port = 0; port < interface_count(daemon); port++)
		if (daemon->links[port].ifindex == ifindex)
			return true;
	return false;
}

/* In every family it has an address of, and by an interface of ours. Where the kernel
 * sends, that is its business. */
static bool is_resolved(const struct daemon *daemon, const struct lineup_backend *backend)
{
	if (!daemon->hops)
		return true;
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (backend->config->endpoint.present[family] &&
		    (backend->next_hop[family].state != NEXT_HOP_RESOLVED ||
		     !is_port(daemon, backend->next_hop[family].ifindex)))
			return false;
	return true;
}

static json_t *sockets_status_json(const struct daemon *daemon)
{
	static const char *const calls_names[] = {
#define X(constant, name, meaning) [SOCKET_##constant] = name,
		SOCKET_CALLS(X)
#undef X
	};
	static const char *const steering_names[] = {
		[SOCKET_STEER_FOUR_TUPLE] = "four-tuple",
		[SOCKET_STEER_CONNECTION_ID] = "connection-id",
	};
	const struct config_sockets *config = &daemon->lineup->config->sockets;
	struct socket_stats stats;
	json_t *object = json_object();

	socket_group_stats(daemon->sockets, &stats);
	json_build_put(&object, "calls", json_string(calls_names[config->calls]));
	json_build_put(&object, "steering", json_string(steering_names[config->steering]));
	json_build_put(&object, "decoupled", json_boolean(config->is_decoupled));
	json_build_number(&object, "flows", stats.flows);
	json_build_number(&object, "flows_max", daemon->flow_max);
	return object;
}

json_t *report_status(const struct daemon *daemon)
{
	json_t *object = json_object();
	json_t *interfaces = json_array();
	size_t resolved = 0;

	for (size_t port = 0; port < interface_count(daemon); port++)
		json_build_append(&interfaces, interface_status_json(daemon, port));
	for (size_t i = 0; i < daemon->lineup->backend_count; i++)
		resolved += is_resolved(daemon, &daemon->lineup->backends[i]);
	json_build_put(&object, "version", json_string(RINGWAY_VERSION));
	json_build_put(&object, "engine", json_string(daemon->engine->io->name));
	json_build_number(&object, "uptime_s", report_uptime_s(daemon));
	json_build_number(&object, "pid", (uint64_t)getpid());
	json_build_number(&object, "generation", daemon->generation);
	json_build_number(&object, "workers", daemon->worker_count);
	json_build_put(&object, "interfaces", interfaces);
	json_build_put(&object, "socket",
		       daemon->sockets ? sockets_status_json(daemon) : json_null());
	json_build_number(&object, "services", daemon->lineup->config->service_count);
	json_build_number(&object, "backends", daemon->lineup->backend_count);
	json_build_number(&object, "backends_resolved", resolved);
	return object;
}
