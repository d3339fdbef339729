/* SPDX-License-Identifier: GPL-2.0-only */
/* ringwayctl - asks a running ringwayd: its command line. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control_socket.h"
#include "control/ctl_client.h"
#include "control/ctl_table.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"

#define WATCH_SECONDS_MAX 3600

static struct {
	const char *socket;
	uint64_t watch_s; /* 0: ask once */
	bool json;
} arguments = { .socket = CONTROL_SOCKET_PATH_DEFAULT };

static const struct option_entry entries[] = {
	{ 's', "socket", "PATH", "ask the ringwayd with this control_socket",
	  .value = &arguments.socket },
	{ 'j', "json", NULL, "print the answer as JSON", .flag = &arguments.json },
	{ 'w', "watch", "[=SECONDS]", "ask again every SECONDS (default 1), show rates",
	  .number = &arguments.watch_s, .minimum = 1, .maximum = WATCH_SECONDS_MAX },
};

static const struct options options = {
	.usage = "ringwayctl [OPTION]... status|stats|services|backends",
	.summary = "Show what a running ringwayd is doing.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
	.footer = "status    version, engine, interfaces and the workers of their queues\n"
		  "stats     what queues and workers moved, and what was dropped and why\n"
		  "services  datagrams and bytes, to the backends (out) and to clients (back)\n"
		  "backends  the same for each backend, and where it is reached\n\n"
		  "The socket is " CONTROL_SOCKET_PATH_DEFAULT " unless -s names another.\n"
		  "Exit status: 0 success, 1 no answer from ringwayd, 2 bad usage.",
};

static bool command_exists(const char *command)
{
	static const char *const commands[] = { "status", "stats", "services", "backends" };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i], command) == 0)
			return true;
	return false;
}

/* An answer, and when it came. */
struct look {
	json_t *answer; /* NULL: there was none */
	uint64_t time_ns;
};

static int json_print(json_t *answer)
{
	/* One line a document, where many follow each other. */
	size_t layout = arguments.watch_s ? JSON_COMPACT : JSON_INDENT(2);

	return json_dumpf(answer, stdout, layout) || putchar('\n') == EOF ? -EIO : 0;
}

static int table_print(const char *command, const struct look *now, const struct look *before)
{
	if (arguments.watch_s && isatty(STDOUT_FILENO))
		(void)fputs("\033[H\033[2J", stdout); /* cursor home, clear the screen */
	else if (before->answer)
		(void)putchar('\n');
	return ctl_table_print(stdout, command, now->answer, before->answer,
			       (double)(now->time_ns - before->time_ns) / 1e9);
}

/* Ask once and print. 0 and *ret_now, to be freed by the caller; or a negative
 * errno, logged, and *ret_now with or without an answer. */
static int look(const char *command, const struct look *before, struct look *ret_now)
{
	char error[512];
	int err = ctl_client_ask(arguments.socket, command, &ret_now->answer, error, sizeof(error));

	if (err) {
		log_error("%s", error);
		return err;
	}
	ret_now->time_ns = clock_ns();
	err = arguments.json ? json_print(ret_now->answer) : table_print(command, ret_now, before);
	if (err == -EPROTO)
		log_error("the answer is not what this version of ringwayctl expects from "
			  "ringwayd; try --json");
	else if (err || fflush(stdout))
		log_error("cannot write to the standard output");
	return err || ferror(stdout) ? -EIO : 0;
}

/* Watching ends by a signal, or with the daemon. */
static int looks(const char *command, unsigned int interval_s)
{
	struct look now = { NULL, 0 }, before = { NULL, 0 };
	int err = look(command, &before, &now);

	while (!err && interval_s) {
		json_decref(before.answer);
		before = now;
		now.answer = NULL;
		(void)sleep(interval_s);
		err = look(command, &before, &now);
	}
	json_decref(before.answer);
	json_decref(now.answer);
	return err;
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);

	if (status >= 0)
		return status;
	if (operands + 1 != argc)
		return options_misuse(argv, "one command is needed: status, stats, services or "
					    "backends");
	if (!command_exists(argv[operands]))
		return options_misuse(argv, "there is no command '%s'", argv[operands]);
	return looks(argv[operands], (unsigned int)arguments.watch_s) ? EXIT_FAILURE : EXIT_SUCCESS;
}
