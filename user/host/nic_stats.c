/* SPDX-License-Identifier: GPL-2.0-only */
/* nic_stats.c - an interface's counters of lost frames, by ethtool and netlink; sysfs
 * would show the interfaces of the network namespace it was mounted in. */
#include "host/nic_stats.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>

#include "host/netlink.h"
#include "util/number.h"

/* Cards with 64 queues have some 3000. */
#define DRIVER_COUNTER_COUNT_MAX 16384

_Static_assert(NIC_NAME_SIZE == ETH_GSTRING_LEN + 1, "names are the kernel's");

/* The first that fits decides. */
static const struct {
	const char *pattern;
	enum nic_class class;
} patterns[] = {
	{ "*csum*", NIC_NO_LOSS }, /* the card could not tell; the kernel counts wrong ones */
	{ "*checksum*", NIC_NO_LOSS },
	{ "*cache*", NIC_NO_LOSS },
	{ "*pause*", NIC_NO_LOSS },
	{ "*recover*", NIC_NO_LOSS },
	{ "*rx*xdp*", NIC_RX_XDP },
	{ "*tx*xdp*err*", NIC_TX_DROPPED }, /* `return_path: xdp` redirects */
	{ "*tx*xdp*full*", NIC_TX_DROPPED },
	{ "*tx*xdp*drop*", NIC_TX_DROPPED },
	{ "*tx*xdp*", NIC_NO_LOSS },
	{ "*tx*drop*", NIC_TX_DROPPED },
	{ "*tx*discard*", NIC_TX_DROPPED },
	{ "*tx*err*", NIC_TX_ERRORS },
	{ "*tx*abort*", NIC_TX_ERRORS },
	{ "*tx*timeout*", NIC_TX_ERRORS },
	{ "*tx*linearize_fail*", NIC_TX_ERRORS },
	{ "*rx*miss*", NIC_RX_MISSED },
	{ "*rx*no_buf*", NIC_RX_MISSED },
	{ "*rx*nobuf*", NIC_RX_MISSED },
	{ "*out_of_buf*", NIC_RX_MISSED },
	{ "*rx*no_dma*", NIC_RX_MISSED },
	{ "*rx*fifo*", NIC_RX_MISSED },
	{ "*rx*over_err*", NIC_RX_MISSED },
	{ "*rx*overrun*", NIC_RX_MISSED },
	{ "*rx*overflow*", NIC_RX_MISSED },
	{ "*rx*discard*", NIC_RX_MISSED },
	{ "*rx*alloc*fail*", NIC_RX_MISSED },
	{ "*rx*alloc*err*", NIC_RX_MISSED },
	{ "*rx*drop*", NIC_RX_DROPPED },
	{ "*rx*undersize*", NIC_RX_DAMAGED },
	{ "*rx*oversize*", NIC_RX_DAMAGED },
	{ "*rx*jabber*", NIC_RX_DAMAGED },
	{ "*rx*fragments*", NIC_RX_DAMAGED },
	{ "*rx*err*", NIC_RX_DAMAGED },
};

enum nic_class nic_class_of(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (fnmatch(patterns[i].pattern, name, FNM_CASEFOLD) == 0)
			return patterns[i].class;
	return NIC_NO_LOSS;
}

static void counter_add(struct nic_stats *stats, const char *name, uint64_t value, bool is_kernel)
{
	struct nic_counter *counter = &stats->counters[stats->count];

	(void)snprintf(counter->name, sizeof(counter->name), "%.*s", ETH_GSTRING_LEN, name);
	counter->class = nic_class_of(counter->name);
	counter->is_kernel = is_kernel;
	counter->value = value;
	if (counter->class != NIC_NO_LOSS)
		stats->count++;
}

/* --- the kernel's counters ------------------------------------------------- */

/* By the names of `ip -s link`, as the patterns judge them. */
#define KERNEL_COUNTERS(X) \
	X(rx_errors)       \
	X(rx_missed_errors) X(rx_fifo_errors) X(rx_dropped) X(tx_dropped) X(tx_errors)
#define KERNEL_COUNTER_COUNT 6

static int link_read(const struct nlmsghdr *message, void *arg)
{
	struct rtnl_link_stats64 *stats = arg;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct ifinfomsg))
	{
		size_t size = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) != IFLA_STATS64)
			continue;
		/* Older and newer kernels have fewer and more. */
		memcpy(stats, mnl_attr_get_payload(attr),
		       size < sizeof(*stats) ? size : sizeof(*stats));
	}
	return MNL_CB_OK;
}

static int kernel_read(const char *ifname, struct nic_stats *stats)
{
	struct rtnl_link_stats64 link = { 0 };
	union netlink_message message;
	struct netlink *netlink;
	int err = netlink_open(NETLINK_ROUTE, &netlink);

	if (err)
		return err;
	(void)netlink_begin(&message, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	err = -ENAMETOOLONG;
	if (mnl_attr_put_strz_check(&message.header, sizeof(message), IFLA_IFNAME, ifname))
		err = netlink_ask(netlink, &message, link_read, &link);
	netlink_close(netlink);
	if (err)
		return err;
#define X(name) counter_add(stats, #name, link.name, true);
	KERNEL_COUNTERS(X)
#undef X
	return 0;
}

/* --- the driver's counters ------------------------------------------------- */

static int ethtool(int fd, const char *ifname, void *command)
{
	struct ifreq request = { .ifr_data = command };

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/* How many the driver has; 0 where it has none, or more than anybody counts. */
static uint32_t driver_count(int fd, const char *ifname)
{
	/* With the one answer that follows it. */
	union {
		struct ethtool_sset_info info;
		uint8_t bytes[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} question = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_STATS } };
	uint32_t count;

	if (ethtool(fd, ifname, &question) || !question.info.sset_mask)
		return 0;
	memcpy(&count, question.bytes + sizeof(question.info), sizeof(count));
	return count > DRIVER_COUNTER_COUNT_MAX ? 0 : count;
}

/* Their number may change meanwhile, with the queues'. The kernel then copies as many as
 * there are, whatever it was told: there is room for all that are taken seriously. */
static int driver_read(int fd, const char *ifname, uint32_t count, struct nic_stats *stats)
{
	struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + DRIVER_COUNTER_COUNT_MAX * ETH_GSTRING_LEN);
	struct ethtool_stats *values =
		calloc(1, sizeof(*values) + DRIVER_COUNTER_COUNT_MAX * sizeof(uint64_t));
	int err = names && values ? 0 : -ENOMEM;

	if (!err) {
		*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
						    .string_set = ETH_SS_STATS,
						    .len = count };
		*values = (struct ethtool_stats){ .cmd = ETHTOOL_GSTATS, .n_stats = count };
		err = ethtool(fd, ifname, names);
	}
	if (!err)
		err = ethtool(fd, ifname, values);
	if (!err && (names->len != count || values->n_stats != count))
		err = -EAGAIN;
	for (uint32_t i = 0; !err && i < count; i++)
		counter_add(stats, (const char *)&names->data[i * ETH_GSTRING_LEN], values->data[i],
			    false);
	free(names);
	free(values);
	return err;
}

int nic_stats_read(const char *ifname, struct nic_stats *ret_stats)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
	struct nic_stats stats = { 0 };
	uint32_t count;

	memset(ret_stats, 0, sizeof(*ret_stats));
	if (fd < 0)
		return -errno;
	count = driver_count(fd, ifname);
	/* One more: every counter is put in its place before it is judged. */
	stats.counters = calloc(count + KERNEL_COUNTER_COUNT + 1, sizeof(*stats.counters));
	if (!stats.counters)
		err = -ENOMEM;
	if (!err && count)
		err = driver_read(fd, ifname, count, &stats);
	if (!err)
		err = kernel_read(ifname, &stats);
	(void)close(fd);
	if (err)
		nic_stats_free(&stats);
	*ret_stats = stats;
	return err;
}

void nic_stats_free(struct nic_stats *stats)
{
	free(stats->counters);
	memset(stats, 0, sizeof(*stats));
}

/* --- what they add up to ----------------------------------------------------- */

static const struct nic_counter *counter_find(const struct nic_stats *stats,
					      const struct nic_counter *like, size_t likely)
{
	for (size_t i = 0; i < stats->count; i++) {
		/* Drivers do not change their order. */
		const struct nic_counter *counter = &stats->counters[(likely + i) % stats->count];

		if (counter->is_kernel == like->is_kernel && strcmp(counter->name, like->name) == 0)
			return counter;
	}
	return NULL;
}

void nic_stats_since(struct nic_stats *stats, const struct nic_stats *before)
{
	for (size_t i = 0; i < stats->count; i++) {
		struct nic_counter *counter = &stats->counters[i];
		const struct nic_counter *old = counter_find(before, counter, i);

		if (old)
			counter->value = number_since(counter->value, old->value);
	}
}

/* "rx3_wqe_err" without its number is "rx_wqe_err"; false if it has none. */
static bool name_without_number(const char *name, char ret_name[NIC_NAME_SIZE])
{
	size_t start = strcspn(name, "0123456789");
	size_t len = strspn(name + start, "0123456789");

	(void)snprintf(ret_name, NIC_NAME_SIZE, "%.*s%s", (int)start, name, name + start + len);
	return len > 0;
}

static bool has_of_driver(const struct nic_stats *stats, enum nic_class class)
{
	for (size_t i = 0; i < stats->count; i++)
		if (!stats->counters[i].is_kernel && stats->counters[i].class == class)
			return true;
	return false;
}

/* What the kernel calls rx_dropped also has frames of protocols that nobody wanted. */
bool nic_stats_counts(const struct nic_stats *stats, const struct nic_counter *counter)
{
	struct nic_counter sum = { .is_kernel = false };

	if (counter->is_kernel)
		return counter->class != NIC_RX_DROPPED || !has_of_driver(stats, NIC_RX_DROPPED);
	return !name_without_number(counter->name, sum.name) || !counter_find(stats, &sum, 0);
}

uint64_t nic_stats_sum(const struct nic_stats *stats, enum nic_class class)
{
	uint64_t of_kernel = 0, of_driver = 0;

	for (size_t i = 0; i < stats->count; i++) {
		const struct nic_counter *counter = &stats->counters[i];

		if (counter->class != class || !nic_stats_counts(stats, counter))
			continue;
		*(counter->is_kernel ? &of_kernel : &of_driver) += counter->value;
	}
	return of_kernel > of_driver ? of_kernel : of_driver;
}
