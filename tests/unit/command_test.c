/* SPDX-License-Identifier: GPL-2.0-only */
/* command_test.c - lines of the control socket, and what is wrong with them. */
#include "control/command.h"

#include <errno.h>
#include <string.h>

#include "test.h"

/* The words put together again: in the order of the table, with single spaces. */
static void lines_are_understood_or_refused(void **state)
{
	static const struct {
		const char *line;
		int command;	  /* -1: refused */
		const char *text; /* as it is put together, or the refusal */
	} cases[] = {
		{ "status", COMMAND_STATUS, "status" },
		{ "stats", COMMAND_STATS, "stats" },
		{ "drops", COMMAND_DROPS, "drops" },
		{ " backends  ", COMMAND_BACKENDS, "backends" },
		{ "reload", COMMAND_RELOAD, "reload" },
		{ "drain web/b1", COMMAND_DRAIN, "drain web/b1" },
		{ "undrain   web/b1 ", COMMAND_UNDRAIN, "undrain web/b1" },
		{ "flush x", COMMAND_FLUSH, "flush x" },
		{ "lookup web", COMMAND_LOOKUP, "lookup web" },
		{ "lookup --cid 07ab web", COMMAND_LOOKUP, "lookup web --cid 07ab" },
		{ "lookup web --version 1 --from=[::1]:1 --cid=07ab", COMMAND_LOOKUP,
		  "lookup web --cid 07ab --from [::1]:1 --version 1" },
		{ "lookup web --cid --from", COMMAND_LOOKUP, "lookup web --cid --from" },
		{ "trace --every 10000 --lease 7", COMMAND_TRACE, "trace --every 10000 --lease 7" },
		{ "trace --cid 1 --cid 2", COMMAND_TRACE, "trace --cid 2" },
		{ "", -1, "no command is given" },
		{ "   ", -1, "no command is given" },
		{ "stat", -1, "there is no command 'stat'" },
		{ "statsx", -1, "there is no command 'statsx'" },
		{ "Status", -1, "there is no command 'Status'" },
		{ "\xff", -1, "there is no command '\xff'" },
		{ "status now", -1, "status takes no more arguments" },
		{ "drain", -1, "drain takes an argument: SERVICE/BACKEND" },
		{ "drain web b1", -1, "drain takes no more arguments" },
		{ "drain a b c d e f", -1, "drain takes no more arguments" },
		{ "lookup --cid 07", -1, "lookup takes an argument: SERVICE" },
		{ "lookup web --cid", -1, "--cid takes an argument: HEX" },
		{ "lookup web --every 7", -1, "lookup takes no option '--every'" },
		{ "lookup web --ci 07", -1, "lookup takes no option '--ci'" },
		{ "lookup web --cidx 07", -1, "lookup takes no option '--cidx'" },
		{ "stats --", -1, "stats takes no option '--'" },
		{ "trace 7", -1, "trace takes no more arguments" },
		{ "trace --cid 1 --cid 2 --cid 3 --cid 4 --cid 5 --cid 6 --cid 7 x", -1,
		  "no command takes so many arguments" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command_words words = { .command = COMMAND_COUNT };
		char line[128], again[128], error[128] = "";
		int err;

		print_message("case: \"%s\"\n", cases[i].line);
		strcpy(line, cases[i].line);
		err = command_parse(line, &words, error, sizeof(error));
		if (cases[i].command < 0) {
			assert_int_equal(err, -EINVAL);
			assert_string_equal(error, cases[i].text);
			assert_int_equal(words.command, COMMAND_COUNT);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(words.command, cases[i].command);
		assert_int_equal(command_format(&words, again, sizeof(again)), 0);
		assert_string_equal(again, cases[i].text);
	}
}

static void a_line_may_be_too_small(void **state)
{
	const struct command_words words = { .command = COMMAND_DRAIN, .argument = "web/b1" };
	char line[sizeof("drain web/b1")];

	(void)state;
	assert_int_equal(command_format(&words, line, sizeof(line)), 0);
	assert_int_equal(command_format(&words, line, sizeof(line) - 1), -EMSGSIZE);
}

static void every_command_is_described(void **state)
{
	(void)state;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		assert_non_null(commands[i].name);
		assert_non_null(commands[i].help);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(commands[i].name, commands[j].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_understood_or_refused),
		cmocka_unit_test(a_line_may_be_too_small),
		cmocka_unit_test(every_command_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
