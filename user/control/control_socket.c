/* SPDX-License-Identifier: GPL-2.0-only */
/* control_socket.c - listener and clients, behind one inner epoll instance.
 *
 * Knows nothing of what is asked: commands and answers pass through. */
#include "control/control_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ringway/limits.h"
#include "util/number.h"

struct client {
	int fd;		    /* -1: this place is free */
	unsigned int ticks; /* seen since it was accepted */
	char line[CONTROL_LINE_SIZE_MAX_BYTES];
	size_t line_len;
	char *answer; /* NULL: still reading the command */
	size_t answer_len, answer_sent;
};

struct control_socket {
	struct sockaddr_un address;
	dev_t device; /* of the file we bound, to know it again */
	ino_t inode;
	bool is_bound;
	int listener, epoll;
	control_socket_fn *answer;
	void *arg;
	struct client clients[CONTROL_CLIENT_COUNT_MAX];
};

/* Stopping is what makes the 17th client wait in the backlog, and what keeps a
 * level-triggered listener from spinning while accept() cannot succeed. */
static void listen_for_clients(struct control_socket *control, bool listen_now)
{
	struct epoll_event event = { .events = listen_now ? EPOLLIN : 0 };

	(void)epoll_ctl(control->epoll, EPOLL_CTL_MOD, control->listener, &event);
}

static void client_close(struct control_socket *control, struct client *client)
{
	(void)close(client->fd); /* leaves the epoll set with it */
	free(client->answer);
	client->fd = -1;
	client->answer = NULL;
	listen_for_clients(control, true);
}

static void client_write(struct control_socket *control, struct client *client)
{
	while (client->answer_sent < client->answer_len) {
		ssize_t sent = send(client->fd, client->answer + client->answer_sent,
				    client->answer_len - client->answer_sent, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0)
			break; /* it has left */
		client->answer_sent += (size_t)sent;
	}
	client_close(control, client);
}

/* Takes the answer, and turns the client from reading to writing. */
static void client_answer(struct control_socket *control, struct client *client, json_t *answer)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = client };

	client->answer = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	json_decref(answer);
	if (!client->answer || epoll_ctl(control->epoll, EPOLL_CTL_MOD, client->fd, &event)) {
		client_close(control, client);
		return;
	}
	client->answer_len = strlen(client->answer);
	client->answer[client->answer_len++] = '\n'; /* in place of the terminator */
	client->answer_sent = 0;
	client_write(control, client);
}

/* One read a call: what is left over makes the socket readable again. */
static void client_read(struct control_socket *control, struct client *client)
{
	ssize_t got = recv(client->fd, client->line + client->line_len,
			   sizeof(client->line) - client->line_len, 0);
	char *newline;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		client_close(control, client);
		return;
	}
	newline = memchr(client->line + client->line_len, '\n', (size_t)got);
	client->line_len += (size_t)got;
	if (newline) {
		*newline = '\0';
		client_answer(control, client, control->answer(control->arg, client->line));
	} else if (client->line_len == sizeof(client->line)) {
		client_answer(control, client,
			      json_pack("{ss}", "error", "the command line is too long"));
	}
}

static struct client *client_place(struct control_socket *control)
{
	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static void accept_client(struct control_socket *control)
{
	struct client *client = client_place(control);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
	int fd;

	if (!client) {
		listen_for_clients(control, false);
		return;
	}
	fd = accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* Out of descriptors, say: the next tick tries again. */
		if (errno != EAGAIN)
			listen_for_clients(control, false);
		return;
	}
	if (epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event)) {
		(void)close(fd);
		return;
	}
	client->fd = fd;
	client->ticks = 0;
	client->line_len = 0;
}

int control_socket_fd(const struct control_socket *control)
{
	return control->epoll;
}

void control_socket_serve(struct control_socket *control)
{
	struct epoll_event events[CONTROL_CLIENT_COUNT_MAX + 1];
	int count = epoll_wait(control->epoll, events, CONTROL_CLIENT_COUNT_MAX + 1, 0);

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;

		if (!client)
			accept_client(control);
		else if (client->answer)
			client_write(control, client);
		else
			client_read(control, client);
	}
}

void control_socket_tick(struct control_socket *control)
{
	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0 && ++client->ticks > CONTROL_CLIENT_TIME_MAX_S)
			client_close(control, client);
	}
	listen_for_clients(control, true);
}

static int directory_make(const char *path, char *error, size_t error_size)
{
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;

	(void)strcpy(directory, path); /* address_set() has measured it */
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return 0;
	*slash = '\0';
	if (mkdir(directory, 0755) && errno != EEXIST)
		return fail(-errno, error, error_size,
			    "cannot make the directory %s for the control socket: %s", directory,
			    strerror(errno));
	return 0;
}

/* 0, or the negative errno of connecting. */
static int connect_once(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
	(void)close(fd);
	return err;
}

/* Only a connection tells a served socket from one whose server has died. */
static int stale_file_remove(const struct sockaddr_un *address, char *error, size_t error_size)
{
	const char *path = address->sun_path;
	struct stat file;
	int err;

	if (lstat(path, &file) == 0) {
		if (!S_ISSOCK(file.st_mode))
			return fail(-EEXIST, error, error_size,
				    "cannot make the control socket: %s exists and is no socket; "
				    "remove it, or set another control_socket",
				    path);
		err = connect_once(address);
		/* EAGAIN: served, but its backlog is full. */
		if (!err || err == -EAGAIN)
			return fail(-EADDRINUSE, error, error_size,
				    "the control socket %s is in use: another ringwayd runs; stop "
				    "it, or set another control_socket",
				    path);
		if (err != -ECONNREFUSED)
			return fail(err, error, error_size,
				    "cannot tell whether the control socket %s is in use: %s", path,
				    strerror(-err));
	}
	if (unlink(path) && errno != ENOENT)
		return fail(-errno, error, error_size,
			    "cannot replace the stale control socket %s: %s", path,
			    strerror(errno));
	return 0;
}

static int address_set(struct sockaddr_un *address, const char *path, char *error,
		       size_t error_size)
{
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(address->sun_path))
		return fail(len ? -ENAMETOOLONG : -EINVAL, error, error_size,
			    "the path of the control socket has %zu bytes; it must have 1 to %zu: "
			    "\"%s\"",
			    len, sizeof(address->sun_path) - 1, path);
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, path, len + 1);
	return 0;
}

static int listener_open(struct control_socket *control, char *error, size_t error_size)
{
	const struct sockaddr *address = (const struct sockaddr *)&control->address;
	const char *path = control->address.sun_path;
	struct stat file;

	control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (control->listener < 0)
		return fail(-errno, error, error_size, "cannot open a UNIX socket: %s",
			    strerror(errno));
	/* Before bind(), which gives the file this mode: no moment with a wider one,
	 * and no umask() to change under other threads. */
	if (fchmod(control->listener, 0600) ||
	    bind(control->listener, address, sizeof(control->address)))
		return fail(-errno, error, error_size, "cannot bind the control socket to %s: %s",
			    path, strerror(errno));
	control->is_bound = lstat(path, &file) == 0;
	control->device = file.st_dev;
	control->inode = file.st_ino;
	if (!control->is_bound || listen(control->listener, CONTROL_CLIENT_COUNT_MAX))
		return fail(-errno, error, error_size, "cannot listen on the control socket %s: %s",
			    path, strerror(errno));
	return 0;
}

static int epoll_open(struct control_socket *control, char *error, size_t error_size)
{
	struct epoll_event event = { .events = EPOLLIN }; /* ptr NULL: the listener */

	control->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll < 0 ||
	    epoll_ctl(control->epoll, EPOLL_CTL_ADD, control->listener, &event))
		return fail(-errno, error, error_size, "cannot poll the control socket %s: %s",
			    control->address.sun_path, strerror(errno));
	return 0;
}

int control_socket_open(const char *path, control_socket_fn *answer, void *arg,
			struct control_socket **ret_socket, char *error, size_t error_size)
{
	struct control_socket *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return fail(-ENOMEM, error, error_size, "no memory for the control socket");
	control->listener = control->epoll = -1;
	control->answer = answer;
	control->arg = arg;
	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++)
		control->clients[i].fd = -1;

	err = address_set(&control->address, path, error, error_size);
	if (!err)
		err = directory_make(path, error, error_size);
	if (!err)
		err = stale_file_remove(&control->address, error, error_size);
	if (!err)
		err = listener_open(control, error, error_size);
	if (!err)
		err = epoll_open(control, error, error_size);
	if (err) {
		control_socket_close(control);
		return err;
	}
	*ret_socket = control;
	return 0;
}

void control_socket_close(struct control_socket *control)
{
	struct stat file;

	if (!control)
		return;
	for (size_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++)
		if (control->clients[i].fd >= 0)
			client_close(control, &control->clients[i]);
	/* While the listener is open its inode number is not given to another file. */
	if (control->is_bound && lstat(control->address.sun_path, &file) == 0 &&
	    file.st_dev == control->device && file.st_ino == control->inode)
		(void)unlink(control->address.sun_path);
	if (control->listener >= 0)
		(void)close(control->listener);
	if (control->epoll >= 0)
		(void)close(control->epoll);
	free(control);
}
