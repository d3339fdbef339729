/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/connections.h"

#include "control/daemon.h"

/* The workers of this version go by Maglev alone: nothing is remembered. */
void connections_void(struct daemon *daemon, const bool slots[BACKEND_COUNT_MAX])
{
	(void)daemon;
	(void)slots;
}
