/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/number.h"

/* One more than any command has: its name, an argument, all options and their values. */
#define WORD_COUNT_MAX (3 + 2 * COMMAND_OPTION_COUNT)

#define CID	(1u << COMMAND_OPTION_CID)
#define FROM	(1u << COMMAND_OPTION_FROM)
#define VERSION (1u << COMMAND_OPTION_VERSION)
#define EVERY	(1u << COMMAND_OPTION_EVERY)
#define LEASE	(1u << COMMAND_OPTION_LEASE)

const struct command_info commands[COMMAND_COUNT] = {
	[COMMAND_STATUS] = { "status", NULL,
			     "version, engine, interfaces and the workers of their queues", true,
			     0 },
	[COMMAND_STATS] = { "stats", NULL,
			    "what queues and workers moved, and what was dropped and why", true,
			    0 },
	[COMMAND_DROPS] = { "drops", NULL,
			    "every place where datagrams are lost, in the order of their way", true,
			    0 },
	[COMMAND_SERVICES] = { "services", NULL,
			       "datagrams and bytes, to backends (out) and to clients (back)", true,
			       0 },
	[COMMAND_BACKENDS] = { "backends", NULL,
			       "the same for each backend, its state and where it is reached", true,
			       0 },
	[COMMAND_LOOKUP] = { "lookup", "SERVICE",
			     "which backend gets a datagram, and by which rule; sends nothing",
			     true, CID | FROM | VERSION },
	[COMMAND_TRACE] = { "trace", NULL, "decisions for clients' datagrams as they are made",
			    false, CID | EVERY | LEASE },
	[COMMAND_RELOAD] = { "reload", NULL, "read the configuration file again, as SIGHUP does",
			     false, 0 },
	[COMMAND_DRAIN] = { "drain", "SERVICE/BACKEND",
			    "give it no new connections; it keeps those it has", false, 0 },
	[COMMAND_UNDRAIN] = { "undrain", "SERVICE/BACKEND",
			      "take drain or flush back: it gets new connections again", false, 0 },
	[COMMAND_FLUSH] = { "flush", "SERVICE/BACKEND",
			    "cut its connections: it gets nothing, until undrained", false, 0 },
};

const struct command_option_info command_options[COMMAND_OPTION_COUNT] = {
	[COMMAND_OPTION_CID] = { "cid", "HEX", "the Connection ID, or for trace how it begins" },
	[COMMAND_OPTION_FROM] = { "from", "ADDR:PORT",
				  "the client; otherwise one that nobody has seen" },
	[COMMAND_OPTION_VERSION] = { "version", "V",
				     "an Initial of QUIC version 1, 2 or 0x and 8 hex digits; "
				     "otherwise a short header" },
	[COMMAND_OPTION_EVERY] = { "every", "N", "those whose number is a multiple of N; 1: all" },
	[COMMAND_OPTION_LEASE] = { "lease", "NUMBER", NULL },
};

int command_name_find(const char *name, enum command *ret_command, char *error, size_t error_size)
{
	size_t i = 0;

	if (!name)
		return fail(-EINVAL, error, error_size, "no command is given");
	while (i < COMMAND_COUNT && strcmp(name, commands[i].name) != 0)
		i++;
	if (i == COMMAND_COUNT)
		return fail(-EINVAL, error, error_size, "there is no command '%.64s'", name);
	*ret_command = (enum command)i;
	return 0;
}

/* The option of a word that begins with "--", up to its end or "="; or
 * COMMAND_OPTION_COUNT. */
static enum command_option option_named(enum command command, const char *word)
{
	size_t len = strcspn(word + 2, "=");
	enum command_option option = 0;

	while (option < COMMAND_OPTION_COUNT &&
	       (!command_takes(command, option) || strlen(command_options[option].name) != len ||
		strncmp(word + 2, command_options[option].name, len) != 0))
		option++;
	return option;
}

/* *next: the index of the word behind the option's name; moved behind its value. */
static int option_take(const char *const *words, size_t count, size_t *next,
		       struct command_words *found, char *error, size_t error_size)
{
	const char *word = words[*next - 1], *value = strchr(word, '=');
	enum command_option option = option_named(found->command, word);

	if (option == COMMAND_OPTION_COUNT)
		return fail(-EINVAL, error, error_size, "%s takes no option '%.64s'",
			    commands[found->command].name, word);
	if (!value && *next == count)
		return fail(-EINVAL, error, error_size, "--%s takes an argument: %s",
			    command_options[option].name, command_options[option].argument);
	found->options[option] = value ? value + 1 : words[(*next)++];
	return 0;
}

int command_find(const char *const *words, size_t count, struct command_words *ret_words,
		 char *error, size_t error_size)
{
	struct command_words found = { .argument = NULL };
	const struct command_info *command;
	int err;

	err = command_name_find(count ? words[0] : NULL, &found.command, error, error_size);
	if (err)
		return err;
	command = &commands[found.command];
	for (size_t next = 1; !err && next < count;) {
		const char *word = words[next++];

		if (strncmp(word, "--", 2) == 0)
			err = option_take(words, count, &next, &found, error, error_size);
		else if (command->argument && !found.argument)
			found.argument = word;
		else
			err = fail(-EINVAL, error, error_size, "%s takes no more arguments",
				   command->name);
	}
	if (!err && command->argument && !found.argument)
		err = fail(-EINVAL, error, error_size, "%s takes an argument: %s", command->name,
			   command->argument);
	if (!err)
		*ret_words = found;
	return err;
}

int command_parse(char *line, struct command_words *ret_words, char *error, size_t error_size)
{
	const char *words[WORD_COUNT_MAX] = { NULL };
	char *rest = line, *word;
	size_t count = 0;

	while (count < WORD_COUNT_MAX && (word = strsep(&rest, " ")))
		if (*word)
			words[count++] = word;
	if (count == WORD_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "no command takes so many arguments");
	return command_find(words, count, ret_words, error, error_size);
}

int command_format(const struct command_words *words, char *line, size_t line_size)
{
	size_t len = (size_t)snprintf(line, line_size, "%s%s%s", commands[words->command].name,
				      words->argument ? " " : "",
				      words->argument ? words->argument : "");

	for (enum command_option i = 0; len < line_size && i < COMMAND_OPTION_COUNT; i++)
		if (words->options[i])
			len += (size_t)snprintf(line + len, line_size - len, " --%s %s",
						command_options[i].name, words->options[i]);
	return len < line_size ? 0 : -EMSGSIZE;
}
