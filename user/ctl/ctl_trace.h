/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_trace.h - decisions that ringwayd has traced, a line each. No clock, no socket. */
#ifndef RINGWAY_CTL_CTL_TRACE_H
#define RINGWAY_CTL_CTL_TRACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void ctl_trace_heading_print(FILE *out);

/* Print the records of an answer to `trace`, at most *left, which becomes as much
 * less; is_json: each as JSON. What an answer lacks is left blank. 0, or -EPROTO:
 * the answer has another shape than this version's. */
int ctl_trace_print(FILE *out, json_t *answer, bool is_json, uint64_t *left);

#endif
