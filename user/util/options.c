/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/number.h"

#define ENTRIES_MAX 64

/* What getopt_long() returns: entry i as FIRST_ENTRY + i, whatever its letter. */
enum {
	FIRST_ENTRY = 256,
	HELP = FIRST_ENTRY + ENTRIES_MAX,
	VERSION,
};

static int argument_kind(const struct option_entry *entry)
{
	if (!entry->argument)
		return no_argument;
	return entry->argument[0] == '[' ? optional_argument : required_argument;
}

static void option_print(char letter, const char *name, const char *argument, const char *help)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "--%s%s%s", name,
		       argument && *argument != '[' ? "=" : "", argument ? argument : "");
	printf("  %c%c%c %-26s %s\n", letter ? '-' : ' ', letter ? letter : ' ', letter ? ',' : ' ',
	       text, help);
}

static void help_print(const struct options *options)
{
	printf("Usage: %s\n%s\n\n", options->usage, options->summary);
	for (size_t i = 0; i < options->count; i++)
		option_print(options->entries[i].letter, options->entries[i].name,
			     options->entries[i].argument, options->entries[i].help);
	option_print('V', "version", NULL, "print the version and exit");
	option_print('h', "help", NULL, "print this help and exit");
	if (options->footer)
		printf("\n%s\n", options->footer);
}

static void tables_build(const struct options *options, struct option *longs, char *shorts)
{
	if (options->operand_ends)
		*shorts++ = '+';
	for (size_t i = 0; i < options->count; i++) {
		const struct option_entry *entry = &options->entries[i];
		int kind = argument_kind(entry);

		*longs++ = (struct option){ entry->name, kind, NULL, FIRST_ENTRY + (int)i };
		if (!entry->letter)
			continue;
		*shorts++ = entry->letter;
		for (int colon = 0; colon < kind; colon++)
			*shorts++ = ':';
	}
	*longs++ = (struct option){ "help", no_argument, NULL, HELP };
	*longs++ = (struct option){ "version", no_argument, NULL, VERSION };
	*longs = (struct option){ 0 };
	memcpy(shorts, "hV", sizeof("hV"));
}

static const struct option_entry *entry_find(const struct options *options, int code)
{
	if (code >= FIRST_ENTRY)
		return &options->entries[code - FIRST_ENTRY];
	for (size_t i = 0; i < options->count; i++)
		if (options->entries[i].letter == code)
			return &options->entries[i];
	return NULL;
}

/* -1, or the exit status after misuse. text is NULL for an argument that is missing. */
static int value_set(const struct option_entry *entry, char **argv, const char *text)
{
	if (entry->flag) {
		*entry->flag = true;
	} else if (entry->value) {
		*entry->value = text ? text : "";
	} else if (entry->parse) {
		text = text ? text : "";
		if (!entry->parse(text, entry->parsed))
			return options_misuse(argv, "bad value of --%s: '%s'", entry->name, text);
	} else if (!text) {
		*entry->number = entry->minimum;
	} else if (!number_parse(text, entry->minimum, entry->maximum, entry->number)) {
		return options_misuse(argv, "bad value of --%s: '%s'; it takes %llu to %llu",
				      entry->name, text, (unsigned long long)entry->minimum,
				      (unsigned long long)entry->maximum);
	}
	return -1;
}

int options_parse(const struct options *options, int argc, char **argv, int *ret_operands)
{
	struct option longs[ENTRIES_MAX + 3];
	char shorts[3 * ENTRIES_MAX + 4];
	int code, status = -1;

	assert(options->count <= ENTRIES_MAX);
	tables_build(options, longs, shorts);
	optind = 0; /* getopt begins anew */
	while (status < 0 && (code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (code) {
		case 'h':
		case HELP: help_print(options); return options_printed(argv);
		case 'V':
		case VERSION: printf("ringway " RINGWAY_VERSION "\n"); return options_printed(argv);
		case '?': return options_misuse(argv, NULL);
		}
		status = value_set(entry_find(options, code), argv, optarg);
	}
	*ret_operands = optind;
	return status;
}

int options_printed(char **argv)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	(void)fprintf(stderr, "%s: cannot write to the standard output: %s\n", argv[0],
		      strerror(errno));
	return 1;
}

int options_misuse(char **argv, const char *format, ...)
{
	va_list args;

	if (format) {
		va_start(args, format);
		(void)fprintf(stderr, "%s: ", argv[0]);
		(void)vfprintf(stderr, format, args);
		(void)fputc('\n', stderr);
		va_end(args);
	}
	(void)fprintf(stderr, "Try '%s --help'.\n", argv[0]);
	return 2;
}
