/* SPDX-License-Identifier: GPL-2.0-only */
/* answer.h - what a running daemon answers to the commands of command.h: reports, and
 * changes while it runs. Control; the main thread. */
#ifndef RINGWAY_CONTROL_ANSWER_H
#define RINGWAY_CONTROL_ANSWER_H

#include <jansson.h>

/* A control_socket_fn; arg: the struct daemon. What is refused, or fails, is an object
 * {"error": sentence}. */
json_t *answer(void *arg, const char *line);

#endif
