/* SPDX-License-Identifier: GPL-2.0-only */
/* options.h - a program's command line as one table: parsing, --help and --version
 * all come from it. */
#ifndef RINGWAY_UTIL_OPTIONS_H
#define RINGWAY_UTIL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exactly one of flag, value, number and parse is set: an option without an argument,
 * or with one that is text, a number, or something else. */
struct option_entry {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* as shown in --help: "FILE"; in brackets: optional */
	const char *help;
	bool *flag;
	const char **value; /* an optional argument that is missing gives "" */
	uint64_t *number;   /* minimum, if an optional argument is missing */
	uint64_t minimum, maximum;
	bool (*parse)(const char *text, void *ret_parsed); /* false: misuse; "" as for value */
	void *parsed;
};

struct options {
	const char *usage; /* "ringwayd [OPTION]... -c FILE" */
	const char *summary;
	const struct option_entry *entries;
	size_t count;	    /* at most 64 */
	const char *footer; /* after the options; NULL: nothing */
	bool operand_ends;  /* what follows the first operand is for another table */
};

/* Parse argv. -1: go on, and *ret_operands is the index of the first operand.
 * Otherwise the exit status to end with: 0 after --help or --version on stdout, 2
 * after misuse, said on stderr, 1 if stdout did not take it. -h and -V are added to every
 * table. */
int options_parse(const struct options *options, int argc, char **argv, int *ret_operands);

/* For a program that ends with what it has printed: 0, or 1 when stdout did not take
 * all of it, said on stderr. */
int options_printed(char **argv);

/* A sentence about misuse to stderr, with a pointer to --help; returns 2. */
int options_misuse(char **argv, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
