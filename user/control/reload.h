/* SPDX-License-Identifier: GPL-2.0-only */
/* reload.h - put a changed configuration file in force without losing a datagram.
 * Control; the main thread. */
#ifndef RINGWAY_CONTROL_RELOAD_H
#define RINGWAY_CONTROL_RELOAD_H

#include <stdio.h>

struct daemon;

/* Read the file again, and forward by it from now on. 0; or, nothing changed, a
 * negative errno and what is wrong as lines to messages: -EINVAL, every mistake in the
 * file; -EPERM, everything in it that cannot change while ringwayd runs; or another.
 * Takes as long as the new backends take to be resolved, a quarter of a second at
 * most, and until no worker uses the old table. */
int reload(struct daemon *daemon, FILE *messages);

/* The same, with the outcome in the log. */
void reload_logged(struct daemon *daemon);

#endif
