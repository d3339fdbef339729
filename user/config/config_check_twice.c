/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check_twice.c - names, addresses and ports that may be there only once.
 *
 * Found by sorting, so 4096 backends take no longer than reading them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_check.h"
#include "util/number.h"

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

/* In the order in which they claim an address and port: a service's is everybody's;
 * in nat mode a backend's is not another's; in l2 mode services share backends. */
enum rank {
	RANK_SERVICE,
	RANK_NAT,
	RANK_SHARING,
};

static enum rank use_rank(const struct use *use)
{
	if (!use->backend)
		return RANK_SERVICE;
	return use->service->mode == CONFIG_MODE_NAT ? RANK_NAT : RANK_SHARING;
}

/* By address and port, then rank, then as in the file, where a service's backends
 * are together. */
static int use_compare_endpoint(const void *left, const void *right)
{
	const struct use *a = left, *b = right;
	int order = memcmp(a->addr, b->addr, 16);

	if (!order)
		order = order_of(a->port_be, b->port_be);
	if (!order)
		order = order_of(use_rank(a), use_rank(b));
	if (!order)
		order = order_of(a->service->line, b->service->line);
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
	else if (use_rank(use) == RANK_SHARING)
		schema_mistake(
			reader, use->line, NULL,
			"backend \"%s\" of service \"%s\": %s is already that of %s \"%s\" on "
			"line %u: expected an address of the backend's own",
			use->name, use->service->name, endpoint,
			first->backend ? "backend" : "service", first->name, first->line);
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

static bool endpoints_equal(const struct use *a, const struct use *b)
{
	return a->port_be == b->port_be && memcmp(a->addr, b->addr, 16) == 0;
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
		if (!endpoints_equal(&uses[i], &uses[first]))
			first = i;
		else if (use_rank(&uses[i]) < RANK_SHARING || !uses[first].backend)
			report_endpoint_twice(reader, &uses[i], &uses[first]);
		else if (uses[i].service == uses[i - 1].service)
			report_endpoint_twice(reader, &uses[i], &uses[i - 1]);
	}
}

int config_check_twice(const struct config *config, struct schema_reader *reader)
{
	size_t count = config->service_count;
	struct use *uses;

	for (size_t i = 0; i < config->service_count; i++)
		count += config->services[i].backend_count;
	uses = calloc(FAMILY_COUNT * count + 1, sizeof(*uses));
	if (!uses)
		return -ENOMEM;
	check_interface_names(config, reader);
	check_names(config, reader, uses);
	check_endpoints(config, reader, uses);
	free(uses);
	return 0;
}
