/* SPDX-License-Identifier: GPL-2.0-only */
/* host_test.c - what is read of real interfaces, and the sentences. Root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "host/host.h"
#include "util/number.h"

#include <net/if.h>

#include <netinet/in.h>

/* Last: it has a macro fail(). */
#include <cmocka.h>

#include "netns.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* rw0, 4 queues of each kind, and rw.1, an interface with a dot, up, their peers in the other
 * namespace; rwdown, down. */
static int setup(void **state)
{
	struct netns *netns = calloc(1, sizeof(*netns));

	assert_non_null(netns);
	netns_open(netns);
	netns_run(netns,
		  "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad && ip link set lo up && "
		  "ip link add rw0 mtu 1400 address 02:00:00:00:00:01 "
		  "numrxqueues 4 numtxqueues 4 type veth "
		  "peer name rwp0 numrxqueues 4 numtxqueues 4 netns %s && "
		  "ip link add rw.1 type veth peer name rwp1 netns %s && "
		  "ip link add rwdown type veth peer name rwpd netns %s && "
		  "ip link set rw0 up && ip link set rw.1 up && "
		  "ip address add 10.0.0.1/24 dev rw0 && ip address add fd00::1/64 dev rw0 nodad",
		  netns_peer_path(netns), netns_peer_path(netns), netns_peer_path(netns));
	netns_run_peer(netns, "ip link set rwp0 up && ip link set rwp1 up");
	*state = netns;
	return 0;
}

static int teardown(void **state)
{
	netns_close(*state);
	free(*state);
	return 0;
}

static void reads_a_link(void **state)
{
	struct host_link link;
	char error[256] = "";

	(void)state;
	assert_int_equal(host_link_read("rw0", &link, error, sizeof(error)), 0);
	assert_string_equal(error, "");
	assert_int_equal(link.ifindex, if_nametoindex("rw0"));
	assert_memory_equal(link.mac, "\2\0\0\0\0\1", 6);
	assert_int_equal(link.mtu, 1400);
	assert_true(link.is_enabled);
	assert_true(link.has_carrier);
	assert_int_equal(link.rx_queues, 4);
	assert_int_equal(link.tx_queues, 4);
	assert_int_equal(link.rx_queues_used, 4);
	assert_false(link.has_rss);
	assert_false(link.has_combined);
	assert_string_equal(link.driver, "veth");
}

static void reads_the_queues_in_use(void **state)
{
	struct host_link link;
	char error[256] = "";

	netns_run((struct netns *)*state, "ethtool -L rw0 rx 3 tx 2");
	assert_int_equal(host_link_read("rw0", &link, error, sizeof(error)), 0);
	assert_int_equal(link.rx_queues, 3);
	assert_int_equal(link.tx_queues, 2);
	assert_int_equal(link.rx_queues_used, 3);
}

/* A tap that nobody has opened has no channels in use, but its one queue. */
static void reads_queues_without_channels(void **state)
{
	struct host_link link;
	char error[256] = "";

	netns_run((struct netns *)*state, "ip tuntap add rwtap mode tap");
	assert_int_equal(host_link_read("rwtap", &link, error, sizeof(error)), -ENETDOWN);
	assert_int_equal(link.rx_queues, 1);
	assert_int_equal(link.tx_queues, 1);
	assert_string_equal(link.driver, "tun");
}

#define LONG_NAME "a-name-of-64-bytes-is-longer-than-any-interface-of-linux-has-it-"

static void refuses_links_in_sentences(void **state)
{
	static const struct {
		const char *name, *command, *ifname;
		int err;
		const char *error;
	} cases[] = {
		{ "down", "true", "rwdown", -ENETDOWN,
		  "rwdown is down: `ip link set dev rwdown up`" },
		{ "no Ethernet", "ip tuntap add rwtun mode tun", "rwtun", -EINVAL,
		  "rwtun has no MAC address: ringway needs an Ethernet interface" },
		{ "name too long", "true", "a-name-of-16-bytes", -ERANGE,
		  "cannot read the state of a-name-of-16-bytes: Numerical result out of range" },
		{ "name longer than a question", "true", LONG_NAME LONG_NAME LONG_NAME LONG_NAME,
		  -ENAMETOOLONG,
		  "cannot read the state of " LONG_NAME LONG_NAME LONG_NAME LONG_NAME
		  ": File name too long" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct host_link link = { .ifindex = 4711 };
		char error[512] = "";

		print_message("case: %s\n", cases[i].name);
		netns_run((struct netns *)*state, "%s", cases[i].command);
		assert_int_equal(host_link_read(cases[i].ifname, &link, error, sizeof(error)),
				 cases[i].err);
		assert_string_equal(error, cases[i].error);
		assert_false(link.has_carrier);
		if (cases[i].err == -ENETDOWN)
			assert_int_equal(link.ifindex, if_nametoindex(cases[i].ifname));
		else
			assert_int_equal(link.ifindex, 4711);
	}
}

/* Sockets can be bound to it already. */
static void reads_a_link_without_carrier(void **state)
{
	struct host_link link;
	char error[512] = "";

	netns_run((struct netns *)*state, "ip link set rwdown up");
	assert_int_equal(host_link_read("rwdown", &link, error, sizeof(error)), 0);
	assert_true(link.is_enabled);
	assert_false(link.has_carrier);
}

/* A kernel with tunnels built in has more of them than those. */
static void lists_the_interfaces_there_are(void **state)
{
	static const char prefix[] = "there is no interface rw9; there are: lo, ";
	struct host_link link;
	char error[256] = "";

	(void)state;
	assert_int_equal(host_link_read("rw9", &link, error, sizeof(error)), -ENODEV);
	assert_memory_equal(error, prefix, strlen(prefix));
	assert_non_null(strstr(error, ", rw0, rw.1, rwdown"));
}

#define QUEUES(rx, tx, used) .rx_queues = (rx), .tx_queues = (tx), .rx_queues_used = (used)

static const struct {
	const char *name;
	struct host_link links[2];
	size_t link_count;
	uint32_t wanted;
	int workers;
	const char *error;
} worker_cases[] = {
	{ "one queue", { { QUEUES(1, 1, 1) } }, 1, 0, 1, "" },
	{ "as many as there are", { { QUEUES(8, 8, 8) }, { QUEUES(8, 8, 8) } }, 2, 0, 8, "" },
	{ "more wanted than there are", { { QUEUES(4, 4, 4) } }, 1, 9, 4, "" },
	{ "RSS is narrow already",
	  { { QUEUES(8, 8, 2), .has_rss = true }, { QUEUES(2, 2, 2) } },
	  2,
	  0,
	  2,
	  "" },
	{ "the other port is smaller",
	  { { QUEUES(8, 8, 8), .has_rss = true }, { QUEUES(4, 8, 4) } },
	  2,
	  0,
	  -EINVAL,
	  "eth0 receives on 8 queues, but there can be only 4 workers, because eth1 has 4 RX "
	  "queues: `ethtool -X eth0 equal 4`" },
	{ "few transmit queues",
	  { { QUEUES(4, 1, 4) } },
	  1,
	  0,
	  -EINVAL,
	  "eth0 receives on 4 queues, but there can be only 1 worker, because eth0 has 1 TX "
	  "queue: `ethtool -L eth0 rx 1 tx 1`" },
	{ "combined channels",
	  { { QUEUES(2, 2, 2) }, { QUEUES(4, 4, 4), .has_combined = true } },
	  2,
	  0,
	  -EINVAL,
	  "eth1 receives on 4 queues, but there can be only 2 workers, because eth0 has 2 RX "
	  "queues: `ethtool -L eth1 combined 2`" },
	{ "fewer wanted",
	  { { QUEUES(4, 4, 4), .has_rss = true, .has_combined = true } },
	  1,
	  2,
	  -EINVAL,
	  "eth0 receives on 4 queues, but there can be only 2 workers, because the configuration "
	  "says `queues: 2`: `ethtool -X eth0 equal 2`, or raise `queues`" },
	{ "raising `queues` would not help",
	  { { QUEUES(4, 2, 4) } },
	  1,
	  2,
	  -EINVAL,
	  "eth0 receives on 4 queues, but there can be only 2 workers, because eth0 has 2 TX "
	  "queues: `ethtool -L eth0 rx 2 tx 2`" },
	{ "more than ringway serves",
	  { { QUEUES(128, 128, 128), .has_rss = true } },
	  1,
	  0,
	  -EINVAL,
	  "eth0 receives on 128 queues, but there can be only 64 workers, because ringway has 64 "
	  "workers: `ethtool -X eth0 equal 64`" },
	{ "no queue", { { QUEUES(1, 0, 1) } }, 1, 0, -EINVAL, "eth0 has no TX queue" },
};

static void counts_workers(void **state)
{
	static const char *const ifnames[] = { "eth0", "eth1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(worker_cases); i++) {
		char error[256] = "";

		print_message("case: %s\n", worker_cases[i].name);
		assert_int_equal(host_worker_count(ifnames, worker_cases[i].links,
						   worker_cases[i].link_count,
						   worker_cases[i].wanted, error, sizeof(error)),
				 worker_cases[i].workers);
		assert_string_equal(error, worker_cases[i].error);
	}
}

/* The command that a sentence names does what it promises. */
static void its_command_helps(void **state)
{
	static const char *const ifname = "rw0";
	struct host_link link;
	char error[256] = "", *command;

	assert_int_equal(host_link_read(ifname, &link, error, sizeof(error)), 0);
	assert_int_equal(host_worker_count(&ifname, &link, 1, 2, error, sizeof(error)), -EINVAL);
	command = strstr(error, "`ethtool");
	assert_non_null(command);
	*strchr(command + 1, '`') = 0;
	netns_run((struct netns *)*state, "%s", command + 1);
	assert_int_equal(host_link_read(ifname, &link, error, sizeof(error)), 0);
	assert_int_equal(host_worker_count(&ifname, &link, 1, 2, error, sizeof(error)), 2);
}

static void checks_forwarding(void **state)
{
	static const struct {
		const char *name, *command, *ifname;
		enum family family;
		int err;
		const char *error;
	} cases[] = {
		{ "off", "echo 0 > /proc/sys/net/ipv4/ip_forward", "rw0", FAMILY_IPV4, -EPERM,
		  "the kernel does not forward IPv4 that comes in by rw0: "
		  "`sysctl -w net.ipv4.conf.rw0.forwarding=1`, or net.ipv4.ip_forward=1 for all "
		  "interfaces" },
		{ "a dot in the name", "true", "rw.1", FAMILY_IPV4, -EPERM,
		  "the kernel does not forward IPv4 that comes in by rw.1: "
		  "`sysctl -w net.ipv4.conf.rw/1.forwarding=1`, or net.ipv4.ip_forward=1 for all "
		  "interfaces" },
		{ "that sentence helps", "sysctl -qw net.ipv4.conf.rw/1.forwarding=1", "rw.1",
		  FAMILY_IPV4, 0, "" },
		{ "off, IPv6", "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding", "rw0",
		  FAMILY_IPV6, -EPERM,
		  "the kernel does not forward IPv6 that comes in by rw0: "
		  "`sysctl -w net.ipv6.conf.rw0.forwarding=1` (and accept_ra=2 if it takes router "
		  "advertisements)" },
		{ "on for all but this, IPv6",
		  "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding && "
		  "echo 0 > /proc/sys/net/ipv6/conf/rw0/forwarding",
		  "rw0", FAMILY_IPV6, -EPERM,
		  "the kernel does not forward IPv6 that comes in by rw0: "
		  "`sysctl -w net.ipv6.conf.rw0.forwarding=1` (and accept_ra=2 if it takes router "
		  "advertisements)" },
		{ "on, IPv6", "echo 1 > /proc/sys/net/ipv6/conf/rw0/forwarding", "rw0", FAMILY_IPV6,
		  0, "" },
		{ "on by ip_forward", "sysctl -qw net.ipv4.ip_forward=1", "rw0", FAMILY_IPV4, 0,
		  "" },
		{ "absent", "true", "rw9", FAMILY_IPV4, -ENOENT,
		  "cannot read whether rw9 forwards IPv4: No such file or directory; is IPv4 "
		  "enabled on it?" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char error[256] = "";

		print_message("case: %s\n", cases[i].name);
		netns_run((struct netns *)*state, "%s", cases[i].command);
		assert_int_equal(host_forwarding_check(cases[i].ifname, cases[i].family, error,
						       sizeof(error)),
				 cases[i].err);
		assert_string_equal(error, cases[i].error);
	}
}

#define BY_ROUTE "; nothing is needed if a router sends it here by a route"

/* Each undoes what it set, but for the routes. */
static const struct {
	const char *name, *command, *undo, *addr, *advice;
} address_cases[] = {
	{ "nowhere", "true", "true", "192.0.2.1",
	  "no port answers ARP for 192.0.2.1: `ip address add 192.0.2.1/32 dev lo`" BY_ROUTE },
	{ "on the port", "true", "true", "10.0.0.1", "" },
	{ "on lo", "ip address add 192.0.2.1/32 dev lo", "ip address del 192.0.2.1/32 dev lo",
	  "192.0.2.1", "" },
	{ "a local route", "ip route add local 192.0.2.0/24 dev lo",
	  "ip route del local 192.0.2.0/24 dev lo", "192.0.2.1", "" },
	{ "on lo, but arp_ignore",
	  "ip address add 192.0.2.1/32 dev lo && echo 1 > /proc/sys/net/ipv4/conf/rw0/arp_ignore",
	  "ip address del 192.0.2.1/32 dev lo", "192.0.2.1",
	  "no port answers ARP for 192.0.2.1: `ip address add 192.0.2.1/32 dev rw0`" BY_ROUTE },
	{ "on the port with arp_ignore", "true", "echo 0 > /proc/sys/net/ipv4/conf/rw0/arp_ignore",
	  "10.0.0.1", "" },
	{ "proxy_arp, but no route", "echo 1 > /proc/sys/net/ipv4/conf/rw0/proxy_arp", "true",
	  "192.0.2.1",
	  "no port answers ARP for 192.0.2.1: `ip address add 192.0.2.1/32 dev lo`" BY_ROUTE },
	{ "proxy_arp and a route to elsewhere", "ip route add 192.0.2.0/24 dev rw.1",
	  "ip route del 192.0.2.0/24", "192.0.2.1", "" },
	{ "proxy_arp and a route back", "ip route add 192.0.2.0/24 dev rw0",
	  "echo 0 > /proc/sys/net/ipv4/conf/rw0/proxy_arp; ip route del 192.0.2.0/24", "192.0.2.1",
	  "no port answers ARP for 192.0.2.1: `ip address add 192.0.2.1/32 dev lo`" BY_ROUTE },
	{ "a proxy neighbour",
	  "ip route add 192.0.2.0/24 dev rw.1 && ip neighbour add proxy 192.0.2.1 dev rw0",
	  "ip neighbour del proxy 192.0.2.1 dev rw0; ip route del 192.0.2.0/24", "192.0.2.1", "" },
	{ "nowhere, IPv6", "true", "true", "2001:db8::1",
	  "no port answers neighbour discovery for 2001:db8::1: "
	  "`ip address add 2001:db8::1/128 dev rw0 nodad`" BY_ROUTE },
	{ "on lo, IPv6", "ip address add 2001:db8::1/128 dev lo",
	  "ip address del 2001:db8::1/128 dev lo", "2001:db8::1",
	  "no port answers neighbour discovery for 2001:db8::1: "
	  "`ip address add 2001:db8::1/128 dev rw0 nodad`" BY_ROUTE },
	{ "on the port, IPv6", "ip address add 2001:db8::1/128 dev rw0 nodad",
	  "ip address del 2001:db8::1/128 dev rw0", "2001:db8::1", "" },
	{ "with a far end, IPv6", "ip address add 2001:db8::1 peer 2001:db8::2 dev rw0 nodad",
	  "true", "2001:db8::1", "" },
	{ "the far end itself, IPv6", "true", "ip address del 2001:db8::1 peer 2001:db8::2 dev rw0",
	  "2001:db8::2",
	  "no port answers neighbour discovery for 2001:db8::2: "
	  "`ip address add 2001:db8::2/128 dev rw0 nodad`" BY_ROUTE },
	{ "a proxy neighbour, but proxy_ndp off", "ip -6 neighbour add proxy 2001:db8::1 dev rw0",
	  "true", "2001:db8::1",
	  "no port answers neighbour discovery for 2001:db8::1: "
	  "`ip address add 2001:db8::1/128 dev rw0 nodad`" BY_ROUTE },
	{ "a proxy neighbour, IPv6", "echo 1 > /proc/sys/net/ipv6/conf/rw0/proxy_ndp", "true",
	  "2001:db8::1", "" },
};

static void checks_who_answers(void **state)
{
	struct host_link link = { .ifindex = if_nametoindex("rw0") };

	for (size_t i = 0; i < ARRAY_LEN(address_cases); i++) {
		char advice[256] = "";
		uint8_t addr[16];

		print_message("case: %s\n", address_cases[i].name);
		assert_true(address_parse(address_cases[i].addr, addr));
		netns_run((struct netns *)*state, "%s", address_cases[i].command);
		assert_int_equal(host_address_check(addr, &link, 1, advice, sizeof(advice)),
				 !*address_cases[i].advice);
		assert_string_equal(advice, address_cases[i].advice);
		netns_run((struct netns *)*state, "%s", address_cases[i].undo);
	}
}

static void counts_anycast_as_answered(void **state)
{
	struct host_link link = { .ifindex = if_nametoindex("rw0") };
	struct ipv6_mreq anycast = { .ipv6mr_interface = link.ifindex };
	char advice[256];
	uint8_t addr[16];
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_true(address_parse("fd00::a", addr));
	memcpy(&anycast.ipv6mr_multiaddr, addr, sizeof(addr));
	assert_false(host_address_check(addr, &link, 1, advice, sizeof(advice)));
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &anycast, sizeof(anycast)),
			 0);
	assert_true(host_address_check(addr, &link, 1, advice, sizeof(advice)));
	(void)close(fd);
}

/* ARP is answered on each port, so one of them is enough. */
static void looks_at_every_port(void **state)
{
	struct host_link links[] = { { .ifindex = if_nametoindex("rw.1") },
				     { .ifindex = if_nametoindex("rw0") } };
	char advice[256];
	uint8_t addr[16];

	(void)state;
	assert_true(address_parse("fd00::1", addr));
	assert_false(host_address_check(addr, links, 1, advice, sizeof(advice)));
	assert_true(host_address_check(addr, links, 2, advice, sizeof(advice)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(reads_a_link),
		TEST(reads_the_queues_in_use),
		TEST(reads_queues_without_channels),
		TEST(refuses_links_in_sentences),
		TEST(reads_a_link_without_carrier),
		TEST(lists_the_interfaces_there_are),
		TEST(counts_workers),
		TEST(its_command_helps),
		TEST(checks_forwarding),
		TEST(checks_who_answers),
		TEST(counts_anycast_as_answered),
		TEST(looks_at_every_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
