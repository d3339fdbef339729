/* SPDX-License-Identifier: GPL-2.0-only */
/* host.h - what the machine must be like before ringway can forward: links up,
 * enough queues, forwarding on, somebody who answers for the service's address.
 *
 * Looks and tells, changes nothing. Control, at start. */
#ifndef RINGWAY_HOST_HOST_H
#define RINGWAY_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/table.h"

struct host_link {
	uint32_t ifindex;
	uint8_t mac[6];
	uint16_t mtu;	 /* bytes of IP packet */
	bool is_enabled; /* administratively up */
	bool has_carrier;
	uint32_t rx_queues, tx_queues;
	uint32_t rx_queues_used; /* that RSS spreads over, at most rx_queues */
	bool has_rss;		 /* the indirection table can be read, so `ethtool -X` exists */
	bool has_combined; /* channels that receive and transmit, as `ethtool -L` counts them */
	char driver[32];
};

/* 0, or a negative errno and a sentence in error[]: -ENODEV, -ENETDOWN (not enabled;
 * *ret_link is filled, for those who can wait for the link), or another. Without a
 * carrier, too, a link is 0: it may come. */
int host_link_read(const char *ifname, struct host_link *ret_link, char *error, size_t error_size);

/* The part of a link that is in an RTM_NEWLINK or RTM_DELLINK message. Returns whether
 * it has an Ethernet address. */
struct nlmsghdr;
bool host_link_parse(const struct nlmsghdr *message, struct host_link *ret_link);

/* How many workers the ports allow: the smallest queue count, at most `wanted` if
 * that is not 0. Returns the count, or -EINVAL and a sentence that gives the
 * command to type when some port would receive on a queue without a worker. */
int host_worker_count(const char *const *ifnames, const struct host_link *links, size_t link_count,
		      uint32_t wanted, char *error, size_t error_size);

/* Is the kernel's forwarding on for packets that come in by ifname? 0, or -EPERM
 * and a sentence that names the sysctl. For both families bpf_fib_lookup() reads
 * that of the interface, never that of `all`. */
int host_forwarding_check(const char *ifname, enum family family, char *error, size_t error_size);

/* Does this host answer ARP or ND for addr (as in match_key) on one of the ports?
 * false and a sentence that says what to do. */
bool host_address_check(const uint8_t addr[16], const struct host_link *links, size_t link_count,
			char *advice, size_t advice_size);

#endif
