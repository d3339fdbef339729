/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check_engine.c - what each engine needs of a configuration, and what it has
 * no use for. */
#include "config/config_check.h"
#include "config/config_value.h"
#include "util/number.h"

/* Only where a mapping was read at all: then services are there, or mistaken. */
static void check_interfaces_are_there(const struct config *config, struct schema_reader *reader)
{
	if (config->interface_count > 0 || schema_is_mistaken(reader, &config->interface_count))
		return;
	if (config->service_count > 0 || schema_is_mistaken(reader, &config->service_count))
		schema_mistake(reader, 1, &config->interface_count,
			       "the key \"interfaces\" is missing: expected a list of 1 to %d, as "
			       "`ip link` shows them, or `engine: socket`, which needs none",
			       PORT_COUNT_MAX);
}

static void check_interfaces_are_absent(const struct config *config, struct schema_reader *reader)
{
	const struct {
		const char *key;
		bool is_there;
	} keys[] = {
		{ "interfaces", config->interface_count > 0 },
		{ "queues", config->queues > 0 },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].is_there)
			schema_mistake(reader, schema_line(reader, keys[i].key, NULL), NULL,
				       "`%s` with `engine: socket`, which takes datagrams from "
				       "the kernel whatever interface they come by: expected it "
				       "to be removed, or engine af_xdp or auto",
				       keys[i].key);
}

static void check_modes_are_nat(const struct config *config, struct schema_reader *reader)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		if (service->mode == CONFIG_MODE_L2 && !schema_is_mistaken(reader, &service->mode))
			schema_mistake(reader, service->line, NULL,
				       "service \"%s\" has mode l2, but sockets do not choose MAC "
				       "addresses: expected mode nat, or engine af_xdp",
				       service->name);
	}
}

static void check_returns_by_userspace(const struct config *config, struct schema_reader *reader)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		if (service->return_path == CONFIG_RETURN_XDP)
			schema_mistake(reader, service->line, NULL,
				       "service \"%s\" has `return_path: xdp`, but there is no XDP "
				       "with `engine: socket`: expected no return_path, or engine "
				       "af_xdp",
				       service->name);
	}
}

static void check_is_not_loopback(const uint8_t addr[16], unsigned int line,
				  struct schema_reader *reader)
{
	char text[ADDRESS_TEXT_SIZE];

	if (config_address_is_loopback(addr))
		schema_mistake(reader, line, NULL,
			       "%s is loopback, which no interface receives from or sends to: "
			       "expected another address, or `engine: socket`",
			       address_format(addr, text));
}

static void check_endpoint_is_not_loopback(const struct table_endpoint *endpoint, unsigned int line,
					   struct schema_reader *reader)
{
	for (size_t f = 0; f < FAMILY_COUNT; f++)
		if (endpoint->present[f])
			check_is_not_loopback(endpoint->addr[f], line, reader);
}

/* With engine auto, too: whether a service is served must not depend on what that finds. */
static void check_loopback_is_absent(const struct config *config, struct schema_reader *reader)
{
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = &config->services[i];

		check_endpoint_is_not_loopback(&service->endpoint, service->line, reader);
		for (size_t j = 0; j < service->backend_count; j++)
			check_endpoint_is_not_loopback(&service->backends[j].endpoint,
						       service->backends[j].line, reader);
	}
}

/* A receiving thread that has to share its worker's CPU only takes time from it. */
static void check_cpus_are_enough(const struct config *config, struct schema_reader *reader)
{
	if (config->sockets.is_decoupled && config->cpu_count == 1 &&
	    !schema_is_mistaken(reader, &config->cpu_count))
		schema_mistake(reader, schema_line(reader, "cpus", NULL), NULL,
			       "one CPU in `cpus` with `decoupled: yes`, where each worker takes "
			       "two, its receiving thread the second one: expected at least two, "
			       "or no `cpus`");
}

void config_check_engine(const struct config *config, struct schema_reader *reader)
{
	if (schema_is_mistaken(reader, &config->engine))
		return;
	if (config->engine == CONFIG_ENGINE_SOCKET) {
		check_interfaces_are_absent(config, reader);
		check_returns_by_userspace(config, reader);
	} else {
		check_interfaces_are_there(config, reader);
		check_loopback_is_absent(config, reader);
	}
	check_cpus_are_enough(config, reader);
	if (config->engine != CONFIG_ENGINE_AF_XDP)
		check_modes_are_nat(config, reader);
	else if (config->has_sockets)
		schema_mistake(reader, schema_line(reader, "socket", NULL), NULL,
			       "`socket` with `engine: af_xdp`, the default: expected it to be "
			       "removed, or `engine: socket` or `engine: auto`");
}
