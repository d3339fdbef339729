/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/probes.h"

#include <string.h>

#include "control/backends.h"
#include "control/daemon.h"
#include "util/clock.h"
#include "util/log.h"

/* Up is who is up at every address: half of its clients would not reach it. */
static void backend_judge(struct daemon *daemon, uint16_t slot)
{
	bool is_up = true;

	for (uint32_t family = 0; family < FAMILY_COUNT; family++) {
		struct health_status status;

		if (!health_status(daemon->health, slot * FAMILY_COUNT + family, &status))
			is_up = is_up && status.is_up;
	}
	backends_health_set(daemon, slot, is_up);
}

static void health_changed(void *arg, uint32_t id, bool is_up)
{
	(void)is_up; /* so is its status by now */
	backend_judge(arg, (uint16_t)(id / FAMILY_COUNT));
}

int probes_open(struct daemon *daemon, char *error)
{
	return health_open(health_changed, daemon, &daemon->health, error, DAEMON_ERROR_SIZE);
}

static struct health_settings settings_of(const struct config_health *config)
{
	static const enum health_kind kinds[] = {
		[CONFIG_PROBE_NONE] = HEALTH_NONE,
		[CONFIG_PROBE_QUIC] = HEALTH_QUIC,
		[CONFIG_PROBE_UDP] = HEALTH_UDP,
		[CONFIG_PROBE_TCP] = HEALTH_TCP,
	};

	return (struct health_settings){ .kind = kinds[config->probe],
					 .interval_ms = config->interval_ms,
					 .timeout_ms = config->timeout_ms,
					 .rise = config->rise,
					 .fall = config->fall,
					 .flap_changes = HEALTH_FLAP_CHANGES_DEFAULT,
					 .flap_intervals = HEALTH_FLAP_INTERVALS_DEFAULT,
					 .payload = config->payload.bytes,
					 .payload_len = config->payload.len,
					 .expected = config->expect.bytes,
					 .expected_len = config->expect.len };
}

static void backend_watch(struct daemon *daemon, const struct lineup_backend *backend,
			  enum family family)
{
	const struct health_settings settings = settings_of(&backend->service->health);
	int err = health_watch(daemon->health, clock_ns(), probes_id(backend, family),
			       backend->config->endpoint.addr[family],
			       backend->config->endpoint.port_be, &settings, !backend->is_down);

	if (err)
		log_error("backend %s/%s: its health cannot be watched: %s; it is taken to be up",
			  backend->service->name, backend->config->name, strerror(-err));
}

void probes_follow(struct daemon *daemon, const struct lineup *before)
{
	const struct lineup *now = daemon->lineup;

	for (size_t i = 0; before && i < before->backend_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (!lineup_find(now, before->backends[i].slot) ||
			    !lineup_find(now, before->backends[i].slot)
				     ->config->endpoint.present[family])
				health_unwatch(daemon->health,
					       probes_id(&before->backends[i], family));
	for (size_t i = 0; i < now->backend_count; i++) {
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			if (now->backends[i].config->endpoint.present[family])
				backend_watch(daemon, &now->backends[i], family);
		/* An address that stays is known, though the other one may have changed. */
		backend_judge(daemon, now->backends[i].slot);
	}
}
