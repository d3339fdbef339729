/* SPDX-License-Identifier: GPL-2.0-only */
/* table_spec.h - from a lineup to the table of the workers. */
#ifndef RINGWAY_CONTROL_TABLE_SPEC_H
#define RINGWAY_CONTROL_TABLE_SPEC_H

#include "control/lineup.h"
#include "host/host.h"

/* links: one a port. No next hop is known in it yet. 0
 * and *ret_table is the caller's; otherwise as table_build() or quic_lb_build(). */
int table_spec_build(const struct lineup *lineup, const struct host_link *links, size_t link_count,
		     struct table **ret_table);

#endif
