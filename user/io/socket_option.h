/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_option.h - what is asked and told of a UDP socket, once. A system call each. */
#ifndef RINGWAY_IO_SOCKET_OPTION_H
#define RINGWAY_IO_SOCKET_OPTION_H

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* QUIC must not be fragmented, and finds out by itself how long datagrams may be (RFC
 * 9000 section 14): a forwarder that fragments would tell it lies. Other protocols rely
 * on fragments. Where it cannot be set, it is as the kernel has it. */
static inline void socket_option_fragments(int fd, uint8_t ip_version, bool is_quic)
{
	const int ipv4 = is_quic ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT;
	const int ipv6 = is_quic ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT;

	if (ip_version == 4)
		(void)setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &ipv4, sizeof(ipv4));
	else
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &ipv6, sizeof(ipv6));
}

/* Beyond net.core.rmem_max it takes CAP_NET_ADMIN; as much as there is to be had. */
static inline void socket_option_receive_buffer(int fd, uint32_t size_bytes)
{
	if (size_bytes &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size_bytes, sizeof(size_bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size_bytes, sizeof(size_bytes));
}

/* Datagrams that the kernel had no room for, since the socket was opened. */
static inline uint32_t socket_option_dropped(int fd)
{
	uint32_t values[SK_MEMINFO_VARS] = { 0 };
	socklen_t size = sizeof(values);

	(void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &size);
	return values[SK_MEMINFO_DROPS];
}

#endif
