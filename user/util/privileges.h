/* SPDX-License-Identifier: GPL-2.0-only */
/* privileges.h - what a thread may do no more.
 *
 * The kernel keeps capabilities by thread: those that are started later inherit, those
 * that run already do not, and have to do it themselves. */
#ifndef RINGWAY_UTIL_PRIVILEGES_H
#define RINGWAY_UTIL_PRIVILEGES_H

#include <stddef.h>

/* Drop all capabilities of the calling thread but these, as far as it has them; nor can
 * they come back, through a file with capabilities or another user. 0 or a negative
 * errno. Once a thread. */
int privileges_drop(const unsigned int *kept, size_t kept_count);

#endif
