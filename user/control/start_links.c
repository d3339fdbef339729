/* SPDX-License-Identifier: GPL-2.0-only */
/* start_links.c - what the interfaces and the kernel must be like. */
#include "control/start.h"
#include "util/log.h"

static int links_read(struct daemon *daemon, char *error)
{
	const struct config *config = daemon->lineup->config;
	const char *ifnames[PORT_COUNT_MAX];
	int count;

	for (size_t i = 0; i < config->interface_count; i++) {
		int err;

		ifnames[i] = config->interfaces[i].name;
		err = host_link_read(ifnames[i], &daemon->links[i], error, DAEMON_ERROR_SIZE);
		if (err)
			return err;
		if (!daemon->links[i].has_carrier)
			log_warn("%s has no carrier; nothing goes through it until it has: see to "
				 "its cable, or set its peer up",
				 ifnames[i]);
	}
	count = host_worker_count(ifnames, daemon->links, config->interface_count, config->queues,
				  error, DAEMON_ERROR_SIZE);
	if (count < 0)
		return count;
	daemon->worker_count = (uint32_t)count;
	daemon->port_count = (uint32_t)config->interface_count;
	return link_watch_open(ifnames, daemon->links, config->interface_count, &daemon->link_watch,
			       error, DAEMON_ERROR_SIZE);
}

static bool family_used(const struct config *config, enum family family)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].endpoint.present[family])
			return true;
	return false;
}

static int forwarding_check(const struct daemon *daemon, char *error)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!family_used(daemon->lineup->config, family))
			continue;
		for (size_t i = 0; i < daemon->lineup->config->interface_count; i++) {
			int err = host_forwarding_check(daemon->lineup->config->interfaces[i].name,
							family, error, DAEMON_ERROR_SIZE);

			if (err)
				return err;
		}
	}
	return 0;
}

int start_links(struct daemon *daemon, char *error)
{
	int err = links_read(daemon, error);

	return err ? err : forwarding_check(daemon, error);
}

void start_addresses_check(const struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->lineup->config->service_count; i++) {
		const struct config_service *service = &daemon->lineup->config->services[i];

		for (enum family family = 0; family < FAMILY_COUNT; family++) {
			char advice[DAEMON_ERROR_SIZE];

			if (service->endpoint.present[family] &&
			    !host_address_check(service->endpoint.addr[family], daemon->links,
						daemon->lineup->config->interface_count, advice,
						sizeof(advice)))
				log_warn("service %s: %s", service->name, advice);
		}
	}
}
