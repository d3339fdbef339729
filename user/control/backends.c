/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/backends.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "control/connections.h"
#include "control/engine.h"
#include "control/rules.h"
#include "control/table_spec.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

#define SETTLE_MS 250

/* Seconds in which nobody has answered for a backend's next hop, after which it is
 * said; and how many such messages there are in one second, should a switch fail. */
#define SILENT_TICKS	    5
#define SILENT_MESSAGES_MAX 8

static void next_hop_log(const struct daemon *daemon, const struct lineup_backend *backend,
			 enum family family)
{
	const struct next_hop *hop = &backend->next_hop[family];
	char addr[ADDRESS_TEXT_SIZE], ifname[IF_NAMESIZE] = "?";

	address_format(backend->config->endpoint.addr[family], addr);
	switch (hop->state) {
	case NEXT_HOP_NO_ROUTE:
		log_warn("backend %s/%s: there is no route to %s; it gets nothing",
			 backend->service->name, backend->config->name, addr);
		break;
	case NEXT_HOP_LOCAL:
		log_warn("backend %s/%s: %s is an address of this host; it gets nothing, as "
			 "ringway forwards to other hosts only",
			 backend->service->name, backend->config->name, addr);
		break;
	case NEXT_HOP_UNRESOLVED:
	case NEXT_HOP_RESOLVED:
		if (rules_port(daemon, hop) == RULES_NO_PORT)
			log_warn("backend %s/%s: the route to %s leaves by %s, which is not among "
				 "the interfaces of the configuration; it gets nothing",
				 backend->service->name, backend->config->name, addr,
				 if_indextoname(hop->ifindex, ifname) ? ifname : "?");
		else
			log_debug("backend %s/%s: %s is %s", backend->service->name,
				  backend->config->name, addr,
				  hop->state == NEXT_HOP_RESOLVED ? "resolved" : "being asked for");
		break;
	}
}

static void silence_end(struct daemon *daemon, struct lineup_backend *backend, enum family family)
{
	char addr[ADDRESS_TEXT_SIZE];

	if (backend->silent_ticks[family] > SILENT_TICKS &&
	    daemon->silence_count++ < SILENT_MESSAGES_MAX)
		log_info("backend %s/%s: the next hop to %s answers", backend->service->name,
			 backend->config->name,
			 address_format(backend->config->endpoint.addr[family], addr));
	backend->silent_ticks[family] = 0;
}

static void silence_tick(struct daemon *daemon, struct lineup_backend *backend, enum family family)
{
	const struct next_hop *hop = &backend->next_hop[family];
	char addr[ADDRESS_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE];

	/* Said already, or there is nobody to ask for. */
	if (backend->silent_ticks[family] > SILENT_TICKS || hop->state != NEXT_HOP_UNRESOLVED ||
	    rules_port(daemon, hop) == RULES_NO_PORT)
		return;
	if (++backend->silent_ticks[family] > SILENT_TICKS &&
	    daemon->silence_count++ < SILENT_MESSAGES_MAX)
		log_warn("backend %s/%s: %s does not answer, which is the next hop to %s; it gets "
			 "nothing until it does",
			 backend->service->name, backend->config->name,
			 address_format(hop->gateway, gateway),
			 address_format(backend->config->endpoint.addr[family], addr));
}

static void silences_tick(struct daemon *daemon)
{
	struct lineup *lineup = daemon->lineup;

	for (size_t i = 0; i < lineup->backend_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (lineup->backends[i].is_watched[family])
				silence_tick(daemon, &lineup->backends[i], family);
	if (daemon->silence_count > SILENT_MESSAGES_MAX)
		log_warn("%u more backends fell silent or answer again: see `ringwayctl backends`",
			 daemon->silence_count - SILENT_MESSAGES_MAX);
	daemon->silence_count = 0;
}

static void table_follow(const struct daemon *daemon, const struct lineup_backend *backend,
			 enum family family, struct table *table)
{
	const struct next_hop *hop = &backend->next_hop[family];
	uint8_t port = rules_port(daemon, hop);
	bool is_usable = port != RULES_NO_PORT && hop->state == NEXT_HOP_RESOLVED;

	table_next_hop_set(table, backend->slot, family, port, is_usable ? hop->mac : NULL);
}

/* The backend that is watched by this id, or NULL. */
static struct lineup_backend *watched_find(const struct lineup *lineup, uint32_t id)
{
	struct lineup_backend *backend =
		lineup ? lineup_find(lineup, (uint16_t)(id / FAMILY_COUNT)) : NULL;

	return backend && lineup_watch_id(backend, id % FAMILY_COUNT) == id ? backend : NULL;
}

static void next_hop_changed(void *arg, uint32_t id, const struct next_hop *hop)
{
	struct daemon *daemon = arg;
	enum family family = id % FAMILY_COUNT;
	struct lineup_backend *now = watched_find(daemon->lineup, id);
	struct lineup_backend *next = watched_find(daemon->next_lineup, id);

	if (next)
		next->next_hop[family] = *hop;
	if (now) {
		now->next_hop[family] = *hop;
		table_follow(daemon, now, family, daemon->table.table);
		rules_return_set(daemon, now, family);
		if (hop->state == NEXT_HOP_RESOLVED)
			silence_end(daemon, now, family);
	}
	if (now || next)
		next_hop_log(daemon, now ? now : next, family);
}

int backends_open(struct daemon *daemon, char *error)
{
	int err = next_hops_open(next_hop_changed, daemon, &daemon->hops, error, DAEMON_ERROR_SIZE);

	return err ? err : backends_watch(daemon, daemon->lineup, error);
}

void backends_close(struct daemon *daemon)
{
	next_hops_close(daemon->hops);
	daemon->hops = NULL;
	for (size_t i = 0; daemon->lineup && i < daemon->lineup->backend_count; i++)
		memset(daemon->lineup->backends[i].is_watched, 0,
		       sizeof(daemon->lineup->backends[i].is_watched));
}

int backends_watch(struct daemon *daemon, struct lineup *lineup, char *error)
{
	for (size_t i = 0; i < lineup->backend_count * FAMILY_COUNT; i++) {
		struct lineup_backend *backend = &lineup->backends[i / FAMILY_COUNT];
		const struct table_endpoint *endpoint = &backend->config->endpoint;
		enum family family = i % FAMILY_COUNT;
		int err;

		if (!endpoint->present[family] || backend->is_watched[family])
			continue;
		err = next_hops_watch(daemon->hops, lineup_watch_id(backend, family),
				      endpoint->addr[family]);
		if (err)
			return fail(err, error, DAEMON_ERROR_SIZE,
				    "cannot look up the route to backend %s/%s: %s",
				    backend->service->name, backend->config->name, strerror(-err));
		backend->is_watched[family] = true;
	}
	return 0;
}

void backends_unwatch(struct daemon *daemon, const struct lineup *lineup, const struct lineup *kept)
{
	for (size_t i = 0; i < lineup->backend_count * FAMILY_COUNT; i++) {
		const struct lineup_backend *backend = &lineup->backends[i / FAMILY_COUNT];
		uint32_t id = lineup_watch_id(backend, i % FAMILY_COUNT);

		if (backend->is_watched[i % FAMILY_COUNT] && !watched_find(kept, id))
			next_hops_unwatch(daemon->hops, id);
	}
}

static bool is_being_asked_for(const struct lineup *lineup)
{
	for (size_t i = 0; i < lineup->backend_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (lineup->backends[i].is_watched[family] &&
			    lineup->backends[i].next_hop[family].state == NEXT_HOP_UNRESOLVED)
				return true;
	return false;
}

void backends_settle(struct daemon *daemon)
{
	const uint64_t end_ns = clock_ns() + SETTLE_MS * 1000000ull;
	struct pollfd events = { .fd = next_hops_fd(daemon->hops), .events = POLLIN };

	for (uint64_t now_ns = clock_ns();
	     now_ns < end_ns && is_being_asked_for(daemon->next_lineup); now_ns = clock_ns())
		if (poll(&events, 1, (int)((end_ns - now_ns) / 1000000) + 1) > 0)
			next_hops_read(daemon->hops);
}

int backends_table(const struct daemon *daemon, const struct lineup *lineup,
		   struct table **ret_table)
{
	int err = table_spec_build(lineup, daemon->links, daemon->port_count, ret_table);

	if (!err)
		daemon->engine->next_hops(daemon, lineup, *ret_table);
	return err;
}

void backends_follow(const struct daemon *daemon, const struct lineup *lineup, struct table *table)
{
	for (size_t i = 0; i < lineup->backend_count * FAMILY_COUNT; i++) {
		const struct lineup_backend *backend = &lineup->backends[i / FAMILY_COUNT];

		if (backend->is_watched[i % FAMILY_COUNT])
			table_follow(daemon, backend, i % FAMILY_COUNT, table);
	}
}

void backends_invent(const struct daemon *unused, const struct lineup *lineup, struct table *table)
{
	static const uint8_t client_mac[6] = { 0x02, 'R', 'W', 2, 0, 0 };

	(void)unused;
	for (size_t i = 0; i < lineup->backend_count; i++) {
		uint16_t slot = lineup->backends[i].slot;
		const uint8_t mac[6] = { 0x02, 'R', 'W', 1, (uint8_t)(slot >> 8), (uint8_t)slot };

		for (enum family family = 0; family < FAMILY_COUNT; family++)
			table_next_hop_set(table, slot, family, 0, mac);
	}
	table_client_next_hop_set(table, 0, client_mac);
}

/* A new table for the lineup in force, as a weight has changed. */
static int backends_rebuild(struct daemon *daemon)
{
	struct table *table;
	int err = backends_table(daemon, daemon->lineup, &table);

	if (err) {
		log_error("cannot build a new forwarding table: %s; the old one stays",
			  strerror(-err));
		return err;
	}
	table_free(table_publish(&daemon->table, table));
	daemon->generation++;
	daemon->is_table_stale = false;
	return 0;
}

/* Before the table has the backend again, so that no answer teaches them again. */
static void cut_ones_forget(struct daemon *daemon, const struct lineup_backend *backend)
{
	bool slots[BACKEND_COUNT_MAX] = { false };

	slots[backend->slot] = true;
	connections_void(daemon, slots);
}

int backends_order(struct daemon *daemon, struct lineup_backend *backend, bool is_drained,
		   bool is_flushed)
{
	const struct lineup_backend before = *backend;
	int err;

	if (before.is_drained == is_drained && before.is_flushed == is_flushed)
		return 0;
	if (before.is_flushed && !is_flushed)
		cut_ones_forget(daemon, backend);
	backend->is_drained = is_drained;
	backend->is_flushed = is_flushed;
	err = backends_rebuild(daemon);
	if (err) {
		*backend = before;
		return err;
	}
	for (enum family family = 0; daemon->attach && family < FAMILY_COUNT; family++)
		rules_return_set(daemon, backend, family);
	return 0;
}

void backends_health_set(struct daemon *daemon, uint16_t slot, bool is_up)
{
	struct lineup_backend *backend = lineup_find(daemon->lineup, slot);

	if (!backend || backend->is_down == !is_up)
		return;
	backend->is_down = !is_up;
	daemon->is_table_stale = true;
	log_info("backend %s/%s is %s", backend->service->name, backend->config->name,
		 is_up ? "up" : "down");
}

void backends_tick(struct daemon *daemon)
{
	bool gone[BACKEND_COUNT_MAX];

	silences_tick(daemon);
	if (daemon->is_table_stale)
		(void)backends_rebuild(daemon); /* if that fails, the next tick tries again */
	if (slots_expired(daemon->lineup->backend_slots, clock_ns() / 1000000000u, gone)) {
		connections_void(daemon, gone);
		slots_voided(daemon->lineup->backend_slots, gone);
	}
	if (slots_expired(daemon->lineup->service_slots, clock_ns() / 1000000000u, gone))
		slots_voided(daemon->lineup->service_slots, gone);
}
