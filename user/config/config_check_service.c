/* SPDX-License-Identifier: GPL-2.0-only */
/* config_check_service.c - what the values of one service must be to each other. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_check.h"

static void check_l2_ports(const struct config_service *service, struct schema_reader *reader)
{
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct config_backend *backend = &service->backends[i];

		if (backend->endpoint.port_be == service->endpoint.port_be ||
		    backend->endpoint.port_be == 0 || service->endpoint.port_be == 0)
			continue;
		schema_mistake(reader, backend->line, NULL,
			       "backend \"%s\" has port %u but service \"%s\" port %u: in l2 mode "
			       "nothing but MAC addresses is changed: expected no port here",
			       backend->name, ntohs(backend->endpoint.port_be), service->name,
			       ntohs(service->endpoint.port_be));
	}
}

/* Owners are found by their answers: those of QUIC, through here. */
static void check_discovery(struct config_service *service, struct schema_reader *reader)
{
	bool is_nat = service->mode == CONFIG_MODE_NAT;
	bool is_quic = service->protocol == CONFIG_PROTOCOL_QUIC;
	bool is_seen = service->return_path == CONFIG_RETURN_USERSPACE;

	if (service->discovery == CONFIG_DISCOVERY_UNSET)
		service->discovery =
			is_nat && is_quic && is_seen ? CONFIG_DISCOVERY_YES : CONFIG_DISCOVERY_NO;
	else if (service->discovery == CONFIG_DISCOVERY_YES && !is_nat)
		schema_mistake(reader, service->line, NULL,
			       "service \"%s\" has discovery, but in l2 mode answers do not come "
			       "back through ringway: expected `discovery: no`, or mode nat",
			       service->name);
	else if (service->discovery == CONFIG_DISCOVERY_YES && !is_quic)
		schema_mistake(
			reader, service->line, NULL,
			"service \"%s\" has discovery, which tells owners by QUIC's Connection "
			"IDs: expected `discovery: no`, or protocol quic",
			service->name);
}

static void check_return_path(const struct config_service *service, struct schema_reader *reader)
{
	if (service->return_path != CONFIG_RETURN_XDP)
		return;
	if (service->mode != CONFIG_MODE_NAT)
		schema_mistake(reader, service->line, NULL,
			       "service \"%s\" has a return_path, but in l2 mode answers do not "
			       "come back through ringway: expected no return_path, or mode nat",
			       service->name);
	else if (service->discovery == CONFIG_DISCOVERY_YES)
		schema_mistake(reader, service->line, NULL,
			       "service \"%s\" has discovery, which reads the answers that "
			       "`return_path: xdp` keeps from it: expected `discovery: no`, or "
			       "`return_path: userspace`",
			       service->name);
}

/* Keys that speak of Connection IDs, in a service without. */
static void check_plain_udp(const struct config_service *service, struct schema_reader *reader)
{
	const struct {
		const char *key;
		bool is_there;
	} keys[] = {
		{ "hash: connection-id", service->hash == CONFIG_HASH_CONNECTION_ID },
		{ "connection_id_length", service->connection_id_len > 0 },
		{ "quic_lb", service->quic_lb_count > 0 },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].is_there)
			schema_mistake(
				reader, service->line, NULL,
				"service \"%s\" has protocol udp, without Connection IDs, but "
				"`%s`: expected it to be removed, or protocol quic",
				service->name, keys[i].key);
}

static void check_health(const struct config_service *service, struct schema_reader *reader)
{
	const struct config_health *health = &service->health;
	bool is_udp = health->probe == CONFIG_PROBE_UDP;

	if (schema_is_mistaken(reader, &health->probe) ||
	    schema_is_mistaken(reader, &health->payload))
		return;
	if (health->timeout_ms > health->interval_ms &&
	    !schema_is_mistaken(reader, &health->interval_ms))
		schema_mistake(reader, service->line, NULL,
			       "health of service \"%s\": the timeout is longer than the interval: "
			       "expected at most the interval",
			       service->name);
	if (is_udp && health->payload.len == 0)
		schema_mistake(
			reader, service->line, NULL,
			"health of service \"%s\": a udp probe needs a payload: expected hex "
			"digits of a datagram that the server answers",
			service->name);
	if (!is_udp && (health->payload.len > 0 || health->expect.len > 0))
		schema_mistake(reader, service->line, NULL,
			       "health of service \"%s\": payload and expect are for udp probes: "
			       "expected `probe: udp`, or neither",
			       service->name);
}

/* Rotations are there once; id and nonce fit into a Connection ID. */
static void check_quic_lb(const struct config_service *service, struct schema_reader *reader)
{
	const struct config_quic_lb *first[QUIC_LB_ROTATION_COUNT] = { NULL };

	for (size_t i = 0; i < service->quic_lb_count; i++) {
		const struct config_quic_lb *quic_lb = &service->quic_lb[i];
		unsigned int len = quic_lb->codec.server_id_len + quic_lb->codec.nonce_len;

		if (len > QUIC_CID_LEN_MAX - 1)
			schema_mistake(
				reader, quic_lb->line, NULL,
				"quic_lb: server id and nonce have %u bytes together: expected "
				"at most %d, as a Connection ID has at most %d",
				len, QUIC_CID_LEN_MAX - 1, QUIC_CID_LEN_MAX);
		if (schema_is_mistaken(reader, &quic_lb->rotation))
			continue;
		if (first[quic_lb->rotation])
			schema_mistake(
				reader, quic_lb->line, NULL,
				"quic_lb: rotation %u is that of the configuration on line %u: "
				"expected one of its own",
				quic_lb->rotation, first[quic_lb->rotation]->line);
		else
			first[quic_lb->rotation] = quic_lb;
	}
}

/* An id under one configuration. */
struct server {
	const struct config_server_id *id;
	const struct config_backend *backend;
	uint8_t rotation;
};

static int server_compare(const void *left, const void *right)
{
	const struct server *a = left, *b = right;
	int order = a->rotation - b->rotation;

	if (!order)
		order = memcmp(a->id->id, b->id->id, sizeof(a->id->id));
	if (!order)
		order = (a->id->line > b->id->line) - (a->id->line < b->id->line);
	return order;
}

static void check_server_twice(struct server *servers, size_t count, struct schema_reader *reader)
{
	qsort(servers, count, sizeof(*servers), server_compare);
	for (size_t i = 1; i < count; i++) {
		const struct server *server = &servers[i], *before = &servers[i - 1];

		/* With one rotation there twice, an id is its own twin. */
		if (server->id != before->id && server->rotation == before->rotation &&
		    memcmp(server->id->id, before->id->id, sizeof(server->id->id)) == 0)
			schema_mistake(
				reader, server->id->line, NULL,
				"backend \"%s\": this server id of rotation %u is already that "
				"of backend \"%s\" on line %u: expected another",
				server->backend->name, server->rotation, before->backend->name,
				before->id->line);
	}
}

/* Adds the id under each of its configurations. Returns how many. */
static size_t server_add(const struct config_service *service, const struct config_backend *backend,
			 const struct config_server_id *id, struct server *servers,
			 struct schema_reader *reader)
{
	size_t count = 0;

	if (schema_is_mistaken(reader, id->id) || schema_is_mistaken(reader, &id->rotation))
		return 0;
	for (size_t i = 0; i < service->quic_lb_count; i++)
		if (config_server_id_is_of(id, &service->quic_lb[i]))
			servers[count++] =
				(struct server){ .id = id,
						 .backend = backend,
						 .rotation = service->quic_lb[i].rotation };
	if (count == 0)
		schema_mistake(reader, id->line, NULL,
			       "backend \"%s\": service \"%s\" has no quic_lb configuration for "
			       "this server id of %u bytes: expected one with that "
			       "server_id_length%s",
			       backend->name, service->name, id->len,
			       id->rotation == CONFIG_ROTATION_ANY ? "" : " and rotation");
	return count;
}

static int check_servers(const struct config_service *service, struct schema_reader *reader)
{
	size_t count = 0, most = 1;
	struct server *servers;

	for (size_t i = 0; i < service->backend_count; i++)
		most += service->backends[i].server_id_count * QUIC_LB_ROTATION_COUNT;
	servers = calloc(most, sizeof(*servers));
	if (!servers)
		return -ENOMEM;
	for (size_t i = 0; i < service->backend_count; i++) {
		const struct config_backend *backend = &service->backends[i];

		for (size_t j = 0; j < backend->server_id_count; j++)
			count += server_add(service, backend, &backend->server_ids[j],
					    servers + count, reader);
	}
	check_server_twice(servers, count, reader);
	free(servers);
	return 0;
}

/* A mistake there would be found again in every server id. */
static bool quic_lb_is_mistaken(const struct config_service *service,
				const struct schema_reader *reader)
{
	bool is_mistaken = schema_is_mistaken(reader, &service->quic_lb_count);

	for (size_t i = 0; i < service->quic_lb_count; i++)
		is_mistaken = is_mistaken ||
			      schema_is_mistaken(reader, &service->quic_lb[i].rotation) ||
			      schema_is_mistaken(reader, &service->quic_lb[i].codec.server_id_len);
	return is_mistaken;
}

int config_check_services(struct config *config, struct schema_reader *reader)
{
	int err = 0;

	for (size_t i = 0; !err && i < config->service_count; i++) {
		struct config_service *service = &config->services[i];

		if (service->mode == CONFIG_MODE_L2)
			check_l2_ports(service, reader);
		if (service->protocol == CONFIG_PROTOCOL_UDP)
			check_plain_udp(service, reader);
		check_discovery(service, reader);
		check_return_path(service, reader);
		check_health(service, reader);
		check_quic_lb(service, reader);
		if (!quic_lb_is_mistaken(service, reader))
			err = check_servers(service, reader);
	}
	return err;
}
