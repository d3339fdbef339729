/* SPDX-License-Identifier: GPL-2.0-only */
/* ringwayctl - asks a running ringwayd: its command line. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "control/command.h"
#include "ctl/ctl_client.h"
#include "ctl/ctl_drops.h"
#include "ctl/ctl_table.h"
#include "ctl/ctl_trace.h"
#include "ringway/limits.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/options.h"

#define WATCH_SECONDS_MAX 3600

/* How often a trace is asked for what is new. */
#define TRACE_POLL_NS 200000000

/* All mistakes of a configuration file fit in, as many as ringwayd lists. */
#define ERROR_SIZE (1 << 20)

static struct {
	const char *socket;
	uint64_t watch_s; /* 0: ask once */
	uint64_t count;	  /* 0: no end */
	bool json;
} arguments = { .socket = CONTROL_SOCKET_PATH_DEFAULT };

static const struct option_entry entries[] = {
	{ 's', "socket", "PATH", "ask the ringwayd with this control_socket",
	  .value = &arguments.socket },
	{ 'j', "json", NULL, "print the answer as JSON", .flag = &arguments.json },
	{ 'w', "watch", "[=SECONDS]", "ask again every SECONDS (default 1), show rates",
	  .number = &arguments.watch_s, .minimum = 1, .maximum = WATCH_SECONDS_MAX },
	{ 'n', "count", "N", "end a trace after N records", .number = &arguments.count,
	  .minimum = 1, .maximum = UINT64_MAX - 1 },
};

#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

static char footer[2048];

static const struct options options = {
	.usage = "ringwayctl [OPTION]... COMMAND [ARGUMENT] [OPTION]...",
	.summary = "Show what a running ringwayd is doing, and change it.",
	.entries = entries,
	.count = ENTRY_COUNT,
	.footer = footer,
	.operand_ends = true, /* a command may have options of its own */
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
		       "\n`ringwayctl COMMAND --help` has the options of one.\n"
		       "The socket is " CONTROL_SOCKET_PATH_DEFAULT " unless -s names another.\n"
		       "Exit status: 0 success, 1 no answer from ringwayd, or it refuses, 2 bad "
		       "usage.");
}

/* An answer, and when it came. */
struct look {
	json_t *answer; /* NULL: there was none */
	uint64_t time_ns;
	bool is_printed;
};

static int json_print(json_t *answer)
{
	/* One line a document, where many follow each other. */
	size_t layout = arguments.watch_s ? JSON_COMPACT : JSON_INDENT(2);

	return json_dumpf(answer, stdout, layout) || putchar('\n') == EOF ? -EIO : 0;
}

/* Where screens follow each other. */
static void screen_begin(bool is_next)
{
	if (arguments.watch_s && isatty(STDOUT_FILENO))
		(void)fputs("\033[H\033[2J", stdout); /* cursor home, clear the screen */
	else if (is_next)
		(void)putchar('\n');
}

static int table_print(const char *command, const struct look *now, const struct look *before)
{
	screen_begin(before->answer);
	return ctl_table_print(stdout, command, now->answer, before->answer,
			       (double)(now->time_ns - before->time_ns) / 1e9);
}

/* 0 and *ret_now, whose answer is the caller's; or a negative errno, printed. */
static int ask(const char *line, struct look *ret_now)
{
	static char error[ERROR_SIZE];
	int err = ctl_client_ask(arguments.socket, line, &ret_now->answer, error, sizeof(error));

	if (err)
		(void)fprintf(stderr, "error: %s\n", error);
	ret_now->time_ns = clock_ns();
	return err;
}

/* What printing has returned: 0, or -EIO and the reason logged. */
static int printed(int err)
{
	if (err == -EPROTO)
		log_error("the answer is not what this version of ringwayctl expects from "
			  "ringwayd; try --json");
	else if (err || fflush(stdout))
		log_error("cannot write to the standard output");
	return err || ferror(stdout) ? -EIO : 0;
}

/* Ask once and print. 0 and *ret_now, to be freed by the caller; or a negative
 * errno, logged, and *ret_now with or without an answer. */
static int look(const char *line, const char *command, const struct look *before,
		struct look *ret_now)
{
	int err = ask(line, ret_now);

	if (err)
		return err;
	return printed(arguments.json ? json_print(ret_now->answer)
				      : table_print(command, ret_now, before));
}

/* Watching ends by a signal, or with the daemon. */
static int looks(const char *line, const char *command, unsigned int interval_s)
{
	struct look now = { .answer = NULL }, before = { .answer = NULL };
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

/* --- drops ------------------------------------------------------------------- */

static int drops_print(struct look *now, const struct look *before)
{
	int err = ctl_drops_judge(now->answer, before->answer,
				  (double)(now->time_ns - before->time_ns) / 1e9);

	if (err)
		return err;
	if (arguments.json)
		return json_print(now->answer);
	screen_begin(before->is_printed);
	now->is_printed = true;
	return ctl_drops_print(stdout, now->answer);
}

/* Only two looks tell what is lost now. */
static int drops(const char *line, unsigned int interval_s)
{
	struct look now = { .answer = NULL }, before = { .answer = NULL };
	int err = ask(line, &now);

	do {
		json_decref(before.answer);
		before = now;
		now = (struct look){ .answer = NULL };
		if (!err)
			(void)sleep(interval_s ? interval_s : 1);
		if (!err)
			err = ask(line, &now);
		if (!err)
			err = printed(drops_print(&now, &before));
	} while (!err && interval_s);
	json_decref(before.answer);
	json_decref(now.answer);
	return err;
}

/* --- trace ------------------------------------------------------------------- */

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
	(void)signal;
	is_interrupted = 1;
}

/* Ask for what is new; from the first answer on, under its lease (text of 24 bytes). */
static int trace_poll(struct command_words *words, char *lease, uint64_t *left)
{
	char line[CONTROL_LINE_SIZE_MAX_BYTES], error[512];
	json_t *answer;
	json_int_t lost;
	int err;

	if (command_format(words, line, sizeof(line)))
		return -EMSGSIZE;
	err = ctl_client_ask(arguments.socket, line, &answer, error, sizeof(error));
	if (err) {
		(void)fprintf(stderr, "error: %s\n", error);
		return err;
	}
	(void)snprintf(lease, 24, "%" JSON_INTEGER_FORMAT,
		       json_integer_value(json_object_get(answer, "lease")));
	if (!words->options[COMMAND_OPTION_LEASE] && !arguments.json)
		ctl_trace_heading_print(stdout);
	words->options[COMMAND_OPTION_LEASE] = lease;
	lost = json_integer_value(json_object_get(answer, "lost"));
	if (lost)
		(void)fprintf(stderr, "%" JSON_INTEGER_FORMAT " records were lost: too many\n",
			      lost);
	err = ctl_trace_print(stdout, answer, arguments.json, left);
	json_decref(answer);
	return err || fflush(stdout) ? -EIO : 0;
}

/* Until interrupted, or as many as were asked for. */
static int trace(struct command_words *words, uint64_t left)
{
	const struct sigaction action = { .sa_handler = interrupt };
	const struct timespec pause = { .tv_nsec = TRACE_POLL_NS };
	char lease[24];
	int err;

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	err = trace_poll(words, lease, &left);
	while (!err && left && !is_interrupted) {
		(void)nanosleep(&pause, NULL);
		err = trace_poll(words, lease, &left);
	}
	if (err)
		return err;
	/* With the lease alone: the end. What it still brings has not been waited for. */
	left = 0;
	words->options[COMMAND_OPTION_CID] = words->options[COMMAND_OPTION_EVERY] = NULL;
	return trace_poll(words, lease, &left);
}

/* --- the command line -------------------------------------------------------- */

/* argv once more, with the options of its command. As options_parse(). */
static int command_parse_options(int argc, char **argv, enum command command,
				 struct command_words *words, int *ret_operands)
{
	struct option_entry all[COMMAND_OPTION_COUNT + ENTRY_COUNT];
	struct options table = { .usage = NULL, .summary = commands[command].help, .entries = all };
	const char *argument = commands[command].argument;
	char usage[128];

	(void)snprintf(usage, sizeof(usage), "ringwayctl %s [OPTION]...%s%s",
		       commands[command].name, argument ? " " : "", argument ? argument : "");
	table.usage = usage;
	for (enum command_option i = 0; i < COMMAND_OPTION_COUNT; i++)
		if (command_takes(command, i) && command_options[i].help)
			all[table.count++] = (struct option_entry){
				.name = command_options[i].name,
				.argument = command_options[i].argument,
				.help = command_options[i].help,
				.value = &words->options[i],
			};
	memcpy(&all[table.count], entries, sizeof(entries));
	table.count += ENTRY_COUNT;
	return options_parse(&table, argc, argv, ret_operands);
}

/* As options_parse(), with the command and all that belongs to it. */
static int arguments_parse(int argc, char **argv, struct command_words *ret_words)
{
	struct command_words named, given = { .argument = NULL };
	const char *const *words = (const char *const *)argv;
	char error[256];
	int operands, status = options_parse(&options, argc, argv, &operands);

	if (status >= 0)
		return status;
	if (command_name_find(operands < argc ? argv[operands] : NULL, &given.command, error,
			      sizeof(error)))
		return options_misuse(argv, "%s", error);
	status = command_parse_options(argc, argv, given.command, &given, &operands);
	if (status >= 0)
		return status;
	if (command_find(words + operands, (size_t)(argc - operands), &named, error, sizeof(error)))
		return options_misuse(argv, "%s", error);
	given.argument = named.argument;
	*ret_words = given;
	return -1;
}

int main(int argc, char **argv)
{
	char line[CONTROL_LINE_SIZE_MAX_BYTES];
	struct command_words words;
	int status;

	footer_fill();
	status = arguments_parse(argc, argv, &words);
	if (status >= 0)
		return status;
	if (arguments.watch_s && !commands[words.command].is_question)
		return options_misuse(argv, "--watch is not for %s, which changes something",
				      commands[words.command].name);
	if (arguments.count && words.command != COMMAND_TRACE)
		return options_misuse(argv, "--count is for trace");
	if (words.command == COMMAND_TRACE)
		return trace(&words, arguments.count ? arguments.count : UINT64_MAX) ? EXIT_FAILURE
										     : EXIT_SUCCESS;
	if (command_format(&words, line, sizeof(line)))
		return options_misuse(argv, "the arguments are too long");
	if (words.command == COMMAND_DROPS)
		return drops(line, (unsigned int)arguments.watch_s) ? EXIT_FAILURE : EXIT_SUCCESS;
	return looks(line, commands[words.command].name, (unsigned int)arguments.watch_s)
		       ? EXIT_FAILURE
		       : EXIT_SUCCESS;
}
