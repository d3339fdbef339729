/* SPDX-License-Identifier: GPL-2.0-only */
/* command.h - what can be asked of a running ringwayd: one table, for the daemon that
 * answers and for ringwayctl's usage. Pure. Any thread. */
#ifndef RINGWAY_CONTROL_COMMAND_H
#define RINGWAY_CONTROL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum command {
	COMMAND_STATUS,
	COMMAND_STATS,
	COMMAND_SERVICES,
	COMMAND_BACKENDS,
	COMMAND_RELOAD,
	COMMAND_DRAIN,
	COMMAND_UNDRAIN,
	COMMAND_FLUSH,
	COMMAND_COUNT,
};

struct command_info {
	const char *name;
	const char *argument; /* what it takes: one word; NULL: nothing */
	const char *help;
	bool is_question; /* changes nothing, so it may be asked again and again */
};

extern const struct command_info commands[COMMAND_COUNT];

/* Find the command of words, count of them: its name, then what it takes. 0; or
 * -EINVAL and a sentence in error[]. */
int command_find(const char *const *words, size_t count, enum command *ret_command, char *error,
		 size_t error_size);

/* The same for a line, which is cut into words where there are spaces. *ret_argument
 * is in it, or NULL. */
int command_parse(char *line, enum command *ret_command, const char **ret_argument, char *error,
		  size_t error_size);

#endif
