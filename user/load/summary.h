/* SPDX-License-Identifier: GPL-2.0-only */
/* summary.h - results of a run on stdout, for people or as one JSON object. */
#ifndef RINGWAY_LOAD_SUMMARY_H
#define RINGWAY_LOAD_SUMMARY_H

#include <stdbool.h>

#include "load/search.h"
#include "load/sink.h"
#include "load/source.h"

/* 0, or -ENOMEM or -EIO when stdout could not take it. */
int load_summary_source(const struct load_source_result *result, uint32_t stream, bool json);
int load_summary_sink(const struct load_sink_result *result, bool json);
int load_summary_search(const struct load_search_result *result, bool json);

#endif
