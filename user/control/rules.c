/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/rules.h"

#include <string.h>

#include "ringway/checksum.h"
#include "util/log.h"
#include "util/number.h"

uint8_t rules_port(const struct daemon *daemon, const struct next_hop *hop)
{
	if (hop->state != NEXT_HOP_UNRESOLVED && hop->state != NEXT_HOP_RESOLVED)
		return RULES_NO_PORT;
	for (size_t i = 0; i < daemon->lineup->config->interface_count; i++)
		if (daemon->links[i].ifindex == hop->ifindex)
			return (uint8_t)i;
	return RULES_NO_PORT;
}

static struct match_key key_of(const struct table_endpoint *endpoint, enum family family)
{
	struct match_key key = { .port_be = endpoint->port_be, .protocol = WIRE_PROTOCOL_UDP };

	memcpy(key.addr, endpoint->addr[family], sizeof(key.addr));
	return key;
}

/* Do answers of this backend come back through here? */
static bool has_return(const struct lineup_backend *backend, enum family family)
{
	return backend->service->mode == CONFIG_MODE_NAT &&
	       backend->config->endpoint.present[family];
}

/* What XDP must know to rewrite answers by itself. */
static void rule_rewrites(struct return_rule *rule, const struct lineup_backend *backend,
			  enum family family)
{
	const struct table_endpoint *from = &backend->config->endpoint;
	const struct table_endpoint *to = &backend->service->endpoint;
	uint32_t from_sum = table_endpoint_sum(from, family);
	uint32_t to_sum = table_endpoint_sum(to, family);

	rule->flags |= RETURN_IN_XDP;
	if (backend->service->protocol == CONFIG_PROTOCOL_QUIC)
		rule->flags |= RETURN_IS_QUIC;
	rule->delta_addr = checksum_delta(from_sum, to_sum);
	rule->delta = checksum_delta(from_sum + from->port_be, to_sum + to->port_be);
}

void rules_return_set(struct daemon *daemon, const struct lineup_backend *backend,
		      enum family family)
{
	const struct table_endpoint *service = &backend->service->endpoint;
	uint8_t port = rules_port(daemon, &backend->next_hop[family]);
	struct match_key key = key_of(&backend->config->endpoint, family);
	struct return_rule rule = { .slot = backend->slot,
				    .port = port,
				    .service_port_be = service->port_be };
	int err;

	if (!has_return(backend, family))
		return;
	memcpy(rule.service_addr, service->addr[family], sizeof(rule.service_addr));
	memcpy(rule.next_hop_mac, backend->next_hop[family].mac, sizeof(rule.next_hop_mac));
	if (port == RULES_NO_PORT || daemon->lineup->config->interfaces[port].clients)
		rule.flags |= RETURN_CHECK_MAC;
	if (backend->service->return_path == CONFIG_RETURN_XDP && !backend->is_flushed)
		rule_rewrites(&rule, backend, family);
	err = attach_return_set(daemon->attach, &key, &rule);
	if (err)
		log_error("backend %s/%s: cannot tell XDP about it: %s; its answers are not "
			  "forwarded",
			  backend->service->name, backend->config->name, strerror(-err));
}

int rules_services_set(struct daemon *daemon, const struct lineup *lineup, char *error)
{
	const struct lineup_backend *first = lineup->backends;
	int ret = 0;

	for (size_t i = 0; i < lineup->config->service_count; i++) {
		const struct config_service *service = &lineup->config->services[i];
		const struct service_rule rule = { .slot = first->service_slot,
						   .edition = lineup->edition };

		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			struct match_key key = key_of(&service->endpoint, family);
			int err = service->endpoint.present[family]
					  ? attach_service_set(daemon->attach, &key, &rule)
					  : 0;

			if (err)
				ret = fail(err, error, DAEMON_ERROR_SIZE,
					   "service %s: cannot tell XDP about it: %s",
					   service->name, strerror(-err));
		}
		first += service->backend_count;
	}
	return ret;
}

static bool service_is_there(const struct lineup *lineup, const struct match_key *wanted,
			     enum family family)
{
	for (size_t i = 0; i < lineup->config->service_count; i++) {
		const struct table_endpoint *endpoint = &lineup->config->services[i].endpoint;
		struct match_key key = key_of(endpoint, family);

		if (endpoint->present[family] && !memcmp(&key, wanted, sizeof(key)))
			return true;
	}
	return false;
}

/* guess: where in the lineup it probably is. */
static bool return_is_there(const struct lineup *lineup, const struct match_key *wanted,
			    enum family family, size_t guess)
{
	for (size_t i = 0; i < lineup->backend_count; i++) {
		const struct lineup_backend *backend =
			&lineup->backends[(guess + i) % lineup->backend_count];
		struct match_key key = key_of(&backend->config->endpoint, family);

		if (has_return(backend, family) && !memcmp(&key, wanted, sizeof(key)))
			return true;
	}
	return false;
}

void rules_before(struct daemon *daemon, const struct lineup *now, const struct lineup *next)
{
	for (size_t i = 0; i < now->config->service_count * FAMILY_COUNT; i++) {
		const struct config_service *service = &now->config->services[i / FAMILY_COUNT];
		struct match_key key = key_of(&service->endpoint, i % FAMILY_COUNT);

		if (service->endpoint.present[i % FAMILY_COUNT] &&
		    !service_is_there(next, &key, i % FAMILY_COUNT))
			(void)attach_service_delete(daemon->attach, &key);
	}
	for (size_t i = 0; i < next->backend_count * FAMILY_COUNT; i++) {
		const struct lineup_backend *backend = &next->backends[i / FAMILY_COUNT];
		struct match_key key = key_of(&backend->config->endpoint, i % FAMILY_COUNT);

		if (has_return(backend, i % FAMILY_COUNT) &&
		    !return_is_there(now, &key, i % FAMILY_COUNT, i / FAMILY_COUNT))
			rules_return_set(daemon, backend, i % FAMILY_COUNT);
	}
}

/* Rules that stay are set again: they may be another slot's, or another service's. */
void rules_after(struct daemon *daemon, const struct lineup *before, const struct lineup *now)
{
	char error[DAEMON_ERROR_SIZE];

	for (size_t i = 0; i < now->backend_count * FAMILY_COUNT; i++)
		rules_return_set(daemon, &now->backends[i / FAMILY_COUNT], i % FAMILY_COUNT);
	if (rules_services_set(daemon, now, error))
		log_error("%s; its traffic is not forwarded", error);
	for (size_t i = 0; i < before->backend_count * FAMILY_COUNT; i++) {
		const struct lineup_backend *backend = &before->backends[i / FAMILY_COUNT];
		struct match_key key = key_of(&backend->config->endpoint, i % FAMILY_COUNT);

		if (has_return(backend, i % FAMILY_COUNT) &&
		    !return_is_there(now, &key, i % FAMILY_COUNT, i / FAMILY_COUNT))
			(void)attach_return_delete(daemon->attach, &key);
	}
}
