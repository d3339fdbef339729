/* SPDX-License-Identifier: GPL-2.0-only */
/* nic_stats.h - an interface's own counters, as far as they mean that a frame was lost.
 *
 * Every driver has names of its own for `ethtool -S`; a small table of patterns judges
 * them. The kernel's own few (`ip -s link`) stand in where a driver counts nothing of a
 * class. Needs no privilege. Control; any thread. */
#ifndef RINGWAY_HOST_NIC_STATS_H
#define RINGWAY_HOST_NIC_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nic_class {
	NIC_NO_LOSS,
	NIC_RX_DAMAGED, /* wrong on the wire: checksum, length, symbols */
	NIC_RX_MISSED,	/* the card had no descriptor, no buffer, no time */
	NIC_RX_DROPPED, /* the driver gave it up */
	NIC_RX_XDP,	/* XDP said so, or could not: counted by XDP itself, too */
	NIC_TX_DROPPED,
	NIC_TX_ERRORS,
	NIC_CLASS_COUNT,
};

/* As ETH_GSTRING_LEN; not always with a terminator in the kernel, always here. */
#define NIC_NAME_SIZE 33

struct nic_counter {
	char name[NIC_NAME_SIZE];
	bool is_kernel; /* of `ip -s link`, not of the driver */
	enum nic_class class;
	uint64_t value;
};

/* Only those that mean loss. All zero: nothing is known. */
struct nic_stats {
	size_t count;
	struct nic_counter *counters; /* nic_stats_free */
};

/* What a counter of that name means. Pure. */
enum nic_class nic_class_of(const char *name);

/* Now. 0; or a negative errno with *ret_stats empty. Some system calls; a driver may ask
 * its card, which takes milliseconds. */
int nic_stats_read(const char *ifname, struct nic_stats *ret_stats);

/* What was counted since `before`, by name. A counter that went back began anew. Pure. */
void nic_stats_since(struct nic_stats *stats, const struct nic_stats *before);

/* Does it count for its class? A queue's does not where the driver has the sum. Pure. */
bool nic_stats_counts(const struct nic_stats *stats, const struct nic_counter *counter);

/* Of those that count, the driver's or the kernel's, which is more: both may have counted
 * the same frames. Pure. */
uint64_t nic_stats_sum(const struct nic_stats *stats, enum nic_class class);

void nic_stats_free(struct nic_stats *stats); /* accepts what is all zero */

#endif
