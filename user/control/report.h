/* SPDX-License-Identifier: GPL-2.0-only */
/* report.h - what `ringwayctl` shows, as JSON. Reads counters, changes nothing.
 *
 * Counters count from the start of the daemon. What does not apply is null: the
 * CPU of a worker that is not pinned, the MAC address of a next hop that is not
 * resolved, the mode of an engine without sockets. Control. */
#ifndef RINGWAY_CONTROL_REPORT_H
#define RINGWAY_CONTROL_REPORT_H

#include <jansson.h>

struct daemon;

/* Answer one command: status, stats, services or backends. A new reference; for
 * an unknown command, or where the kernel would not say, an object
 * {"error": sentence}. NULL: out of memory. */
json_t *report_command(const struct daemon *daemon, const char *command);

#endif
