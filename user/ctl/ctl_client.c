/* SPDX-License-Identifier: GPL-2.0-only */
#include "ctl/ctl_client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ringway/limits.h"
#include "util/number.h"

static int connect_failure(int err, const char *path, char *error, size_t error_size)
{
	switch (err) {
	case -ENOENT:
		return fail(err, error, error_size,
			    "ringwayd is not running: there is no socket %s; start it with "
			    "`ringwayd -c FILE`, or name its control_socket with -s",
			    path);
	case -ECONNREFUSED:
		return fail(err, error, error_size,
			    "ringwayd is not running: nobody listens on %s; start it with "
			    "`ringwayd -c FILE`, or name its control_socket with -s",
			    path);
	case -EACCES:
		return fail(err, error, error_size,
			    "no permission to use %s: run ringwayctl as the user that ringwayd "
			    "runs as, usually root",
			    path);
	case -EAGAIN:
		return fail(-ETIMEDOUT, error, error_size,
			    "ringwayd does not take connections on %s; does it hang?", path);
	default:
		return fail(err, error, error_size, "cannot connect to %s: %s", path,
			    strerror(-err));
	}
}

/* The connected socket, or a negative errno. */
static int client_open(const char *path)
{
	const struct timeval patience = { .tv_sec = CONTROL_CLIENT_TIME_MAX_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The send timeout bounds connect() too, where the daemon's backlog is full. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err = errno;
	(void)close(fd);
	return -err;
}

/* The command and its newline. */
static int command_send(int fd, const char *command)
{
	char line[CONTROL_LINE_SIZE_MAX_BYTES];
	size_t len = strlen(command);

	if (len >= sizeof(line))
		return -EMSGSIZE;
	memcpy(line, command, len);
	line[len] = '\n';
	/* A line fits into the buffer of a socket that nothing was sent to before. */
	if (send(fd, line, len + 1, MSG_NOSIGNAL) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

/* Where an answer comes from; how its reading ended. */
struct source {
	int fd;
	size_t size; /* bytes read */
	int err;
};

static size_t source_read(void *buffer, size_t size, void *arg)
{
	struct source *source = arg;
	ssize_t got;

	do /* a signal is to end what goes on, not this talk */
		got = recv(source->fd, buffer, size, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		source->err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	else if ((source->size += (size_t)got) > CONTROL_ANSWER_SIZE_MAX_BYTES)
		source->err = -EFBIG;
	return source->err ? (size_t)-1 : (size_t)got;
}

static int talk_failure(int err, const char *path, char *error, size_t error_size)
{
	if (err == -ETIMEDOUT)
		return fail(err, error, error_size,
			    "ringwayd does not answer on %s within %d s; does it hang?", path,
			    CONTROL_CLIENT_TIME_MAX_S);
	return fail(err, error, error_size, "cannot talk to ringwayd on %s: %s", path,
		    strerror(-err));
}

static int answer_read(int fd, const char *path, json_t **ret_answer, char *error,
		       size_t error_size)
{
	struct source source = { .fd = fd };
	json_error_t reason;
	json_t *answer = json_load_callback(source_read, &source, 0, &reason);
	const char *refusal = json_string_value(json_object_get(answer, "error"));

	if (source.err) {
		json_decref(answer);
		return talk_failure(source.err, path, error, error_size);
	}
	if (!answer)
		return fail(-EPROTO, error, error_size,
			    "what answers on %s is not ringwayd, or of another version: %s", path,
			    reason.text);
	if (refusal) {
		(void)fail(-EREMOTEIO, error, error_size, "ringwayd refuses: %s", refusal);
		json_decref(answer);
		return -EREMOTEIO;
	}
	*ret_answer = answer;
	return 0;
}

int ctl_client_ask(const char *path, const char *command, json_t **ret_answer, char *error,
		   size_t error_size)
{
	int fd = client_open(path), err;

	if (fd < 0)
		return connect_failure(fd, path, error, error_size);
	err = command_send(fd, command);
	if (err)
		(void)talk_failure(err, path, error, error_size);
	else
		err = answer_read(fd, path, ret_answer, error, error_size);
	(void)close(fd);
	return err;
}
