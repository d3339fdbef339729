/* SPDX-License-Identifier: GPL-2.0-only */
/* proc_net.h - the kernel's own counters of IP, UDP and softnet, from /proc.
 *
 * The parsing is pure and takes any text: what is missing, cut off or no number counts
 * as 0. Values belong to the reader's network namespace, softnet's to the machine.
 * Control; any thread. */
#ifndef RINGWAY_HOST_PROC_NET_H
#define RINGWAY_HOST_PROC_NET_H

#include <stdint.h>

#include "core/table.h"

/* X(constant, table of IPv4, name there, name for IPv6, "": it has none) */
#define PROC_NET_COUNTERS(X)                                                 \
	X(IP_IN_HEADER, "Ip", "InHdrErrors", "Ip6InHdrErrors")               \
	X(IP_IN_ADDRESS, "Ip", "InAddrErrors", "Ip6InAddrErrors")            \
	X(IP_IN_REVERSE_PATH, "TcpExt", "IPReversePathFilter", "")           \
	X(IP_IN_NO_ROUTE, "IpExt", "InNoRoutes", "Ip6InNoRoutes")            \
	X(IP_IN_TRUNCATED, "IpExt", "InTruncatedPkts", "Ip6InTruncatedPkts") \
	X(IP_IN_DISCARDED, "Ip", "InDiscards", "Ip6InDiscards")              \
	X(IP_REASSEMBLY, "Ip", "ReasmFails", "Ip6ReasmFails")                \
	X(UDP_NO_PORT, "Udp", "NoPorts", "Udp6NoPorts")                      \
	X(UDP_CHECKSUM, "Udp", "InCsumErrors", "Udp6InCsumErrors")           \
	X(UDP_RECEIVE_BUFFER, "Udp", "RcvbufErrors", "Udp6RcvbufErrors")     \
	X(UDP_MEMORY, "Udp", "MemErrors", "Udp6MemErrors")                   \
	X(UDP_IN_ERRORS, "Udp", "InErrors", "Udp6InErrors")                  \
	X(UDP_SEND_BUFFER, "Udp", "SndbufErrors", "Udp6SndbufErrors")        \
	X(IP_FRAGMENTATION, "Ip", "FragFails", "Ip6FragFails")               \
	X(IP_OUT_NO_ROUTE, "Ip", "OutNoRoutes", "Ip6OutNoRoutes")            \
	X(IP_OUT_DISCARDED, "Ip", "OutDiscards", "Ip6OutDiscards")

enum proc_net_counter {
#define X(constant, table, name, name6) PROC_NET_##constant,
	PROC_NET_COUNTERS(X)
#undef X
		PROC_NET_COUNTER_COUNT,
};

struct proc_net {
	uint64_t counters[FAMILY_COUNT][PROC_NET_COUNTER_COUNT];
	uint64_t softnet_dropped, softnet_squeezed;
};

/* 0 where the text does not have it. text: as /proc/net/snmp and netstat, a line of
 * names and one of values for each table. */
uint64_t proc_net_table_value(const char *text, const char *table, const char *name);

/* Likewise: as /proc/net/snmp6, a name and its value a line. 0 for "". */
uint64_t proc_net_line_value(const char *text, const char *name);

/* The sum over all CPUs of a column, from 0: as /proc/net/softnet_stat, in hex. */
uint64_t proc_net_softnet_sum(const char *text, unsigned int column);

/* Errors of InErrors that no other counter of UDP has: InErrors contains them all. */
uint64_t proc_net_udp_other(const uint64_t counters[PROC_NET_COUNTER_COUNT]);

/* Now. A file that cannot be read counts 0. */
void proc_net_read(struct proc_net *ret_stats);

/* What was counted since `before`. A counter that went back began anew. */
void proc_net_since(struct proc_net *stats, const struct proc_net *before);

#endif
