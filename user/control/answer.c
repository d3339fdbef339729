/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/backends.h"
#include "control/command.h"
#include "control/drops.h"
#include "control/lookup.h"
#include "control/reload.h"
#include "control/report.h"
#include "control/tracing.h"
#include "ringway/limits.h"
#include "util/json_build.h"
#include "util/log.h"

static json_t *status_answer(struct daemon *daemon, const struct command_words *unused)
{
	(void)unused;
	return report_status(daemon);
}

static json_t *stats_answer(struct daemon *daemon, const struct command_words *unused)
{
	(void)unused;
	return report_stats(daemon);
}

static json_t *drops_answer(struct daemon *daemon, const struct command_words *unused)
{
	(void)unused;
	return drops_report(daemon->drops, daemon);
}

static json_t *services_answer(struct daemon *daemon, const struct command_words *unused)
{
	(void)unused;
	return report_services(daemon);
}

static json_t *backends_answer(struct daemon *daemon, const struct command_words *unused)
{
	(void)unused;
	return report_backends(daemon);
}

static json_t *reload_answer(struct daemon *daemon, const struct command_words *unused)
{
	char *text = NULL;
	size_t size;
	FILE *messages = open_memstream(&text, &size);
	json_t *object = json_object();
	int err;

	(void)unused;
	if (!messages) {
		json_decref(object);
		return NULL;
	}
	err = reload(daemon, messages);
	(void)fputs("nothing has changed", messages);
	(void)fclose(messages);
	if (err)
		json_build_put(&object, "error", json_string(text));
	else
		json_build_number(&object, "generation", daemon->generation);
	json_build_number(&object, "services", daemon->lineup->config->service_count);
	json_build_number(&object, "backends", daemon->lineup->backend_count);
	free(text);
	return object;
}

/* The backend of that name, or NULL and the refusal. */
static struct lineup_backend *backend_named(struct daemon *daemon, const char *name,
					    json_t **ret_refusal)
{
	struct lineup_backend *backend = lineup_find_name(daemon->lineup, name);

	if (!backend)
		*ret_refusal = json_pack("{so}", "error",
					 json_sprintf("there is no backend \"%s\": give "
						      "SERVICE/BACKEND as `ringwayctl backends` "
						      "shows them",
						      name));
	return backend;
}

static json_t *backend_json(const struct daemon *daemon, const struct lineup_backend *backend)
{
	json_t *object = json_object();

	json_build_put(&object, "service", json_string(backend->service->name));
	json_build_put(&object, "backend", json_string(backend->config->name));
	json_build_put(&object, "state", json_string(report_state(backend)));
	json_build_number(&object, "generation", daemon->generation);
	return object;
}

/* Twice the same is no mistake: what is asked for is the case. */
static json_t *order_answer(struct daemon *daemon, struct lineup_backend *backend, bool is_drained,
			    bool is_flushed)
{
	uint64_t generation = daemon->generation;

	if (backends_order(daemon, backend, is_drained, is_flushed))
		return json_build_refusal("out of memory; nothing has changed");
	if (daemon->generation != generation)
		log_info("backend %s/%s is %s", backend->service->name, backend->config->name,
			 is_flushed   ? "flushed: its connections are cut"
			 : is_drained ? "drained"
				      : "not drained by command any more");
	return backend_json(daemon, backend);
}

static json_t *drain_answer(struct daemon *daemon, const struct command_words *words)
{
	json_t *refused = NULL;
	struct lineup_backend *backend = backend_named(daemon, words->argument, &refused);

	return backend ? order_answer(daemon, backend, true, backend->is_flushed) : refused;
}

static json_t *undrain_answer(struct daemon *daemon, const struct command_words *words)
{
	json_t *refused = NULL;
	struct lineup_backend *backend = backend_named(daemon, words->argument, &refused);

	if (!backend)
		return refused;
	if (lineup_is_drained_by_file(backend) && !backend->is_drained)
		return json_build_refusal(
			"the configuration file drains it, by `weight: 0` or `drain: yes`: "
			"change that and reload");
	return order_answer(daemon, backend, false, false);
}

static json_t *flush_answer(struct daemon *daemon, const struct command_words *words)
{
	json_t *refused = NULL;
	struct lineup_backend *backend = backend_named(daemon, words->argument, &refused);

	return backend ? order_answer(daemon, backend, true, true) : refused;
}

json_t *answer(void *arg, const char *line)
{
	static json_t *(*const handlers[COMMAND_COUNT])(struct daemon *,
							const struct command_words *) = {
		[COMMAND_STATUS] = status_answer,     [COMMAND_STATS] = stats_answer,
		[COMMAND_DROPS] = drops_answer,	      [COMMAND_SERVICES] = services_answer,
		[COMMAND_BACKENDS] = backends_answer, [COMMAND_LOOKUP] = lookup_answer,
		[COMMAND_TRACE] = tracing_answer,     [COMMAND_RELOAD] = reload_answer,
		[COMMAND_DRAIN] = drain_answer,	      [COMMAND_UNDRAIN] = undrain_answer,
		[COMMAND_FLUSH] = flush_answer,
	};
	char text[CONTROL_LINE_SIZE_MAX_BYTES], error[256];
	struct command_words words;

	(void)snprintf(text, sizeof(text), "%s", line);
	if (command_parse(text, &words, error, sizeof(error)))
		return json_build_refusal(error);
	return handlers[words.command](arg, &words);
}
