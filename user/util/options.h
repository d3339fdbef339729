/* SPDX-License-Identifier: GPL-2.0-only */
/* options.h - a program's command line as one table: parsing, --help and --version
 * all come from it. */
#ifndef RINGWAY_UTIL_OPTIONS_H
#define RINGWAY_UTIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exactly one of flag and value is set: an option without or with an argument. */
struct option_entry {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* as shown in --help: "FILE"; in brackets: optional */
	const char *help;
	bool *flag;
	const char **value; /* an optional argument that is missing gives "" */
};

struct options {
	const char *usage; /* "ringwayd [OPTION]... -c FILE" */
	const char *summary;
	const struct option_entry *entries;
	size_t count;	    /* at most 32 */
	const char *footer; /* after the options; NULL: nothing */
	bool operand_ends;  /* what follows the first operand is for another table */
};

/* Parse argv. -1: go on, and *ret_operands is the index of the first operand.
 * Otherwise the exit status to end with: 0 after --help or --version on stdout, 2
 * after misuse, said on stderr. -h and -V are added to every table; an entry that has
 * the name of a later one takes its place. May be called again, for another table. */
int options_parse(const struct options *options, int argc, char **argv, int *ret_operands);

/* A sentence about misuse to stderr, with a pointer to --help; returns 2. */
int options_misuse(char **argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
