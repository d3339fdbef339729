/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_table.h - what ringwayd reports, as aligned text for people.
 *
 * Reads JSON and writes text; no clock, no socket. What an answer lacks, because
 * the daemon is of another version, is left blank. */
#ifndef RINGWAY_CTL_CTL_TABLE_H
#define RINGWAY_CTL_CTL_TABLE_H

#include <jansson.h>
#include <stdio.h>

/* Print the answer to a command. With the answer to the same command seconds (more
 * than 0) ago, rates are shown too; before NULL: totals alone. Both stay the
 * caller's. 0, or -EPROTO with the text incomplete: the answer has another shape
 * than this version's. */
int ctl_table_print(FILE *out, const char *command, json_t *now, json_t *before, double seconds);

#endif
