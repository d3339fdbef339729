/* SPDX-License-Identifier: GPL-2.0-only */
/* ringwayctl - asks a running ringwayd: its command line. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/command.h"
#include "control/control_socket.h"
#include "control/ctl_client.h"
#include "control/ctl_table.h"
#include "ringway/limits.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"

#define WATCH_SECONDS_MAX 3600

/* All mistakes of a configuration file fit in, as many as ringwayd lists. */
#define ERROR_SIZE (1 << 20)

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

static char footer[2048];

static const struct options options = {
	.usage = "ringwayctl [OPTION]... COMMAND [ARGUMENT]",
	.summary = "Show what a running ringwayd is doing, and change it.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
	.footer = footer,
};

/* The commands with their help, then the rest. */
static void footer_fill(void)
{
	size_t len = (size_t)snprintf(footer, sizeof(footer), "Commands:\n");

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char usage[40];

		(void)snprintf(usage, sizeof(usage), "%s %s", commands[i].name,
			       commands[i].argument ? commands[i].argument : "");
		len += (size_t)snprintf(footer + len, sizeof(footer) - len, "  %-25s%s\n", usage,
					commands[i].help);
	}
	(void)snprintf(footer + len, sizeof(footer) - len,
		       "\nThe socket is " CONTROL_SOCKET_PATH_DEFAULT " unless -s names another.\n"
		       "Exit status: 0 success, 1 no answer from ringwayd, or it refuses, 2 bad "
		       "usage.");
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
static int look(const char *line, const char *command, const struct look *before,
		struct look *ret_now)
{
	static char error[ERROR_SIZE];
	int err = ctl_client_ask(arguments.socket, line, &ret_now->answer, error, sizeof(error));

	if (err) {
		(void)fprintf(stderr, "error: %s\n", error);
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
static int looks(const char *line, const char *command, unsigned int interval_s)
{
	struct look now = { NULL, 0 }, before = { NULL, 0 };
	int err = look(line, command, &before, &now);

	while (!err && interval_s) {
		json_decref(before.answer);
		before = now;
		now.answer = NULL;
		(void)sleep(interval_s);
		err = look(line, command, &before, &now);
	}
	json_decref(before.answer);
	json_decref(now.answer);
	return err;
}

int main(int argc, char **argv)
{
	char line[CONTROL_LINE_SIZE_MAX_BYTES], error[256];
	enum command command;
	int operands, status;

	footer_fill();
	status = options_parse(&options, argc, argv, &operands);
	if (status >= 0)
		return status;
	if (command_find((const char *const *)argv + operands, (size_t)(argc - operands), &command,
			 error, sizeof(error)))
		return options_misuse(argv, "%s", error);
	if (arguments.watch_s && !commands[command].is_question)
		return options_misuse(argv, "--watch is not for %s, which changes something",
				      commands[command].name);
	(void)snprintf(line, sizeof(line), "%s %s", commands[command].name,
		       commands[command].argument ? argv[operands + 1] : "");
	return looks(line, commands[command].name, (unsigned int)arguments.watch_s) ? EXIT_FAILURE
										    : EXIT_SUCCESS;
}
