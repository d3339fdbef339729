/* SPDX-License-Identifier: GPL-2.0-only */
/* options_test.c - command lines through one table with every kind of option. */
#include "util/options.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#define WORDS_MAX 6

static struct {
	bool flag;
	const char *text, *optional;
	uint64_t number, repeat;
	char letter;
} got;

static bool letter_parse(const char *text, void *ret_parsed)
{
	*(char *)ret_parsed = *text;
	return strlen(text) == 1;
}

static const struct option_entry entries[] = {
	{ 'f', "flag", NULL, "help", .flag = &got.flag },
	{ 't', "text", "TEXT", "help", .value = &got.text },
	{ 'o', "optional", "[=TEXT]", "help", .value = &got.optional },
	{ 'n', "number", "N", "help", .number = &got.number, .minimum = 2, .maximum = 9 },
	{ 'r', "repeat", "[=N]", "help", .number = &got.repeat, .minimum = 1, .maximum = 5 },
	{ 0, "letter", "L", "help", .parse = letter_parse, .parsed = &got.letter },
};

static const struct options options = {
	.usage = "program [OPTION]...",
	.summary = "Do it.",
	.entries = entries,
	.count = ARRAY_LEN(entries),
};

static int parse(const char *const *words, int *ret_operands)
{
	char *argv[WORDS_MAX + 2] = { (char *)"program" };
	int argc = 1;

	for (; argc <= WORDS_MAX && words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	memset(&got, 0, sizeof(got));
	return options_parse(&options, argc, argv, ret_operands);
}

static void takes_every_kind(void **state)
{
	static const char *const longs[] = { "--flag",	   "--text=a", "--optional=b",
					     "--number=9", "--repeat", "--letter=c",
					     NULL };
	static const char *const shorts[] = { "-ft", "a", "-o", "-n2", "-r5", "operand", NULL };
	int operands = 0;

	(void)state;
	assert_int_equal(parse(longs, &operands), -1);
	assert_int_equal(operands, 7);
	assert_true(got.flag);
	assert_string_equal(got.text, "a");
	assert_string_equal(got.optional, "b");
	assert_int_equal(got.number, 9);
	assert_int_equal(got.repeat, 1); /* its minimum, as there is none */
	assert_int_equal(got.letter, 'c');

	assert_int_equal(parse(shorts, &operands), -1);
	assert_int_equal(operands, 6);
	assert_true(got.flag);
	assert_string_equal(got.text, "a");
	assert_string_equal(got.optional, "");
	assert_int_equal(got.number, 2);
	assert_int_equal(got.repeat, 5);
	assert_int_equal(got.letter, 0);
}

static void ends_with_the_right_status(void **state)
{
	static const struct {
		const char *name, *words[WORDS_MAX];
		int status;
	} cases[] = {
		{ "nothing", { NULL }, -1 },
		{ "help", { "--help" }, 0 },
		{ "help, short", { "-h" }, 0 },
		{ "version", { "-V", "--number=1" }, 0 },
		{ "unknown", { "--bogus" }, 2 },
		{ "unknown, short", { "-x" }, 2 },
		{ "argument missing", { "--text" }, 2 },
		{ "argument for a flag", { "--flag=1" }, 2 },
		{ "too small", { "--number=1" }, 2 },
		{ "too large", { "--number=10" }, 2 },
		{ "no number", { "-n", "9x" }, 2 },
		{ "negative", { "--number=-3" }, 2 },
		{ "empty number", { "--repeat=" }, 2 },
		{ "out of bounds, if given", { "--repeat=0" }, 2 },
		{ "not to its parser's taste", { "--letter=ab" }, 2 },
		{ "the first mistake ends it", { "--letter=ab", "--help" }, 2 },
	};
	int operands;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		assert_int_equal(parse(cases[i].words, &operands), cases[i].status);
	}
}

static void says_when_stdout_is_full(void **state)
{
	static const char *const help[] = { "--help", NULL };
	int operands, status, saved = dup(STDOUT_FILENO);

	(void)state;
	assert_int_equal(fflush(stdout), 0);
	assert_non_null(freopen("/dev/full", "w", stdout));
	status = parse(help, &operands);
	clearerr(stdout);
	assert_true(dup2(saved, fileno(stdout)) >= 0);
	(void)close(saved);
	assert_int_equal(status, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_kind),
		cmocka_unit_test(ends_with_the_right_status),
		cmocka_unit_test(says_when_stdout_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
