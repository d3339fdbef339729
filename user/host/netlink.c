/* SPDX-License-Identifier: GPL-2.0-only */
/* netlink.c - questions to the kernel, of its routing tables above all, and their answers. */
#include "host/netlink.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "util/number.h"

enum {
	ANSWER_SIZE_BYTES = 32 << 10, /* what the kernel fills at once in a dump */
	ANSWER_TIMEOUT_S = 1,
	DUMP_ATTEMPTS_MAX = 3,
};

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
};

int netlink_open(int bus, struct netlink **ret_netlink)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	int err;

	if (!netlink)
		return -ENOMEM;
	netlink->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) ||
	    setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout))) {
		err = -errno;
		netlink_close(netlink);
		return err;
	}
	*ret_netlink = netlink;
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		(void)mnl_socket_close(netlink->socket);
	free(netlink);
}

void *netlink_begin(union netlink_message *message, uint16_t type, uint16_t flags,
		    size_t header_size)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(message);

	header->nlmsg_type = type;
	/* With an ACK every question ends alike: a dump with NLMSG_DONE, all others with it. */
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return mnl_nlmsg_put_extra_header(header, header_size);
}

static int read_answers(struct netlink *netlink, mnl_cb_t answer, void *arg)
{
	char buffer[ANSWER_SIZE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	unsigned int id = mnl_socket_get_portid(netlink->socket);
	int more = MNL_CB_OK;

	while (more != MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(netlink->socket, buffer, sizeof(buffer));

		if (len < 0)
			return -errno;
		more = mnl_cb_run(buffer, (size_t)len, netlink->sequence, id, answer, arg);
		/* EPROTO: the rest of an answer to an earlier question that was given up. */
		if (more < 0 && errno != EPROTO)
			return -errno;
	}
	return 0;
}

int netlink_ask(struct netlink *netlink, union netlink_message *message, mnl_cb_t answer, void *arg)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_ATTEMPTS_MAX && err == -EINTR; i++) {
		message->header.nlmsg_seq = ++netlink->sequence;
		if (mnl_socket_sendto(netlink->socket, message, message->header.nlmsg_len) < 0)
			return -errno;
		err = read_answers(netlink, answer, arg);
	}
	return err;
}

uint8_t netlink_family(const uint8_t addr[16])
{
	return address_is_ipv4(addr) ? AF_INET : AF_INET6;
}

void netlink_put_address(union netlink_message *message, uint16_t type, const uint8_t addr[16])
{
	if (address_is_ipv4(addr))
		mnl_attr_put(&message->header, type, 4, addr + 12);
	else
		mnl_attr_put(&message->header, type, 16, addr);
}

bool netlink_get_address(const void *payload, size_t size, uint8_t ret_addr[16])
{
	static const uint8_t ipv4_mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (size != 4 && size != 16)
		return false;
	memcpy(ret_addr, ipv4_mapped, sizeof(ipv4_mapped));
	memcpy(ret_addr + 16 - size, payload, size);
	return true;
}

struct route_answer {
	struct netlink_route route;
	uint8_t type; /* RTN_... */
};

static int read_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	struct route_answer *answer = arg;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	answer->type = header->rtm_type;
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		const uint8_t *payload = mnl_attr_get_payload(attr);
		size_t size = mnl_attr_get_payload_len(attr);

		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF: answer->route.ifindex = mnl_attr_get_u32(attr); break;
		case RTA_GATEWAY:
			(void)netlink_get_address(payload, size, answer->route.gateway);
			break;
		case RTA_VIA: /* an IPv6 gateway of an IPv4 route */
			if (size > sizeof(struct rtvia))
				(void)netlink_get_address(payload + sizeof(struct rtvia),
							  size - sizeof(struct rtvia),
							  answer->route.gateway);
			break;
		default: break;
		}
	}
	return MNL_CB_OK;
}

int netlink_route(struct netlink *netlink, const uint8_t addr[16], struct netlink_route *ret_route)
{
	struct route_answer answer = { .type = RTN_UNREACHABLE };
	union netlink_message message;
	struct rtmsg *header;
	int err;

	header = netlink_begin(&message, RTM_GETROUTE, 0, sizeof(*header));
	header->rtm_family = netlink_family(addr);
	header->rtm_dst_len = address_is_ipv4(addr) ? 32 : 128;
	netlink_put_address(&message, RTA_DST, addr);
	memcpy(answer.route.gateway, addr, sizeof(answer.route.gateway));
	err = netlink_ask(netlink, &message, read_route, &answer);
	if (err)
		return err;

	switch (answer.type) {
	case RTN_UNICAST: *ret_route = answer.route; return 0;
	case RTN_LOCAL: *ret_route = (struct netlink_route){ .is_local = true }; return 0;
	default: return -ENETUNREACH;
	}
}

struct neighbour_answer {
	bool is_usable;
	uint8_t mac[6];
};

static int read_neighbour(const struct nlmsghdr *message, void *arg)
{
	const uint16_t usable =
		NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	struct neighbour_answer *answer = arg;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWNEIGH || !(header->ndm_state & usable))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		if (mnl_attr_get_type(attr) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attr) == sizeof(answer->mac)) {
			memcpy(answer->mac, mnl_attr_get_payload(attr), sizeof(answer->mac));
			answer->is_usable = true;
		}
	}
	return MNL_CB_OK;
}

int netlink_neighbour(struct netlink *netlink, uint32_t ifindex, const uint8_t addr[16],
		      uint8_t ret_mac[6])
{
	struct neighbour_answer answer = { 0 };
	union netlink_message message;
	struct ndmsg *header;
	int err;

	header = netlink_begin(&message, RTM_GETNEIGH, 0, sizeof(*header));
	header->ndm_family = netlink_family(addr);
	header->ndm_ifindex = (int)ifindex;
	netlink_put_address(&message, NDA_DST, addr);
	err = netlink_ask(netlink, &message, read_neighbour, &answer);
	if (err)
		return err;
	if (!answer.is_usable)
		return -ENOENT;
	memcpy(ret_mac, answer.mac, sizeof(answer.mac));
	return 0;
}

int netlink_neighbour_use(struct netlink *netlink, uint32_t ifindex, const uint8_t addr[16])
{
	union netlink_message message;
	struct ndmsg *header;

	header = netlink_begin(&message, RTM_NEWNEIGH, NLM_F_CREATE, sizeof(*header));
	header->ndm_family = netlink_family(addr);
	header->ndm_ifindex = (int)ifindex;
	header->ndm_flags = NTF_USE;
	netlink_put_address(&message, NDA_DST, addr);
	return netlink_ask(netlink, &message, NULL, NULL);
}
