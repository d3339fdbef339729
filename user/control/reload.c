/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/backends.h"
#include "control/connections.h"
#include "control/engine.h"
#include "control/probes.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/number.h"

static bool interfaces_equal(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < a->interface_count; i++) {
		const struct config_interface *one = &a->interfaces[i], *other = &b->interfaces[i];

		if (strcmp(one->name, other->name) != 0 || one->mode != other->mode ||
		    one->clients != other->clients)
			return false;
	}
	return a->interface_count == b->interface_count;
}

static bool sockets_equal(const struct config_sockets *a, const struct config_sockets *b)
{
	return a->calls == b->calls && a->steering == b->steering &&
	       a->is_decoupled == b->is_decoupled && a->workers == b->workers &&
	       a->receive_buffer == b->receive_buffer && a->flows == b->flows &&
	       a->source_count == b->source_count &&
	       !memcmp(a->sources, b->sources, sizeof(a->sources));
}

/* What sockets, threads and memory were made by. */
static int fixed_check(const struct config *now, const struct config *next, const char *path,
		       FILE *messages)
{
	const struct {
		const char *key;
		bool is_equal;
	} keys[] = {
		{ "engine", now->engine == next->engine },
		{ "socket", sockets_equal(&now->sockets, &next->sockets) },
		{ "interfaces", interfaces_equal(now, next) },
		{ "queues", now->queues == next->queues },
		{ "cpus", now->cpu_count == next->cpu_count &&
				  !memcmp(now->cpus, next->cpus, sizeof(now->cpus)) },
		{ "control_socket", !strcmp(now->control_socket, next->control_socket) },
		{ "limits", !memcmp(&now->limits, &next->limits, sizeof(now->limits)) },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].is_equal)
			continue;
		(void)fprintf(messages,
			      "%s: %s cannot change while ringwayd runs: restart it, or put back "
			      "what was there\n",
			      path, keys[i].key);
		err = -EPERM;
	}
	return err;
}

/* Without one in the file, what decides goes on deciding. */
static void hash_key_keep(const struct config *now, struct config *next)
{
	if (!next->has_hash_key)
		memcpy(next->hash_key, now->hash_key, sizeof(next->hash_key));
}

/* Where slots run out, those that are gone are given up before their time. */
static int lineup_next(struct daemon *daemon, struct config *config, struct lineup **ret_lineup)
{
	const uint64_t now_s = clock_ns() / 1000000000u;
	bool gone[BACKEND_COUNT_MAX];
	int err = lineup_make(config, daemon->lineup, now_s, ret_lineup);

	if (err != -ENOSPC)
		return err;
	(void)slots_expired(daemon->lineup->backend_slots, UINT64_MAX, gone);
	connections_void(daemon, gone);
	slots_voided(daemon->lineup->backend_slots, gone);
	(void)slots_expired(daemon->lineup->service_slots, UINT64_MAX, gone);
	slots_voided(daemon->lineup->service_slots, gone);
	return lineup_make(config, daemon->lineup, now_s, ret_lineup);
}

/* From here on nothing fails. */
static void lineup_publish(struct daemon *daemon, struct table *table)
{
	struct lineup *before = daemon->lineup, *now = daemon->next_lineup;

	if (daemon->engine->reload_before)
		daemon->engine->reload_before(daemon, before, now);
	table_free(table_publish(&daemon->table, table));
	daemon->lineup = now;
	daemon->next_lineup = NULL;
	daemon->generation++;
	daemon->is_table_stale = false;
	daemon->engine->reload_after(daemon, before, now);
	probes_follow(daemon, before);
	lineup_free(before);
}

static int lineup_failed(int err, FILE *messages)
{
	if (err == -ENOSPC)
		(void)fprintf(messages,
			      "the old and the new file together name more than %d services or %d "
			      "backends, and what has gone keeps its place until the new is in "
			      "force: keep names, or reload in two steps\n",
			      SERVICE_COUNT_MAX, BACKEND_COUNT_MAX);
	else
		(void)fprintf(messages, "cannot give each backend a slot: %s\n", strerror(-err));
	return err;
}

static int lineup_follow(struct daemon *daemon, struct config *config, FILE *messages)
{
	char error[DAEMON_ERROR_SIZE];
	struct table *table;
	int err = lineup_next(daemon, config, &daemon->next_lineup);

	if (err) {
		config_free(config);
		return lineup_failed(err, messages);
	}
	err = daemon->engine->reload_begin(daemon, error);
	if (!err) {
		err = backends_table(daemon, daemon->next_lineup, &table);
		if (err) {
			(void)fail(err, error, sizeof(error),
				   "cannot build the forwarding table: %s", strerror(-err));
			daemon->engine->reload_undo(daemon);
		}
	}
	if (err) {
		(void)fprintf(messages, "%s\n", error);
		lineup_free(daemon->next_lineup);
		daemon->next_lineup = NULL;
		return err;
	}
	lineup_publish(daemon, table);
	return 0;
}

static void reloaded_log(const struct daemon *daemon)
{
	size_t services = daemon->lineup->config->service_count;
	size_t backends = daemon->lineup->backend_count;

	log_info("reloaded %s: generation %llu, %zu service%s, %zu backend%s", daemon->config_path,
		 (unsigned long long)daemon->generation, services, plural(services), backends,
		 plural(backends));
}

int reload(struct daemon *daemon, FILE *messages)
{
	struct config *config;
	int err;

	if (daemon->engine->is_finite) {
		(void)fprintf(messages, "engine %s does not reload\n", daemon->engine->io->name);
		return -EOPNOTSUPP;
	}
	err = config_load(daemon->config_path, messages, &config);
	if (err)
		return err;
	err = fixed_check(daemon->lineup->config, config, daemon->config_path, messages);
	if (err) {
		config_free(config);
		return err;
	}
	hash_key_keep(daemon->lineup->config, config);
	err = lineup_follow(daemon, config, messages);
	if (!err)
		reloaded_log(daemon);
	return err;
}

void reload_logged(struct daemon *daemon)
{
	char *text = NULL, *rest;
	size_t size;
	FILE *messages = open_memstream(&text, &size);

	if (!messages) {
		log_error("cannot reload: %s; nothing has changed", strerror(errno));
		return;
	}
	if (reload(daemon, messages)) {
		(void)fclose(messages);
		rest = text;
		for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n"))
			log_error("%s", line);
		log_error("the reload is refused: nothing has changed");
	} else {
		(void)fclose(messages);
	}
	free(text);
}
