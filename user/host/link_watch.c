/* SPDX-License-Identifier: GPL-2.0-only */
/* link_watch.c - the ports after the start, by the kernel's events of links. */
#include "host/link_watch.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/netlink.h"
#include "ringway/limits.h"
#include "util/log.h"
#include "util/number.h"

enum {
	EVENT_SIZE_BYTES = 16 << 10,
	EVENT_COUNT_MAX = 256, /* of one link_watch_read(): other work waits meanwhile */
};

struct link_watch {
	struct netlink *netlink;
	struct mnl_socket *events;
	struct host_link links[PORT_COUNT_MAX]; /* as last seen */
	char ifnames[PORT_COUNT_MAX][IFNAMSIZ];
	size_t count;
	bool is_lost; /* events, or those before the first tick */

	/* The first that is wrong, for the caller in progress. */
	int err;
	char *error;
	size_t error_size;
};

static void link_wrong(struct link_watch *watch, size_t index, const char *what)
{
	if (!watch->err)
		watch->err = fail(-ESTALE, watch->error, watch->error_size,
				  "%s %s; ringwayd ends, and is to be started anew",
				  watch->ifnames[index], what);
}

static void state_log(const char *ifname, const struct host_link *now)
{
	if (!now->is_enabled)
		log_warn("%s was set down; nothing goes through it until it is up", ifname);
	else if (!now->has_carrier)
		log_warn("%s has lost its carrier; nothing goes through it until it is back",
			 ifname);
	else
		log_info("%s is up and has a carrier", ifname);
}

static void link_update(struct link_watch *watch, size_t index, const struct host_link *now)
{
	struct host_link *link = &watch->links[index];

	if (memcmp(link->mac, now->mac, sizeof(link->mac)))
		link_wrong(watch, index, "has got another MAC address");
	if (link->mtu != now->mtu)
		link_wrong(watch, index, "has got another MTU");
	if (link->is_enabled != now->is_enabled || link->has_carrier != now->has_carrier)
		state_log(watch->ifnames[index], now);
	link->is_enabled = now->is_enabled;
	link->has_carrier = now->has_carrier;
}

static int read_event(const struct nlmsghdr *message, void *arg)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	struct link_watch *watch = arg;
	struct host_link now = { 0 };

	if (header->ifi_family != AF_UNSPEC) /* of a bridge: "deleted" is a port that leaves it */
		return MNL_CB_OK;
	host_link_parse(message, &now);
	for (size_t i = 0; i < watch->count; i++) {
		if (watch->links[i].ifindex != now.ifindex)
			continue;
		if (message->nlmsg_type == RTM_DELLINK)
			link_wrong(watch, i, "was deleted, or moved to another network namespace");
		else if (message->nlmsg_type == RTM_NEWLINK)
			link_update(watch, i, &now);
	}
	return MNL_CB_OK;
}

static void look_again(struct link_watch *watch)
{
	watch->is_lost = false;
	for (size_t i = 0; i < watch->count; i++) {
		union netlink_message message;
		struct ifinfomsg *header = netlink_begin(&message, RTM_GETLINK, 0, sizeof(*header));
		int err;

		header->ifi_index = (int)watch->links[i].ifindex;
		err = netlink_ask(watch->netlink, &message, read_event, watch);
		if (err == -ENODEV)
			link_wrong(watch, i, "was deleted, or moved to another network namespace");
		else if (err)
			watch->is_lost = true; /* again at the next tick */
	}
}

static void error_begin(struct link_watch *watch, char *error, size_t error_size)
{
	watch->err = 0;
	watch->error = error;
	watch->error_size = error_size;
}

int link_watch_open(const char *const *ifnames, const struct host_link *links, size_t count,
		    struct link_watch **ret_watch, char *error, size_t error_size)
{
	const unsigned int group = RTNLGRP_LINK;
	struct link_watch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return fail(-ENOMEM, error, error_size, "cannot watch the interfaces: %s",
			    strerror(ENOMEM));
	memcpy(watch->links, links, count * sizeof(links[0]));
	for (size_t i = 0; i < count; i++)
		(void)snprintf(watch->ifnames[i], IFNAMSIZ, "%s", ifnames[i]);
	watch->count = count;
	watch->is_lost = true;
	err = netlink_open(NETLINK_ROUTE, &watch->netlink);
	if (!err) {
		watch->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (!watch->events || mnl_socket_bind(watch->events, 0, MNL_SOCKET_AUTOPID) ||
		    mnl_socket_setsockopt(watch->events, NETLINK_ADD_MEMBERSHIP, (void *)&group,
					  sizeof(group)))
			err = -errno;
	}
	if (err) {
		link_watch_close(watch);
		return fail(err, error, error_size, "cannot watch the interfaces: %s",
			    strerror(-err));
	}
	*ret_watch = watch;
	return 0;
}

int link_watch_fd(const struct link_watch *watch)
{
	return mnl_socket_get_fd(watch->events);
}

int link_watch_read(struct link_watch *watch, char *error, size_t error_size)
{
	char buffer[EVENT_SIZE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	error_begin(watch, error, error_size);
	for (int i = 0; i < EVENT_COUNT_MAX && !watch->err; i++) {
		ssize_t len = mnl_socket_recvfrom(watch->events, buffer, sizeof(buffer));

		if (len < 0 && errno == EAGAIN)
			break;
		if (len < 0)
			watch->is_lost = true; /* ENOBUFS: what is still queued follows */
		else
			(void)mnl_cb_run(buffer, (size_t)len, 0, 0, read_event, watch);
	}
	return watch->err;
}

int link_watch_tick(struct link_watch *watch, char *error, size_t error_size)
{
	error_begin(watch, error, error_size);
	if (watch->is_lost)
		look_again(watch);
	return watch->err;
}

void link_watch_close(struct link_watch *watch)
{
	if (!watch)
		return;
	if (watch->events)
		(void)mnl_socket_close(watch->events);
	netlink_close(watch->netlink);
	free(watch);
}
