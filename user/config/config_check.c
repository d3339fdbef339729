/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check.c - families and sizes: what concerns the whole file. */
#include "config/config_check.h"

#include <inttypes.h>

static const char *const family_names[FAMILY_COUNT] = { "IPv4", "IPv6" };

/* A ring of each interface is filled twice over and sent from once; the rest is
 * what a worker holds in a burst. To sockets, all is one interface. */
static uint64_t frames_needed(const struct config *config)
{
	uint64_t ports = config->engine == CONFIG_ENGINE_SOCKET ? 1 : config->interface_count;

	return ports * 3 * config->limits.ring_size + BURST_MAX;
}

static void frames_default(struct config *config)
{
	config->limits.frames = BURST_MAX;
	while (config->limits.frames < frames_needed(config))
		config->limits.frames *= 2;
}

static void check_frames(struct config *config, struct schema_reader *reader)
{
	if (schema_is_mistaken(reader, &config->limits.frames) ||
	    schema_is_mistaken(reader, &config->limits.ring_size))
		return;
	if (config->limits.frames == 0)
		frames_default(config);
	if (schema_is_mistaken(reader, &config->interface_count) ||
	    config->limits.frames >= frames_needed(config))
		return;
	schema_mistake(reader, schema_line(reader, "limits", "frames"), NULL,
		       "frames: %" PRIu32
		       " do not cover %zu interfaces with a ring_size of %" PRIu32
		       ": expected at least %" PRIu64 " (3 * ring_size for each, and %d)",
		       config->limits.frames, config->interface_count, config->limits.ring_size,
		       frames_needed(config), BURST_MAX);
}

static bool endpoint_has_addresses(const struct table_endpoint *endpoint,
				   const struct schema_reader *reader)
{
	return (endpoint->present[FAMILY_IPV4] || endpoint->present[FAMILY_IPV6]) &&
	       !schema_is_mistaken(reader, endpoint);
}

static void backend_port_default(struct config *config, const struct schema_reader *reader)
{
	for (size_t i = 0; i < config->service_count; i++) {
		struct config_service *service = &config->services[i];

		for (size_t j = 0; j < service->backend_count; j++) {
			struct table_endpoint *endpoint = &service->backends[j].endpoint;

			if (endpoint->port_be == 0 &&
			    !schema_is_mistaken(reader, &endpoint->port_be))
				endpoint->port_be = service->endpoint.port_be;
		}
	}
}

/* true: a backend has a family that its service lacks, and that has been said. */
static bool check_backend_families(const struct config_service *service,
				   struct schema_reader *reader)
{
	bool found = false;

	for (size_t i = 0; i < service->backend_count; i++) {
		const struct config_backend *backend = &service->backends[i];

		if (!endpoint_has_addresses(&backend->endpoint, reader))
			continue;
		for (size_t f = 0; f < FAMILY_COUNT; f++) {
			if (!backend->endpoint.present[f] || service->endpoint.present[f])
				continue;
			found = true;
			schema_mistake(reader, backend->line, NULL,
				       "backend \"%s\" has an %s address but service \"%s\" has "
				       "none, so nothing would be sent there: expected it to be "
				       "removed, or an %s address for the service",
				       backend->name, family_names[f], service->name,
				       family_names[f]);
		}
	}
	return found;
}

static void check_service_families(const struct config_service *service,
				   struct schema_reader *reader)
{
	bool present[FAMILY_COUNT] = { false };

	for (size_t i = 0; i < service->backend_count; i++) {
		if (!endpoint_has_addresses(&service->backends[i].endpoint, reader))
			return;
		for (size_t f = 0; f < FAMILY_COUNT; f++)
			present[f] = present[f] || service->backends[i].endpoint.present[f];
	}
	for (size_t f = 0; f < FAMILY_COUNT; f++)
		if (service->endpoint.present[f] && !present[f])
			schema_mistake(reader, service->line, NULL,
				       "service \"%s\" has an %s address but none of its backends "
				       "has one: expected a backend with an %s address, or the "
				       "service without",
				       service->name, family_names[f], family_names[f]);
}

static void check_families(const struct config *config, struct schema_reader *reader)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		if (!endpoint_has_addresses(&service->endpoint, reader))
			continue;
		if (!check_backend_families(service, reader) &&
		    !schema_is_mistaken(reader, &service->backend_count))
			check_service_families(service, reader);
	}
}

static size_t backend_total(const struct config *config)
{
	size_t total = 0;

	for (size_t i = 0; i < config->service_count; i++)
		total += config->services[i].backend_count;
	return total;
}

static void check_backend_total(const struct config *config, struct schema_reader *reader)
{
	size_t before = 0;

	if (backend_total(config) <= BACKEND_COUNT_MAX)
		return;
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		if (before + service->backend_count > BACKEND_COUNT_MAX) {
			schema_mistake(reader, service->backends[BACKEND_COUNT_MAX - before].line,
				       NULL,
				       "all services together have %zu backends: expected at most "
				       "%d, which this one exceeds",
				       backend_total(config), BACKEND_COUNT_MAX);
			return;
		}
		before += service->backend_count;
	}
}

/* A worker has one memory for all interfaces, so zero-copy is for all or none. auto is
 * no demand. */
static void check_modes(const struct config *config, struct schema_reader *reader)
{
	const struct config_interface *zero_copy = NULL, *other = NULL;

	for (size_t i = 0; i < config->interface_count; i++) {
		const struct config_interface *interface = &config->interfaces[i];

		if (schema_is_mistaken(reader, &interface->mode))
			continue;
		if (interface->mode == IO_MODE_ZERO_COPY && !zero_copy)
			zero_copy = interface;
		else if (interface->mode != IO_MODE_ZERO_COPY && interface->mode != IO_MODE_AUTO &&
			 !other)
			other = interface;
	}
	if (zero_copy && other)
		schema_mistake(reader,
			       other->line > zero_copy->line ? other->line : zero_copy->line, NULL,
			       "interfaces \"%s\" with mode zero-copy and \"%s\" with another: "
			       "expected zero-copy (or auto) for all or for none",
			       zero_copy->name, other->name);
}

int config_check(struct config *config, struct schema_reader *reader)
{
	int err;

	backend_port_default(config, reader);
	config_check_engine(config, reader);
	check_frames(config, reader);
	check_modes(config, reader);
	check_backend_total(config, reader);
	check_families(config, reader);
	err = config_check_twice(config, reader);
	return err ? err : config_check_services(config, reader);
}
