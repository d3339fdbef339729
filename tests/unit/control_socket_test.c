/* SPDX-License-Identifier: GPL-2.0-only */
/* control_socket_test.c - real UNIX sockets, one thread: the test is both ends. */
#include "control/control_socket.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ringway/limits.h"

#define WAIT_MAX_MS	  5000
#define BIG_ANSWER_BYTES  (1 << 20)
#define SEQUENTIAL_COUNT  2000
#define ECHO_ANSWER(text) "{\"asked\":\"" text "\"}\n"

struct fixture {
	char directory[64];
	char path[96];
	char error[256];
	struct control_socket *server;
	unsigned int asked;
};

static json_t *answer(void *arg, const char *command)
{
	struct fixture *fixture = arg;

	fixture->asked++;
	if (strcmp(command, "big") == 0) {
		char *text = malloc(BIG_ANSWER_BYTES + 1);
		json_t *big;

		assert_non_null(text);
		memset(text, 'x', BIG_ANSWER_BYTES);
		text[BIG_ANSWER_BYTES] = '\0';
		big = json_pack("{ss}", "big", text);
		free(text);
		return big;
	}
	if (strcmp(command, "hang up") == 0)
		return NULL;
	return json_pack("{ss}", "asked", command);
}

static int open_at(struct fixture *fixture, const char *path)
{
	return control_socket_open(path, answer, fixture, &fixture->server, fixture->error,
				   sizeof(fixture->error));
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	(void)strcpy(fixture->directory, "/tmp/ringway_control_XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	/* In a directory that is not there yet. */
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/run/control.sock",
		       fixture->directory);
	assert_int_equal(open_at(fixture, fixture->path), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	control_socket_close(fixture->server);
	(void)unlink(fixture->path);
	*strrchr(fixture->path, '/') = '\0';
	assert_int_equal(rmdir(fixture->path), 0);
	assert_int_equal(rmdir(fixture->directory), 0);
	free(fixture);
	return 0;
}

static void address_of(const char *path, struct sockaddr_un *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	(void)strcpy(ret_address->sun_path, path);
}

/* A listening socket that nobody knows of. */
static int bind_foreign(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	address_of(path, &address);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int client_connect(const struct fixture *fixture)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	address_of(fixture->path, &address);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void client_send(int fd, const void *bytes, size_t size)
{
	assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

/* Serve until there is nothing left to do at once. */
static void serve(struct fixture *fixture)
{
	struct pollfd pollfd = { .fd = control_socket_fd(fixture->server), .events = POLLIN };

	for (int rounds = 0; poll(&pollfd, 1, 0) > 0; rounds++) {
		assert_true(rounds < 1000); /* else the loop that drives it would spin */
		control_socket_serve(fixture->server);
	}
}

/* Everything up to the end of the stream; the caller frees it. */
static char *client_read(struct fixture *fixture, int fd, size_t piece_size, size_t *ret_size)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	size_t room = 2 * BIG_ANSWER_BYTES, size = 0;
	char *bytes = malloc(room);
	ssize_t got;

	assert_non_null(bytes);
	do {
		serve(fixture);
		assert_int_equal(poll(&pollfd, 1, WAIT_MAX_MS), 1);
		assert_true(size + piece_size < room);
		got = recv(fd, bytes + size, piece_size, 0);
		assert_true(got >= 0);
		size += (size_t)got;
	} while (got > 0);
	bytes[size] = '\0';
	*ret_size = size;
	return bytes;
}

static void assert_answer(struct fixture *fixture, int fd, const char *want)
{
	size_t size;
	char *bytes = client_read(fixture, fd, 4096, &size);

	assert_string_equal(bytes, want);
	free(bytes);
	(void)close(fd);
}

static bool is_cut_off(int fd)
{
	char byte;

	return recv(fd, &byte, 1, 0) == 0;
}

static void answers_one_line_then_ends(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);

	client_send(fd, "status\n", 7);
	assert_answer(fixture, fd, ECHO_ANSWER("status"));
	assert_int_equal(fixture->asked, 1);
}

static void only_the_owner_may_connect(void **state)
{
	struct fixture *fixture = *state;
	struct stat file;

	assert_int_equal(stat(fixture->path, &file), 0);
	assert_int_equal(file.st_mode, S_IFSOCK | 0600);
	*strrchr(fixture->path, '/') = '\0';
	assert_int_equal(stat(fixture->path, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0755);
	fixture->path[strlen(fixture->path)] = '/';
}

static void command_may_come_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);

	for (const char *c = "stats\n"; *c; c++) {
		serve(fixture);
		assert_int_equal(fixture->asked, 0);
		client_send(fd, c, 1);
	}
	assert_answer(fixture, fd, ECHO_ANSWER("stats"));
}

static void what_follows_the_line_is_ignored(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);

	client_send(fd, "one\ntwo\n", 8);
	assert_answer(fixture, fd, ECHO_ANSWER("one"));
	assert_int_equal(fixture->asked, 1);
}

static void line_may_fill_the_limit(void **state)
{
	struct fixture *fixture = *state;
	char line[CONTROL_LINE_SIZE_MAX_BYTES], want[CONTROL_LINE_SIZE_MAX_BYTES + 16];
	int fd = client_connect(fixture);

	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	client_send(fd, line, sizeof(line));
	(void)snprintf(want, sizeof(want), "{\"asked\":\"%.*s\"}\n", (int)sizeof(line) - 1, line);
	assert_answer(fixture, fd, want);
}

static void longer_line_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char line[CONTROL_LINE_SIZE_MAX_BYTES];
	int fd = client_connect(fixture);

	memset(line, 'a', sizeof(line));
	client_send(fd, line, sizeof(line));
	assert_answer(fixture, fd, "{\"error\":\"the command line is too long\"}\n");
	assert_int_equal(fixture->asked, 0);
}

static void no_answer_hangs_up(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);

	client_send(fd, "hang up\n", 8);
	assert_answer(fixture, fd, "");
}

static void silent_client_is_cut_off(void **state)
{
	struct fixture *fixture = *state;
	int silent = client_connect(fixture), halfway = client_connect(fixture), late;

	client_send(halfway, "sta", 3);
	serve(fixture);
	for (int tick = 0; tick < CONTROL_CLIENT_TIME_MAX_S; tick++) {
		control_socket_tick(fixture->server);
		assert_false(is_cut_off(silent));
		assert_false(is_cut_off(halfway));
	}
	late = client_connect(fixture);
	serve(fixture);
	control_socket_tick(fixture->server);
	assert_true(is_cut_off(silent));
	assert_true(is_cut_off(halfway));
	assert_false(is_cut_off(late)); /* its own time counts */
	client_send(late, "stats\n", 6);
	assert_answer(fixture, late, ECHO_ANSWER("stats"));
	(void)close(silent);
	(void)close(halfway);
}

static void client_that_does_not_read_is_cut_off(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);
	char *bytes;
	size_t size;

	client_send(fd, "big\n", 4);
	serve(fixture);
	for (int tick = 0; tick <= CONTROL_CLIENT_TIME_MAX_S; tick++)
		control_socket_tick(fixture->server);
	bytes = client_read(fixture, fd, 65536, &size);
	assert_in_range(size, 1, BIG_ANSWER_BYTES - 1); /* what lay in the socket's buffers */
	free(bytes);
	(void)close(fd);
}

static void seventeenth_client_waits(void **state)
{
	struct fixture *fixture = *state;
	int fds[CONTROL_CLIENT_COUNT_MAX], next;

	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++) {
		fds[i] = client_connect(fixture);
		serve(fixture);
	}
	next = client_connect(fixture);
	client_send(next, "next\n", 5);
	serve(fixture); /* bounded there: does not spin either */
	assert_int_equal(fixture->asked, 0);
	assert_false(is_cut_off(next));

	client_send(fds[3], "leave\n", 6);
	assert_answer(fixture, fds[3], ECHO_ANSWER("leave"));
	assert_answer(fixture, next, ECHO_ANSWER("next"));
	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++)
		if (i != 3)
			(void)close(fds[i]);
}

/* A SIGPIPE would end the test. */
static void client_may_leave_at_any_time(void **state)
{
	struct fixture *fixture = *state;
	int at_once, asking, reading;
	char bytes[100];

	for (int i = 0; i < 2 * CONTROL_CLIENT_COUNT_MAX; i++) { /* a leaked place would show */
		at_once = client_connect(fixture);
		(void)close(at_once);
		asking = client_connect(fixture);
		client_send(asking, "big\n", 4);
		(void)close(asking);
		serve(fixture);

		reading = client_connect(fixture);
		client_send(reading, "big\n", 4);
		serve(fixture);
		assert_int_equal(recv(reading, bytes, sizeof(bytes), 0), sizeof(bytes));
		(void)close(reading);
		serve(fixture);
	}
	at_once = client_connect(fixture);
	client_send(at_once, "still there?\n", 13);
	assert_answer(fixture, at_once, ECHO_ANSWER("still there?"));
}

static void many_clients_in_turn(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < SEQUENTIAL_COUNT; i++) {
		int fd = client_connect(fixture);
		char line[32], want[64];
		int len = snprintf(line, sizeof(line), "command %d\n", i);

		client_send(fd, line, (size_t)len);
		(void)snprintf(want, sizeof(want), "{\"asked\":\"command %d\"}\n", i);
		assert_answer(fixture, fd, want);
	}
	assert_int_equal(fixture->asked, SEQUENTIAL_COUNT);
}

static void slow_reader_gets_a_large_answer_whole(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture);
	const size_t framing = strlen("{\"big\":\"\"}\n");
	char *bytes;
	size_t size;

	client_send(fd, "big\n", 4);
	bytes = client_read(fixture, fd, 1000, &size);
	assert_int_equal(size, BIG_ANSWER_BYTES + framing);
	assert_memory_equal(bytes, "{\"big\":\"", 8);
	assert_memory_equal(bytes + 8 + BIG_ANSWER_BYTES, "\"}\n", 3);
	for (size_t i = 0; i < BIG_ANSWER_BYTES; i++)
		assert_int_equal(bytes[8 + i], 'x');
	free(bytes);
	(void)close(fd);
}

static void served_socket_is_not_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct control_socket *second = NULL;
	char error[256];

	assert_int_equal(
		control_socket_open(fixture->path, answer, NULL, &second, error, sizeof(error)),
		-EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(error, fixture->path));
	assert_non_null(strstr(error, "another ringwayd runs"));
	assert_int_equal(access(fixture->path, F_OK), 0);
	serve(fixture); /* who only knocked does no harm */
	control_socket_close(fixture->server);
	assert_int_equal(access(fixture->path, F_OK), -1);
	fixture->server = NULL;
}

static void stale_socket_is_replaced(void **state)
{
	struct fixture *fixture = *state;

	control_socket_close(fixture->server);
	fixture->server = NULL;
	(void)close(bind_foreign(fixture->path));
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(open_at(fixture, fixture->path), 0);
	answers_one_line_then_ends(state);
}

static void somebody_elses_file_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	int foreign;

	/* It took our place while we served. */
	assert_int_equal(unlink(fixture->path), 0);
	foreign = bind_foreign(fixture->path);
	control_socket_close(fixture->server);
	fixture->server = NULL;
	assert_int_equal(access(fixture->path, F_OK), 0);
	(void)close(foreign);
	assert_int_equal(unlink(fixture->path), 0);

	/* It was there before us, and is no socket. */
	assert_int_equal(mkdir(fixture->path, 0755), 0);
	assert_int_equal(open_at(fixture, fixture->path), -EEXIST);
	assert_non_null(strstr(fixture->error, "is no socket"));
	assert_int_equal(rmdir(fixture->path), 0);
}

static void impossible_paths_are_explained(void **state)
{
	char too_long[120];
	const struct {
		const char *name, *path;
		int want;
		const char *want_in_error;
	} cases[] = {
		{ "empty", "", -EINVAL, "must have 1 to 107" },
		{ "too long", too_long, -ENAMETOOLONG, "must have 1 to 107" },
		{ "no grandparent", "/tmp/ringway_nothing_here/run/control.sock", -ENOENT,
		  "cannot make the directory /tmp/ringway_nothing_here/run" },
		{ "below a file", "/proc/version/control.sock", -ENOTDIR, "/proc/version" },
	};

	(void)state;
	memset(too_long, 'a', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct control_socket *server = NULL;
		char error[256] = "";

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(control_socket_open(cases[i].path, answer, NULL, &server, error,
						     sizeof(error)),
				 cases[i].want);
		assert_null(server);
		assert_non_null(strstr(error, cases[i].want_in_error));
	}
	control_socket_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
		WITH_SERVER(answers_one_line_then_ends),
		WITH_SERVER(only_the_owner_may_connect),
		WITH_SERVER(command_may_come_in_pieces),
		WITH_SERVER(what_follows_the_line_is_ignored),
		WITH_SERVER(line_may_fill_the_limit),
		WITH_SERVER(longer_line_is_refused),
		WITH_SERVER(no_answer_hangs_up),
		WITH_SERVER(silent_client_is_cut_off),
		WITH_SERVER(client_that_does_not_read_is_cut_off),
		WITH_SERVER(seventeenth_client_waits),
		WITH_SERVER(client_may_leave_at_any_time),
		WITH_SERVER(many_clients_in_turn),
		WITH_SERVER(slow_reader_gets_a_large_answer_whole),
		WITH_SERVER(served_socket_is_not_replaced),
		WITH_SERVER(stale_socket_is_replaced),
		WITH_SERVER(somebody_elses_file_is_left_alone),
		cmocka_unit_test(impossible_paths_are_explained),
	};

	/* What mode 0755 becomes does not depend on who runs the test. */
	(void)umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
