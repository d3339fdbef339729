/* SPDX-License-Identifier: GPL-2.0-only */
/* control_socket.h - a UNIX stream socket that answers one question a connection.
 *
 * A client sends a line with a command and gets one JSON document, then the end
 * of the stream. Never blocks: slow and silent clients are cut off, at most
 * CONTROL_CLIENT_COUNT_MAX at a time are served, the others wait. Mode 0600.
 * Driven by the caller's epoll loop, in one thread. */
#ifndef RINGWAY_CONTROL_CONTROL_SOCKET_H
#define RINGWAY_CONTROL_CONTROL_SOCKET_H

#include <jansson.h>
#include <stddef.h>

/* Where daemon and ringwayctl meet unless told otherwise. */

struct control_socket;

/* The answer to a command line, without its newline: a new reference, or NULL to
 * hang up. */
typedef json_t *control_socket_fn(void *arg, const char *command);

/* Listen on path, whose directory is made (mode 0755) if only that is missing. A
 * stale socket file is replaced; one that somebody serves is -EADDRINUSE, a file
 * of another kind -EEXIST. 0 and *ret_socket is the caller's
 * (control_socket_close); otherwise a negative errno, *ret_socket untouched, and
 * error[] has a sentence. */
int control_socket_open(const char *path, control_socket_fn *answer, void *arg,
			struct control_socket **ret_socket, char *error, size_t error_size);

/* Readable (an inner epoll instance) when there is something to do: then call
 * control_socket_serve(). */
int control_socket_fd(const struct control_socket *socket);
void control_socket_serve(struct control_socket *socket);

/* To be called once a second: cuts off clients that have taken longer than
 * CONTROL_CLIENT_TIME_MAX_S, counted in ticks. */
void control_socket_tick(struct control_socket *socket);

/* Hangs up and removes the file, unless another has taken its place since. NULL
 * is a no-op. */
void control_socket_close(struct control_socket *socket);

#endif
