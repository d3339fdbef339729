/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/io_stats.h"

#include "core/counter.h"

void io_port_stats_read(const struct io_port_stats *counted, struct io_port_stats *ret_stats)
{
	*ret_stats = (struct io_port_stats){
		.mode = counted->mode,
		.received = counter_read(&counted->received),
		.sent = counter_read(&counted->sent),
		.completed = counter_read(&counted->completed),
		.posted = counter_read(&counted->posted),
		.kicks = counter_read(&counted->kicks),
		.rx_invalid = counter_read(&counted->rx_invalid),
		.tx_invalid = counter_read(&counted->tx_invalid),
	};
	for (size_t i = 0; i < IO_KICK_ERROR_COUNT; i++)
		ret_stats->kick_errors[i] = counter_read(&counted->kick_errors[i]);
}

void io_stats_read(const struct io_stats *counted, struct io_stats *ret_stats)
{
	*ret_stats = (struct io_stats){
		.frames = counted->frames,
		.free = counter_read(&counted->free),
		.held = counter_read(&counted->held),
		.rx_calls = counter_read(&counted->rx_calls),
		.rx_empty = counter_read(&counted->rx_empty),
		.waits = counter_read(&counted->waits),
		.failed = __atomic_load_n(&counted->failed, __ATOMIC_RELAXED),
		.port_count = counted->port_count,
	};
	for (uint32_t i = 0; i < counted->port_count; i++)
		io_port_stats_read(&counted->ports[i], &ret_stats->ports[i]);
}
