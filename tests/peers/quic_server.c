/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_server.c - an HTTP/3 server whose Connection IDs, Retry and stateless resets
 * are as a test wants them. Command line and counters; quic/ has the rest. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "quic/server.h"
#include "util/number.h"
#include "util/options.h"

static const char *const cid_names[] = {
	[CID_RANDOM] = "random",
	[CID_QUIC_LB] = "quic-lb",
	[CID_CLIENT_PREFIX] = "client-prefix",
	[CID_CLIENT] = "client",
};
#define CID_NAME_COUNT (sizeof(cid_names) / sizeof(cid_names[0]))

static struct {
	const char *name, *cid, *idle_timeout, *rotation, *server_id, *nonce_len, *lb_key;
	const char *reset_key;
	bool retry;
} arguments = {
	.name = "quic_server",
	.cid = "random",
	.idle_timeout = "30",
	.rotation = "0",
	.nonce_len = "8",
};

static const struct option_entry entries[] = {
	{ 0, "name", "NAME", "in the answers' header field `server`", .value = &arguments.name },
	{ 0, "cid", "KIND", "random (default), quic-lb, client-prefix or client",
	  .value = &arguments.cid },
	{ 0, "lb-rotation", "N", "QUIC-LB: configuration, 0 (default) to 6",
	  .value = &arguments.rotation },
	{ 0, "lb-server-id", "HEX", "QUIC-LB: this server's id", .value = &arguments.server_id },
	{ 0, "lb-nonce-len", "BYTES", "QUIC-LB: length of the nonce (default: 8)",
	  .value = &arguments.nonce_len },
	{ 0, "lb-key", "HEX", "QUIC-LB: 16 bytes (default: not encrypted)",
	  .value = &arguments.lb_key },
	{ 0, "stateless-reset-key", "HEX", "16 bytes: reset connections that are not known",
	  .value = &arguments.reset_key },
	{ 0, "retry", NULL, "validate addresses by Retry", .flag = &arguments.retry },
	{ 0, "idle-timeout", "SECONDS", "of quiet connections (default: 30)",
	  .value = &arguments.idle_timeout },
};

static const struct options options = {
	.usage = "quic_server [OPTION]... ADDRESS PORT KEY CERT DIR",
	.summary = "Serve DIR by HTTP/3 until SIGTERM; ADDRESS * is all of both families.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
	.footer = "At the end, the counters are printed as JSON.",
};

static volatile sig_atomic_t stop;

static void stop_set(int signal)
{
	(void)signal;
	stop = 1;
}

static bool cid_kind_parse(const char *text, enum cid_kind *ret_kind)
{
	for (size_t i = 0; i < CID_NAME_COUNT; i++)
		if (strcmp(text, cid_names[i]) == 0) {
			*ret_kind = (enum cid_kind)i;
			return true;
		}
	return false;
}

/* NULL, or the name of the option whose value is none. */
static const char *quic_lb_parse(struct cid_source *source)
{
	size_t id_len = arguments.server_id ? strlen(arguments.server_id) / 2 : 0;
	uint64_t rotation, nonce_len;

	if (!number_parse(arguments.rotation, 0, QUIC_LB_ROTATION_COUNT - 1, &rotation))
		return "lb-rotation";
	if (!number_parse(arguments.nonce_len, 0, QUIC_CID_LEN_MAX, &nonce_len))
		return "lb-nonce-len";
	if (id_len < 1 || id_len > QUIC_LB_ID_LEN_MAX ||
	    !number_hex_parse(arguments.server_id, source->lb_server_id, id_len))
		return "lb-server-id";
	source->lb.has_key = arguments.lb_key;
	if (arguments.lb_key &&
	    !number_hex_parse(arguments.lb_key, source->lb.key, QUIC_LB_KEY_LEN))
		return "lb-key";
	source->lb.present = true;
	source->lb.server_id_len = (uint8_t)id_len;
	source->lb.nonce_len = (uint8_t)nonce_len;
	source->lb_rotation = (uint8_t)rotation;
	return NULL;
}

static const char *config_parse(struct server_config *config)
{
	config->name = arguments.name;
	config->sends_retry = arguments.retry;
	config->sends_resets = arguments.reset_key;
	if (!cid_kind_parse(arguments.cid, &config->cids.kind))
		return "cid";
	if (!number_parse(arguments.idle_timeout, 1, 86400, &config->idle_timeout_s))
		return "idle-timeout";
	if (arguments.reset_key &&
	    !number_hex_parse(arguments.reset_key, config->reset_key, RESET_KEY_LEN))
		return "stateless-reset-key";
	return config->cids.kind == CID_QUIC_LB ? quic_lb_parse(&config->cids) : NULL;
}

static bool operands_parse(char **operands, struct server_config *config)
{
	uint64_t port;

	if ((strcmp(operands[0], "*") != 0 && !address_parse(operands[0], config->address)) ||
	    !number_parse(operands[1], 1, UINT16_MAX, &port))
		return false;
	config->port = (uint16_t)port;
	config->key_path = operands[2];
	config->certificate_path = operands[3];
	config->directory = operands[4];
	return true;
}

static int counters_print(const char *name, const struct quic_counters *counters)
{
	json_t *document = json_object();
	int err = json_object_set_new(document, "name", json_string(name));

#define X(counter) \
	err |= json_object_set_new(document, #counter, json_integer((json_int_t)counters->counter));
	QUIC_COUNTERS(X)
#undef X
	if (!err)
		err = json_dumpf(document, stdout, JSON_INDENT(2));
	json_decref(document);
	return err || puts("") < 0 || fflush(stdout) ? 1 : 0;
}

/* Only while it waits is the server interrupted. */
static void signals_set(sigset_t *ret_waiting_mask)
{
	const struct sigaction action = { .sa_handler = stop_set };
	sigset_t blocked;

	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigaddset(&blocked, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &blocked, ret_waiting_mask);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
}

int main(int argc, char **argv)
{
	struct server_config config = { 0 };
	struct server *server;
	const char *bad;
	sigset_t waiting_mask;
	char error[256];
	int first, status = options_parse(&options, argc, argv, &first);

	if (status >= 0)
		return status;
	if (argc - first != 5 || !operands_parse(argv + first, &config))
		return options_misuse(argv, "ADDRESS PORT KEY CERT DIR are wanted");
	bad = config_parse(&config);
	if (bad)
		return options_misuse(argv, "bad or missing value of --%s", bad);
	signals_set(&waiting_mask);
	if (server_new(&config, &server, error, sizeof(error))) {
		(void)fprintf(stderr, "quic_server: %s\n", error);
		return 1;
	}
	(void)fprintf(stderr, "quic_server: %s is ready on %s port %s\n", config.name, argv[first],
		      argv[first + 1]);
	server_run(server, &stop, &waiting_mask);
	status = counters_print(config.name, server_counters(server));
	server_free(server);
	return status;
}
