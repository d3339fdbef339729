/* SPDX-License-Identifier: GPL-2.0-only */
/* abi.h - every struct that crosses the kernel/user boundary, and nothing else.
 *
 * Fixed-width types, explicit padding; _be means network byte order. Addresses
 * are 16 bytes; IPv4 is mapped as ::ffff:a.b.c.d. A change of layout must break
 * the build here, not the traffic in production. */
#ifndef RINGWAY_ABI_H
#define RINGWAY_ABI_H

#include <linux/types.h>

#include "ringway/limits.h"

/* Key of both matching tables: a service's own address, or a backend's. */
struct match_key {
	__u8 addr[16];
	__u16 port_be;
	__u8 protocol; /* IPPROTO_UDP */
	__u8 pad;      /* 0 */
};
_Static_assert(sizeof(struct match_key) == 20, "match_key is BPF map ABI");

/* Value of the service table. */
struct service_rule {
	__u16 slot;   /* index of the service in userspace */
	__u8 edition; /* of userspace's services, in which that is so */
	__u8 pad;
};
_Static_assert(sizeof(struct service_rule) == 4, "service_rule is BPF map ABI");

/* Value of the table of ports, by ifindex. */
struct port_rule {
	__u32 port;
	__u8 mac[6]; /* of the interface: frames to another are not for this host */
	__u8 pad[2];
};
_Static_assert(sizeof(struct port_rule) == 12, "port_rule is BPF map ABI");

/* The set of UDP ports that services and backends use, as bits: of a port the word,
 * and the bit in it. */
#define OUR_PORTS_WORD_COUNT	   (65536 / 64)
#define OUR_PORTS_WORD(port_be)	   ((port_be) >> 6)
#define OUR_PORTS_BIT_NUM(port_be) ((port_be)&63)

enum return_flags {
	RETURN_CHECK_MAC = 1 << 0, /* clients are behind this port too: the source MAC decides */
	RETURN_IN_XDP = 1 << 1,	 /* rewritten and sent on by XDP, unless userspace learns from it */
	RETURN_IS_QUIC = 1 << 2, /* it learns from long headers */
};

/* Value of the backend table: what a datagram that claims to come from this
 * backend must look like, and whose name it gets. */
struct return_rule {
	__u16 slot;	      /* index of the backend in userspace */
	__u8 port;	      /* the only port it may arrive on */
	__u8 flags;	      /* enum return_flags */
	__u8 next_hop_mac[6]; /* with RETURN_CHECK_MAC: the only source MAC; 0: not resolved yet */
	__u16 service_port_be;
	__u8 service_addr[16]; /* source address of the answer once it leaves */
	__u16 delta_addr;      /* checksum_delta(backend -> service): of addresses alone, */
	__u16 delta;	       /* and with ports */
};
_Static_assert(sizeof(struct return_rule) == 32, "return_rule is BPF map ABI");
_Static_assert(__builtin_offsetof(struct return_rule, service_addr) == 12, "BPF map ABI");

enum frame_kind {
	FRAME_UNCLASSIFIED = 0, /* no metadata: userspace looks for itself */
	FRAME_SERVICE = 1,	/* client to service; slot is the service's */
	FRAME_RETURN = 2,	/* backend to client; slot is the backend's, port the way out, and
				 * the Ethernet addresses are those of the next hop already */
};

#define FRAME_META_MAGIC 0x52574d31u /* "RWM1" */

/* Lies directly in front of the frame in UMEM. The reader clears magic, so that
 * a frame that arrives without metadata never shows that of an earlier one. */
struct frame_meta {
	__u32 magic;
	__u16 slot;
	__u8 kind; /* enum frame_kind */
	__u8 port; /* FRAME_RETURN: to send on; FRAME_SERVICE: the rule's edition instead */
};
_Static_assert(sizeof(struct frame_meta) == 8, "metadata sizes are multiples of 4");

/* What XDP did with a frame. One counter a CPU each; xdp_pass_* went on to the
 * kernel's stack, xdp_drop_* are gone. X(constant, name, meaning) */
#define INGRESS_COUNTERS(X)                                                                       \
	X(REDIRECT_SERVICE, "xdp_service", "service traffic, to a worker")                        \
	X(REDIRECT_RETURN, "xdp_return", "return traffic, to a worker")                           \
	X(FORWARD_RETURN, "xdp_return_forwarded",                                                 \
	  "return traffic, rewritten here and sent on to the client")                             \
	X(PASS_NOT_IP, "xdp_pass_not_ip", "neither IPv4 nor IPv6, such as ARP")                   \
	X(PASS_NOT_UDP, "xdp_pass_not_udp", "another transport protocol")                         \
	X(PASS_NOT_OURS, "xdp_pass_not_ours", "UDP of no service and no backend")                 \
	X(PASS_FRAGMENT, "xdp_pass_fragment", "an IP fragment")                                   \
	X(PASS_OPTIONS, "xdp_pass_options", "IPv4 options or IPv6 extension headers")             \
	X(PASS_MALFORMED, "xdp_pass_malformed", "contradictory lengths or impossible addresses")  \
	X(PASS_LOCAL, "xdp_pass_local", "from a backend to this host itself, or without a route") \
	X(PASS_NO_SOCKET, "xdp_pass_no_socket", "service traffic on a queue without a worker")    \
	X(PASS_OTHER_MAC, "xdp_pass_other_mac",                                                   \
	  "ours by its addresses, but the frame is for another MAC address")                      \
	X(DROP_SOURCE_OURS, "xdp_drop_source_ours",                                               \
	  "to a service from a service's or backend's own address and port: a loop, or a lie")    \
	X(DROP_SOURCE_MARTIAN, "xdp_drop_source_martian",                                         \
	  "to a service from an address that nobody can be answered at")                          \
	X(DROP_RETURN_SPOOFED, "xdp_drop_return_spoofed",                                         \
	  "a backend's address from the wrong interface or MAC")                                  \
	X(DROP_RETURN_UNPARSED, "xdp_drop_return_unparsed",                                       \
	  "a fragment, IP options or contradictory lengths from a backend's address")             \
	X(DROP_NO_SOCKET, "xdp_drop_no_socket", "return traffic on a queue without a worker")     \
	X(DROP_NO_NEIGHBOUR, "xdp_drop_no_neighbour",                                             \
	  "the client's next hop has no MAC address yet; it is being asked for")                  \
	X(DROP_NO_ROUTE, "xdp_drop_no_route", "the route to the client forbids it")               \
	X(DROP_FORWARDING_OFF, "xdp_drop_forwarding_off",                                         \
	  "the kernel's forwarding is off on the incoming interface")                             \
	X(DROP_ROUTE_ENCAPSULATES, "xdp_drop_route_encapsulates",                                 \
	  "the route to the client needs a kernel encapsulation")                                 \
	X(DROP_TOO_BIG, "xdp_drop_too_big",                                                       \
	  "longer than the MTU of the route to the client; with generic XDP also several "        \
	  "datagrams that a backend left its card to cut up: switch tx-udp-segmentation off")     \
	X(DROP_FOREIGN_INTERFACE, "xdp_drop_foreign_interface",                                   \
	  "the route to the client leaves by an interface that is not in the configuration")      \
	X(DROP_FIB_ERROR, "xdp_drop_fib_error", "an answer of the kernel that ringway cannot use")

enum ingress_counter {
#define X(constant, name, meaning) INGRESS_##constant,
	INGRESS_COUNTERS(X)
#undef X
		INGRESS_COUNTER_COUNT,
};

/* A next hop that XDP found without a MAC address. */
struct neighbour_wanted {
	__u32 ifindex;
	__u8 family; /* AF_INET or AF_INET6: of addr */
	__u8 pad[3];
	__u8 addr[16]; /* IPv4 in the first four bytes */
};
_Static_assert(sizeof(struct neighbour_wanted) == 24, "ring buffer ABI");

/* The XSKMAP has one entry a (port, queue). */
#define XSK_INDEX(port, queue) ((port)*QUEUE_COUNT_MAX + (queue))

#endif
