/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/number.h"

#define WORD_COUNT_MAX 3 /* one more than any command has */

const struct command_info commands[COMMAND_COUNT] = {
	[COMMAND_STATUS] = { "status", NULL,
			     "version, engine, interfaces and the workers of their queues", true },
	[COMMAND_STATS] = { "stats", NULL,
			    "what queues and workers moved, and what was dropped and why", true },
	[COMMAND_SERVICES] = { "services", NULL,
			       "datagrams and bytes, to backends (out) and to clients (back)",
			       true },
	[COMMAND_BACKENDS] = { "backends", NULL,
			       "the same for each backend, its state and where it is reached",
			       true },
	[COMMAND_RELOAD] = { "reload", NULL, "read the configuration file again, as SIGHUP does",
			     false },
	[COMMAND_DRAIN] = { "drain", "SERVICE/BACKEND",
			    "give it no new connections; it keeps those it has", false },
	[COMMAND_UNDRAIN] = { "undrain", "SERVICE/BACKEND", "give it new connections again",
			      false },
	[COMMAND_FLUSH] = { "flush", "SERVICE/BACKEND",
			    "forget its connections: they are chosen for anew", false },
};

static int argument_missing(const struct command_info *command, char *error, size_t error_size)
{
	return fail(-EINVAL, error, error_size, "%s takes an argument: %s", command->name,
		    command->argument);
}

int command_find(const char *const *words, size_t count, enum command *ret_command, char *error,
		 size_t error_size)
{
	size_t i = 0;

	if (count == 0)
		return fail(-EINVAL, error, error_size, "no command is given");
	while (i < COMMAND_COUNT && strcmp(words[0], commands[i].name) != 0)
		i++;
	if (i == COMMAND_COUNT)
		return fail(-EINVAL, error, error_size, "there is no command '%.64s'", words[0]);
	if (commands[i].argument && count < 2)
		return argument_missing(&commands[i], error, error_size);
	if (count > (commands[i].argument ? 2 : 1))
		return fail(-EINVAL, error, error_size, "%s takes no more arguments", words[0]);
	*ret_command = (enum command)i;
	return 0;
}

int command_parse(char *line, enum command *ret_command, const char **ret_argument, char *error,
		  size_t error_size)
{
	const char *words[WORD_COUNT_MAX] = { NULL };
	char *rest = line, *word;
	size_t count = 0;
	int err;

	while (count < WORD_COUNT_MAX && (word = strsep(&rest, " ")))
		if (*word)
			words[count++] = word;
	err = command_find(words, count, ret_command, error, error_size);
	if (!err)
		*ret_argument = words[1];
	return err;
}
