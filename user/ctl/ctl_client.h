/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_client.h - the other end of the control socket: asks a running ringwayd. */
#ifndef RINGWAY_CTL_CTL_CLIENT_H
#define RINGWAY_CTL_CTL_CLIENT_H

#include <jansson.h>
#include <stddef.h>

/* Ask the daemon that listens on path one command. 0 and *ret_answer, a new
 * reference. Otherwise a negative errno, *ret_answer untouched, and error[] has a
 * sentence that says what to do: nobody listens (-ENOENT, -ECONNREFUSED), not
 * allowed (-EACCES), no answer in CONTROL_CLIENT_TIME_MAX_S (-ETIMEDOUT), none
 * that is JSON (-EPROTO), or the daemon itself refused (-EREMOTEIO). Blocks. */
int ctl_client_ask(const char *path, const char *command, json_t **ret_answer, char *error,
		   size_t error_size);

#endif
