/* SPDX-License-Identifier: GPL-2.0-only */
/* ringwayd - the forwarder: its command line. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/engine.h"
#include "util/log.h"
#include "util/options.h"

enum {
	EXIT_MISUSE = 2, /* bad usage, or a bad configuration file */
};

enum help_config {
	HELP_CONFIG_NONE,
	HELP_CONFIG_TEXT,
	HELP_CONFIG_SCDOC,
};

static struct {
	const char *config, *engine, *log_level, *replay_in, *replay_out;
	enum help_config help_config;
	bool check;
} arguments = { .log_level = "info" };

static bool help_config_parse(const char *format, void *ret_parsed)
{
	enum help_config *ret_help = ret_parsed;

	*ret_help = *format ? HELP_CONFIG_SCDOC : HELP_CONFIG_TEXT;
	return !*format || strcmp(format, "scdoc") == 0;
}

static const struct option_entry entries[] = {
	{ 'c', "config", "FILE", "read FILE (see ringway.yaml(5))", .value = &arguments.config },
	{ 'n', "check", NULL, "check FILE, report every error, exit", .flag = &arguments.check },
	{ 'e', "engine", "NAME", "replay: capture files in place of FILE's engine",
	  .value = &arguments.engine },
	{ 'l', "log-level", "LEVEL", "error, warn, info (default) or debug",
	  .value = &arguments.log_level },
	{ 0, "replay-in", "PCAP", "engine replay: read frames from PCAP",
	  .value = &arguments.replay_in },
	{ 0, "replay-out", "PCAP", "engine replay: write what is sent to PCAP",
	  .value = &arguments.replay_out },
	{ 0, "help-config", "[=scdoc]", "describe every key of FILE, exit",
	  .parse = help_config_parse, .parsed = &arguments.help_config },
};

static const struct options options = {
	.usage = "ringwayd [OPTION]... -c FILE",
	.summary = "Forward UDP and QUIC datagrams to backends, through AF_XDP or sockets.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
	.footer =
		"Signals: TERM and INT detach from the interfaces, send what has been received, "
		"exit;\n         HUP reads FILE again: a bad one changes nothing.\nExit status: 0 success, 1 runtime failure, 2 bad usage or bad FILE.",
};

static bool log_level_choose(const char *name)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0) {
			log_level_set((enum log_level)i);
			return true;
		}
	}
	return false;
}

/* Before any thread: those to come inherit it, and signalfd reads them. */
static void signals_block(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int forward(struct config *config, bool is_replay)
{
	const struct daemon_options daemon_options = {
		.config_path = arguments.config,
		.engine = is_replay ? &engine_replay : NULL,
		.replay_in = arguments.replay_in,
		.replay_out = arguments.replay_out,
	};
	struct daemon *daemon;
	int err;

	signals_block();
	err = daemon_start(config, &daemon_options, &daemon);
	if (err)
		return EXIT_FAILURE;
	err = daemon_run(daemon);
	daemon_stop(daemon);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct config *config;
	bool is_replay;
	int operands, status = options_parse(&options, argc, argv, &operands);

	if (status >= 0)
		return status;
	if (arguments.help_config) {
		config_help(stdout, arguments.help_config == HELP_CONFIG_SCDOC);
		return options_printed(argv);
	}
	if (operands < argc)
		return options_misuse(argv, "unexpected argument '%s'", argv[operands]);
	if (!arguments.config)
		return options_misuse(argv, "no configuration file: add -c FILE");
	if (!log_level_choose(arguments.log_level))
		return options_misuse(argv, "there is no log level '%s'", arguments.log_level);
	is_replay = arguments.engine && strcmp(arguments.engine, "replay") == 0;
	if (arguments.engine && !is_replay)
		return options_misuse(argv,
				      "--engine takes replay only, not '%s': other engines "
				      "are chosen by the key `engine` in FILE",
				      arguments.engine);
	if (!is_replay && (arguments.replay_in || arguments.replay_out))
		return options_misuse(argv, "--replay-in and --replay-out need --engine=replay");
	if (is_replay && (!arguments.replay_in || !arguments.replay_out))
		return options_misuse(argv, "engine replay needs --replay-in and --replay-out");

	if (config_load(arguments.config, stderr, &config))
		return EXIT_MISUSE;
	if (arguments.check) {
		printf("%s: configuration is valid\n", arguments.config);
		config_free(config);
		return options_printed(argv);
	}
	return forward(config, is_replay);
}
