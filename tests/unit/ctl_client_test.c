/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_client_test.c - a server in a thread that says exactly what the case wants. */
#include "ctl/ctl_client.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ringway/limits.h"

struct server {
	char path[64];
	int listener;
	const char *answer;
	size_t answer_count; /* how often it is sent */
	char asked[64];
};

static int set_up(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct server *server = calloc(1, sizeof(*server));

	assert_non_null(server);
	(void)snprintf(server->path, sizeof(server->path), "/tmp/ringway_client_%d.sock", getpid());
	(void)strcpy(address.sun_path, server->path);
	(void)unlink(server->path);
	server->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server->listener, 1), 0);
	*state = server;
	return 0;
}

static int tear_down(void **state)
{
	struct server *server = *state;

	(void)close(server->listener);
	(void)unlink(server->path);
	free(server);
	return 0;
}

static void *serve_once(void *arg)
{
	struct server *server = arg;
	int fd = accept(server->listener, NULL, NULL);
	ssize_t got = recv(fd, server->asked, sizeof(server->asked) - 1, 0);

	server->asked[got > 0 ? got : 0] = '\0';
	for (size_t i = 0; i < server->answer_count; i++)
		if (send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL) < 0)
			break;
	(void)close(fd);
	return NULL;
}

static int ask(struct server *server, const char *answer, size_t answer_count, json_t **ret_json,
	       char *error, size_t error_size)
{
	pthread_t thread;
	int err;

	server->answer = answer;
	server->answer_count = answer_count;
	assert_int_equal(pthread_create(&thread, NULL, serve_once, server), 0);
	err = ctl_client_ask(server->path, "stats", ret_json, error, error_size);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return err;
}

static void gives_the_answer(void **state)
{
	struct server *server = *state;
	json_t *answer = NULL;
	char error[512] = "";

	assert_int_equal(ask(server, "{\"workers\":[1,2]}\n", 1, &answer, error, sizeof(error)), 0);
	assert_string_equal(server->asked, "stats\n");
	assert_int_equal(json_array_size(json_object_get(answer, "workers")), 2);
	assert_string_equal(error, "");
	json_decref(answer);
}

static void explains_a_bad_answer(void **state)
{
	static const struct {
		const char *name, *answer;
		size_t count;
		int want;
		const char *want_in_error;
	} cases[] = {
		{ "refusal", "{\"error\":\"no such thing\"}\n", 1, -EREMOTEIO,
		  "ringwayd refuses: no such thing" },
		{ "none", "", 1, -EPROTO, "is not ringwayd" },
		{ "half", "{\"workers\":[1,", 1, -EPROTO, "is not ringwayd" },
		{ "not JSON", "220 mail.example.com ESMTP\r\n", 1, -EPROTO, "is not ringwayd" },
		{ "two", "{}{}", 1, -EPROTO, "is not ringwayd" },
		{ "endless", "                                                                ",
		  CONTROL_ANSWER_SIZE_MAX_BYTES / 64 + 4096, -EFBIG, "File too large" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *answer = NULL;
		char error[512] = "";

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(
			ask(*state, cases[i].answer, cases[i].count, &answer, error, sizeof(error)),
			cases[i].want);
		assert_null(answer);
		assert_non_null(strstr(error, cases[i].want_in_error));
	}
}

static void explains_that_nobody_is_there(void **state)
{
	struct server *server = *state;
	json_t *answer = NULL;
	char error[512], too_long[200];

	(void)close(server->listener); /* the file stays, as after a crash */
	assert_int_equal(ctl_client_ask(server->path, "stats", &answer, error, sizeof(error)),
			 -ECONNREFUSED);
	assert_non_null(strstr(error, "ringwayd is not running"));
	assert_non_null(strstr(error, server->path));

	assert_int_equal(unlink(server->path), 0);
	assert_int_equal(ctl_client_ask(server->path, "stats", &answer, error, sizeof(error)),
			 -ENOENT);
	assert_non_null(strstr(error, "ringwayd is not running"));
	assert_non_null(strstr(error, "start it with `ringwayd -c FILE`"));

	memset(too_long, 'a', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(ctl_client_ask(too_long, "stats", &answer, error, sizeof(error)),
			 -ENAMETOOLONG);
	assert_null(answer);
	server->listener = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gives_the_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(explains_a_bad_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(explains_that_nobody_is_there, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
