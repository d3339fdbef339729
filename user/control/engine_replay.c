/* SPDX-License-Identifier: GPL-2.0-only */
/* engine_replay.c - capture files: nothing of the host is asked or changed. */
#include "control/backends.h"
#include "control/engine.h"
#include "control/start.h"

static int replay_ports(struct daemon *daemon, char *error)
{
	(void)error;
	start_port_invent(daemon);
	daemon->worker_count = 1;
	return 0;
}

static int replay_start(struct daemon *daemon, const struct daemon_options *options, char *error)
{
	const struct io_config config = { .replay_in = options->replay_in,
					  .replay_out = options->replay_out };
	int err = start_router(daemon, error);

	if (!err)
		err = start_ios(daemon, &config, error);
	return err ? err : start_workers(daemon, error);
}

const struct engine engine_replay = {
	.io = &io_replay,
	.is_finite = true,
	.has_interfaces = true,
	.ports = replay_ports,
	.start = replay_start,
	.next_hops = backends_invent,
};
