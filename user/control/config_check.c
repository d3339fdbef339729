/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check.c - duplicates, families and sizes: all that needs two values.
 *
 * Duplicates are found by sorting, so 4096 backends take no longer than reading
 * them. */
#include "control/config_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/number.h"

static const char *const family_names[FAMILY_COUNT] = { "IPv4", "IPv6" };

/* A ring of each interface is filled twice over and sent from once; the rest is
 * what a worker holds in a burst. */
static uint64_t frames_needed(const struct config *config)
{
	return (uint64_t)config->interface_count * 3 * config->limits.ring_size + BURST_MAX;
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

/* A name, or an address and port, somewhere in the file. */
struct use {
	const char *name;
	const uint8_t *addr;
	uint16_t port_be;
	unsigned int line;
	const struct config_service *service;
	const struct config_backend *backend; /* NULL: of the service itself */
};

static int order_of(size_t left, size_t right)
{
	return (left > right) - (left < right);
}

/* By name, then as in the file. */
static int use_compare_name(const void *left, const void *right)
{
	const struct use *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	return order ? order : order_of(a->line, b->line);
}

/* By address and port, then services before backends, then as in the file. */
static int use_compare_endpoint(const void *left, const void *right)
{
	const struct use *a = left, *b = right;
	int order = memcmp(a->addr, b->addr, 16);

	if (!order)
		order = order_of(a->port_be, b->port_be);
	if (!order)
		order = order_of(a->backend != NULL, b->backend != NULL);
	return order ? order : order_of(a->line, b->line);
}

static void report_name_twice(struct schema_reader *reader, const char *what, struct use *uses,
			      size_t count)
{
	qsort(uses, count, sizeof(*uses), use_compare_name);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (strcmp(uses[i].name, uses[first].name) != 0)
			first = i;
		else if (uses[i].name[0])
			schema_mistake(reader, uses[i].line, NULL,
				       "%s \"%s\" has the name of another, on line %u: expected a "
				       "name of its own",
				       what, uses[i].name, uses[first].line);
	}
}

/* uses: room for all services, and for all backends. */
static void check_names(const struct config *config, struct schema_reader *reader, struct use *uses)
{
	for (size_t i = 0; i < config->service_count; i++)
		uses[i] = (struct use){ .name = config->services[i].name,
					.line = config->services[i].line };
	report_name_twice(reader, "service", uses, config->service_count);

	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		for (size_t j = 0; j < service->backend_count; j++)
			uses[j] = (struct use){ .name = service->backends[j].name,
						.line = service->backends[j].line };
		report_name_twice(reader, "backend", uses, service->backend_count);
	}
}

static void check_interface_names(const struct config *config, struct schema_reader *reader)
{
	struct use uses[PORT_COUNT_MAX];

	for (size_t i = 0; i < config->interface_count; i++)
		uses[i] = (struct use){ .name = config->interfaces[i].name,
					.line = config->interfaces[i].line };
	report_name_twice(reader, "interface", uses, config->interface_count);
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

/* "10.0.0.1 port 443" */
static void endpoint_format(const struct use *use, char *text, size_t text_size)
{
	char address[ADDRESS_TEXT_SIZE];

	(void)snprintf(text, text_size, "%s port %u", address_format(use->addr, address),
		       ntohs(use->port_be));
}

static void report_endpoint_twice(struct schema_reader *reader, const struct use *use,
				  const struct use *first)
{
	char endpoint[ADDRESS_TEXT_SIZE + 16];

	endpoint_format(use, endpoint, sizeof(endpoint));
	if (!use->backend)
		schema_mistake(reader, use->line, NULL,
			       "service \"%s\": %s is already that of service \"%s\" on line %u: "
			       "expected another address or port",
			       use->name, endpoint, first->service->name, first->line);
	else
		schema_mistake(reader, use->line, NULL,
			       "backend \"%s\" of service \"%s\": %s is already that of %s%s%s"
			       "service \"%s\" on line %u: in nat mode a backend's address and "
			       "port belong to one service: use another port, or a second address",
			       use->name, use->service->name, endpoint,
			       first->backend ? "backend \"" : "",
			       first->backend ? first->name : "", first->backend ? "\" of " : "",
			       first->service->name, first->line);
}

/* Add the addresses of an endpoint, unless it or its port are mistaken. */
static size_t use_endpoint(struct use *uses, struct use use, const struct table_endpoint *endpoint)
{
	size_t count = 0;

	if (endpoint->port_be == 0)
		return 0;
	use.port_be = endpoint->port_be;
	for (size_t f = 0; f < FAMILY_COUNT; f++) {
		if (!endpoint->present[f])
			continue;
		use.addr = endpoint->addr[f];
		uses[count++] = use;
	}
	return count;
}

static void check_endpoints(const struct config *config, struct schema_reader *reader,
			    struct use *uses)
{
	size_t count = 0;

	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];
		struct use use = { .name = service->name,
				   .line = service->line,
				   .service = service };

		count += use_endpoint(uses + count, use, &service->endpoint);
		for (size_t j = 0; j < service->backend_count; j++) {
			use.backend = &service->backends[j];
			use.name = use.backend->name;
			use.line = use.backend->line;
			count += use_endpoint(uses + count, use, &use.backend->endpoint);
		}
	}
	qsort(uses, count, sizeof(*uses), use_compare_endpoint);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (memcmp(uses[i].addr, uses[first].addr, 16) != 0 ||
		    uses[i].port_be != uses[first].port_be)
			first = i;
		else
			report_endpoint_twice(reader, &uses[i], &uses[first]);
	}
}

int config_check(struct config *config, struct schema_reader *reader)
{
	size_t endpoint_count = config->service_count + backend_total(config);
	struct use *uses = calloc(FAMILY_COUNT * endpoint_count + 1, sizeof(*uses));

	if (!uses)
		return -ENOMEM;
	backend_port_default(config, reader);
	check_frames(config, reader);
	check_interface_names(config, reader);
	check_modes(config, reader);
	check_names(config, reader, uses);
	check_backend_total(config, reader);
	check_families(config, reader);
	check_endpoints(config, reader, uses);
	free(uses);
	return 0;
}
