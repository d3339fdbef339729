/* SPDX-License-Identifier: GPL-2.0-only */
/* netlink.h - questions to the kernel, of its routing tables above all, and their answers.
 *
 * Blocking, but the kernel answers while the question is being sent, so it never
 * takes long; one second at the most. Addresses are as in match_key. Control; one
 * thread a struct netlink. */
#ifndef RINGWAY_HOST_NETLINK_H
#define RINGWAY_HOST_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;

/* bus: NETLINK_ROUTE, or another. 0 and *ret_netlink is the caller's (netlink_close), or
 * a negative errno. */
int netlink_open(int bus, struct netlink **ret_netlink);
void netlink_close(struct netlink *netlink); /* accepts NULL */

/* Room for any question asked here, aligned for its header. */
union netlink_message {
	struct nlmsghdr header;
	char bytes[256];
};

/* Start a question of that type with an all-zero family header of header_size
 * bytes, which is returned. flags: beyond NLM_F_REQUEST, such as NLM_F_DUMP. */
void *netlink_begin(union netlink_message *message, uint16_t type, uint16_t flags,
		    size_t header_size);

/* Ask, and give every answer to `answer`, which returns MNL_CB_OK. When a dump was
 * interrupted by a change it starts over: `answer` may see an object twice. 0, or
 * a negative errno: the kernel's own, or that of the socket. */
int netlink_ask(struct netlink *netlink, union netlink_message *message, mnl_cb_t answer,
		void *arg);

/* AF_INET or AF_INET6, and the address as netlink has it. */
uint8_t netlink_family(const uint8_t addr[16]);
void netlink_put_address(union netlink_message *message, uint16_t type, const uint8_t addr[16]);

/* A payload of 4 or 16 bytes as an address; false for any other length. */
bool netlink_get_address(const void *payload, size_t size, uint8_t ret_addr[16]);

struct netlink_route {
	bool is_local; /* an address of this host; the rest is 0 */
	uint32_t ifindex;
	uint8_t gateway[16]; /* the address itself where it is on the link */
};

/* The hop that the kernel would take to addr now. -ENETUNREACH or another errno of
 * the kernel when there is none. */
int netlink_route(struct netlink *netlink, const uint8_t addr[16], struct netlink_route *ret_route);

/* The neighbour's MAC address if the kernel would use it, else -ENOENT or another
 * negative errno. Linux 5.0. */
int netlink_neighbour(struct netlink *netlink, uint32_t ifindex, const uint8_t addr[16],
		      uint8_t ret_mac[6]);

/* Say that the neighbour is in use: the kernel asks for one that it does not know
 * and probes one that is stale. Needs CAP_NET_ADMIN. */
int netlink_neighbour_use(struct netlink *netlink, uint32_t ifindex, const uint8_t addr[16]);

#endif
