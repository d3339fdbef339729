/* SPDX-License-Identifier: GPL-2.0-only */
/* host.c - what the machine must be like: read by netlink, ethtool and /proc/sys,
 * and told in sentences that end with the command to type. */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/neighbour.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* In this order: the kernel's then leaves out what the C library's has. */
#include <net/if.h>

#include <linux/if.h>

#include "host/netlink.h"
#include "ringway/limits.h"
#include "util/number.h"

/* The indirection tables of today's hardware have at most 4096 entries. */
#define INDIRECTION_COUNT_MAX 65536

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int ethtool(int fd, const char *ifname, void *command)
{
	struct ifreq request = { .ifr_data = command };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

bool host_link_parse(const struct nlmsghdr *message, struct host_link *ret_link)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	bool has_mac = false;

	ret_link->ifindex = (uint32_t)header->ifi_index;
	ret_link->is_enabled = header->ifi_flags & IFF_UP;
	ret_link->has_carrier = ret_link->is_enabled && (header->ifi_flags & IFF_LOWER_UP);
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_ADDRESS:
			has_mac = mnl_attr_get_payload_len(attr) == sizeof(ret_link->mac);
			if (has_mac)
				memcpy(ret_link->mac, mnl_attr_get_payload(attr),
				       sizeof(ret_link->mac));
			break;
		case IFLA_MTU:
			ret_link->mtu = (uint16_t)smaller(mnl_attr_get_u32(attr), UINT16_MAX);
			break;
		/* Those that exist; a driver with channels may use fewer. sysfs would know, but
		 * shows the devices of the network namespace it was mounted in. */
		case IFLA_NUM_RX_QUEUES: ret_link->rx_queues = mnl_attr_get_u32(attr); break;
		case IFLA_NUM_TX_QUEUES: ret_link->tx_queues = mnl_attr_get_u32(attr); break;
		default: break;
		}
	}
	return has_mac;
}

struct link_answer {
	struct host_link link;
	bool has_mac;
};

static int read_link(const struct nlmsghdr *message, void *arg)
{
	struct link_answer *answer = arg;

	if (message->nlmsg_type == RTM_NEWLINK)
		answer->has_mac = host_link_parse(message, &answer->link);
	return MNL_CB_OK;
}

static void read_channels(int fd, const char *ifname, struct host_link *link)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (ethtool(fd, ifname, &channels))
		return;
	link->has_combined = channels.combined_count > 0;
	/* A tap that nobody has opened counts none. */
	if (channels.rx_count + channels.combined_count)
		link->rx_queues = channels.rx_count + channels.combined_count;
	if (channels.tx_count + channels.combined_count)
		link->tx_queues = channels.tx_count + channels.combined_count;
}

/* 0, also where the driver has no indirection table, or -ENOMEM. */
static int read_indirection(int fd, const char *ifname, struct host_link *link)
{
	struct ethtool_rxfh_indir size = { .cmd = ETHTOOL_GRXFHINDIR }, *table;
	uint32_t used = 0;

	link->rx_queues_used = link->rx_queues;
	if (ethtool(fd, ifname, &size) || !size.size || size.size > INDIRECTION_COUNT_MAX)
		return 0;
	table = calloc(1, sizeof(*table) + size.size * sizeof(table->ring_index[0]));
	if (!table)
		return -ENOMEM;
	*table = size;
	if (!ethtool(fd, ifname, table)) {
		for (uint32_t i = 0; i < size.size; i++)
			if (table->ring_index[i] >= used)
				used = table->ring_index[i] + 1;
		link->has_rss = true;
		link->rx_queues_used = smaller(used, link->rx_queues);
	}
	free(table);
	return 0;
}

static int read_ethtool(const char *ifname, struct host_link *link)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if (!ethtool(fd, ifname, &info))
		(void)snprintf(link->driver, sizeof(link->driver), "%.31s", info.driver);
	read_channels(fd, ifname, link);
	err = read_indirection(fd, ifname, link);
	(void)close(fd);
	return err;
}

static int fail_no_interface(const char *ifname, char *error, size_t error_size)
{
	struct if_nameindex *interfaces = if_nameindex();
	char names[256] = "";
	size_t len = 0;

	for (size_t i = 0; interfaces && interfaces[i].if_name && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "",
					interfaces[i].if_name);
	if (interfaces)
		if_freenameindex(interfaces);
	return fail(-ENODEV, error, error_size, "there is no interface %s; there are: %s", ifname,
		    names);
}

int host_link_read(const char *ifname, struct host_link *ret_link, char *error, size_t error_size)
{
	struct link_answer answer = { 0 };
	union netlink_message message;
	struct netlink *netlink;
	int err = netlink_open(NETLINK_ROUTE, &netlink);

	if (!err) {
		(void)netlink_begin(&message, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
		err = -ENAMETOOLONG;
		if (mnl_attr_put_strz_check(&message.header, sizeof(message), IFLA_IFNAME, ifname))
			err = netlink_ask(netlink, &message, read_link, &answer);
		netlink_close(netlink);
	}
	if (err == -ENODEV)
		return fail_no_interface(ifname, error, error_size);
	if (!err)
		err = read_ethtool(ifname, &answer.link);
	if (err)
		return fail(err, error, error_size, "cannot read the state of %s: %s", ifname,
			    strerror(-err));
	if (!answer.has_mac)
		return fail(-EINVAL, error, error_size,
			    "%s has no MAC address: ringway needs an Ethernet interface", ifname);
	*ret_link = answer.link;
	if (!answer.link.is_enabled)
		return fail(-ENETDOWN, error, error_size, "%s is down: `ip link set dev %s up`",
			    ifname, ifname);
	return 0;
}

struct worker_limit {
	uint32_t workers;
	bool is_wanted;	 /* the configuration allows no more */
	const char *why; /* "eth0 has" (`workers` of) "TX queue": the sentence's parts */
	const char *what;
};

static void worker_limit_lower(struct worker_limit *limit, uint32_t workers, const char *why,
			       const char *what)
{
	if (workers >= limit->workers)
		return;
	limit->workers = workers;
	limit->why = why;
	limit->what = what;
}

static struct worker_limit worker_limit_find(const char *const *ifnames,
					     const struct host_link *links, size_t link_count,
					     uint32_t wanted)
{
	struct worker_limit limit = { .workers = WORKER_COUNT_MAX,
				      .why = "ringway",
				      .what = "worker" };

	for (size_t i = 0; i < link_count; i++) {
		worker_limit_lower(&limit, links[i].rx_queues, ifnames[i], "RX queue");
		worker_limit_lower(&limit, links[i].tx_queues, ifnames[i], "TX queue");
	}
	limit.is_wanted = wanted && wanted < limit.workers;
	if (limit.is_wanted)
		limit.workers = wanted;
	return limit;
}

/* Some RX queue of this port would have no worker. */
static int fail_unserved(const char *ifname, const struct host_link *link,
			 const struct worker_limit *limit, char *error, size_t error_size)
{
	uint32_t workers = limit->workers;
	char why[128], command[128];

	if (limit->is_wanted)
		(void)snprintf(why, sizeof(why), "the configuration says `queues: %u`", workers);
	else
		(void)snprintf(why, sizeof(why), "%s has %u %s%s", limit->why, workers, limit->what,
			       plural(workers));
	if (link->has_rss)
		(void)snprintf(command, sizeof(command), "ethtool -X %s equal %u", ifname, workers);
	else if (link->has_combined)
		(void)snprintf(command, sizeof(command), "ethtool -L %s combined %u", ifname,
			       workers);
	else
		(void)snprintf(command, sizeof(command), "ethtool -L %s rx %u tx %u", ifname,
			       workers, workers);
	return fail(-EINVAL, error, error_size,
		    "%s receives on %u queue%s, but there can be only %u worker%s, because %s: "
		    "`%s`%s",
		    ifname, link->rx_queues_used, plural(link->rx_queues_used), workers,
		    plural(workers), why, command, limit->is_wanted ? ", or raise `queues`" : "");
}

int host_worker_count(const char *const *ifnames, const struct host_link *links, size_t link_count,
		      uint32_t wanted, char *error, size_t error_size)
{
	struct worker_limit limit = worker_limit_find(ifnames, links, link_count, wanted);

	if (!limit.workers)
		return fail(-EINVAL, error, error_size, "%s has no %s", limit.why, limit.what);
	for (size_t i = 0; i < link_count; i++)
		if (links[i].rx_queues_used > limit.workers)
			return fail_unserved(ifnames[i], &links[i], &limit, error, error_size);
	return (int)limit.workers;
}

/* A value of net.FAMILY.conf.IFNAME.KEY, 0 or larger, or a negative errno. */
static int conf_read(enum family family, const char *ifname, const char *key)
{
	char path[128], text[16];
	uint64_t value;
	ssize_t len;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s",
		       family == FAMILY_IPV4 ? "ipv4" : "ipv6", ifname, key);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (len <= 0)
		return -EIO;
	text[len] = 0;
	text[strcspn(text, "\n")] = 0;
	return number_parse(text, 0, INT32_MAX, &value) ? (int)value : -EINVAL;
}

/* Does either of them say so, as the kernel joins most of these settings? */
static int conf_largest(enum family family, const char *ifname, const char *key)
{
	int of_all = conf_read(family, "all", key);
	int of_port = conf_read(family, ifname, key);

	return of_all > of_port ? of_all : of_port;
}

/* In the name of a sysctl a dot separates, so one in an interface's is a slash. */
static void sysctl_ifname(const char *ifname, char ret_name[IFNAMSIZ])
{
	(void)snprintf(ret_name, IFNAMSIZ, "%s", ifname);
	for (char *c = ret_name; *c; c++)
		if (*c == '.')
			*c = '/';
}

int host_forwarding_check(const char *ifname, enum family family, char *error, size_t error_size)
{
	const bool is_ipv4 = family == FAMILY_IPV4;
	int forwarding = conf_read(family, ifname, "forwarding");
	char name[IFNAMSIZ];

	if (forwarding > 0)
		return 0;
	if (forwarding < 0)
		return fail(forwarding, error, error_size,
			    "cannot read whether %s forwards %s: %s; is %s enabled on it?", ifname,
			    is_ipv4 ? "IPv4" : "IPv6", strerror(-forwarding),
			    is_ipv4 ? "IPv4" : "IPv6");
	sysctl_ifname(ifname, name);
	return fail(-EPERM, error, error_size,
		    "the kernel does not forward %s that comes in by %s: "
		    "`sysctl -w net.%s.conf.%s.forwarding=1`%s",
		    is_ipv4 ? "IPv4" : "IPv6", ifname, is_ipv4 ? "ipv4" : "ipv6", name,
		    is_ipv4 ? ", or net.ipv4.ip_forward=1 for all interfaces"
			    : " (and accept_ra=2 if it takes router advertisements)");
}

struct address_search {
	const uint8_t *addr;
	uint32_t ifindex;
	bool is_found;
};

static int read_address(const struct nlmsghdr *message, void *arg)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct address_search *search = arg;
	const struct nlattr *attr;
	uint8_t addr[16], local[16];
	bool has_addr = false, has_local = false;

	if (header->ifa_index != search->ifindex || header->ifa_flags & IFA_F_DADFAILED)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		const void *payload = mnl_attr_get_payload(attr);
		size_t size = mnl_attr_get_payload_len(attr);

		switch (mnl_attr_get_type(attr)) {
		case IFA_LOCAL: has_local = netlink_get_address(payload, size, local); break;
		case IFA_ANYCAST:
		case IFA_ADDRESS: has_addr = netlink_get_address(payload, size, addr); break;
		default: break;
		}
	}
	/* Where both are given, the other is that of the far end. */
	if (has_local ? !memcmp(local, search->addr, 16)
		      : has_addr && !memcmp(addr, search->addr, 16))
		search->is_found = true;
	return MNL_CB_OK;
}

static bool has_address(struct netlink *netlink, const uint8_t addr[16], uint32_t ifindex,
			uint16_t question)
{
	struct address_search search = { .addr = addr, .ifindex = ifindex };
	union netlink_message message;
	struct ifaddrmsg *header;

	header = netlink_begin(&message, question, NLM_F_DUMP, sizeof(*header));
	header->ifa_family = netlink_family(addr);
	return !netlink_ask(netlink, &message, read_address, &search) && search.is_found;
}

/* As `ip neighbour add proxy ADDR dev PORT` makes it. */
static bool has_proxy(struct netlink *netlink, const uint8_t addr[16], uint32_t ifindex)
{
	union netlink_message message;
	struct ndmsg *header;

	header = netlink_begin(&message, RTM_GETNEIGH, 0, sizeof(*header));
	header->ndm_family = netlink_family(addr);
	header->ndm_ifindex = (int)ifindex;
	header->ndm_flags = NTF_PROXY;
	netlink_put_address(&message, NDA_DST, addr);
	return !netlink_ask(netlink, &message, NULL, NULL);
}

static bool answers_arp(struct netlink *netlink, const uint8_t addr[16], uint32_t ifindex,
			const char *ifname)
{
	struct netlink_route route = { 0 };
	bool has_route = !netlink_route(netlink, addr, &route);

	if (conf_largest(FAMILY_IPV4, ifname, "arp_ignore") > 0) {
		if (has_address(netlink, addr, ifindex, RTM_GETADDR))
			return true;
	} else if (route.is_local) {
		return true; /* on whichever interface */
	}
	/* Whom ARP stands in for must be somewhere else. */
	return has_route && !route.is_local && route.ifindex != ifindex &&
	       (conf_largest(FAMILY_IPV4, ifname, "proxy_arp") > 0 ||
		has_proxy(netlink, addr, ifindex));
}

static bool answers_discovery(struct netlink *netlink, const uint8_t addr[16], uint32_t ifindex,
			      const char *ifname)
{
	return has_address(netlink, addr, ifindex, RTM_GETADDR) ||
	       has_address(netlink, addr, ifindex, RTM_GETANYCAST) ||
	       (conf_largest(FAMILY_IPV6, ifname, "proxy_ndp") > 0 &&
		has_proxy(netlink, addr, ifindex));
}

static void advise(const uint8_t addr[16], const char *ifname, char *advice, size_t advice_size)
{
	const bool is_ipv4 = address_is_ipv4(addr);
	/* Neighbour discovery and, with arp_ignore, ARP answer only where the address is. */
	const bool anywhere = is_ipv4 && conf_largest(FAMILY_IPV4, ifname, "arp_ignore") <= 0;
	char text[ADDRESS_TEXT_SIZE];

	(void)address_format(addr, text);
	(void)snprintf(advice, advice_size,
		       "no port answers %s for %s: `ip address add %s/%d dev %s%s`; nothing is "
		       "needed if a router sends it here by a route",
		       is_ipv4 ? "ARP" : "neighbour discovery", text, text, is_ipv4 ? 32 : 128,
		       anywhere ? "lo" : ifname, is_ipv4 ? "" : " nodad");
}

bool host_address_check(const uint8_t addr[16], const struct host_link *links, size_t link_count,
			char *advice, size_t advice_size)
{
	char ifname[IFNAMSIZ], first[IFNAMSIZ] = "PORT";
	bool is_answered = false;
	struct netlink *netlink;
	int err = netlink_open(NETLINK_ROUTE, &netlink);

	if (err) {
		(void)fail(err, advice, advice_size, "cannot open a netlink socket: %s",
			   strerror(-err));
		return false;
	}
	for (size_t i = 0; i < link_count && !is_answered; i++) {
		if (!if_indextoname(links[i].ifindex, ifname))
			continue; /* gone meanwhile */
		if (i == 0)
			memcpy(first, ifname, sizeof(first));
		is_answered = address_is_ipv4(addr)
				      ? answers_arp(netlink, addr, links[i].ifindex, ifname)
				      : answers_discovery(netlink, addr, links[i].ifindex, ifname);
	}
	netlink_close(netlink);
	if (!is_answered)
		advise(addr, first, advice, advice_size);
	return is_answered;
}
