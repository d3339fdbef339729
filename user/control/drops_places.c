/* SPDX-License-Identifier: GPL-2.0-only */
/* drops_places.c - the table of places where datagrams are lost, what each means and what
 * to do about it, and what it makes of counters. Reads nothing. */
#include <string.h>

#include "control/drops.h"
#include "ringway/wire.h"
#include "util/endpoint.h"
#include "util/json_build.h"

enum engine {
	AF_XDP = 1 << 0,
	SOCKET = 1 << 1,
	BOTH = AF_XDP | SOCKET,
};

enum stage {
	STAGE_NIC_IN,
	STAGE_SOFTNET,
	STAGE_XDP,
	STAGE_RINGS_IN,
	STAGE_IP_IN,
	STAGE_UDP_IN,
	STAGE_SOCKETS_IN,
	STAGE_PARSE,
	STAGE_ROUTING,
	STAGE_RINGS_OUT,
	STAGE_SOCKETS_OUT,
	STAGE_IP_OUT,
	STAGE_NIC_OUT,
};

static const char *const stage_names[] = {
	[STAGE_NIC_IN] = "interface in",
	[STAGE_SOFTNET] = "softnet",
	[STAGE_XDP] = "XDP",
	[STAGE_RINGS_IN] = "AF_XDP receive",
	[STAGE_IP_IN] = "IP in",
	[STAGE_UDP_IN] = "UDP in",
	[STAGE_SOCKETS_IN] = "sockets in",
	[STAGE_PARSE] = "parse",
	[STAGE_ROUTING] = "routing",
	[STAGE_RINGS_OUT] = "AF_XDP transmit",
	[STAGE_SOCKETS_OUT] = "sockets out",
	[STAGE_IP_OUT] = "IP out",
	[STAGE_NIC_OUT] = "interface out",
};

enum kind {
	LOSS,
	SIGN, /* trouble that by itself loses nothing, or not for sure */
};

/* Of one place, while it is being made. */
struct tally {
	uint64_t count;
	json_t *sources;
};

static void tally_add(struct tally *tally, json_t *name, uint64_t count, json_t *counters)
{
	json_t *source = json_object();

	tally->count += count;
	if (!count) {
		json_decref(name);
		json_decref(counters);
		json_decref(source);
		return;
	}
	json_build_put(&source, "name", name);
	json_build_number(&source, "count", count);
	if (counters)
		json_build_put(&source, "counters", counters);
	json_build_append(&tally->sources, source);
}

static uint64_t without(uint64_t count, uint64_t part)
{
	return count > part ? count - part : 0;
}

/* --- interfaces -------------------------------------------------------------- */

static uint64_t port_sum(const struct drops_counts *counts, uint32_t port, size_t offset)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < counts->worker_count; i++)
		sum += *(const uint64_t *)((const char *)&counts->ios[i].ports[port] + offset);
	return sum;
}

#define PORT_MEMBER(member) offsetof(struct io_port_stats, member)

/* Aimed at a socket by XDP, and neither taken from it, nor refused by it, nor waiting in
 * its ring. XDP's counters are read first, so it is never too many. */
static uint64_t redirect_lost(const struct drops_counts *counts)
{
	uint64_t arrived = 0;

	for (uint32_t port = 0; port < counts->port_count; port++)
		arrived += port_sum(counts, port, PORT_MEMBER(received)) +
			   port_sum(counts, port, PORT_MEMBER(rx_waiting)) +
			   port_sum(counts, port, PORT_MEMBER(rx_invalid)) +
			   port_sum(counts, port, PORT_MEMBER(rx_ring_full)) +
			   port_sum(counts, port, PORT_MEMBER(rx_dropped));
	return without(counts->xdp[INGRESS_REDIRECT_SERVICE] + counts->xdp[INGRESS_REDIRECT_RETURN],
		       arrived);
}

/* What the driver calls dropped too, but is counted by XDP or AF_XDP, further on. A veth
 * also counts what redirect failed for: *lost, of which nobody knows the port. */
static uint64_t dropped_later(const struct drops_counts *counts, uint32_t port, uint64_t dropped,
			      uint64_t *lost)
{
	const char *driver = counts->drivers[port];
	uint64_t refused, failed;

	if (driver && strcmp(driver, "virtio_net") == 0)
		return nic_stats_sum(&counts->nics[port], NIC_RX_XDP);
	if (!driver || strcmp(driver, "veth") != 0)
		return 0;
	refused = port_sum(counts, port, PORT_MEMBER(rx_ring_full)) +
		  port_sum(counts, port, PORT_MEMBER(rx_dropped));
	failed = without(dropped, refused);
	if (failed > *lost)
		failed = *lost;
	*lost -= failed;
	return refused + failed;
}

static json_t *nic_counters(const struct nic_stats *stats, enum nic_class class)
{
	json_t *object = json_object();

	for (size_t i = 0; i < stats->count; i++) {
		const struct nic_counter *counter = &stats->counters[i];

		if (counter->class == class && counter->value && nic_stats_counts(stats, counter))
			json_build_number(&object, counter->name, counter->value);
	}
	return object;
}

static void nic_tally(struct tally *tally, const struct drops_counts *counts, int class)
{
	uint64_t lost = redirect_lost(counts);

	for (uint32_t port = 0; port < counts->port_count; port++) {
		uint64_t count = nic_stats_sum(&counts->nics[port], (enum nic_class) class);

		if (class == NIC_RX_DROPPED)
			count = without(count, dropped_later(counts, port, count, &lost));
		tally_add(tally, json_string(counts->ifnames[port]), count,
			  nic_counters(&counts->nics[port], (enum nic_class) class));
	}
}

/* --- the kernel's stack -------------------------------------------------------- */

static void softnet_dropped_tally(struct tally *tally, const struct drops_counts *counts,
				  int unused)
{
	(void)unused;
	tally->count = counts->net.softnet_dropped;
}

static void softnet_squeezed_tally(struct tally *tally, const struct drops_counts *counts,
				   int unused)
{
	(void)unused;
	tally->count = counts->net.softnet_squeezed;
}

static const char *const family_titles[FAMILY_COUNT] = { "IPv4", "IPv6" };

static void net_tally(struct tally *tally, const struct drops_counts *counts, int counter)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		tally_add(tally, json_string(family_titles[family]),
			  counts->net.counters[family][counter], NULL);
}

static void udp_other_tally(struct tally *tally, const struct drops_counts *counts, int unused)
{
	(void)unused;
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		tally_add(tally, json_string(family_titles[family]),
			  proc_net_udp_other(counts->net.counters[family]), NULL);
}

/* --- XDP and the rings ----------------------------------------------------------- */

static void xdp_tally(struct tally *tally, const struct drops_counts *counts, int counter)
{
	tally->count = counts->xdp[counter];
}

static void redirect_tally(struct tally *tally, const struct drops_counts *counts, int unused)
{
	(void)unused;
	tally->count = redirect_lost(counts);
}

static void port_tally(struct tally *tally, const struct drops_counts *counts, int offset)
{
	for (uint32_t port = 0; port < counts->port_count; port++) {
		for (uint32_t i = 0; i < counts->worker_count; i++) {
			const struct io_port_stats *stats = &counts->ios[i].ports[port];
			const char *ifname = counts->ifnames[port];

			tally_add(tally, json_sprintf("%s queue %u", ifname, i),
				  *(const uint64_t *)((const char *)stats + offset), NULL);
		}
	}
}

/* In copy mode a frame that finds no free one is counted as both. */
static void rx_dropped_tally(struct tally *tally, const struct drops_counts *counts, int unused)
{
	(void)unused;
	for (uint32_t port = 0; port < counts->port_count; port++) {
		for (uint32_t i = 0; i < counts->worker_count; i++) {
			const struct io_port_stats *stats = &counts->ios[i].ports[port];
			const char *ifname = counts->ifnames[port];

			tally_add(tally, json_sprintf("%s queue %u", ifname, i),
				  without(stats->rx_dropped, stats->rx_fill_empty), NULL);
		}
	}
}

/* --- the workers, and the sockets of the socket engine --------------------------- */

static void reason_tally(struct tally *tally, const struct drops_counts *counts, int reason)
{
	tally->count = counts->reasons[reason];
}

static void socket_tally(struct tally *tally, const struct drops_counts *counts, int counter)
{
	tally->count = counts->sockets.counts[counter];
}

/* Of the one port that the socket engine has. */
static void send_tally(struct tally *tally, const struct drops_counts *counts, int offset)
{
	for (uint32_t i = 0; i < counts->worker_count; i++)
		tally_add(tally, json_sprintf("worker %u", i),
			  *(const uint64_t *)((const char *)&counts->ios[i].ports[0] + offset),
			  NULL);
}

static void service_socket_tally(struct tally *tally, const struct drops_counts *counts, int unused)
{
	const struct socket_stats *sockets = &counts->sockets;

	(void)unused;
	for (size_t i = 0; i < sockets->dropper_count; i++) {
		const struct socket_dropper *dropper = &sockets->droppers[i];
		char text[ENDPOINT_TEXT_SIZE];

		tally_add(tally,
			  json_sprintf(
				  "%s worker %u",
				  endpoint_format(dropper->addr, wire_be16(dropper->port_be), text),
				  dropper->worker),
			  dropper->dropped, NULL);
	}
	tally_add(tally, json_string("others"), sockets->dropped_service - tally->count, NULL);
}

static void flow_socket_tally(struct tally *tally, const struct drops_counts *counts, int unused)
{
	(void)unused;
	tally->count = counts->sockets.dropped_flow;
}

/* --- the table --------------------------------------------------------------------- */

static const struct {
	const char *name, *meaning;
} xdp_counters[] = {
#define X(constant, name, meaning) [INGRESS_##constant] = { name, meaning },
	INGRESS_COUNTERS(X)
#undef X
};

struct place {
	const char *name; /* NULL: XDP's, or the reason's; likewise its meaning */
	enum stage stage;
	enum kind kind;
	unsigned int engines;
	void (*tally)(struct tally *tally, const struct drops_counts *counts, int index);
	int index; /* whatever tally makes of it */
	const char *meaning, *advice;
};

#define AT_NIC(name, stage, class, meaning, advice)                                          \
	{                                                                                    \
		name, STAGE_NIC_##stage, LOSS, BOTH, nic_tally, NIC_##class, meaning, advice \
	}
#define AT_XDP(counter, kind, advice)                                                     \
	{                                                                                 \
		NULL, STAGE_XDP, kind, AF_XDP, xdp_tally, INGRESS_##counter, NULL, advice \
	}
#define AT_RING(member, stage, kind, meaning, advice)                                             \
	{                                                                                         \
#member, STAGE_RINGS_##stage, kind, AF_XDP, port_tally, (int)PORT_MEMBER(member), \
			meaning, advice                                                           \
	}
#define AT_KICK(name, error, meaning, advice)                                           \
	{                                                                               \
		"kick_" name, STAGE_RINGS_OUT, SIGN, AF_XDP, port_tally,                \
			(int)PORT_MEMBER(kick_errors[IO_KICK_##error]), meaning, advice \
	}
#define AT_NET(name, stage, kind, counter, meaning, advice)                                       \
	{                                                                                         \
		name, STAGE_##stage, kind, SOCKET, net_tally, PROC_NET_##counter, meaning, advice \
	}
#define AT_SOCKET(name, stage, kind, counter, meaning, advice)                                    \
	{                                                                                         \
		name, STAGE_##stage, kind, SOCKET, socket_tally, SOCKET_COUNT_##counter, meaning, \
			advice                                                                    \
	}
#define AT_SEND(name, member, meaning, advice)                                               \
	{                                                                                    \
		name, STAGE_SOCKETS_OUT, LOSS, SOCKET, send_tally, (int)PORT_MEMBER(member), \
			meaning, advice                                                      \
	}
#define BY_REASON(reason, stage, engines, advice)                                             \
	{                                                                                     \
		NULL, STAGE_##stage, LOSS, engines, reason_tally, DROP_##reason, NULL, advice \
	}

static const struct place places[] = {
	AT_NIC("nic_rx_damaged", IN, RX_DAMAGED, "frames arrived damaged or with a wrong length",
	       "it happens on the wire: look at cable, transceiver, duplex and the switch's port "
	       "(`ethtool -S`, `ethtool -m`), and for lengths at the MTU of the neighbours"),
	AT_NIC("nic_rx_missed", IN, RX_MISSED,
	       "the card had no free descriptor to receive into: its queue is not emptied as fast as "
	       "it fills",
	       "if rx_fill_empty grows too, ringway's frames run out: raise limits.frames; otherwise "
	       "the core that serves the queue is the limit: more queues and workers (`ethtool -L`), "
	       "IRQs and workers on cores of their own; a larger ring (`ethtool -G DEV rx N`) only "
	       "buys time for bursts"),
	AT_NIC("nic_rx_dropped", IN, RX_DROPPED,
	       "the driver gave up received frames, not by order of XDP and not because an AF_XDP "
	       "ring was full",
	       "see the counters by name (`ethtool -S`): memory for buffers, a queue that was "
	       "stopped, or a filter; with `return_path: xdp` answers to an interface that takes "
	       "none from XDP, as a veth whose peer does not receive by NAPI (`ethtool -K PEER gro "
	       "on`); where the driver has no name for it, the kernel counts frames "
	       "of protocols here that nobody on this host speaks, such as LLDP"),
	{ "softnet_dropped", STAGE_SOFTNET, LOSS, BOTH, softnet_dropped_tally, 0,
	  "a CPU's backlog was full, so the kernel dropped frames before generic XDP or IP saw them; "
	  "of the whole machine, all interfaces and network namespaces; native XDP is before it",
	  "frames come by RPS or a driver without NAPI faster than that CPU takes them: use native "
	  "XDP (`mode: auto`), spread RPS over more CPUs, or raise net.core.netdev_max_backlog "
	  "for bursts" },
	{ "softnet_squeezed", STAGE_SOFTNET, SIGN, BOTH, softnet_squeezed_tally, 0,
	  "the kernel's receive loop ran out of budget or time with work left; of the whole machine",
	  "harmless now and then; if it grows together with nic_rx_missed raise "
	  "net.core.netdev_budget and netdev_budget_usecs, or use more queues" },
	AT_XDP(PASS_MALFORMED, SIGN,
	       "it was left to the kernel, which drops it; `tcpdump -nevi DEV udp` shows who sends it"),
	AT_XDP(PASS_FRAGMENT, SIGN,
	       "it was left to the kernel, and a service's fragments get nowhere: senders must keep to "
	       "the path's MTU; QUIC does by itself"),
	AT_XDP(PASS_OPTIONS, SIGN, "it was left to the kernel; nobody needs these for UDP"),
	AT_XDP(DROP_RETURN_UNPARSED, LOSS,
	       "let the backend send datagrams that fit the path's MTU, without IP options"),
	AT_XDP(PASS_OTHER_MAC, SIGN,
	       "a switch floods, or the address of a router that is no more is used: look at the "
	       "neighbours' ARP and ND tables"),
	AT_XDP(DROP_SOURCE_MARTIAN, LOSS,
	       "forged or misconfigured; let the border router filter it (BCP 38)"),
	AT_XDP(DROP_SOURCE_OURS, LOSS,
	       "look for a route that sends ringway's own datagrams back to it; if there is none, "
	       "somebody forges sources"),
	AT_XDP(PASS_NO_SOCKET, LOSS,
	       "RSS spreads over more queues than there are workers: `ethtool -X DEV equal WORKERS`, "
	       "or `ethtool -L DEV combined WORKERS`"),
	AT_XDP(DROP_RETURN_SPOOFED, LOSS,
	       "if it is no attack, the backend is routed another way than the kernel's route to it "
	       "says: compare `ip route get BACKEND` with where its answers come in"),
	AT_XDP(DROP_NO_ROUTE, LOSS,
	       "`ip route show table all match CLIENT` lists the routes, of which the longest prefix "
	       "counts: remove the blackhole, prohibit or unreachable one; if there is none, look for "
	       "such a rule (`ip rule`, `ip -6 rule`)"),
	AT_XDP(DROP_FORWARDING_OFF, LOSS,
	       "of the interface to the backends: `sysctl -w net.ipv4.conf.DEV.forwarding=1`, for IPv6 "
	       "`sysctl -w net.ipv6.conf.DEV.forwarding=1`"),
	AT_XDP(DROP_ROUTE_ENCAPSULATES, LOSS,
	       "`ip route show table all match CLIENT` shows it (encap): give clients a route without, "
	       "or use `engine: socket`"),
	AT_XDP(DROP_NO_NEIGHBOUR, LOSS,
	       "the first datagrams after a start may meet this; if it goes on, the router to the "
	       "clients does not answer ARP or ND: `ip neighbour show nud failed`"),
	AT_XDP(DROP_TOO_BIG, LOSS,
	       "raise that MTU (`ip route get CLIENT`, `ip link show`), or lower the backend's maximum "
	       "datagram size"),
	AT_XDP(DROP_FOREIGN_INTERFACE, LOSS,
	       "`ip route get CLIENT` names it: add it to `interfaces:`, or route the clients through "
	       "one that is there"),
	AT_XDP(DROP_FIB_ERROR, LOSS,
	       "the kernel is newer than this ringway: report it, with what `uname -r`, `ip route get "
	       "CLIENT` and `ip rule` print"),
	AT_XDP(DROP_NO_SOCKET, LOSS,
	       "RSS spreads over more queues than there are workers: `ethtool -X DEV equal WORKERS`, "
	       "or `ethtool -L DEV combined WORKERS`"),
	{ "xdp_redirect_lost", STAGE_XDP, LOSS, AF_XDP, redirect_tally, 0,
	  "XDP aimed frames at AF_XDP sockets that never had them, by no counter of the kernel; taken "
	  "from what XDP sent and what the sockets had, so exact only while little moves",
	  "a socket is bound to another queue or its interface was down: restart ringwayd; if it goes "
	  "on, report it with the err= of `perf trace -e xdp:xdp_redirect_err`" },
	AT_RING(rx_fill_empty, IN, LOSS, "the kernel found no free frame to receive into",
		"the worker does not return frames in time: raise limits.frames, and look whether "
		"transmitting stands still (OUTSTANDING in `ringwayctl stats`)"),
	{ "rx_dropped", STAGE_RINGS_IN, LOSS, AF_XDP, rx_dropped_tally, 0,
	  "longer than a frame, or no memory to receive it",
	  "raise limits.frame_size to 4096 and keep the MTU at 3500 or less; with generic XDP switch "
	  "GRO and LRO off (`ethtool -K DEV gro off lro off`)" },
	AT_RING(rx_ring_full, IN, LOSS,
		"the worker takes datagrams slower than they come, and its receive ring is full",
		"it is the rate of consumption, and a larger ring (limits.ring_size) buys "
		"milliseconds: give workers cores of their own (`cpus:`), use more queues and so more "
		"workers, and look at BUSY in `ringwayctl stats --watch`; where it is below 100 %, "
		"something else takes the core"),
	AT_RING(rx_invalid, IN, LOSS, "the kernel and ringway disagree about a frame",
		"a fault of the driver or of ringway: report it with `ethtool -i DEV`"),
	AT_NET("ip_in_header", IP_IN, LOSS, IP_IN_HEADER,
	       "IP headers with mistakes, or a TTL that ran out on a datagram to be routed on",
	       "look who sends them: `tcpdump -ni DEV 'ip[8] < 2'` shows those without TTL, which mean "
	       "a routing loop"),
	AT_NET("ip_in_address", IP_IN, LOSS, IP_IN_ADDRESS,
	       "for an address that is not of this host, or that is impossible",
	       "the service's address may be missing: `ip address add SERVICE/32 dev lo`; or "
	       "forwarding is off, where this host is to route as well"),
	AT_NET("ip_in_reverse_path", IP_IN, LOSS, IP_IN_REVERSE_PATH,
	       "IPv4 from a source whose route leads elsewhere, or nowhere (rp_filter)",
	       "`ip route get SOURCE`; with routes that differ by direction use "
	       "net.ipv4.conf.DEV.rp_filter=2"),
	AT_NET("ip_in_no_route", IP_IN, LOSS, IP_IN_NO_ROUTE,
	       "to be routed on by this host, and there is no route",
	       "`ip route get DESTINATION`; if it was for a service, its address is missing: `ip "
	       "address add SERVICE/32 dev lo`"),
	/* Other traffic of this host as well; its services' is not, which XDP takes. */
	{ "ip_in_no_route", STAGE_IP_IN, LOSS, AF_XDP, net_tally, PROC_NET_IP_IN_NO_ROUTE,
	  "to be routed on by this host, and there is no route; XDP leaves backends' answers to the "
	  "kernel if it finds none to the client",
	  "`ip route get CLIENT`: give this host a route to its clients, most often the default route "
	  "(`ip route show default`, `ip -6 route show default`)" },
	AT_NET("ip_in_truncated", IP_IN, LOSS, IP_IN_TRUNCATED, "shorter than the IP header says",
	       "it happens on the way here: look at MTUs and offloads of switches and tunnels"),
	AT_NET("ip_in_discarded", IP_IN, LOSS, IP_IN_DISCARDED,
	       "no memory, or IPv6 that is switched off on that interface; what a firewall drops, it alone "
	       "counts",
	       "`sysctl net.ipv6.conf.DEV.disable_ipv6`, then `free -m`; for a firewall counters in `nft "
	       "list ruleset`"),
	AT_NET("ip_reassembly", IP_IN, LOSS, IP_REASSEMBLY, "fragments of which some never came",
	       "make senders keep to the path's MTU; QUIC does by itself"),
	AT_NET("udp_no_port", UDP_IN, LOSS, UDP_NO_PORT,
	       "to a port of this host on which nobody listens",
	       "after a restart these are clients of before; otherwise compare the service's address "
	       "and port in the configuration with what clients use (`ss -lun`)"),
	AT_NET("udp_checksum", UDP_IN, LOSS, UDP_CHECKSUM, "the UDP checksum is wrong",
	       "something on the way damages or rewrites datagrams: a NAT, a card's offload (`ethtool "
	       "-K DEV rx off` to compare), or a veth sender whose checksum nobody completed"),
	AT_NET("udp_receive_buffer", UDP_IN, LOSS, UDP_RECEIVE_BUFFER,
	       "a socket's buffer is full because ringwayd, or another program of this network "
	       "namespace, takes datagrams slower than they come; service_socket and flow_socket "
	       "tell ringwayd's own",
	       "it is the rate of consumption, not the size of the buffer: a larger buffer buys "
	       "seconds; use more workers, `calls: mmsg` or `io_uring`, or `engine: af_xdp`"),
	AT_NET("udp_memory", UDP_IN, LOSS, UDP_MEMORY,
	       "UDP's memory for all sockets together is used up",
	       "sockets are not read fast enough, see udp_receive_buffer; net.ipv4.udp_mem is the "
	       "limit"),
	{ "udp_other", STAGE_UDP_IN, LOSS, SOCKET, udp_other_tally, 0,
	  "UDP refused it for another reason: contradictory lengths, a socket's filter, or IPsec policy",
	  "`bpftool prog` for filters on sockets, `ip xfrm policy` for IPsec, dropwatch for the place "
	  "in the kernel" },
	{ "service_socket", STAGE_SOCKETS_IN, LOSS, SOCKET, service_socket_tally, 0,
	  "no room in a service's own socket: clients' datagrams come faster than ringwayd takes them",
	  "it is the rate of consumption, not the size of the buffer: use more workers, `calls: "
	  "mmsg` or `io_uring`, or `engine: af_xdp`" },
	{ "flow_socket", STAGE_SOCKETS_IN, LOSS, SOCKET, flow_socket_tally, 0,
	  "no room in a flow's socket: a backend's answers come faster than ringwayd takes them",
	  "one thread reads all answers of a flow: use more workers so that each has fewer, `calls: "
	  "io_uring`, or `engine: af_xdp`" },
	AT_SOCKET("truncated", SOCKETS_IN, LOSS, TRUNCATED, "longer than a frame",
		  "raise limits.frame_size to 4096; longer UDP datagrams are not carried"),
	AT_SOCKET("ring_full", SOCKETS_IN, LOSS, RING_FULL,
		  "received, but the thread that forwards was behind the one that receives",
		  "forwarding or sending is the limit: more workers, or `engine: af_xdp`"),
	BY_REASON(
		MALFORMED, PARSE, AF_XDP,
		"look who sends it: `xdpdump -i DEV -w - | tcpdump -vvnr -` (of xdp-tools; tcpdump alone "
		"does not see what XDP takes)"),
	BY_REASON(NO_CHECKSUM, PARSE, AF_XDP, "the sender must be mended: IPv6 requires it"),
	BY_REASON(NOT_OURS, ROUTING, BOTH,
		  "a few at a reload are in flight to what was removed, and what a flushed backend "
		  "still answers ends here; otherwise compare the configuration with where "
		  "clients send to"),
	BY_REASON(SOURCE_MARTIAN, ROUTING, SOCKET,
		  "forged or misconfigured; let the border router filter it (BCP 38)"),
	BY_REASON(
		SOURCE_OURS, ROUTING, BOTH,
		"look for a route that sends ringway's own datagrams back to it; if there is none, "
		"somebody forges sources"),
	BY_REASON(
		RETURN_SPOOFED, ROUTING, AF_XDP,
		"if it is no attack, the backend is routed another way than the kernel's route to it "
		"says: compare `ip route get BACKEND` with where its answers come in"),
	BY_REASON(
		NO_BACKEND, ROUTING, BOTH,
		"`ringwayctl backends` shows which are drained, flushed or down: `ringwayctl undrain "
		"SERVICE/BACKEND`; if none has an address of the clients' IP version, give the service "
		"one that has, or take its own address of that version away"),
	BY_REASON(
		BACKEND_GONE, ROUTING, BOTH,
		"as configured: `on_remove: rehash` would move these connections; to let them end, "
		"drain a backend before it is removed"),
	BY_REASON(
		NO_NEIGHBOUR, ROUTING, AF_XDP,
		"`ringwayctl backends` shows the next hop: a host that is down, a wrong VLAN, or no route "
		"(`ip route get BACKEND`)"),
	BY_REASON(
		DISCOVERY_ANSWER, ROUTING, BOTH,
		"expected for some milliseconds after clients have moved or ringwayd was restarted; "
		"QUIC-LB Connection IDs (`quic_lb:`) spare the question"),
	BY_REASON(
		TTL_EXPIRED, ROUTING, AF_XDP,
		"a routing loop, or somebody runs traceroute: `xdpdump -i DEV -w - | tcpdump -nr - 'ip[8] "
		"< 2'` (of xdp-tools; tcpdump alone does not see what XDP takes)"),
	BY_REASON(
		TOO_BIG, ROUTING, AF_XDP,
		"raise the MTU of the interface to the backend (`ip link set dev DEV mtu N`), or lower "
		"the clients' maximum datagram size"),
	AT_SOCKET(
		"flows_refused", SOCKETS_OUT, LOSS, FLOWS_REFUSED,
		"there are as many flows as socket.flows allows, so new clients are turned away",
		"raise socket.flows and LimitNOFILE= of ringwayd's systemd unit (`ulimit -n`), or lower "
		"the service's idle_timeout"),
	AT_SOCKET(
		"flow_errors", SOCKETS_OUT, LOSS, FLOW_ERRORS,
		"a socket to a backend could not be opened",
		"no file left: raise LimitNOFILE= of ringwayd's systemd unit (`ulimit -n`); no port left: widen "
		"net.ipv4.ip_local_port_range or give more socket.source_addresses; no route: `ip "
		"route get BACKEND`"),
	AT_SEND("send_again", kick_errors[IO_KICK_AGAIN], "a socket's send buffer was full",
		"the link is the limit, or a qdisc that holds datagrams: `tc -s qdisc`; "
		"net.core.wmem_default helps with bursts only"),
	AT_SEND("send_no_buffers", kick_errors[IO_KICK_NO_BUFFERS],
		"the kernel had no memory to send it",
		"`free -m`, and `dmesg` for allocations that failed"),
	AT_SEND("send_link_down", kick_errors[IO_KICK_LINK_DOWN],
		"the interface to send it by was down",
		"see to the cable, or to the other end: `ip link show`"),
	AT_SEND("send_other", kick_errors[IO_KICK_OTHER], "the kernel refused to send it",
		"no route: `ip route get BACKEND`; EPERM: the firewall (`nft list ruleset`); EMSGSIZE: the "
		"MTU; `strace -fe trace=network -p $(pidof ringwayd)` shows the errno, but not that of `calls: io_uring`"),
	AT_SEND("send_invalid", tx_invalid, "what was to be sent belongs to no socket",
		"a few at a reload are of a service that was removed; otherwise report it"),
	BY_REASON(
		TX_FULL, RINGS_OUT, AF_XDP,
		"look further on, at interface out and the kicks; if nothing is lost there, the "
		"link or the other end of the veth is the limit, and limits.ring_size only buys time"),
	BY_REASON(TX_FULL, SOCKETS_OUT, SOCKET,
		  "the places before this one say why: what a socket did not take, for any reason, "
		  "is counted here as well"),
	AT_RING(tx_invalid, OUT, LOSS, "the kernel refused a frame that was to be sent",
		"a fault of the driver or of ringway: report it with `ethtool -i DEV`"),
	AT_KICK("again", AGAIN, "a wake-up to send that the kernel cut short; it is made again",
		"nothing, while tx_full does not grow"),
	AT_KICK("busy", BUSY,
		"a wake-up to send that the driver could not serve; in copy mode it gave up one frame "
		"each time, which interface out counts",
		"the link, or the other end of the veth, is slower than what it is sent"),
	AT_KICK("no_buffers", NO_BUFFERS, "a wake-up to send for which the kernel had no memory",
		"raise net.core.wmem_default, which bounds what a socket in copy mode may have on its "
		"way, and look at the machine's free memory"),
	AT_KICK("link_down", LINK_DOWN, "a wake-up to send while the interface was down",
		"see to the cable, or to the other end: `ip link show dev DEV`"),
	AT_KICK("other", OTHER, "a wake-up to send that failed for another reason",
		"`strace -fe sendto -p $(pidof ringwayd)` shows the errno"),
	AT_SOCKET(
		"unreachable", SOCKETS_OUT, SIGN, UNREACHABLE,
		"backends, or routers to them, answered that they cannot be reached",
		"is the backend's program running? `ringwayctl backends`; `health:` would take it "
		"out"),
	AT_NET("udp_send_buffer", SOCKETS_OUT, LOSS, UDP_SEND_BUFFER,
	       "a socket had no room to send, or the queue or driver of its interface had none",
	       "if nic_tx_dropped has as many, it was the driver; otherwise the link is the limit: "
	       "`tc -s qdisc show dev DEV`; a longer qdisc or net.core.wmem_default helps with bursts "
	       "only"),
	AT_NET("ip_fragmentation", IP_OUT, LOSS, IP_FRAGMENTATION,
	       "longer than the MTU of the way out, and not to be fragmented",
	       "raise that MTU, or lower the maximum datagram size of clients or backends"),
	AT_NET("ip_out_no_route", IP_OUT, LOSS, IP_OUT_NO_ROUTE, "no route to where it was to go",
	       "`ip route get BACKEND`; a missing default route, or a link that is down"),
	AT_NET("ip_out_discarded", IP_OUT, LOSS, IP_OUT_DISCARDED,
	       "no memory, a firewall's verdict, or a queue without room",
	       "ringwayd's own are told before, at sockets out; for others `nft list ruleset`, then "
	       "`tc -s qdisc`"),
	AT_NIC("nic_tx_dropped", OUT, TX_DROPPED,
	       "the driver had no room to send it, or its link was down",
	       "the link, or on a veth the other end, is slower than what it is sent: compare the rate "
	       "with the link's; a veth's peer must receive by NAPI (`ethtool -K PEER gro on`) and have "
	       "a core that serves it"),
	AT_NIC("nic_tx_errors", OUT, TX_ERRORS, "the card could not send it",
	       "cable, transceiver, or the driver: `dmesg`, `ethtool -S`"),
};

static const char *place_name(const struct place *place)
{
	if (place->name)
		return place->name;
	return place->tally == xdp_tally ? xdp_counters[place->index].name
					 : drop_reason_name((enum drop_reason)place->index);
}

static const char *place_meaning(const struct place *place)
{
	if (place->meaning)
		return place->meaning;
	return place->tally == xdp_tally ? xdp_counters[place->index].meaning
					 : drop_reason_meaning((enum drop_reason)place->index);
}

/* With zero-copy the driver finds no frame in advance; what is lost for want of one is
 * counted by the card. Native XDP has its frames before softnet. */
static bool is_loss(const struct place *place, const struct drops_counts *counts)
{
	if (place->tally == port_tally && place->index == (int)PORT_MEMBER(rx_fill_empty))
		return counts->ios[0].ports[0].mode != IO_MODE_ZERO_COPY;
	if (place->tally == softnet_dropped_tally)
		return counts->has_sockets || counts->has_generic;
	return place->kind == LOSS;
}

static json_t *place_json(const struct place *place, const struct drops_counts *counts)
{
	struct tally tally = { .sources = json_array() };
	json_t *object = json_object();

	place->tally(&tally, counts, place->index);
	json_build_put(&object, "place", json_string(place_name(place)));
	json_build_put(&object, "stage", json_string(stage_names[place->stage]));
	json_build_put(&object, "kind", json_string(is_loss(place, counts) ? "loss" : "sign"));
	json_build_number(&object, "count", tally.count);
	json_build_put(&object, "meaning", json_string(place_meaning(place)));
	json_build_put(&object, "advice", json_string(place->advice));
	json_build_put(&object, "sources", tally.sources);
	return object;
}

json_t *drops_places(const struct drops_counts *counts)
{
	const unsigned int engine = counts->has_sockets ? SOCKET : AF_XDP;
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i].engines & engine)
			json_build_append(&array, place_json(&places[i], counts));
	return array;
}
