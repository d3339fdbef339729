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
	COMMAND_DROPS,
	COMMAND_SERVICES,
	COMMAND_BACKENDS,
	COMMAND_LOOKUP,
	COMMAND_TRACE,
	COMMAND_RELOAD,
	COMMAND_DRAIN,
	COMMAND_UNDRAIN,
	COMMAND_FLUSH,
	COMMAND_COUNT,
};

/* What commands take by name: --cid HEX or --cid=HEX. */
enum command_option {
	COMMAND_OPTION_CID,
	COMMAND_OPTION_FROM,
	COMMAND_OPTION_VERSION,
	COMMAND_OPTION_EVERY,
	COMMAND_OPTION_LEASE,
	COMMAND_OPTION_COUNT,
};

struct command_option_info {
	const char *name, *argument;
	const char *help; /* NULL: for programs, not for people */
};

struct command_info {
	const char *name;
	const char *argument; /* what it takes: one word; NULL: nothing */
	const char *help;
	bool is_question;     /* changes nothing, so it may be asked again and again */
	unsigned int options; /* a bit for each command_option it takes */
};

extern const struct command_info commands[COMMAND_COUNT];
extern const struct command_option_info command_options[COMMAND_OPTION_COUNT];

/* A command with what it was given. The text is the caller's. */
struct command_words {
	enum command command;
	const char *argument;			   /* NULL: it takes none */
	const char *options[COMMAND_OPTION_COUNT]; /* NULL: not given */
};

static inline bool command_takes(enum command command, enum command_option option)
{
	return commands[command].options >> option & 1;
}

/* name NULL: there is none. As command_find(). */
int command_name_find(const char *name, enum command *ret_command, char *error, size_t error_size);

/* Understand count words: the command's name, then what it takes, in any order. 0;
 * or -EINVAL, *ret_words untouched, and a sentence in error[]. */
int command_find(const char *const *words, size_t count, struct command_words *ret_words,
		 char *error, size_t error_size);

/* The same for a line, which is cut into words where there are spaces. */
int command_parse(char *line, struct command_words *ret_words, char *error, size_t error_size);

/* The other way round. 0, or -EMSGSIZE if line[] is too small. */
int command_format(const struct command_words *words, char *line, size_t line_size);

#endif
