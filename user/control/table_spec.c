/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/table_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

struct daemon_backend *table_spec_backends(const struct config *config, size_t *ret_count)
{
	struct daemon_backend *backends;
	size_t count = 0, slot = 0;

	for (size_t i = 0; i < config->service_count; i++)
		count += config->services[i].backend_count;
	backends = calloc(count + 1, sizeof(*backends));
	if (!backends)
		return NULL;
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		for (size_t j = 0; j < service->backend_count; j++)
			backends[slot++] = (struct daemon_backend){
				.service = service,
				.config = &service->backends[j],
			};
	}
	*ret_count = count;
	return backends;
}

/* A backend is known by its name: it may change its address and keep its share. */
static struct table_backend backend_spec(const struct config_backend *backend)
{
	return (struct table_backend){
		.endpoint = backend->endpoint,
		.id = XXH3_64bits(backend->name, strlen(backend->name)),
		.weight = backend->weight,
	};
}

static void services_fill(const struct config *config, struct table_service *services,
			  struct table_backend *backends)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		services[i] = (struct table_service){
			.endpoint = service->endpoint,
			.is_quic = service->protocol == CONFIG_PROTOCOL_QUIC,
			.backends = backends,
			.backend_count = service->backend_count,
		};
		for (size_t j = 0; j < service->backend_count; j++)
			*backends++ = backend_spec(&service->backends[j]);
	}
}

int table_spec_build(const struct config *config, const struct host_link *links,
		     struct table **ret_table)
{
	struct table_service *services = calloc(config->service_count, sizeof(*services));
	struct table_backend *backends = calloc(BACKEND_COUNT_MAX, sizeof(*backends));
	struct table_port ports[PORT_COUNT_MAX];
	struct table_spec spec = {
		.ports = ports,
		.port_count = config->interface_count,
		.services = services,
		.service_count = config->service_count,
	};
	int err = -ENOMEM;

	if (!services || !backends)
		goto out;
	services_fill(config, services, backends);
	for (size_t i = 0; i < config->interface_count; i++) {
		memcpy(ports[i].mac, links[i].mac, sizeof(ports[i].mac));
		ports[i].mtu = links[i].mtu;
	}
	memcpy(spec.hash_key, config->hash_key, sizeof(spec.hash_key));
	err = table_build(&spec, ret_table);
out:
	free(services);
	free(backends);
	return err;
}
