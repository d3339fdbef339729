/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/table_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/affinity.h"
#include "core/hash.h"
#include "core/quic_lb.h"
#include "util/huge_memory.h"

/* Of those that would take new connections, is none up? */
static bool all_are_down(const struct lineup_backend *backends, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!backends[i].is_down && !backends[i].is_drained &&
		    !lineup_is_drained_by_file(&backends[i]))
			return false;
	return true;
}

static uint16_t weight_of(const struct lineup_backend *backend, bool ignores_health)
{
	if (backend->is_drained || backend->config->drain || (backend->is_down && !ignores_health))
		return 0;
	return backend->config->weight;
}

/* One without any address gets nothing, and no answer is its own. */
static struct table_endpoint endpoint_of(const struct lineup_backend *backend)
{
	static const struct table_endpoint nowhere;

	return backend->is_flushed ? nowhere : backend->config->endpoint;
}

/* A backend is known by its name: it may change its address and keep its share. */
static void backends_fill(const struct lineup_backend *backends, size_t count,
			  struct table_backend *ret_backends)
{
	bool ignores_health = backends->service->health.all_down == CONFIG_ALL_DOWN_KEEP &&
			      all_are_down(backends, count);

	for (size_t i = 0; i < count; i++) {
		const struct config_backend *config = backends[i].config;

		ret_backends[i] = (struct table_backend){
			.slot = backends[i].slot,
			.endpoint = endpoint_of(&backends[i]),
			.id = XXH3_64bits(config->name, strlen(config->name)),
			.weight = weight_of(&backends[i], ignores_health),
		};
	}
}

/* The servers of a service, as they are gathered. */
struct servers {
	const struct config_service *service;
	struct quic_lb_server *servers;
	size_t count;
};

static bool servers_have(const struct servers *servers, const struct quic_lb_server *wanted)
{
	for (size_t i = 0; i < servers->count; i++)
		if (servers->servers[i].rotation == wanted->rotation &&
		    !memcmp(servers->servers[i].id, wanted->id, sizeof(wanted->id)))
			return true;
	return false;
}

/* An id of rotation `any` counts under each configuration of its length. Whoever is gone
 * has what nobody has taken over: no backend, and none that went later. */
static void servers_add(struct servers *servers, const struct config_server_id *id, uint16_t slot,
			bool is_gone)
{
	for (size_t i = 0; i < servers->service->quic_lb_count; i++) {
		const struct config_quic_lb *quic_lb = &servers->service->quic_lb[i];
		struct quic_lb_server server = { .rotation = quic_lb->rotation, .slot = slot };

		memcpy(server.id, id->id, sizeof(server.id));
		if (config_server_id_is_of(id, quic_lb) &&
		    !(is_gone && servers_have(servers, &server)))
			servers->servers[servers->count++] = server;
	}
}

/* Ids of backends that are gone lead to their slots: to nobody, as everybody can see. */
static void servers_fill(const struct lineup *lineup, const struct lineup_backend *backends,
			 struct servers *servers)
{
	for (size_t i = 0; i < servers->service->backend_count; i++) {
		const struct config_backend *config = backends[i].config;

		for (size_t j = 0; j < config->server_id_count; j++)
			servers_add(servers, &config->server_ids[j], backends[i].slot, false);
	}
	for (size_t i = 0; i < lineup->gone_count; i++)
		if (lineup->gone[i].service_slot == backends->service_slot)
			servers_add(servers, &lineup->gone[i].server_id, lineup->gone[i].slot,
				    true);
}

/* backends: the service's own. */
static int quic_lb_make(const struct lineup *lineup, const struct lineup_backend *backends,
			struct quic_lb **ret_quic_lb)
{
	const struct config_service *service = backends->service;
	struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = { 0 };
	struct servers servers = { .service = service };
	size_t most = service->backend_count * QUIC_LB_ROTATION_COUNT + lineup->gone_count;
	int err;

	if (service->quic_lb_count == 0)
		return 0;
	servers.servers = calloc(most * QUIC_LB_ROTATION_COUNT, sizeof(*servers.servers));
	if (!servers.servers)
		return -ENOMEM;
	for (size_t i = 0; i < service->quic_lb_count; i++) {
		configs[service->quic_lb[i].rotation] = service->quic_lb[i].codec;
		configs[service->quic_lb[i].rotation].present = true;
	}
	servers_fill(lineup, backends, &servers);
	err = quic_lb_build(configs, servers.servers, servers.count, ret_quic_lb);
	free(servers.servers);
	return err;
}

/* A connection is remembered at least for as long as the file says. */
static uint16_t idle_ticks(uint32_t idle_timeout_s)
{
	_Static_assert(2 * 3600 * 1000 / AFFINITY_TICK_MS <= AFFINITY_AGE_MAX_TICKS,
		       "the longest idle_timeout fits into the tables' clock");
	return (uint16_t)((idle_timeout_s * 1000 + AFFINITY_TICK_MS - 1) / AFFINITY_TICK_MS);
}

/* backends: the service's own, at least one. */
static int service_fill(const struct lineup *lineup, const struct lineup_backend *backends,
			struct table_service *service, struct table_backend *table_backends)
{
	const struct config_service *config = backends->service;

	*service = (struct table_service){
		.slot = backends->service_slot,
		.endpoint = config->endpoint,
		.mode = config->mode == CONFIG_MODE_L2 ? TABLE_L2 : TABLE_NAT,
		.is_quic = config->protocol == CONFIG_PROTOCOL_QUIC,
		.hash_connection_id = config->hash == CONFIG_HASH_CONNECTION_ID,
		.discovers = config->discovery == CONFIG_DISCOVERY_YES,
		.is_return_in_xdp = config->return_path == CONFIG_RETURN_XDP,
		.drops_gone = config->on_remove == CONFIG_REMOVE_DROP,
		.connection_id_len = config->connection_id_len,
		.idle_ticks = idle_ticks(config->idle_timeout_s),
		.backends = table_backends,
		.backend_count = config->backend_count,
	};
	backends_fill(backends, config->backend_count, table_backends);
	return quic_lb_make(lineup, backends, &service->quic_lb);
}

static int services_fill(const struct lineup *lineup, struct table_service *services,
			 struct table_backend *table_backends)
{
	size_t first = 0;
	int err = 0;

	for (size_t i = 0; !err && i < lineup->config->service_count; i++) {
		err = service_fill(lineup, &lineup->backends[first], &services[i],
				   table_backends + first);
		first += lineup->config->services[i].backend_count;
	}
	return err;
}

int table_spec_build(const struct lineup *lineup, const struct host_link *links, size_t link_count,
		     struct table **ret_table)
{
	const struct config *config = lineup->config;
	struct table_service *services = calloc(config->service_count + 1, sizeof(*services));
	struct table_backend *backends = calloc(lineup->backend_count + 1, sizeof(*backends));
	struct table_port ports[PORT_COUNT_MAX];
	struct table_spec spec = {
		.ports = ports,
		.port_count = link_count,
		.services = services,
		.service_count = config->service_count,
		.edition = lineup->edition,
		.memory_new = huge_memory_new,
	};
	int err = services && backends ? services_fill(lineup, services, backends) : -ENOMEM;

	for (size_t i = 0; i < link_count; i++) {
		memcpy(ports[i].mac, links[i].mac, sizeof(ports[i].mac));
		ports[i].mtu = links[i].mtu;
	}
	memcpy(spec.hash_key, config->hash_key, sizeof(spec.hash_key));
	if (!err)
		err = table_build(&spec, ret_table);
	for (size_t i = 0; err && services && i < config->service_count; i++)
		quic_lb_free(services[i].quic_lb);
	free(services);
	free(backends);
	return err;
}
