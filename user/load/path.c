/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/host.h"
#include "host/next_hop.h"
#include "util/number.h"

/* A neighbour that is there answers within a millisecond; one second is the kernel's
 * own interval between solicitations. */
#define NEIGHBOUR_WAIT_MS  100
#define NEIGHBOUR_TRIES	   30
#define NEIGHBOUR_ASK_EACH 10

static int link_find(const char *ifname, struct load_path *path, char *error, size_t error_size)
{
	struct host_link link;
	int err = host_link_read(ifname, &link, error, error_size);

	if (err)
		return err;
	if (!link.has_carrier)
		return fail(-ENETDOWN, error, error_size,
			    "%s has no carrier: see to its cable, or set its peer up", ifname);
	path->ifindex = link.ifindex;
	path->mtu = link.mtu ? link.mtu : UINT16_MAX; /* the loopback's 65536, cut off */
	memcpy(path->source_mac, link.mac, sizeof(link.mac));
	return 0;
}

static int ethernet_check(const char *ifname, const struct load_path *path, char *error,
			  size_t error_size)
{
	static const uint8_t no_mac[6];

	if (memcmp(path->source_mac, no_mac, sizeof(no_mac)) != 0)
		return 0;
	return fail(-EINVAL, error, error_size,
		    "%s has no MAC address (the loopback, a tunnel): name an Ethernet interface, "
		    "or send by sockets (--by=sendmmsg)",
		    ifname);
}

/* The address that the kernel would send from. Nothing is sent. */
static int source_find(int socket_fd, const char *ifname, const uint8_t to[16],
		       uint8_t ret_from[16])
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	socklen_t name_size = sizeof(name);

	memcpy(&name.sin6_addr, to, 16);
	if (setsockopt(socket_fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, strlen(ifname) + 1) ||
	    connect(socket_fd, (struct sockaddr *)&name, sizeof(name)) ||
	    getsockname(socket_fd, (struct sockaddr *)&name, &name_size))
		return -errno;
	memcpy(ret_from, &name.sin6_addr, 16);
	return 0;
}

static int from_find(const char *ifname, const uint8_t to[16], struct load_path *path, char *error,
		     size_t error_size)
{
	/* One family does for both: an IPv4 address is mapped already. */
	int socket_fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[ADDRESS_TEXT_SIZE];
	int err;

	if (socket_fd < 0)
		return fail(-errno, error, error_size, "no IPv6 socket: %s", strerror(errno));
	err = source_find(socket_fd, ifname, to, path->from);
	(void)close(socket_fd);
	if (err)
		return fail(err, error, error_size,
			    "no source address on %s for %s: %s; give one with --from", ifname,
			    address_format(to, text), strerror(-err));
	return 0;
}

static void hop_changed(void *arg, uint32_t id, const struct next_hop *hop)
{
	struct next_hop *latest = arg;

	(void)id;
	*latest = *hop;
}

/* Wait until the kernel knows more than that it must ask. */
static void hop_wait(struct next_hops *hops, const struct next_hop *hop)
{
	struct pollfd ready = { .fd = next_hops_fd(hops), .events = POLLIN };

	for (int i = 1; i <= NEIGHBOUR_TRIES && hop->state == NEXT_HOP_UNRESOLVED; i++) {
		if (poll(&ready, 1, NEIGHBOUR_WAIT_MS) > 0)
			next_hops_read(hops);
		if (i % NEIGHBOUR_ASK_EACH == 0)
			next_hops_tick(hops);
	}
}

static int hop_judge(const struct next_hop *hop, const char *ifname, const uint8_t to[16],
		     uint32_t ifindex, char *error, size_t error_size)
{
	char to_text[ADDRESS_TEXT_SIZE], other[IF_NAMESIZE];

	(void)address_format(to, to_text);
	if (hop->state == NEXT_HOP_NO_ROUTE || hop->state == NEXT_HOP_LOCAL)
		return fail(-EHOSTUNREACH, error, error_size,
			    "%s %s: add a route by %s, or give the next hop with --mac", to_text,
			    hop->state == NEXT_HOP_LOCAL ? "is this host" : "has no route", ifname);
	if (hop->ifindex != ifindex)
		return fail(-EHOSTUNREACH, error, error_size,
			    "the route to %s leaves by %s, not %s: change it, or give the next "
			    "hop with --mac",
			    to_text, if_indextoname(hop->ifindex, other) ? other : "another",
			    ifname);
	return 0;
}

static int hop_take(const struct next_hop *hop, const char *ifname, const uint8_t to[16],
		    struct load_path *path, char *error, size_t error_size)
{
	char to_text[ADDRESS_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE];

	if (hop->state != NEXT_HOP_RESOLVED)
		return fail(-EHOSTUNREACH, error, error_size,
			    "%s, the next hop to %s, does not answer on %s: give its MAC address "
			    "with --mac",
			    address_format(hop->gateway, gateway), address_format(to, to_text),
			    ifname);
	memcpy(path->next_hop_mac, hop->mac, sizeof(path->next_hop_mac));
	return 0;
}

/* What the kernel knows of the way to `to`; with `wait`, of the neighbour too. */
static int hop_find(const uint8_t to[16], bool wait, struct next_hop *ret_hop, char *error,
		    size_t error_size)
{
	struct next_hops *hops;
	int err = next_hops_open(hop_changed, ret_hop, &hops, error, error_size);

	if (err)
		return err;
	err = next_hops_watch(hops, 0, to);
	if (err)
		(void)fail(err, error, error_size, "asking the kernel for the next hop: %s",
			   strerror(-err));
	else if (wait)
		hop_wait(hops, ret_hop);
	next_hops_close(hops);
	return err;
}

static int next_hop_find(const char *ifname, const uint8_t to[16], struct load_path *path,
			 char *error, size_t error_size)
{
	struct next_hop hop = { .state = NEXT_HOP_NO_ROUTE };
	int err = hop_find(to, true, &hop, error, error_size);

	if (!err)
		err = hop_judge(&hop, ifname, to, path->ifindex, error, error_size);
	if (!err)
		err = hop_take(&hop, ifname, to, path, error, error_size);
	return err;
}

int load_path_find(const char *ifname, const uint8_t to[16], const uint8_t *from,
		   const uint8_t *mac, struct load_path *ret_path, char *error, size_t error_size)
{
	struct load_path path = { .ifindex = 0 };
	int err = link_find(ifname, &path, error, error_size);

	if (!err)
		err = ethernet_check(ifname, &path, error, error_size);
	if (!err && from)
		memcpy(path.from, from, sizeof(path.from));
	else if (!err)
		err = from_find(ifname, to, &path, error, error_size);
	if (!err && mac)
		memcpy(path.next_hop_mac, mac, sizeof(path.next_hop_mac));
	else if (!err)
		err = next_hop_find(ifname, to, &path, error, error_size);
	if (!err)
		*ret_path = path;
	return err;
}

/* This host's own addresses are reached by the loopback. */
static int sockets_route_check(const char *ifname, const uint8_t to[16], uint32_t ifindex,
			       char *error, size_t error_size)
{
	struct next_hop hop = { .state = NEXT_HOP_NO_ROUTE };
	int err = hop_find(to, false, &hop, error, error_size);

	if (!err && hop.state == NEXT_HOP_LOCAL && ifindex == if_nametoindex("lo"))
		return 0;
	return err ? err : hop_judge(&hop, ifname, to, ifindex, error, error_size);
}

int load_path_find_sockets(const char *ifname, const uint8_t to[16], const uint8_t *from,
			   struct load_path *ret_path, char *error, size_t error_size)
{
	struct load_path path = { .ifindex = 0 };
	int err = link_find(ifname, &path, error, error_size);

	memset(path.source_mac, 0, sizeof(path.source_mac));
	if (!err)
		err = sockets_route_check(ifname, to, path.ifindex, error, error_size);
	if (!err && from)
		memcpy(path.from, from, sizeof(path.from));
	else if (!err)
		err = from_find(ifname, to, &path, error, error_size);
	if (!err)
		*ret_path = path;
	return err;
}
