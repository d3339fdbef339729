/* SPDX-License-Identifier: GPL-2.0-only */
/* report.h - what `ringwayctl` shows, as JSON. Reads counters, changes nothing. */
#ifndef RINGWAY_CONTROL_REPORT_H
#define RINGWAY_CONTROL_REPORT_H

#include <jansson.h>

struct daemon;

/* Answer one command: status, stats, services or backends. A new reference; for
 * an unknown command an object {"error": sentence}. NULL: out of memory. */
json_t *report_command(const struct daemon *daemon, const char *command);

#endif
