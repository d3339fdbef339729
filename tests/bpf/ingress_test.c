/* SPDX-License-Identifier: GPL-2.0-only */
/* ingress_test.c - the XDP program on frames that are handed to it, and its
 * attachment. Root; everything happens in a network namespace of its own.
 *
 *	client0 --- client1	port 0	10.1.0.0/24  2001:db8:1::/64
 *	backend0 -- backend1	port 1	10.2.0.0/24  2001:db8:2::/64
 *	bare0 ----- bare1	port 2	10.3.0.0/24		      no sockets
 *	foreign0 -- foreign1	no port	10.4.0.0/24
 *
 * This host is .1 and ::1 everywhere; its MAC address is 02:00:00:00:NET:01, that
 * of neighbour n 02:00:00:00:NET:n. The far ends are silent, so that no frame but
 * the test's moves a counter. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <xdp/xsk.h>

#include "control/attach.h"
#include "frame.h"
#include "ringway/abi.h"
#include "ringway/checksum.h"
#include "util/number.h"

/* Last, as it defines fail(). */
#include <cmocka.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define FRAME_SIZE_MIN_KERNEL 14 /* BPF_PROG_TEST_RUN takes nothing shorter */
#define ERROR_SIZE	      512

enum interface {
	CLIENT, /* as many as ports, in their order, then the others */
	BACKEND,
	BARE,
	FOREIGN,
	INTERFACE_COUNT,
	PORT_COUNT = FOREIGN,
};

static const char *const names[] = { "client0", "backend0", "bare0", "foreign0" };

static const char topology[] =
	"set -e\n"
	"echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6\n"
	"ip link set lo up\n"
	"net=0\n"
	"for name in client backend bare foreign; do\n"
	"	net=$((net + 1))\n"
	"	ip link add ${name}0 numrxqueues 66 numtxqueues 1 type veth"
	" peer name ${name}1 numrxqueues 1 numtxqueues 1\n"
	"	ip link set ${name}1 arp off up\n"
	"	ip link set ${name}0 address 02:00:00:00:0$net:01 up\n"
	"	echo 0 > /proc/sys/net/ipv6/conf/${name}0/disable_ipv6\n"
	"	ip addr add 10.$net.0.1/24 dev ${name}0\n"
	"	ip addr add 2001:db8:$net::1/64 dev ${name}0 nodad\n"
	"	ip neigh add 10.$net.0.2 lladdr 02:00:00:00:0$net:02 dev ${name}0 nud permanent\n"
	"	ip neigh add 2001:db8:$net::2 lladdr 02:00:00:00:0$net:02 dev ${name}0"
	" nud permanent\n"
	"done\n"
	"echo 1 > /proc/sys/net/ipv4/ip_forward\n"
	"echo 1 > /proc/sys/net/ipv6/conf/all/forwarding\n"
	"ip route add 198.51.100.0/24 via 10.1.0.2\n"
	"ip route add 198.51.101.0/24 via 10.1.0.9\n"
	"ip route add 198.51.102.0/24 via inet6 2001:db8:1::9 dev client0\n"
	"ip route add 198.51.103.0/24 via 10.1.0.2 mtu lock 1400\n"
	"ip route add blackhole 198.51.110.0/24\n"
	"ip route add unreachable 198.51.111.0/24\n"
	"ip route add prohibit 198.51.112.0/24\n"
	"ip route add 2001:db8:100::/48 via 2001:db8:1::2\n"
	"ip route add 2001:db8:101::/48 via 2001:db8:1::9\n"
	"ip route add blackhole 2001:db8:110::/48\n"
	"ip route add unreachable 2001:db8:111::/48\n"
	"ip route add prohibit 2001:db8:112::/48\n";

#define EDITION 5 /* of userspace's services */

static const struct {
	const char *addr;
	struct service_rule rule;
} services[] = {
	{ "192.0.2.1", { .slot = 3, .edition = EDITION } },
	{ "2001:db8::1", { .slot = 4, .edition = EDITION } },
};

/* service: index into services[]. */
static const struct {
	const char *addr;
	size_t service;
	struct return_rule rule;
} backends[] = {
	{ "10.2.0.2", 0, { .slot = 7, .port = BACKEND } },
	{ "2001:db8:2::2", 1, { .slot = 8, .port = BACKEND } },
	{ "10.2.0.3",
	  0,
	  { .slot = 9,
	    .port = BACKEND,
	    .flags = RETURN_CHECK_MAC,
	    .next_hop_mac = { 2, 0, 0, 0, 2, 3 } } },
	{ "10.2.0.4", 0, { .slot = 10, .port = BACKEND, .flags = RETURN_CHECK_MAC } },
	{ "10.3.0.2", 0, { .slot = 11, .port = BARE } },
};

#define TO_SERVICE4   .src = "10.1.0.2", .dst = "192.0.2.1", .src_port = 4000, .dst_port = 443
#define TO_SERVICE6   .src = "2001:db8:1::2", .dst = "2001:db8::1", .src_port = 4000, .dst_port = 443
#define FROM_BACKEND4 .src = "10.2.0.2", .src_port = 443, .dst_port = 4000
#define FROM_BACKEND6 .src = "2001:db8:2::2", .src_port = 443, .dst_port = 4000

#define FROM_MARTIAN(src_)  .src = src_, .dst = "192.0.2.1", .src_port = 4000, .dst_port = 443
#define FROM_MARTIAN6(src_) .src = src_, .dst = "2001:db8::1", .src_port = 4000, .dst_port = 443

#define PASSED(reason)	.verdict = XDP_PASS, .counter = INGRESS_PASS_##reason
#define DROPPED(reason) .verdict = XDP_DROP, .counter = INGRESS_DROP_##reason
#define TO_WORKER(slot_)                                              \
	.verdict = XDP_REDIRECT, .counter = INGRESS_REDIRECT_SERVICE, \
	.meta = { FRAME_META_MAGIC, slot_, FRAME_SERVICE, EDITION }
#define BACK_TO_WORKER(slot_, port_)                                 \
	.verdict = XDP_REDIRECT, .counter = INGRESS_REDIRECT_RETURN, \
	.meta = { FRAME_META_MAGIC, slot_, FRAME_RETURN, port_ }

struct row {
	const char *name;
	struct frame_spec spec;
	enum interface in;
	uint32_t queue;
	bool meta_full; /* somebody has used up the room for metadata */

	enum xdp_action verdict;
	enum ingress_counter counter;
	struct frame_meta meta; /* magic 0: none */
	uint8_t next_hop;	/* INGRESS_REDIRECT_RETURN: neighbour on the network of the port */
	const char *gateway;	/* INGRESS_DROP_NO_NEIGHBOUR: the address to ask for, */
	enum interface behind;	/* and where */

	const char *before, *after; /* shell commands around the row */
	bool optional;		    /* before may fail: the kernel may lack it */
};

static const struct row rows[] = {
	{ "service, IPv4", { TO_SERVICE4, .payload_len = 30 }, .in = CLIENT, TO_WORKER(3) },
	{ "service, IPv6", { TO_SERVICE6, .payload_len = 30 }, .in = CLIENT, TO_WORKER(4) },
	{ "service, from behind the backends' port",
	  { .src = "10.2.0.9", .dst = "192.0.2.1", .src_port = 9, .dst_port = 443 },
	  .in = BACKEND,
	  TO_WORKER(3) },
	{ "service, empty datagram", { TO_SERVICE4 }, .in = CLIENT, TO_WORKER(3) },
	{ "service, Ethernet padding",
	  { TO_SERVICE4, .payload_len = 1, .frame_len_min = 60 },
	  .in = CLIENT,
	  TO_WORKER(3) },
	{ "service, VLAN", { TO_SERVICE4, .tags = { 0x8100 } }, .in = CLIENT, TO_WORKER(3) },
	{ "service, QinQ",
	  { TO_SERVICE6, .tags = { 0x88a8, 0x8100 } },
	  .in = CLIENT,
	  TO_WORKER(4) },
	{ "service, metadata refused",
	  { TO_SERVICE4, .payload_len = 30 },
	  .in = CLIENT,
	  .meta_full = true,
	  .verdict = XDP_REDIRECT,
	  .counter = INGRESS_REDIRECT_SERVICE },
	{ "service, no socket", { TO_SERVICE4 }, .in = BARE, PASSED(NO_SOCKET) },
	{ "service, queue without a worker",
	  { TO_SERVICE4 },
	  .in = CLIENT,
	  .queue = 1,
	  PASSED(NO_SOCKET) },
	{ "service, queue beyond the last",
	  { TO_SERVICE4 },
	  .in = CLIENT,
	  .queue = QUEUE_COUNT_MAX,
	  PASSED(NO_SOCKET) },
	{ "service, from a backend",
	  { .src = "10.2.0.2", .dst = "192.0.2.1", .src_port = 443, .dst_port = 443 },
	  .in = BACKEND,
	  DROPPED(SOURCE_OURS) },
	{ "service, in a backend's name",
	  { .src = "10.2.0.2", .dst = "192.0.2.1", .src_port = 443, .dst_port = 443 },
	  .in = CLIENT,
	  DROPPED(SOURCE_OURS) },
	{ "service, in a backend's name, IPv6",
	  { .src = "2001:db8:2::2", .dst = "2001:db8::1", .src_port = 443, .dst_port = 443 },
	  .in = CLIENT,
	  DROPPED(SOURCE_OURS) },
	{ "service, in its own name",
	  { .src = "192.0.2.1", .dst = "192.0.2.1", .src_port = 443, .dst_port = 443 },
	  .in = CLIENT,
	  DROPPED(SOURCE_OURS) },
	{ "service, from a backend's other port",
	  { .src = "10.2.0.2", .dst = "192.0.2.1", .src_port = 444, .dst_port = 443 },
	  .in = BACKEND,
	  TO_WORKER(3) },
	{ "service, from its port elsewhere",
	  { .src = "10.1.0.2", .dst = "192.0.2.1", .src_port = 443, .dst_port = 443 },
	  .in = CLIENT,
	  TO_WORKER(3) },
	{ "service, from 0/8", { FROM_MARTIAN("0.1.2.3") }, CLIENT, DROPPED(SOURCE_MARTIAN) },
	{ "service, from 127/8", { FROM_MARTIAN("127.0.0.1") }, CLIENT, DROPPED(SOURCE_MARTIAN) },
	{ "service, from multicast",
	  { FROM_MARTIAN("224.0.0.1") },
	  CLIENT,
	  DROPPED(SOURCE_MARTIAN) },
	{ "service, from broadcast",
	  { FROM_MARTIAN("255.255.255.255") },
	  CLIENT,
	  DROPPED(SOURCE_MARTIAN) },
	{ "service, from just below multicast",
	  { FROM_MARTIAN("223.255.255.255") },
	  CLIENT,
	  TO_WORKER(3) },
	{ "service, from ::", { FROM_MARTIAN6("::") }, CLIENT, DROPPED(SOURCE_MARTIAN) },
	{ "service, from ::1", { FROM_MARTIAN6("::1") }, CLIENT, DROPPED(SOURCE_MARTIAN) },
	{ "service, from ::2", { FROM_MARTIAN6("::2") }, CLIENT, TO_WORKER(4) },
	{ "service, from multicast, IPv6",
	  { FROM_MARTIAN6("ff02::1") },
	  CLIENT,
	  DROPPED(SOURCE_MARTIAN) },

	{ "other port",
	  { .src = "10.1.0.2", .dst = "192.0.2.1", .src_port = 443, .dst_port = 444 },
	  .in = CLIENT,
	  PASSED(NOT_OURS) },
	{ "other address",
	  { .src = "10.1.0.2", .dst = "192.0.2.2", .src_port = 443, .dst_port = 443 },
	  .in = CLIENT,
	  PASSED(NOT_OURS) },
	{ "backend's other port",
	  { .src = "10.2.0.2", .dst = "10.1.0.2", .src_port = 444, .dst_port = 443 },
	  .in = BACKEND,
	  PASSED(NOT_OURS) },
	{ "service, to another MAC address",
	  { TO_SERVICE4, .eth_dst = { 2, 0, 0, 0, 1, 9 } },
	  .in = CLIENT,
	  PASSED(OTHER_MAC) },
	{ "service, to the MAC address of another port",
	  { TO_SERVICE6, .eth_dst = { 2, 0, 0, 0, 2, 1 } },
	  .in = CLIENT,
	  PASSED(OTHER_MAC) },
	{ "service, broadcast frame",
	  { TO_SERVICE4, .eth_dst = { 255, 255, 255, 255, 255, 255 } },
	  .in = CLIENT,
	  PASSED(OTHER_MAC) },
	{ "return, to another MAC address",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .eth_dst = { 2, 0, 0, 0, 2, 9 } },
	  .in = BACKEND,
	  PASSED(OTHER_MAC) },
	{ "ARP", { TO_SERVICE4, .ethertype = 0x0806 }, .in = CLIENT, PASSED(NOT_IP) },
	{ "three tags",
	  { TO_SERVICE4, .tags = { 0x88a8, 0x8100, 0x8100 } },
	  .in = CLIENT,
	  PASSED(NOT_IP) },
	{ "ICMP", { TO_SERVICE4, .protocol = 1 }, .in = CLIENT, PASSED(NOT_UDP) },
	{ "ICMPv6", { TO_SERVICE6, .protocol = 58 }, .in = CLIENT, PASSED(NOT_UDP) },
	{ "TCP", { TO_SERVICE4, .protocol = 6 }, .in = CLIENT, PASSED(NOT_UDP) },
	{ "IPv4, first fragment",
	  { TO_SERVICE4, .fragment = 0x2000 },
	  .in = CLIENT,
	  PASSED(FRAGMENT) },
	{ "IPv4, later fragment",
	  { TO_SERVICE4, .fragment = 0x00b9 },
	  .in = CLIENT,
	  PASSED(FRAGMENT) },
	{ "IPv6, fragment",
	  { TO_SERVICE6, .protocol = 44, .extra_len = 8 },
	  .in = CLIENT,
	  PASSED(FRAGMENT) },
	{ "IPv4, options", { TO_SERVICE4, .extra_len = 8 }, .in = CLIENT, PASSED(OPTIONS) },
	{ "IPv6, hop-by-hop options",
	  { TO_SERVICE6, .protocol = FRAME_HOP_BY_HOP, .extra_len = 8 },
	  .in = CLIENT,
	  PASSED(OPTIONS) },
	{ "IPv6, destination options",
	  { TO_SERVICE6, .protocol = 60, .extra_len = 8 },
	  .in = CLIENT,
	  PASSED(OPTIONS) },
	{ "IPv4 length beyond the frame",
	  { TO_SERVICE4, .ip_len_error = 1 },
	  .in = CLIENT,
	  PASSED(MALFORMED) },
	{ "IPv6 length beyond the frame",
	  { TO_SERVICE6, .ip_len_error = 1 },
	  .in = CLIENT,
	  PASSED(MALFORMED) },
	{ "UDP length 7", { TO_SERVICE4, .udp_len_error = -1 }, .in = CLIENT, PASSED(MALFORMED) },
	{ "UDP length beyond IP",
	  { TO_SERVICE4, .udp_len_error = 1, .frame_len_min = 60 },
	  .in = CLIENT,
	  PASSED(MALFORMED) },
	{ "IPv6 to a mapped address",
	  { .src = "2001:db8:1::2", .dst = "::ffff:192.0.2.1", .src_port = 1, .dst_port = 443 },
	  .in = CLIENT,
	  PASSED(MALFORMED) },

	{ "return, IPv4",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .payload_len = 30 },
	  .in = BACKEND,
	  BACK_TO_WORKER(7, CLIENT),
	  .next_hop = 2 },
	{ "return, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2", .payload_len = 30 },
	  .in = BACKEND,
	  BACK_TO_WORKER(8, CLIENT),
	  .next_hop = 2 },
	{ "return, IPv4 through a gateway",
	  { FROM_BACKEND4, .dst = "198.51.100.7", .payload_len = 30 },
	  .in = BACKEND,
	  BACK_TO_WORKER(7, CLIENT),
	  .next_hop = 2 },
	{ "return, IPv6 through a gateway",
	  { FROM_BACKEND6, .dst = "2001:db8:100::7", .payload_len = 30 },
	  .in = BACKEND,
	  BACK_TO_WORKER(8, CLIENT),
	  .next_hop = 2 },
	{ "return, by the port it came from, from the right MAC",
	  { .src = "10.2.0.3",
	    .dst = "10.2.0.2",
	    .src_port = 443,
	    .dst_port = 4000,
	    .eth_src = { 2, 0, 0, 0, 2, 3 } },
	  .in = BACKEND,
	  BACK_TO_WORKER(9, BACKEND),
	  .next_hop = 2 },
	{ "return, metadata refused",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .payload_len = 30 },
	  .in = BACKEND,
	  .meta_full = true,
	  .verdict = XDP_REDIRECT,
	  .counter = INGRESS_REDIRECT_RETURN,
	  .next_hop = 2 },
	{ "return, as long as the MTU",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .payload_len = 1500 - 28 },
	  .in = BACKEND,
	  BACK_TO_WORKER(7, CLIENT),
	  .next_hop = 2 },
	{ "return, first fragment",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .fragment = 0x2000 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, later fragment",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .fragment = 0x00b9 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, fragment, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2", .protocol = 44, .extra_len = 8 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, fragment, VLAN",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .fragment = 0x2000, .tags = { 0x8100 } },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, options",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .extra_len = 8 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, hop-by-hop options",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2", .protocol = FRAME_HOP_BY_HOP, .extra_len = 8 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, UDP length 7",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .udp_len_error = -1 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, UDP length beyond IP",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2", .udp_len_error = 1, .frame_len_min = 80 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, fragment without a neighbour to send it to",
	  { FROM_BACKEND4, .dst = "10.1.0.8", .fragment = 0x2000 },
	  .in = BACKEND,
	  DROPPED(RETURN_UNPARSED) },
	{ "return, fragment to this host",
	  { FROM_BACKEND4, .dst = "10.2.0.1", .fragment = 0x2000 },
	  .in = BACKEND,
	  PASSED(FRAGMENT) },
	{ "return, options to this host, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:2::1", .protocol = 60, .extra_len = 8 },
	  .in = BACKEND,
	  PASSED(OPTIONS) },
	{ "fragment of a backend's ICMP",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .protocol = 1, .fragment = 0x2000 },
	  .in = BACKEND,
	  PASSED(FRAGMENT) },
	{ "fragment from a backend's neighbour",
	  { .src = "10.2.0.9",
	    .dst = "10.1.0.2",
	    .src_port = 443,
	    .dst_port = 9,
	    .fragment = 0x2000 },
	  .in = BACKEND,
	  PASSED(FRAGMENT) },
	{ "return, no socket",
	  { .src = "10.3.0.2", .dst = "10.1.0.2", .src_port = 443, .dst_port = 4000 },
	  .in = BARE,
	  DROPPED(NO_SOCKET) },
	{ "return, queue without a worker",
	  { FROM_BACKEND4, .dst = "10.1.0.2" },
	  .in = BACKEND,
	  .queue = 1,
	  DROPPED(NO_SOCKET) },
	{ "return, queue beyond the last",
	  { FROM_BACKEND4, .dst = "10.1.0.2" },
	  .in = BACKEND,
	  .queue = QUEUE_COUNT_MAX,
	  DROPPED(NO_SOCKET) },

	{ "return from the clients' port",
	  { FROM_BACKEND4, .dst = "10.1.0.2" },
	  .in = CLIENT,
	  DROPPED(RETURN_SPOOFED) },
	{ "return from the clients' port, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2" },
	  .in = CLIENT,
	  DROPPED(RETURN_SPOOFED) },
	{ "return from the wrong MAC",
	  { .src = "10.2.0.3",
	    .dst = "10.1.0.2",
	    .src_port = 443,
	    .dst_port = 4000,
	    .eth_src = { 2, 0, 0, 0, 2, 4 } },
	  .in = BACKEND,
	  DROPPED(RETURN_SPOOFED) },
	{ "return from MAC 0 while the next hop is unknown",
	  { .src = "10.2.0.4", .dst = "10.1.0.2", .src_port = 443, .dst_port = 4000 },
	  .in = BACKEND,
	  DROPPED(RETURN_SPOOFED) },

	{ "return to this host",
	  { FROM_BACKEND4, .dst = "10.2.0.1" },
	  .in = BACKEND,
	  PASSED(LOCAL) },
	{ "return to this host, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:2::1" },
	  .in = BACKEND,
	  PASSED(LOCAL) },
	{ "return to a directed broadcast",
	  { FROM_BACKEND4, .dst = "10.1.0.255" },
	  .in = BACKEND,
	  PASSED(LOCAL) },
	{ "return without a route",
	  { FROM_BACKEND4, .dst = "203.0.113.1" },
	  .in = BACKEND,
	  PASSED(LOCAL) },
	{ "return without a route, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:ffff::1" },
	  .in = BACKEND,
	  PASSED(LOCAL) },
	{ "return with a route for the backend's own address only",
	  { FROM_BACKEND4, .dst = "203.0.113.1" },
	  .in = BACKEND,
	  DROPPED(NO_ROUTE),
	  .before = "ip rule add from 10.2.0.2 lookup 100 &&"
		    " ip route add default via 10.1.0.2 table 100",
	  .after = "ip rule del from 10.2.0.2 lookup 100 && ip route flush table 100" },
	{ "return by the rule for the service's address",
	  { FROM_BACKEND4, .dst = "203.0.113.1" },
	  .in = BACKEND,
	  BACK_TO_WORKER(7, CLIENT),
	  .next_hop = 2,
	  .before = "ip rule add from 192.0.2.1 lookup 100 &&"
		    " ip route add default via 10.1.0.2 table 100",
	  .after = "ip rule del from 192.0.2.1 lookup 100 && ip route flush table 100" },

	{ "no neighbour",
	  { FROM_BACKEND4, .dst = "10.1.0.8" },
	  .in = BACKEND,
	  DROPPED(NO_NEIGHBOUR),
	  .gateway = "10.1.0.8",
	  .behind = CLIENT },
	{ "no neighbour, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::8" },
	  .in = BACKEND,
	  DROPPED(NO_NEIGHBOUR),
	  .gateway = "2001:db8:1::8",
	  .behind = CLIENT },
	{ "no neighbour: the gateway",
	  { FROM_BACKEND4, .dst = "198.51.101.7" },
	  .in = BACKEND,
	  DROPPED(NO_NEIGHBOUR),
	  .gateway = "10.1.0.9",
	  .behind = CLIENT },
	{ "no neighbour: the gateway, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:101::7" },
	  .in = BACKEND,
	  DROPPED(NO_NEIGHBOUR),
	  .gateway = "2001:db8:1::9",
	  .behind = CLIENT },
	{ "no neighbour: IPv4 by an IPv6 gateway",
	  { FROM_BACKEND4, .dst = "198.51.102.7" },
	  .in = BACKEND,
	  DROPPED(NO_NEIGHBOUR),
	  .gateway = "2001:db8:1::9",
	  .behind = CLIENT },
	{ "blackhole", { FROM_BACKEND4, .dst = "198.51.110.7" }, .in = BACKEND, DROPPED(NO_ROUTE) },
	{ "unreachable",
	  { FROM_BACKEND4, .dst = "198.51.111.7" },
	  .in = BACKEND,
	  DROPPED(NO_ROUTE) },
	{ "prohibit", { FROM_BACKEND4, .dst = "198.51.112.7" }, .in = BACKEND, DROPPED(NO_ROUTE) },
	{ "blackhole, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:110::7" },
	  .in = BACKEND,
	  DROPPED(NO_ROUTE) },
	{ "unreachable, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:111::7" },
	  .in = BACKEND,
	  DROPPED(NO_ROUTE) },
	{ "prohibit, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:112::7" },
	  .in = BACKEND,
	  DROPPED(NO_ROUTE) },
	{ "forwarding off",
	  { FROM_BACKEND4, .dst = "10.1.0.2" },
	  .in = BACKEND,
	  DROPPED(FORWARDING_OFF),
	  .before = "echo 0 > /proc/sys/net/ipv4/conf/backend0/forwarding",
	  .after = "echo 1 > /proc/sys/net/ipv4/conf/backend0/forwarding" },
	{ "forwarding off, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2" },
	  .in = BACKEND,
	  DROPPED(FORWARDING_OFF),
	  .before = "echo 0 > /proc/sys/net/ipv6/conf/backend0/forwarding",
	  .after = "echo 1 > /proc/sys/net/ipv6/conf/backend0/forwarding" },
	{ "one byte above the MTU",
	  { FROM_BACKEND4, .dst = "10.1.0.2", .payload_len = 1501 - 28 },
	  .in = BACKEND,
	  DROPPED(TOO_BIG) },
	{ "one byte above the MTU, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:1::2", .payload_len = 1501 - 48 },
	  .in = BACKEND,
	  DROPPED(TOO_BIG) },
	{ "one byte above the MTU of the route",
	  { FROM_BACKEND4, .dst = "198.51.103.7", .payload_len = 1401 - 28 },
	  .in = BACKEND,
	  DROPPED(TOO_BIG) },
	{ "route by a foreign interface",
	  { FROM_BACKEND4, .dst = "10.4.0.2" },
	  .in = BACKEND,
	  DROPPED(FOREIGN_INTERFACE) },
	{ "route by a foreign interface, IPv6",
	  { FROM_BACKEND6, .dst = "2001:db8:4::2" },
	  .in = BACKEND,
	  DROPPED(FOREIGN_INTERFACE) },
	{ "route that encapsulates",
	  { FROM_BACKEND6, .dst = "2001:db8:113::7" },
	  .in = BACKEND,
	  DROPPED(ROUTE_ENCAPSULATES),
	  .before = "ip route add 2001:db8:113::/48"
		    " encap seg6 mode encap segs 2001:db8:1::2 dev client0",
	  .after = "ip route del 2001:db8:113::/48",
	  .optional = true },
};

/* A socket that is bound, so that the map takes it; nothing is sent through it. */
struct socket_held {
	void *frames;
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons completion, rx;
};

#define UMEM_SIZE (64 * 2048)

static struct {
	struct attach *attach;
	uint32_t ifindexes[INTERFACE_COUNT];
	struct socket_held sockets[BARE]; /* of the ports that have one */
	uint32_t meta_len_full;
} setup;

/* Of this host's end: valid until the next call. */
static const uint8_t *mac_of(enum interface interface)
{
	static uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	mac[4] = (uint8_t)(interface + 1);
	return mac;
}

static int shell(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void socket_open(const char *ifname, struct socket_held *held)
{
	const struct xsk_umem_config umem = { .fill_size = 64,
					      .comp_size = 64,
					      .frame_size = 2048 };
	const struct xsk_socket_config config = {
		.rx_size = 64,
		.tx_size = 64,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY,
	};

	held->frames =
		mmap(NULL, UMEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(held->frames, MAP_FAILED);
	assert_int_equal(xsk_umem__create(&held->umem, held->frames, UMEM_SIZE, &held->fill,
					  &held->completion, &umem),
			 0);
	assert_int_equal(xsk_socket__create(&held->xsk, ifname, 0, held->umem, &held->rx, &held->tx,
					    &config),
			 0);
}

static void socket_close(struct socket_held *held)
{
	xsk_socket__delete(held->xsk);
	(void)xsk_umem__delete(held->umem);
	(void)munmap(held->frames, UMEM_SIZE);
}

static void key_make(const char *addr, struct match_key *ret_key)
{
	memset(ret_key, 0, sizeof(*ret_key));
	assert_true(address_parse(addr, ret_key->addr));
	ret_key->port_be = wire_be16(443);
	ret_key->protocol = WIRE_PROTOCOL_UDP;
}

static void tables_fill(struct attach *attach)
{
	struct match_key key;

	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		key_make(services[i].addr, &key);
		assert_int_equal(attach_service_set(attach, &key, &services[i].rule), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		struct return_rule rule = backends[i].rule;
		uint8_t service_addr[16];

		assert_true(address_parse(services[backends[i].service].addr, service_addr));
		memcpy(rule.service_addr, service_addr, sizeof(service_addr));
		rule.service_port_be = wire_be16(443);
		key_make(backends[i].addr, &key);
		assert_int_equal(attach_return_set(attach, &key, &rule), 0);
	}
}

/* What the rules of the first two backends say. */
static void returns_in_xdp(bool yes)
{
	for (size_t i = 0; i < 2; i++) {
		struct return_rule rule = backends[i].rule;
		uint8_t backend[16];
		struct match_key key;
		uint32_t from, to;

		assert_true(address_parse(services[backends[i].service].addr, rule.service_addr));
		assert_true(address_parse(backends[i].addr, backend));
		from = checksum_words(backend, 16);
		to = checksum_words(rule.service_addr, 16);
		rule.service_port_be = wire_be16(443);
		rule.flags = yes ? RETURN_IN_XDP | RETURN_IS_QUIC : 0;
		rule.delta_addr = checksum_delta(from, to);
		rule.delta = rule.delta_addr; /* the ports are equal */
		key_make(backends[i].addr, &key);
		assert_int_equal(attach_return_set(setup.attach, &key, &rule), 0);
	}
}

/* The most metadata that the kernel lets a test put in front of a frame: after it,
 * there is no room for more. */
static uint32_t meta_len_full_find(void)
{
	static const uint32_t lens[] = { 216, 32 }; /* 32 was the limit of older kernels */
	uint8_t input[216 + 64] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct xdp_md in = { .data = lens[i],
				     .data_end = lens[i] + 64,
				     .ingress_ifindex = setup.ifindexes[CLIENT] };
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = input,
			    .data_size_in = in.data_end, .ctx_in = &in, .ctx_size_in = sizeof(in),
			    .repeat = 1);

		if (!bpf_prog_test_run_opts(attach_program_fd(setup.attach), &options))
			return lens[i];
	}
	fail_msg("no metadata can be given to the program");
	return 0;
}

static int setup_open(void **state)
{
	char error[ERROR_SIZE] = "";

	(void)state;
	if (unshare(CLONE_NEWNET)) {
		print_message("no network namespace: %s; run as root\n", strerror(errno));
		return -1;
	}
	assert_int_equal(shell(topology), 0);
	if (attach_open(&setup.attach, error, sizeof(error))) {
		print_message("%s\n", error);
		return -1;
	}
	for (int i = 0; i < INTERFACE_COUNT; i++)
		setup.ifindexes[i] = if_nametoindex(names[i]);
	for (uint32_t port = 0; port < PORT_COUNT; port++)
		if (attach_port(setup.attach, port, setup.ifindexes[port], names[port],
				mac_of(port), false, error, sizeof(error))) {
			print_message("%s\n", error);
			return -1;
		}
	for (uint32_t port = 0; port < ARRAY_LEN(setup.sockets); port++) {
		int fd;

		socket_open(names[port], &setup.sockets[port]);
		fd = xsk_socket__fd(setup.sockets[port].xsk);
		assert_int_equal(attach_socket_set(setup.attach, port, 0, fd), 0);
	}
	tables_fill(setup.attach);
	setup.meta_len_full = meta_len_full_find();
	return 0;
}

static int setup_close(void **state)
{
	(void)state;
	attach_close(setup.attach);
	for (size_t i = 0; i < ARRAY_LEN(setup.sockets); i++)
		socket_close(&setup.sockets[i]);
	return 0;
}

struct wanted_seen {
	size_t count;
	struct neighbour_wanted last;
};

static void wanted_note(void *arg, const struct neighbour_wanted *wanted)
{
	struct wanted_seen *seen = arg;

	seen->count++;
	seen->last = *wanted;
}

struct result {
	uint32_t verdict;
	uint8_t bytes[FRAME_SIZE_MAX + 512]; /* metadata, then the frame */
	size_t meta_len, frame_len;
	uint64_t moved[INGRESS_COUNTER_COUNT];
	struct wanted_seen wanted;
};

static void run(const struct row *row, const uint8_t *frame, size_t len, struct result *ret_result)
{
	const uint32_t meta_len = row->meta_full ? setup.meta_len_full : 0;
	uint8_t input[FRAME_SIZE_MAX + 512] = { 0 };
	struct xdp_md in = { .data = meta_len,
			     .data_end = meta_len + (uint32_t)len,
			     .ingress_ifindex = setup.ifindexes[row->in],
			     .rx_queue_index = row->queue };
	uint64_t before[INGRESS_COUNTER_COUNT];
	struct xdp_md out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = input, .data_size_in = in.data_end,
		    .data_out = ret_result->bytes, .data_size_out = sizeof(ret_result->bytes),
		    .ctx_in = &in, .ctx_size_in = sizeof(in), .ctx_out = &out,
		    .ctx_size_out = sizeof(out), .repeat = 1);

	memset(ret_result, 0, sizeof(*ret_result));
	memcpy(input + meta_len, frame, len);
	assert_int_equal(attach_counters(setup.attach, before), 0);
	assert_int_equal(bpf_prog_test_run_opts(attach_program_fd(setup.attach), &options), 0);
	assert_int_equal(attach_counters(setup.attach, ret_result->moved), 0);
	for (int i = 0; i < INGRESS_COUNTER_COUNT; i++)
		ret_result->moved[i] -= before[i];
	attach_wanted_drain(setup.attach, wanted_note, &ret_result->wanted);
	ret_result->verdict = options.retval;
	ret_result->meta_len = out.data;
	ret_result->frame_len = options.data_size_out - out.data;
}

static void check_counters(const struct result *result, enum ingress_counter moved)
{
	static const char *const counter_names[] = {
#define X(constant, name, meaning) name,
		INGRESS_COUNTERS(X)
#undef X
	};

	for (int i = 0; i < INGRESS_COUNTER_COUNT; i++)
		if (result->moved[i] != (i == (int)moved))
			fail_msg("%s moved by %llu", counter_names[i],
				 (unsigned long long)result->moved[i]);
}

static void check_wanted(const struct row *row, const struct result *result)
{
	struct neighbour_wanted want = { 0 };
	uint8_t addr[16];

	assert_int_equal(result->wanted.count, row->gateway ? 1 : 0);
	if (!row->gateway)
		return;
	assert_true(address_parse(row->gateway, addr));
	want.ifindex = setup.ifindexes[row->behind];
	if (address_is_ipv4(addr)) {
		want.family = AF_INET;
		memcpy(want.addr, addr + 12, 4);
	} else {
		want.family = AF_INET6;
		memcpy(want.addr, addr, 16);
	}
	assert_memory_equal(&result->wanted.last, &want, sizeof(want));
}

/* The frame as it should come out: as it went in, but for the Ethernet addresses of
 * what goes back to a client. */
static void expect_frame(const struct row *row, struct frame *frame)
{
	const uint8_t net = (uint8_t)(row->meta.port + 1);
	const uint8_t addresses[12] = { 2, 0, 0, 0, net, row->next_hop, 2, 0, 0, 0, net, 1 };

	if (row->counter == INGRESS_REDIRECT_RETURN)
		memcpy(frame->bytes, addresses, sizeof(addresses));
}

/* As row->spec says; to the port's MAC address where that says none. */
static void row_build(const struct row *row, struct frame *ret_frame)
{
	static const uint8_t none[6];

	frame_build(&row->spec, ret_frame);
	if (memcmp(ret_frame->bytes, none, sizeof(none)) == 0)
		memcpy(ret_frame->bytes, mac_of(row->in), 6);
}

static void check_row(const struct row *row)
{
	static struct result result;
	struct frame frame;

	row_build(row, &frame);
	run(row, frame.bytes, frame.len, &result);
	expect_frame(row, &frame);

	assert_int_equal(result.verdict, row->verdict);
	check_counters(&result, row->counter);
	check_wanted(row, &result);
	assert_int_equal(result.frame_len, frame.len);
	assert_memory_equal(result.bytes + result.meta_len, frame.bytes, frame.len);
	if (row->meta.magic) {
		assert_int_equal(result.meta_len, sizeof(row->meta));
		assert_memory_equal(result.bytes, &row->meta, sizeof(row->meta));
	} else {
		assert_int_equal(result.meta_len, row->meta_full ? setup.meta_len_full : 0);
	}
}

static void decides_each_frame(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("case: %s\n", rows[i].name);
		if (rows[i].before && shell(rows[i].before)) {
			assert_true(rows[i].optional);
			print_message("skipped: this kernel or this `ip` cannot do it\n");
			continue;
		}
		check_row(&rows[i]);
		if (rows[i].after)
			assert_int_equal(shell(rows[i].after), 0);
	}
}

/* A prefix of return traffic is dropped from the moment that shows its addresses. */
static bool prefix_is_dropped(const struct row *row, const struct frame *frame, size_t len)
{
	return row->counter == INGRESS_REDIRECT_RETURN && len >= frame->udp_offset;
}

/* Deleted twice: what is not there is fine. */
static void tables_empty(struct attach *attach)
{
	struct match_key key;

	for (size_t i = 0; i < 2 * ARRAY_LEN(services); i++) {
		key_make(services[i / 2].addr, &key);
		assert_int_equal(attach_service_delete(attach, &key), 0);
	}
	for (size_t i = 0; i < 2 * ARRAY_LEN(backends); i++) {
		key_make(backends[i / 2].addr, &key);
		assert_int_equal(attach_return_delete(attach, &key), 0);
	}
}

static void passes_what_is_deleted(void **state)
{
	static struct result result;
	struct frame frame;

	(void)state;
	tables_empty(setup.attach);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].verdict != XDP_REDIRECT || rows[i].before)
			continue;
		print_message("case: %s\n", rows[i].name);
		frame_build(&rows[i].spec, &frame);
		run(&rows[i], frame.bytes, frame.len, &result);
		assert_int_equal(result.verdict, XDP_PASS);
		check_counters(&result, INGRESS_PASS_NOT_OURS);
	}
	tables_fill(setup.attach);
	check_row(&rows[0]);
}

/* A backend's address is known for as long as a rule has it, however often that was
 * set, and no longer: addresses that come and go would fill the map. */
static void address_goes_with_its_last_rule(void **state)
{
	static const struct row known = { .spec = { FROM_BACKEND4, .dst = "10.1.0.2",
						    .fragment = 0x2000 },
					  .in = BACKEND,
					  DROPPED(RETURN_UNPARSED) };
	static const struct row unknown = { .spec = { FROM_BACKEND4, .dst = "10.1.0.2",
						      .fragment = 0x2000 },
					    .in = BACKEND,
					    PASSED(FRAGMENT) };
	const struct return_rule rule = { .slot = 1 };
	struct match_key first, second;

	(void)state;
	key_make("10.2.0.2", &first);
	second = first;
	second.port_be = wire_be16(444);
	for (int i = 0; i < 3; i++)
		assert_int_equal(attach_return_set(setup.attach, &second, &rule), 0);
	assert_int_equal(attach_return_delete(setup.attach, &first), 0);
	check_row(&known);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(attach_return_delete(setup.attach, &second), 0);
		check_row(&unknown);
	}
	for (uint32_t i = 0; i < BACKEND_COUNT_MAX * 5; i++) {
		memcpy(second.addr + 8, &i, sizeof(i));
		assert_int_equal(attach_return_set(setup.attach, &second, &rule), 0);
		assert_int_equal(attach_return_delete(setup.attach, &second), 0);
	}
	tables_fill(setup.attach);
	check_row(&known);
}

/* --- Answers that XDP sends on itself --- */

/* Over all of it, byte for byte as RFC 1071 says. */
static uint16_t sum_plain(const uint8_t *bytes, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* 0xffff: right. */
static uint16_t udp_sum(const struct frame *frame, const uint8_t *bytes)
{
	bool is_ipv4 = bytes[frame->ip_offset] >> 4 == 4;
	size_t addrs = frame->ip_offset + (is_ipv4 ? 12 : 8), size = is_ipv4 ? 8 : 32;
	uint32_t pseudo = sum_plain(bytes + addrs, size, WIRE_PROTOCOL_UDP + frame->udp_len);

	return sum_plain(bytes + frame->udp_offset, frame->udp_len, pseudo);
}

static struct wire_udp *udp_of(struct frame *frame)
{
	return (struct wire_udp *)(frame->bytes + frame->udp_offset);
}

enum answer_checksum {
	ANSWER_WHOLE,
	ANSWER_PARTIAL,
	ANSWER_NONE,
};

struct answer {
	const char *name;
	struct frame_spec spec;
	uint8_t first;
	enum answer_checksum checksum;
	uint8_t ttl; /* 0: as built */
	enum ingress_counter counter;
};

static void answer_build(const struct answer *answer, struct frame *ret_frame)
{
	uint8_t *ip;
	bool is_ipv4;

	frame_build(&answer->spec, ret_frame);
	ip = ret_frame->bytes + ret_frame->ip_offset;
	is_ipv4 = ip[0] >> 4 == 4;
	memcpy(ret_frame->bytes, mac_of(BACKEND), 6);
	if (answer->spec.payload_len)
		ret_frame->bytes[ret_frame->udp_offset + sizeof(struct wire_udp)] = answer->first;
	if (answer->ttl)
		ip[is_ipv4 ? 8 : 7] = answer->ttl;
	if (is_ipv4)
		((struct wire_ipv4 *)ip)->checksum_be = wire_be16((uint16_t)~sum_plain(ip, 20, 0));
	if (answer->checksum == ANSWER_WHOLE) {
		uint16_t sum = (uint16_t)~udp_sum(ret_frame, ret_frame->bytes);

		udp_of(ret_frame)->checksum_be = wire_be16(sum ? sum : 0xffff);
	} else if (answer->checksum == ANSWER_PARTIAL) {
		udp_of(ret_frame)->checksum_be =
			wire_be16(sum_plain(ip + (is_ipv4 ? 12 : 8), is_ipv4 ? 8 : 32,
					    WIRE_PROTOCOL_UDP + ret_frame->udp_len));
	}
}

/* As the client is to see it: the service's address and port, one hop further, right
 * checksums, and not a byte of the payload changed. */
static void check_sent_on(const struct answer *answer, const struct frame *frame,
			  const struct result *result)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 1 };
	bool is_ipv4 = frame->bytes[frame->ip_offset] >> 4 == 4;
	const uint8_t *ip = result->bytes + frame->ip_offset;
	const uint8_t *udp = result->bytes + frame->udp_offset;
	uint8_t service[16];

	assert_int_equal(result->verdict, XDP_REDIRECT);
	assert_int_equal(result->meta_len, 0);
	assert_int_equal(result->frame_len, frame->len);
	assert_memory_equal(result->bytes, macs, sizeof(macs));
	assert_true(address_parse(services[is_ipv4 ? 0 : 1].addr, service));
	if (is_ipv4) {
		assert_memory_equal(ip + 12, service + 12, 4);
		assert_int_equal(ip[8], frame->bytes[frame->ip_offset + 8] - 1);
		assert_int_equal(sum_plain(ip, 20, 0), 0xffff);
	} else {
		assert_memory_equal(ip + 8, service, 16);
		assert_int_equal(ip[7], frame->bytes[frame->ip_offset + 7] - 1);
	}
	assert_int_equal(udp[0] << 8 | udp[1], 443);
	if (answer->checksum == ANSWER_NONE)
		assert_int_equal(udp[6] | udp[7], 0);
	else
		assert_int_equal(udp_sum(frame, result->bytes), 0xffff);
	assert_memory_equal(udp + 8, frame->bytes + frame->udp_offset + 8, frame->udp_len - 8u);
}

#define ANSWER4(len) .spec = { FROM_BACKEND4, .dst = "10.1.0.2", .payload_len = (len) }
#define ANSWER6(len) .spec = { FROM_BACKEND6, .dst = "2001:db8:1::2", .payload_len = (len) }

static void sends_plain_answers_on(void **state)
{
	static const struct answer answers[] = {
		{ "short header", ANSWER4(30), 0x40, .counter = INGRESS_FORWARD_RETURN },
		{ "short header, odd length", ANSWER4(31), 0x00,
		  .counter = INGRESS_FORWARD_RETURN },
		{ "short header, IPv6", ANSWER6(1200), 0x7f, .counter = INGRESS_FORWARD_RETURN },
		{ "no checksum", ANSWER4(30), 0x40, ANSWER_NONE,
		  .counter = INGRESS_FORWARD_RETURN },
		{ "no checksum, IPv6", ANSWER6(30), 0x40, ANSWER_NONE,
		  .counter = INGRESS_REDIRECT_RETURN },
		{ "long header", ANSWER4(30), 0xc0, .counter = INGRESS_REDIRECT_RETURN },
		{ "long header, IPv6", ANSWER6(30), 0x80, .counter = INGRESS_REDIRECT_RETURN },
		{ "partial checksum", ANSWER4(30), 0x40, ANSWER_PARTIAL,
		  .counter = INGRESS_REDIRECT_RETURN },
		{ "partial checksum, IPv6", ANSWER6(30), 0x40, ANSWER_PARTIAL,
		  .counter = INGRESS_REDIRECT_RETURN },
		{ "last hop", ANSWER4(30), 0x40, .ttl = 1, .counter = INGRESS_REDIRECT_RETURN },
		{ "last but one", ANSWER4(30), 0x40, .ttl = 2, .counter = INGRESS_FORWARD_RETURN },
		{ "last hop, IPv6", ANSWER6(30), 0x40, .ttl = 1,
		  .counter = INGRESS_REDIRECT_RETURN },
		{ "empty", ANSWER4(0), .counter = INGRESS_REDIRECT_RETURN },
	};
	static struct result result;
	static const struct row row = { .in = BACKEND };

	(void)state;
	returns_in_xdp(true);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct frame frame;

		print_message("case: %s\n", answers[i].name);
		answer_build(&answers[i], &frame);
		run(&row, frame.bytes, frame.len, &result);
		check_counters(&result, answers[i].counter);
		if (answers[i].counter == INGRESS_FORWARD_RETURN)
			check_sent_on(&answers[i], &frame, &result);
		else
			assert_memory_equal(result.bytes + result.meta_len + 12, frame.bytes + 12,
					    frame.len - 12);
	}
	returns_in_xdp(false);
}

static void forwards_no_proper_prefix(void **state)
{
	static struct result result;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame frame;

		if (rows[i].verdict != XDP_REDIRECT || rows[i].before)
			continue;
		print_message("case: %s\n", rows[i].name);
		row_build(&rows[i], &frame);
		for (size_t len = FRAME_SIZE_MIN_KERNEL; len < frame.ip_offset + frame.ip_len;
		     len++) {
			bool is_dropped = prefix_is_dropped(&rows[i], &frame, len);

			run(&rows[i], frame.bytes, len, &result);
			assert_int_equal(result.verdict, is_dropped ? XDP_DROP : XDP_PASS);
			check_counters(&result, is_dropped ? INGRESS_DROP_RETURN_UNPARSED
							   : INGRESS_PASS_MALFORMED);
			assert_int_equal(result.meta_len,
					 rows[i].meta_full ? setup.meta_len_full : 0);
			assert_memory_equal(result.bytes + result.meta_len, frame.bytes, len);
		}
	}
}

/* The interface has the program, but nobody has told which port it is. */
static void interface_that_is_no_port(void **state)
{
	static const struct row no_port[] = {
		{ "service", { TO_SERVICE4 }, .in = FOREIGN, PASSED(NO_SOCKET) },
		{ "return",
		  { FROM_BACKEND4, .dst = "10.1.0.2" },
		  .in = FOREIGN,
		  DROPPED(RETURN_SPOOFED) },
	};
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(attach_program_fd(setup.attach), (int)setup.ifindexes[FOREIGN],
				   BPF_XDP, &options);

	(void)state;
	assert_true(link >= 0);
	for (size_t i = 0; i < ARRAY_LEN(no_port); i++) {
		print_message("case: %s\n", no_port[i].name);
		check_row(&no_port[i]);
	}
	(void)close(link);
}

/* Datagrams to a client without a neighbour entry. */
static void wanted_cause(size_t count)
{
	const struct row row = { .spec = { FROM_BACKEND4, .dst = "10.1.0.8" }, .in = BACKEND };
	struct xdp_md in = { .ingress_ifindex = setup.ifindexes[BACKEND] };
	struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .repeat = (int)count);

	row_build(&row, &frame);
	options.data_size_in = in.data_end = (uint32_t)frame.len;
	assert_int_equal(bpf_prog_test_run_opts(attach_program_fd(setup.attach), &options), 0);
	assert_int_equal(options.retval, XDP_DROP);
}

/* More requests than the ring holds: some are lost, nothing else. */
static void full_ring_of_wanted_neighbours(void **state)
{
	const size_t count = 2 * NEIGHBOUR_WANTED_COUNT_MAX;
	uint64_t before[INGRESS_COUNTER_COUNT], after[INGRESS_COUNTER_COUNT];
	struct wanted_seen seen = { 0 };

	(void)state;
	assert_int_equal(attach_counters(setup.attach, before), 0);
	wanted_cause(count);
	assert_int_equal(attach_counters(setup.attach, after), 0);
	assert_int_equal(after[INGRESS_DROP_NO_NEIGHBOUR] - before[INGRESS_DROP_NO_NEIGHBOUR],
			 count);

	attach_wanted_drain(setup.attach, wanted_note, &seen);
	assert_in_range(seen.count, NEIGHBOUR_WANTED_COUNT_MAX - 1, NEIGHBOUR_WANTED_COUNT_MAX);
	seen.count = 0;
	attach_wanted_drain(setup.attach, wanted_note, &seen);
	assert_int_equal(seen.count, 0);
}

static void wanted_again(void *arg, const struct neighbour_wanted *wanted)
{
	struct wanted_seen *seen = arg;

	wanted_note(seen, wanted);
	if (seen->count <= 2 * NEIGHBOUR_WANTED_COUNT_MAX)
		wanted_cause(1);
}

/* Requests come in as fast as they are read: the control thread must get away. */
static void endless_wanted_neighbours(void **state)
{
	struct wanted_seen seen = { 0 };

	(void)state;
	wanted_cause(1);
	attach_wanted_drain(setup.attach, wanted_again, &seen);
	assert_int_equal(seen.count, NEIGHBOUR_WANTED_COUNT_MAX);
	attach_wanted_drain(setup.attach, wanted_note, &seen);
	assert_int_equal(seen.count, NEIGHBOUR_WANTED_COUNT_MAX + 1);
}

static uint32_t program_on(const char *ifname)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(ifname), 0, &id), 0);
	return id;
}

static int attach_to(struct attach *attach, const char *ifname, bool generic, char *error)
{
	error[0] = 0;
	return attach_port(attach, 0, if_nametoindex(ifname), ifname, mac_of(FOREIGN), generic,
			   error, ERROR_SIZE);
}

static struct attach *open_another(void)
{
	char error[ERROR_SIZE];
	struct attach *attach = NULL;

	if (attach_open(&attach, error, sizeof(error)))
		fail_msg("%s", error);
	return attach;
}

/* What stands between `` in the sentence. */
static void follow_advice(const char *error)
{
	char command[ERROR_SIZE];

	assert_int_equal(sscanf(error, "%*[^`]`%[^`]`", command), 1);
	print_message("advice: %s\n", command);
	assert_int_equal(shell(command), 0);
}

static void closing_detaches(void **state)
{
	struct attach *attach = open_another();
	char error[ERROR_SIZE];

	(void)state;
	assert_int_equal(program_on("foreign0"), 0);
	assert_int_equal(attach_to(attach, "foreign0", false, error), 0);
	assert_int_not_equal(program_on("foreign0"), 0);
	attach_close(attach);
	assert_int_equal(program_on("foreign0"), 0);
	attach_close(NULL);
}

static void second_program_on_a_link(void **state)
{
	struct attach *first = open_another(), *second = open_another();
	char error[ERROR_SIZE], want[64];

	(void)state;
	assert_int_equal(attach_to(first, "foreign0", false, error), 0);
	(void)snprintf(want, sizeof(want), "program %u (ingress)", program_on("foreign0"));
	assert_int_equal(attach_to(second, "foreign0", false, error), -EBUSY);
	print_message("%s\n", error);
	assert_non_null(strstr(error, "foreign0"));
	assert_non_null(strstr(error, want));
	assert_non_null(strstr(error, "another process"));
	follow_advice(error);
	assert_int_equal(attach_to(second, "foreign0", false, error), 0);
	attach_close(first);
	assert_int_not_equal(program_on("foreign0"), 0);
	attach_close(second);
}

static void program_without_a_link_is_in_the_way(void **state)
{
	static const struct {
		const char *name;
		uint32_t flags;
		int err;
		const char *advice;
	} cases[] = {
		{ "native", XDP_FLAGS_DRV_MODE, -EBUSY, "`ip link set dev foreign0 xdp off`" },
		{ "generic", XDP_FLAGS_SKB_MODE, -EEXIST,
		  "`ip link set dev foreign0 xdpgeneric off`" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct attach *attach = open_another();
		char error[ERROR_SIZE];

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(bpf_xdp_attach((int)setup.ifindexes[FOREIGN],
						attach_program_fd(setup.attach), cases[i].flags,
						NULL),
				 0);
		assert_int_equal(attach_to(attach, "foreign0", false, error), cases[i].err);
		print_message("%s\n", error);
		assert_non_null(strstr(error, cases[i].advice));
		follow_advice(error);
		assert_int_equal(attach_to(attach, "foreign0", false, error), 0);
		attach_close(attach);
	}
}

static void refusals_say_what_to_do(void **state)
{
	static const struct {
		const char *name, *before, *ifname;
		int err;
		const char *sentence; /* a part of it */
	} cases[] = {
		{ "no native XDP", "true", "lo", -EOPNOTSUPP, "lo: its driver has no native XDP" },
		{ "too few receive queues",
		  "ip link add few0 type veth peer name few1 && ethtool -L few1 tx 2", "few0",
		  -ENOSPC, "`ethtool -L few0 rx N`" },
		{ "MTU too large", "ip link add long0 mtu 9000 type veth peer name long1 mtu 9000",
		  "long0", -ERANGE, "`ip link set dev long0 mtu 1500`" },
		{ "no such interface", "true", "none0", -EINVAL, "none0" },
	};
	struct attach *attach = open_another();
	char error[ERROR_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		assert_int_equal(shell(cases[i].before), 0);
		assert_int_equal(attach_to(attach, cases[i].ifname, false, error), cases[i].err);
		print_message("%s\n", error);
		assert_non_null(strstr(error, cases[i].sentence));
	}
	assert_int_equal(attach_to(attach, "lo", true, error), 0);
	assert_int_not_equal(program_on("lo"), 0);
	assert_int_equal(attach_to(attach, "foreign0", false, error), -EINVAL);
	assert_int_equal(attach_socket_set(attach, PORT_COUNT_MAX, 0, 0), -EINVAL);
	assert_int_equal(attach_socket_set(attach, 0, QUEUE_COUNT_MAX, 0), -EINVAL);
	attach_close(attach);
}

static int all_dropped(void)
{
	return setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534);
}

static int perfmon_dropped(void)
{
	return capng_get_caps_process() ||
	       capng_updatev(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_PERFMON,
			     CAP_SYS_ADMIN, -1) ||
	       capng_apply(CAPNG_SELECT_CAPS);
}

/* In a child, as rights do not come back. */
static void without_rights(void **state)
{
	static const struct {
		const char *name;
		int (*drop)(void);
		int err;
		const char *sentence; /* a part of it */
	} cases[] = {
		{ "none at all", all_dropped, -EPERM, "not permitted; run as root, or with" },
		{ "all but CAP_PERFMON", perfmon_dropped, -EACCES, "CAP_PERFMON is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct attach *attach = NULL;
		char error[ERROR_SIZE] = "";
		int status;
		pid_t pid;

		print_message("case: %s\n", cases[i].name);
		(void)fflush(NULL);
		pid = fork();
		if (pid == 0) {
			if (cases[i].drop())
				_exit(2);
			if (attach_open(&attach, error, sizeof(error)) != cases[i].err || attach)
				_exit(3);
			if (!strstr(error, cases[i].sentence) ||
			    !strstr(error, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"))
				_exit(4);
			_exit(strstr(error, "RLIMIT") ? 5 : 0);
		}
		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_each_frame),
		cmocka_unit_test(sends_plain_answers_on),
		cmocka_unit_test(forwards_no_proper_prefix),
		cmocka_unit_test(passes_what_is_deleted),
		cmocka_unit_test(address_goes_with_its_last_rule),
		cmocka_unit_test(interface_that_is_no_port),
		cmocka_unit_test(full_ring_of_wanted_neighbours),
		cmocka_unit_test(endless_wanted_neighbours),
		cmocka_unit_test(closing_detaches),
		cmocka_unit_test(second_program_on_a_link),
		cmocka_unit_test(program_without_a_link_is_in_the_way),
		cmocka_unit_test(refusals_say_what_to_do),
		cmocka_unit_test(without_rights),
	};

	return cmocka_run_group_tests(tests, setup_open, setup_close);
}
