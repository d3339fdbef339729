/* SPDX-License-Identifier: GPL-2.0-only */
/* report.h - what `ringwayctl` shows, as JSON. Reads counters, changes nothing.
 *
 * Counters count from the start of the daemon. What does not apply is null: the
 * CPU of a worker that is not pinned, the MAC address of a next hop that is not
 * resolved, the mode of an engine without sockets. Control. */
#ifndef RINGWAY_CONTROL_REPORT_H
#define RINGWAY_CONTROL_REPORT_H

#include <jansson.h>
#include <stdint.h>

struct daemon;
struct lineup_backend;

/* New references; where the kernel would not say, an object {"error": sentence}.
 * NULL: out of memory. */
json_t *report_status(const struct daemon *daemon);
json_t *report_stats(const struct daemon *daemon);
json_t *report_services(const struct daemon *daemon);
json_t *report_backends(const struct daemon *daemon);

/* Whole seconds since the start. */
uint64_t report_uptime_s(const struct daemon *daemon);

/* "up", "down", "drained" or "flushed". */
const char *report_state(const struct lineup_backend *backend);

#endif
