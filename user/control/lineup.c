/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/lineup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t backend_total(const struct config *config)
{
	size_t total = 0;

	for (size_t i = 0; i < config->service_count; i++)
		total += config->services[i].backend_count;
	return total;
}

static uint32_t idle_longest_s(const struct config *config)
{
	uint32_t longest = 0;

	for (size_t i = 0; i < config->service_count; i++)
		if (config->services[i].idle_timeout_s > longest)
			longest = config->services[i].idle_timeout_s;
	return longest;
}

static void backend_name(const struct config_service *service, const struct config_backend *backend,
			 char name[SLOT_NAME_SIZE])
{
	(void)snprintf(name, SLOT_NAME_SIZE, "%s/%s", service->name, backend->name);
}

static int services_assign(struct lineup *lineup, uint64_t expiry_s, uint16_t *slots)
{
	const struct config *config = lineup->config;
	char(*names)[SLOT_NAME_SIZE] = calloc(config->service_count + 1, sizeof(*names));
	int err = -ENOMEM;

	if (names) {
		for (size_t i = 0; i < config->service_count; i++)
			strcpy(names[i], config->services[i].name);
		err = slots_assign(lineup->service_slots, (const char(*)[SLOT_NAME_SIZE])names,
				   config->service_count, expiry_s, slots);
	}
	free(names);
	return err;
}

static int backends_assign(struct lineup *lineup, uint64_t expiry_s, uint16_t *slots)
{
	char(*names)[SLOT_NAME_SIZE] = calloc(lineup->backend_count + 1, sizeof(*names));
	int err = -ENOMEM;

	if (names) {
		for (size_t i = 0; i < lineup->backend_count; i++)
			backend_name(lineup->backends[i].service, lineup->backends[i].config,
				     names[i]);
		err = slots_assign(lineup->backend_slots, (const char(*)[SLOT_NAME_SIZE])names,
				   lineup->backend_count, expiry_s, slots);
	}
	free(names);
	return err;
}

static bool has_same_place(const struct lineup_backend *a, const struct lineup_backend *b)
{
	const struct table_endpoint *one = &a->config->endpoint, *other = &b->config->endpoint;

	return a->slot == b->slot && one->port_be == other->port_be &&
	       !memcmp(one->present, other->present, sizeof(one->present)) &&
	       !memcmp(one->addr, other->addr, sizeof(one->addr));
}

/* A command holds for the name; probes and next hops are of the place. */
static void backend_inherit(struct lineup_backend *backend, const struct lineup_backend *before)
{
	if (!before)
		return;
	backend->is_drained = before->is_drained;
	backend->is_flushed = before->is_flushed;
	backend->place = before->place;
	if (!has_same_place(backend, before)) {
		backend->place ^= 1;
		return;
	}
	backend->is_down = before->is_down;
	memcpy(backend->is_watched, before->is_watched, sizeof(backend->is_watched));
	memcpy(backend->next_hop, before->next_hop, sizeof(backend->next_hop));
}

static void backends_fill(struct lineup *lineup)
{
	struct lineup_backend *next = lineup->backends;

	for (size_t i = 0; i < lineup->config->service_count; i++) {
		const struct config_service *service = &lineup->config->services[i];

		for (size_t j = 0; j < service->backend_count; j++)
			*next++ = (struct lineup_backend){ .service = service,
							   .config = &service->backends[j] };
	}
}

/* The slots, and what was known of their owners. */
static int slots_fill(struct lineup *lineup, const struct lineup *before, uint64_t expiry_s)
{
	const struct config *config = lineup->config;
	uint16_t *services = calloc(config->service_count + 1, sizeof(*services));
	uint16_t *backends = calloc(lineup->backend_count + 1, sizeof(*backends));
	struct lineup_backend *backend = lineup->backends;
	int err = services && backends ? services_assign(lineup, expiry_s, services) : -ENOMEM;

	if (!err)
		err = backends_assign(lineup, expiry_s, backends);
	for (size_t i = 0; !err && i < config->service_count; i++)
		for (size_t j = 0; j < config->services[i].backend_count; j++, backend++) {
			backend->service_slot = services[i];
			backend->slot = backends[backend - lineup->backends];
			if (before)
				backend_inherit(backend, lineup_find(before, backend->slot));
		}
	free(services);
	free(backends);
	return err;
}

static bool has_service(const struct lineup *lineup, uint16_t service_slot)
{
	for (size_t i = 0; i < lineup->backend_count; i++)
		if (lineup->backends[i].service_slot == service_slot)
			return true;
	return false;
}

static void gone_add(struct lineup *lineup, const struct lineup_gone *gone)
{
	if (!lineup_find(lineup, gone->slot) && has_service(lineup, gone->service_slot))
		lineup->gone[lineup->gone_count++] = *gone;
}

/* Those that go now, and of those that went before who may still be remembered. */
static int gone_fill(struct lineup *lineup, const struct lineup *before, uint64_t now_s,
		     uint64_t expiry_s)
{
	size_t most = before->gone_count;

	for (size_t i = 0; i < before->backend_count; i++)
		most += before->backends[i].config->server_id_count;
	lineup->gone = calloc(most + 1, sizeof(*lineup->gone));
	if (!lineup->gone)
		return -ENOMEM;
	for (size_t i = 0; i < before->backend_count; i++) {
		const struct lineup_backend *backend = &before->backends[i];

		for (size_t j = 0; j < backend->config->server_id_count; j++)
			gone_add(lineup,
				 &(struct lineup_gone){ .server_id = backend->config->server_ids[j],
							.slot = backend->slot,
							.service_slot = backend->service_slot,
							.expiry_s = expiry_s });
	}
	for (size_t i = 0; i < before->gone_count; i++)
		if (before->gone[i].expiry_s > now_s)
			gone_add(lineup, &before->gone[i]);
	return 0;
}

int lineup_make(struct config *config, const struct lineup *before, uint64_t now_s,
		struct lineup **ret_lineup)
{
	const uint64_t expiry_s = now_s + (before ? idle_longest_s(before->config) : 0);
	struct lineup *lineup = calloc(1, sizeof(*lineup));
	int err = -ENOMEM;

	if (!lineup)
		return -ENOMEM;
	lineup->config = config;
	lineup->edition = before ? (uint8_t)(before->edition + 1) : 0;
	lineup->backend_count = backend_total(config);
	lineup->backends = calloc(lineup->backend_count + 1, sizeof(*lineup->backends));
	lineup->service_slots =
		before ? slots_clone(before->service_slots) : slots_new(SERVICE_COUNT_MAX);
	lineup->backend_slots =
		before ? slots_clone(before->backend_slots) : slots_new(BACKEND_COUNT_MAX);
	if (lineup->backends && lineup->service_slots && lineup->backend_slots) {
		backends_fill(lineup);
		err = slots_fill(lineup, before, expiry_s);
	}
	if (!err && before)
		err = gone_fill(lineup, before, now_s, expiry_s);
	if (err) {
		lineup->config = NULL; /* still the caller's */
		lineup_free(lineup);
		return err;
	}
	*ret_lineup = lineup;
	return 0;
}

void lineup_free(struct lineup *lineup)
{
	if (!lineup)
		return;
	config_free(lineup->config);
	slots_free(lineup->service_slots);
	slots_free(lineup->backend_slots);
	free(lineup->backends);
	free(lineup->gone);
	free(lineup);
}

struct lineup_backend *lineup_find(const struct lineup *lineup, uint16_t slot)
{
	for (size_t i = 0; i < lineup->backend_count; i++)
		if (lineup->backends[i].slot == slot)
			return &lineup->backends[i];
	return NULL;
}

struct lineup_backend *lineup_find_name(const struct lineup *lineup, const char *name)
{
	for (size_t i = 0; i < lineup->backend_count; i++) {
		char own[SLOT_NAME_SIZE];

		backend_name(lineup->backends[i].service, lineup->backends[i].config, own);
		if (strcmp(name, own) == 0)
			return &lineup->backends[i];
	}
	return NULL;
}
