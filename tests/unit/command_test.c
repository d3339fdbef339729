/* SPDX-License-Identifier: GPL-2.0-only */
/* command_test.c - lines of the control socket, and what is wrong with them. */
#include "control/command.h"

#include <errno.h>
#include <string.h>

#include "test.h"

static void lines_are_understood_or_refused(void **state)
{
	static const struct {
		const char *line;
		int command;	  /* -1: refused */
		const char *text; /* the argument, or the refusal */
	} cases[] = {
		{ "status", COMMAND_STATUS, NULL },
		{ "stats", COMMAND_STATS, NULL },
		{ " backends  ", COMMAND_BACKENDS, NULL },
		{ "reload", COMMAND_RELOAD, NULL },
		{ "drain web/b1", COMMAND_DRAIN, "web/b1" },
		{ "undrain   web/b1 ", COMMAND_UNDRAIN, "web/b1" },
		{ "flush x", COMMAND_FLUSH, "x" },
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
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *argument = "untouched";
		enum command command = COMMAND_COUNT;
		char line[64], error[128] = "";
		int err;

		print_message("case: \"%s\"\n", cases[i].line);
		strcpy(line, cases[i].line);
		err = command_parse(line, &command, &argument, error, sizeof(error));
		if (cases[i].command < 0) {
			assert_int_equal(err, -EINVAL);
			assert_string_equal(error, cases[i].text);
			assert_string_equal(argument, "untouched");
			assert_int_equal(command, COMMAND_COUNT);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(command, cases[i].command);
		if (cases[i].text)
			assert_string_equal(argument, cases[i].text);
		else
			assert_null(argument);
	}
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
		cmocka_unit_test(every_command_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
