/* SPDX-License-Identifier: GPL-2.0-only */
/* next_hop_test.c - next hops as real routes, neighbours and links change. Root. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "host/netlink.h"
#include "host/next_hop.h"
#include "ringway/limits.h"
#include "util/number.h"

#include <net/if.h>

/* Last: it has a macro fail(). */
#include <cmocka.h>

#include "netns.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

enum {
	WATCH_COUNT_MAX = 1000,
	WAIT_MAX_MS = 10000,
	/* More events than fit into the socket's backlog of 1 MiB. */
	FLOOD_COUNT = 6000,
};

static const char mac_peer0[] = "02:00:00:00:00:02";
static const char mac_peer1[] = "02:00:00:00:01:02";
static const char mac_other[] = "02:00:00:00:00:77";

/* rw0 10.0.0.1/24 fd00::1/64 - 10.0.0.2 fd00::2; rw1 10.0.1.1/24 fd01::1/64 - 10.0.1.2 fd01::2 */
struct fixture {
	struct netns netns;
	struct next_hops *hops;
	struct {
		struct next_hop hop;
		unsigned int changes;
	} seen[WATCH_COUNT_MAX];
	uint64_t ticked_ms;
};

static void record(void *arg, uint32_t id, const struct next_hop *hop)
{
	struct fixture *fixture = arg;

	assert_true(id < WATCH_COUNT_MAX);
	fixture->seen[id].hop = *hop;
	fixture->seen[id].changes++;
}

static void build_links(const struct netns *netns)
{
	/* Without duplicate address detection, IPv6 is ready as soon as the link is. */
	netns_run(netns, "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up");
	netns_run_peer(netns, "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
	for (int i = 0; i < 2; i++) {
		netns_run(netns,
			  "ip link add rw%d type veth peer name rwp%d netns %s && "
			  "ip address add 10.0.%d.1/24 dev rw%d && "
			  "ip address add fd0%d::1/64 dev rw%d nodad && ip link set rw%d up",
			  i, i, netns_peer_path(netns), i, i, i, i, i);
		netns_run_peer(netns,
			       "ip link set rwp%d address 02:00:00:00:0%d:02 up && "
			       "ip address add 10.0.%d.2/24 dev rwp%d && "
			       "ip address add fd0%d::2/64 dev rwp%d nodad",
			       i, i, i, i, i, i);
	}
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	char error[256] = "";
	int err;

	assert_non_null(fixture);
	netns_open(&fixture->netns);
	build_links(&fixture->netns);
	err = next_hops_open(record, fixture, &fixture->hops, error, sizeof(error));
	assert_string_equal(error, "");
	assert_int_equal(err, 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	next_hops_close(fixture->hops);
	netns_close(&fixture->netns);
	free(fixture);
	return 0;
}

static void watch(struct fixture *fixture, uint32_t id, const char *text)
{
	uint8_t addr[16];

	assert_true(address_parse(text, addr));
	assert_int_equal(next_hops_watch(fixture->hops, id, addr), 0);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What an event loop does, for at most timeout_ms until something happens. */
static void serve(struct fixture *fixture, int timeout_ms)
{
	struct pollfd fd = { .fd = next_hops_fd(fixture->hops), .events = POLLIN };

	if (poll(&fd, 1, timeout_ms) > 0)
		next_hops_read(fixture->hops);
	if (now_ms() - fixture->ticked_ms >= 1000) {
		fixture->ticked_ms = now_ms();
		next_hops_tick(fixture->hops);
	}
}

/* All that has happened up to now: the kernel queues events before a command ends. */
static void read_events(struct fixture *fixture)
{
	struct pollfd fd = { .fd = next_hops_fd(fixture->hops), .events = POLLIN };

	while (poll(&fd, 1, 0) > 0)
		next_hops_read(fixture->hops);
}

static bool hop_is(const struct next_hop *hop, int state, const char *ifname, const char *gateway,
		   const char *mac)
{
	char gateway_text[ADDRESS_TEXT_SIZE], mac_text[18];

	(void)address_format(hop->gateway, gateway_text);
	(void)snprintf(mac_text, sizeof(mac_text), "%02x:%02x:%02x:%02x:%02x:%02x", hop->mac[0],
		       hop->mac[1], hop->mac[2], hop->mac[3], hop->mac[4], hop->mac[5]);
	return (int)hop->state == state && hop->ifindex == (ifname ? if_nametoindex(ifname) : 0) &&
	       !strcmp(gateway_text, gateway ? gateway : "::") &&
	       !strcmp(mac_text, mac ? mac : "00:00:00:00:00:00");
}

static void expect(const struct fixture *fixture, uint32_t id, int state, const char *ifname,
		   const char *gateway, const char *mac)
{
	const struct next_hop *hop = &fixture->seen[id].hop;
	char text[ADDRESS_TEXT_SIZE];

	if (hop_is(hop, state, ifname, gateway, mac))
		return;
	fail_msg("id %u: state %d, interface %u, gateway %s, MAC ...%02x:%02x", id, hop->state,
		 hop->ifindex, address_format(hop->gateway, text), hop->mac[4], hop->mac[5]);
}

static void expect_soon(struct fixture *fixture, uint32_t id, int state, const char *ifname,
			const char *gateway, const char *mac)
{
	uint64_t start = now_ms();

	while (now_ms() - start < WAIT_MAX_MS &&
	       !hop_is(&fixture->seen[id].hop, state, ifname, gateway, mac))
		serve(fixture, 100);
	expect(fixture, id, state, ifname, gateway, mac);
}

static const struct {
	const char *name, *command, *addr;
	int state;
	const char *ifname, *gateway, *mac;
} known_cases[] = {
	{ "no route", "true", "192.0.2.1", NEXT_HOP_NO_ROUTE, NULL, NULL, NULL },
	{ "no route, IPv6", "true", "2001:db8::1", NEXT_HOP_NO_ROUTE, NULL, NULL, NULL },
	{ "unreachable", "ip route add unreachable 10.9.0.0/24", "10.9.0.1", NEXT_HOP_NO_ROUTE,
	  NULL, NULL, NULL },
	{ "blackhole", "ip route add blackhole 10.9.1.0/24", "10.9.1.1", NEXT_HOP_NO_ROUTE, NULL,
	  NULL, NULL },
	{ "prohibit", "ip route add prohibit 10.9.2.0/24", "10.9.2.1", NEXT_HOP_NO_ROUTE, NULL,
	  NULL, NULL },
	{ "unreachable, IPv6", "ip route add unreachable fd09::/64", "fd09::1", NEXT_HOP_NO_ROUTE,
	  NULL, NULL, NULL },
	{ "blackhole, IPv6", "ip route add blackhole fd0a::/64", "fd0a::1", NEXT_HOP_NO_ROUTE, NULL,
	  NULL, NULL },
	{ "broadcast", "true", "10.0.0.255", NEXT_HOP_NO_ROUTE, NULL, NULL, NULL },
	{ "local", "true", "10.0.0.1", NEXT_HOP_LOCAL, NULL, NULL, NULL },
	{ "local, IPv6", "true", "fd00::1", NEXT_HOP_LOCAL, NULL, NULL, NULL },
	{ "silent", "true", "10.0.0.77", NEXT_HOP_UNRESOLVED, "rw0", "10.0.0.77", NULL },
	{ "silent, IPv6", "true", "fd00::77", NEXT_HOP_UNRESOLVED, "rw0", "fd00::77", NULL },
	{ "permanent", "ip neighbour add 10.0.0.8 lladdr 02:00:00:00:00:77 dev rw0", "10.0.0.8",
	  NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other },
	{ "permanent, IPv6", "ip neighbour add fd00::8 lladdr 02:00:00:00:00:77 dev rw0", "fd00::8",
	  NEXT_HOP_RESOLVED, "rw0", "fd00::8", mac_other },
	{ "noarp", "ip neighbour add 10.0.0.9 lladdr 02:00:00:00:00:77 dev rw0 nud noarp",
	  "10.0.0.9", NEXT_HOP_RESOLVED, "rw0", "10.0.0.9", mac_other },
	{ "stale", "ip neighbour add 10.0.0.10 lladdr 02:00:00:00:00:77 dev rw0 nud stale",
	  "10.0.0.10", NEXT_HOP_RESOLVED, "rw0", "10.0.0.10", mac_other },
	{ "by a router", "ip route add 10.7.0.0/24 via 10.0.0.8", "10.7.0.1", NEXT_HOP_RESOLVED,
	  "rw0", "10.0.0.8", mac_other },
	{ "by a router, IPv6", "ip route add fd07::/64 via fd00::8", "fd07::1", NEXT_HOP_RESOLVED,
	  "rw0", "fd00::8", mac_other },
	{ "IPv4 by an IPv6 router", "ip route add 10.7.1.0/24 via inet6 fd00::8", "10.7.1.1",
	  NEXT_HOP_RESOLVED, "rw0", "fd00::8", mac_other },
	{ "by a link-local router",
	  "ip neighbour add fe80::8 lladdr 02:00:00:00:00:77 dev rw1 && "
	  "ip route add fd07:1::/64 via fe80::8 dev rw1",
	  "fd07:1::1", NEXT_HOP_RESOLVED, "rw1", "fe80::8", mac_other },
	{ "both hops of a multipath route are one router",
	  "ip route add 10.7.2.0/24 nexthop via 10.0.0.8 nexthop via 10.0.0.8 weight 2", "10.7.2.1",
	  NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other },
	{ "by a nexthop object",
	  "ip nexthop add id 5 via 10.0.0.8 dev rw0 && ip route add 10.7.3.0/24 nhid 5", "10.7.3.1",
	  NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other },
};

static void reports_at_once_what_is_known(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t i = 0; i < ARRAY_LEN(known_cases); i++) {
		print_message("case: %s\n", known_cases[i].name);
		netns_run(&fixture->netns, "%s", known_cases[i].command);
		watch(fixture, i, known_cases[i].addr);
		assert_int_equal(fixture->seen[i].changes, 1);
		expect(fixture, i, known_cases[i].state, known_cases[i].ifname,
		       known_cases[i].gateway, known_cases[i].mac);
	}
}

static void resolves_what_it_asked_for(void **state)
{
	struct fixture *fixture = *state;

	watch(fixture, 0, "10.0.0.2");
	watch(fixture, 1, "fd00::2");
	expect(fixture, 0, NEXT_HOP_UNRESOLVED, "rw0", "10.0.0.2", NULL);
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect_soon(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "fd00::2", mac_peer0);
	assert_int_equal(fixture->seen[0].changes, 2);
	assert_int_equal(fixture->seen[1].changes, 2);
}

static void asks_again_after_a_failure(void **state)
{
	struct fixture *fixture = *state;

	netns_run(&fixture->netns, "cd /proc/sys/net/ipv4/neigh/rw0 && echo 1 > mcast_solicit && "
				   "echo 50 > retrans_time_ms");
	watch(fixture, 0, "10.0.0.77");
	for (int i = 0; i < 100; i++) {
		if (!netns_try(&fixture->netns, fixture->netns.own,
			       "ip neighbour show nud failed | grep -q 10.0.0.77"))
			break;
		serve(fixture, 50);
	}
	expect(fixture, 0, NEXT_HOP_UNRESOLVED, "rw0", "10.0.0.77", NULL);
	netns_run_peer(&fixture->netns, "ip address add 10.0.0.77/24 dev rwp0");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.77", mac_peer0);
	assert_int_equal(fixture->seen[0].changes, 2);
}

static void asks_again_for_what_is_deleted(void **state)
{
	struct fixture *fixture = *state;

	watch(fixture, 0, "10.0.0.2");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	netns_run(&fixture->netns,
		  "ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:77 dev rw0");
	read_events(fixture);
	expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_other);
	netns_run(&fixture->netns, "ip neighbour del 10.0.0.2 dev rw0");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
}

static void follows_the_mac_address(void **state)
{
	struct fixture *fixture = *state;

	netns_run(&fixture->netns,
		  "ip neighbour add 10.0.0.8 lladdr %s dev rw0 && ip route add 10.7.0.0/24 "
		  "via 10.0.0.8",
		  mac_peer0);
	for (uint32_t id = 0; id < 3; id++) /* all behind one router */
		watch(fixture, id, id == 0 ? "10.7.0.1" : id == 1 ? "10.7.0.2" : "10.0.0.8");
	netns_run(&fixture->netns, "ip neighbour replace 10.0.0.8 lladdr %s dev rw0", mac_other);
	read_events(fixture);
	for (uint32_t id = 0; id < 3; id++) {
		expect(fixture, id, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other);
		assert_int_equal(fixture->seen[id].changes, 2);
	}
	/* An event, but nothing that matters has changed. */
	netns_run(&fixture->netns, "ip neighbour replace 10.0.0.8 lladdr %s dev rw0 nud stale",
		  mac_other);
	read_events(fixture);
	assert_int_equal(fixture->seen[0].changes, 2);
}

static void follows_the_route(void **state)
{
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	netns_run(netns, "ip route add 10.7.0.0/24 via 10.0.0.2");
	watch(fixture, 0, "10.7.0.1");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	netns_run(netns, "ip route replace 10.7.0.0/24 via 10.0.1.2");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_peer1);
	netns_run(netns, "ip route del 10.7.0.0/24");
	read_events(fixture);
	expect(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
	netns_run(netns, "ip route add default via 10.0.0.2");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	netns_run(netns, "ip rule add to 10.7.0.1 blackhole");
	read_events(fixture);
	expect(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
	netns_run(netns, "ip rule del to 10.7.0.1 blackhole; ip address add 10.7.0.1/32 dev lo");
	read_events(fixture);
	expect(fixture, 0, NEXT_HOP_LOCAL, NULL, NULL, NULL);
}

static void follows_a_nexthop_object(void **state)
{
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	/* Then the kernel tells of the object alone, not of the routes that use it. */
	netns_run(netns, "echo 0 > /proc/sys/net/ipv4/nexthop_compat_mode && "
			 "ip nexthop add id 5 via 10.0.0.2 dev rw0 && "
			 "ip route add 10.7.0.0/24 nhid 5");
	watch(fixture, 0, "10.7.0.1");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	netns_run(netns, "ip nexthop replace id 5 via 10.0.1.2 dev rw1");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_peer1);
}

static void follows_the_link(void **state)
{
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	watch(fixture, 0, "10.0.0.2");
	watch(fixture, 1, "fd00::2");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect_soon(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "fd00::2", mac_peer0);

	netns_run(netns, "ip link set rw0 down");
	expect_soon(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
	expect_soon(fixture, 1, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
	netns_run(netns, "ip link set rw0 up && ip address replace fd00::1/64 dev rw0 nodad");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect_soon(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "fd00::2", mac_peer0);

	netns_run_peer(netns, "ip link set rwp0 down"); /* no carrier: the route stays */
	expect_soon(fixture, 0, NEXT_HOP_UNRESOLVED, "rw0", "10.0.0.2", NULL);
	netns_run_peer(netns, "ip link set rwp0 up");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);

	netns_run(netns, "ip link del rw0");
	expect_soon(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
}

/* The kernel does not tell that a link takes its IPv4 routes along: the event of the link itself
 * must do. */
static void follows_a_link_without_ipv6(void **state)
{
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	netns_run(netns, "echo 1 > /proc/sys/net/ipv6/conf/rw1/disable_ipv6 && "
			 "ip route add 10.7.0.0/24 via 10.0.1.2");
	watch(fixture, 0, "10.7.0.1");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_peer1);
	netns_run(netns, "ip link set rw1 down");
	read_events(fixture);
	expect(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
}

static void keeps_what_is_used_from_going_stale(void **state)
{
	static const char is_stale[] = "ip neighbour show nud stale | grep -q '10.0.0.8 '";
	struct fixture *fixture = *state;

	/* Few and quick probes, so that the end does not take the kernel's usual 8 s. */
	netns_run(&fixture->netns,
		  "cd /proc/sys/net/ipv4/neigh/rw0 && echo 1 > delay_first_probe_time && "
		  "echo 50 > retrans_time_ms && ip neighbour add 10.0.0.8 lladdr %s dev rw0 "
		  "nud stale",
		  mac_other);
	watch(fixture, 0, "10.0.0.8");
	/* Opening counts as the first tick, so 28 more are not yet 30. */
	for (int i = 0; i < 28; i++)
		next_hops_tick(fixture->hops);
	netns_run(&fixture->netns, is_stale);
	next_hops_tick(fixture->hops);
	assert_int_not_equal(netns_try(&fixture->netns, fixture->netns.own, is_stale), 0);
	expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other);
	/* Nobody answers the probes: the kernel gives up, and so do we. */
	expect_soon(fixture, 0, NEXT_HOP_UNRESOLVED, "rw0", "10.0.0.8", NULL);
}

/* `ip -batch` over count addresses 10.0.(64 + i / 250).(1 + i % 250). */
static void replace_neighbours(const struct fixture *fixture, int count, const char *mac_prefix)
{
	char path[64];
	FILE *batch;

	(void)snprintf(path, sizeof(path), "/tmp/next_hop_test.%d", getpid());
	batch = fopen(path, "w");
	assert_non_null(batch);
	for (int i = 0; i < count; i++)
		(void)fprintf(batch,
			      "neighbour replace 10.0.%d.%d lladdr %s:%02x:%02x dev rw0 "
			      "nud permanent\n",
			      64 + i / 250, 1 + i % 250, mac_prefix, i >> 8, i & 255);
	assert_int_equal(fclose(batch), 0);
	netns_run(&fixture->netns, "ip -batch %s", path);
	assert_int_equal(unlink(path), 0);
}

static void follows_a_thousand(void **state)
{
	struct fixture *fixture = *state;
	char addr[ADDRESS_TEXT_SIZE], mac[18];

	netns_run(&fixture->netns, "ip route add 10.0.64.0/18 dev rw0");
	replace_neighbours(fixture, WATCH_COUNT_MAX, "02:00:00:01");
	for (uint32_t i = 0; i < WATCH_COUNT_MAX; i++) {
		(void)snprintf(addr, sizeof(addr), "10.0.%u.%u", 64 + i / 250, 1 + i % 250);
		watch(fixture, i, addr);
	}
	read_events(fixture);
	replace_neighbours(fixture, WATCH_COUNT_MAX, "02:00:00:02");
	read_events(fixture);
	for (uint32_t i = 0; i < WATCH_COUNT_MAX; i++) {
		(void)snprintf(addr, sizeof(addr), "10.0.%u.%u", 64 + i / 250, 1 + i % 250);
		(void)snprintf(mac, sizeof(mac), "02:00:00:02:%02x:%02x", i >> 8, i & 255);
		expect(fixture, i, NEXT_HOP_RESOLVED, "rw0", addr, mac);
		assert_int_equal(fixture->seen[i].changes, 2);
	}
}

static void catches_up_after_lost_events(void **state)
{
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	netns_run(netns,
		  "ip neighbour add 10.0.0.8 lladdr %s dev rw0 && "
		  "ip route add 10.7.0.0/24 via 10.0.0.8",
		  mac_peer0);
	watch(fixture, 0, "10.0.0.8");
	watch(fixture, 1, "10.7.0.1");
	read_events(fixture); /* an old event would be reason enough to look */
	replace_neighbours(fixture, FLOOD_COUNT, "02:00:00:03");
	netns_run(netns,
		  "ip neighbour replace 10.0.0.8 lladdr %s dev rw0 && "
		  "ip route del 10.7.0.0/24",
		  mac_other);
	read_events(fixture);
	/* This shows that they were lost: else the test would test nothing. */
	expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_peer0);
	expect(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_peer0);
	next_hops_tick(fixture->hops);
	expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_other);
	expect(fixture, 1, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
	assert_int_equal(fixture->seen[0].changes, 2);
}

/* What questions to the kernel fail with for now; 0: nothing. */
static int question_error;

/* In the place of libmnl's. */
ssize_t mnl_socket_sendto(const struct mnl_socket *socket, const void *buffer, size_t len)
{
	ssize_t (*send)(const struct mnl_socket *, const void *, size_t);

	if (question_error) {
		errno = question_error;
		return -1;
	}
	*(void **)&send = dlsym(RTLD_NEXT, "mnl_socket_sendto");
	return send(socket, buffer, len);
}

static void keeps_what_it_knows_over_a_failed_question(void **state)
{
	static const int errors[] = { ENOBUFS, ENOMEM, EAGAIN };
	struct fixture *fixture = *state;
	const struct netns *netns = &fixture->netns;

	netns_run(netns,
		  "ip neighbour add 10.0.0.8 lladdr %s dev rw0 && "
		  "ip route add 10.7.0.0/24 via 10.0.0.8",
		  mac_peer0);
	watch(fixture, 0, "10.7.0.1");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		print_message("case: %s\n", strerror(errors[i]));
		question_error = errors[i];
		netns_run(netns, "ip route add 10.8.0.0/24 via 10.0.0.2 && "
				 "ip route del 10.8.0.0/24 via 10.0.0.2 && "
				 "ip neighbour replace 10.0.0.8 lladdr 02:00:00:00:00:02 dev rw0 "
				 "nud stale");
		read_events(fixture);
		next_hops_tick(fixture->hops);
		question_error = 0;
		expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.8", mac_peer0);
		assert_int_equal(fixture->seen[0].changes, 1);
	}
	question_error = ENOBUFS;
	netns_run(netns, "ip route del 10.7.0.0/24");
	read_events(fixture);
	question_error = 0;
	next_hops_tick(fixture->hops); /* it asks again by itself */
	expect(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
}

/* An event that nobody has understood. */
static void looks_again_every_so_often(void **state)
{
	struct fixture *fixture = *state;
	char event[8192];

	netns_run(&fixture->netns, "ip route add 10.7.0.0/24 via 10.0.0.2");
	watch(fixture, 0, "10.7.0.1");
	read_events(fixture);
	netns_run(&fixture->netns, "ip route del 10.7.0.0/24");
	while (recv(next_hops_fd(fixture->hops), event, sizeof(event), MSG_DONTWAIT) > 0)
		;
	for (int i = 0; i < 30; i++)
		next_hops_tick(fixture->hops);
	expect(fixture, 0, NEXT_HOP_NO_ROUTE, NULL, NULL, NULL);
}

/* Two watches of one neighbour: the other one stays, and so does its neighbour. */
static void forgets_what_is_unwatched(void **state)
{
	struct fixture *fixture = *state;

	watch(fixture, 0, "10.0.0.2");
	watch(fixture, 1, "10.0.0.2");
	watch(fixture, 2, "10.0.1.2");
	expect_soon(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect_soon(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect_soon(fixture, 2, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_peer1);
	next_hops_unwatch(fixture->hops, 0);
	next_hops_unwatch(fixture->hops, 2);
	next_hops_unwatch(fixture->hops, 3); /* never watched */
	netns_run(&fixture->netns, "ip neighbour replace 10.0.0.2 lladdr %s dev rw0", mac_other);
	netns_run(&fixture->netns, "ip neighbour replace 10.0.1.2 lladdr %s dev rw1", mac_other);
	expect_soon(fixture, 1, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_other);
	expect(fixture, 0, NEXT_HOP_RESOLVED, "rw0", "10.0.0.2", mac_peer0);
	expect(fixture, 2, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_peer1);
	watch(fixture, 2, "10.0.1.2");
	expect(fixture, 2, NEXT_HOP_RESOLVED, "rw1", "10.0.1.2", mac_other);
}

static void solicits_strangers_within_bounds(void **state)
{
	struct fixture *fixture = *state;
	uint32_t ifindex = if_nametoindex("rw0");
	uint8_t addr[16], mac[6] = { 0 };
	struct netlink *netlink;
	int err = -ENOENT;

	assert_true(address_parse("10.0.0.2", addr));
	assert_int_equal(next_hops_solicit(fixture->hops, ifindex, addr), 0);
	assert_int_equal(netlink_open(NETLINK_ROUTE, &netlink), 0);
	for (int i = 0; i < 100 && err; i++) {
		serve(fixture, 50);
		err = netlink_neighbour(netlink, ifindex, addr, mac);
	}
	netlink_close(netlink);
	assert_int_equal(err, 0);
	assert_memory_equal(mac, "\2\0\0\0\0\2", 6);

	next_hops_tick(fixture->hops);
	assert_true(address_parse("fd00::2:0", addr));
	for (int i = 0; i < NEIGHBOUR_WANTED_COUNT_MAX; i++) {
		addr[15] = (uint8_t)i;
		assert_int_equal(next_hops_solicit(fixture->hops, ifindex, addr), 0);
	}
	assert_int_equal(next_hops_solicit(fixture->hops, ifindex, addr), 0); /* a repetition */
	addr[14]++;
	assert_int_equal(next_hops_solicit(fixture->hops, ifindex, addr), -EBUSY);
	next_hops_tick(fixture->hops);
	assert_int_equal(next_hops_solicit(fixture->hops, ifindex, addr), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(reports_at_once_what_is_known),
		TEST(resolves_what_it_asked_for),
		TEST(asks_again_after_a_failure),
		TEST(asks_again_for_what_is_deleted),
		TEST(follows_the_mac_address),
		TEST(follows_the_route),
		TEST(follows_a_nexthop_object),
		TEST(follows_the_link),
		TEST(follows_a_link_without_ipv6),
		TEST(keeps_what_is_used_from_going_stale),
		TEST(follows_a_thousand),
		TEST(catches_up_after_lost_events),
		TEST(keeps_what_it_knows_over_a_failed_question),
		TEST(looks_again_every_so_often),
		TEST(forgets_what_is_unwatched),
		TEST(solicits_strangers_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
