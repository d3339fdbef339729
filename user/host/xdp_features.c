/* SPDX-License-Identifier: GPL-2.0-only */
/* xdp_features.c - the kernel's generic netlink family "netdev", asked for one number. */
#include "host/xdp_features.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>

#include "host/netlink.h"
#include "util/number.h"

/* Of linux/netdev.h, which headers older than the kernel that runs do not have. */
enum {
	NETDEV_DEV_GET = 1, /* a command */
	NETDEV_IFINDEX = 1, /* attributes */
	NETDEV_XDP_FEATURES = 3,
	NETDEV_NDO_XMIT = 1 << 2, /* a bit of the latter */
};

/* The one attribute that is wanted of an answer. */
struct wanted {
	uint16_t type;
	uint64_t value;
};

static int read_attribute(const struct nlmsghdr *message, void *arg)
{
	struct wanted *wanted = arg;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(attr) != wanted->type)
			continue;
		if (mnl_attr_get_payload_len(attr) == sizeof(uint16_t))
			wanted->value = mnl_attr_get_u16(attr);
		else if (mnl_attr_get_payload_len(attr) == sizeof(uint64_t))
			wanted->value = mnl_attr_get_u64(attr);
	}
	return MNL_CB_OK;
}

static void question_begin(union netlink_message *message, uint16_t family, uint8_t command)
{
	struct genlmsghdr *header = netlink_begin(message, family, 0, sizeof(*header));

	header->cmd = command;
	header->version = 1;
}

/* -ENOENT where the kernel has no such family. */
static int features_read(struct netlink *netlink, uint32_t ifindex, uint64_t *ret_features)
{
	struct wanted family = { .type = CTRL_ATTR_FAMILY_ID };
	struct wanted features = { .type = NETDEV_XDP_FEATURES };
	union netlink_message message;
	int err;

	question_begin(&message, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(&message.header, CTRL_ATTR_FAMILY_NAME, "netdev");
	err = netlink_ask(netlink, &message, read_attribute, &family);
	if (err)
		return err;
	question_begin(&message, (uint16_t)family.value, NETDEV_DEV_GET);
	mnl_attr_put_u32(&message.header, NETDEV_IFINDEX, ifindex);
	err = netlink_ask(netlink, &message, read_attribute, &features);
	if (!err)
		*ret_features = features.value;
	return err;
}

int xdp_features_check_redirect(const char *ifname, const struct host_link *link, char *error,
				size_t error_size)
{
	const bool is_veth = !strcmp(link->driver, "veth");
	uint64_t features = 0;
	struct netlink *netlink;
	int err = netlink_open(NETLINK_GENERIC, &netlink);

	if (!err) {
		err = features_read(netlink, link->ifindex, &features);
		netlink_close(netlink);
	}
	if (err == -ENOENT)
		return 0;
	if (err)
		return fail(err, error, error_size, "cannot read what %s can do with XDP: %s",
			    ifname, strerror(-err));
	if (features & NETDEV_NDO_XMIT)
		return 0;
	return fail(-EOPNOTSUPP, error, error_size,
		    "%s does not take frames that XDP redirects, so with `return_path: xdp` the "
		    "answers to its clients would be lost: `return_path: userspace`%s",
		    ifname, is_veth ? ", or at its other end `ethtool -K PEER gro on`" : "");
}
