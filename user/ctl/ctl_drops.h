/* SPDX-License-Identifier: GPL-2.0-only */
/* ctl_drops.h - two answers to `drops` as rates, as the first place that loses, and as
 * one screen. Pure, but for the file that is printed to. */
#ifndef RINGWAY_CTL_CTL_DROPS_H
#define RINGWAY_CTL_CTL_DROPS_H

#include <jansson.h>
#include <stdio.h>

/* Add to the answer of now: each place's "rate" (a second, over the `seconds`, more than 0,
 * since the answer before), "seconds", and "first": null, or the place in the order of the
 * way ("place") that loses at a rate ("now": true), or, where none does, that has lost
 * since the daemon started (false); and where another one loses a hundred times as much,
 * "most", the place that loses most. Signs are no losses. 0, or -EPROTO with `now` half
 * done: the answer has another shape than this version's. */
int ctl_drops_judge(json_t *now, json_t *before, double seconds);

/* Print what was judged. 0 or -EPROTO. */
int ctl_drops_print(FILE *out, json_t *answer);

#endif
