/* SPDX-License-Identifier: GPL-2.0-only */
/* io_stats.h - what an engine has counted (core/counter.h), as any thread may read it. */
#ifndef RINGWAY_IO_IO_STATS_H
#define RINGWAY_IO_IO_STATS_H

#include "io/io.h"

/* The first port_count of the ports, too. */
void io_stats_read(const struct io_stats *counted, struct io_stats *ret_stats);

void io_port_stats_read(const struct io_port_stats *counted, struct io_port_stats *ret_stats);

#endif
