/* SPDX-License-Identifier: GPL-2.0-only */
/* control_socket.h - a UNIX stream socket that answers one question a connection.
 *
 * A client sends a line with a command and gets one JSON document, then the end
 * of the stream. Never blocks: slow and silent clients are cut off, at most 16 at
 * a time. Mode 0600. Driven by the caller's epoll loop. */
#ifndef RINGWAY_CONTROL_CONTROL_SOCKET_H
#define RINGWAY_CONTROL_CONTROL_SOCKET_H

#include <jansson.h>
#include <stddef.h>

struct control_socket;

/* The answer to a command line, without its newline: a new reference. */
typedef json_t *control_socket_fn(void *arg, const char *command);

/* Listen on path. A stale socket file is replaced; one that somebody serves is
 * -EADDRINUSE. On failure *ret_socket is untouched and error[] has a sentence. */
int control_socket_open(const char *path, control_socket_fn *answer, void *arg,
			struct control_socket **ret_socket, char *error, size_t error_size);

/* Readable (an inner epoll instance) when there is something to do: then call
 * control_socket_serve(). */
int control_socket_fd(const struct control_socket *socket);
void control_socket_serve(struct control_socket *socket);

/* Once a second: cuts clients off that have taken longer than 5 s. */
void control_socket_tick(struct control_socket *socket);

/* Removes the file. NULL is a no-op. */
void control_socket_close(struct control_socket *socket);

#endif
