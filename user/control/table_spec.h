/* SPDX-License-Identifier: GPL-2.0-only */
/* table_spec.h - from the configuration to the table of the workers. */
#ifndef RINGWAY_CONTROL_TABLE_SPEC_H
#define RINGWAY_CONTROL_TABLE_SPEC_H

#include "control/config.h"
#include "control/daemon.h"
#include "control/host.h"

/* links: one an interface of config. 0 and *ret_table is the caller's; otherwise
 * as table_build(). */
int table_spec_build(const struct config *config, const struct host_link *links,
		     struct table **ret_table);

/* The backends by slot, as table_spec_build() counts them off: *ret_count of them,
 * the caller's (free()); they point into config. NULL: out of memory. */
struct daemon_backend *table_spec_backends(const struct config *config, size_t *ret_count);

#endif
