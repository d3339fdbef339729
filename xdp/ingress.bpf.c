/* SPDX-License-Identifier: GPL-2.0-only */
/* ingress.bpf.c - takes the frames that are ringway's to a worker, and leaves all
 * others to the kernel.
 *
 * Does what only the kernel knows and no policy: which frames match, and where a
 * client is reached. Where the rule of a backend says so, its answers that teach
 * nothing are rewritten here and leave without a worker. PASS when unsure; DROP what must not reach
 * the stack, which would route a backend's answer on to the client under the backend's own address.
 * Every frame moves exactly one counter. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ringway/abi.h"
#include "ringway/checksum.h"
#include "ringway/match.h"
#include "ringway/parse.h"
#include "ringway/quic.h"

char LICENSE[] SEC("license") = "GPL";

/* <sys/socket.h> does not compile for this target. */
enum {
	FAMILY_INET = 2,
	FAMILY_INET6 = 10,
};

#define IPV6_FLOWINFO_MASK wire_be32(0x0fffffff) /* traffic class and flow label */

/* An address of each family. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SERVICE_COUNT_MAX * 2);
	__type(key, struct match_key);
	__type(value, struct service_rule);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BACKEND_COUNT_MAX * 2 * 2); /* during a reload, of two lineups */
	__type(key, struct match_key);
	__type(value, struct return_rule);
} backends SEC(".maps");

/* The addresses of backends alone, for what has no port that can be read, and how
 * many of `backends` each has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BACKEND_COUNT_MAX * 2 * 2);
	__type(key, __u8[16]);
	__type(value, __u32);
} backend_addrs SEC(".maps");

/* A bit for each port, by its number in network order, that a service or a backend
 * uses: all others, nearly every client's, are spared two look-ups. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OUR_PORTS_WORD_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} our_ports SEC(".maps");

/* By ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORT_COUNT_MAX);
	__type(key, __u32);
	__type(value, struct port_rule);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, PORT_COUNT_MAX *QUEUE_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, INGRESS_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A record has 8 bytes in front of it; the size is a power of two pages. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NEIGHBOUR_WANTED_COUNT_MAX *(sizeof(struct neighbour_wanted) + 8));
} wanted SEC(".maps");

PARSE_INLINE int counted(enum ingress_counter counter, int action)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		(*value)++;
	return action;
}

/* The start of an IP packet that parse_udp() gave up on: its source, and a question
 * for its route. 0 if it cannot be UDP, or ends before its addresses. */
PARSE_INLINE int unparsed_read(const struct xdp_md *ctx, __u8 ret_src[16],
			       struct bpf_fib_lookup *ret_route)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	const struct wire_ipv4 *ipv4;
	const struct wire_ipv6 *ipv6;
	struct wire_eth *eth;

	__builtin_memset(ret_route, 0, sizeof(*ret_route));
	ret_route->ifindex = ctx->ingress_ifindex;
	ret_route->l4_protocol = WIRE_PROTOCOL_UDP;
	switch (parse_ethernet(&cur, &eth)) {
	case wire_be16(WIRE_ETHERTYPE_IPV4):
		ipv4 = cursor_take(&cur, sizeof(*ipv4));
		if (!ipv4 || ipv4->protocol != WIRE_PROTOCOL_UDP)
			return 0;
		match_addr_set(ret_src, ipv4->src, 0);
		ret_route->family = FAMILY_INET;
		__builtin_memcpy(&ret_route->ipv4_src, ipv4->src, 4);
		__builtin_memcpy(&ret_route->ipv4_dst, ipv4->dst, 4);
		return 1;
	case wire_be16(WIRE_ETHERTYPE_IPV6):
		ipv6 = cursor_take(&cur, sizeof(*ipv6));
		if (!ipv6)
			return 0;
		match_addr_set(ret_src, 0, ipv6->src);
		ret_route->family = FAMILY_INET6;
		__builtin_memcpy(ret_route->ipv6_src, ipv6->src, 16);
		__builtin_memcpy(ret_route->ipv6_dst, ipv6->dst, 16);
		return 1;
	default: return 0;
	}
}

/* It may be part of an answer, which the stack would route on to the client under
 * the backend's own address, so from a backend only this host itself gets it. */
PARSE_INLINE int unparsed_ip_frame(struct xdp_md *ctx, enum ingress_counter counter)
{
	struct bpf_fib_lookup route;
	__u8 src[16];

	if (unparsed_read(ctx, src, &route) && bpf_map_lookup_elem(&backend_addrs, src) &&
	    bpf_fib_lookup(ctx, &route, sizeof(route), 0) != BPF_FIB_LKUP_RET_NOT_FWDED)
		return counted(INGRESS_DROP_RETURN_UNPARSED, XDP_DROP);
	return counted(counter, XDP_PASS);
}

PARSE_INLINE int unparsed_frame(struct xdp_md *ctx, enum parse_result result)
{
	switch (result) {
	case PARSE_NOT_IP: return counted(INGRESS_PASS_NOT_IP, XDP_PASS);
	case PARSE_NOT_UDP: return counted(INGRESS_PASS_NOT_UDP, XDP_PASS);
	case PARSE_FRAGMENT: return unparsed_ip_frame(ctx, INGRESS_PASS_FRAGMENT);
	case PARSE_OPTIONS: return unparsed_ip_frame(ctx, INGRESS_PASS_OPTIONS);
	default: return unparsed_ip_frame(ctx, INGRESS_PASS_MALFORMED);
	}
}

/* PORT_COUNT_MAX, which no rule and no socket has, if the interface is no port. */
PARSE_INLINE __u32 port_of(__u32 ifindex)
{
	const struct port_rule *rule = bpf_map_lookup_elem(&ports, &ifindex);

	return rule ? rule->port : PORT_COUNT_MAX;
}

/* Aim at the socket of this port and queue without touching the frame: the result
 * is XDP_REDIRECT, or `otherwise` where there is none. */
PARSE_INLINE int aim(const struct xdp_md *ctx, __u32 port, enum xdp_action otherwise)
{
	__u32 queue = ctx->rx_queue_index;

	if (port >= PORT_COUNT_MAX || queue >= QUEUE_COUNT_MAX)
		return otherwise;
	return (int)bpf_redirect_map(&xsks, XSK_INDEX(port, queue), otherwise);
}

/* Where the driver has no room for metadata the frame goes without, and userspace
 * classifies for itself. Ends the life of all pointers into the frame. */
PARSE_INLINE void meta_put(struct xdp_md *ctx, enum frame_kind kind, __u16 slot,
			   __u8 port_or_edition)
{
	struct frame_meta *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > (void *)(long)ctx->data)
		return;
	meta->magic = FRAME_META_MAGIC;
	meta->slot = slot;
	meta->kind = kind;
	meta->port = port_or_edition;
}

PARSE_INLINE int source_is_ours(const struct udp_view *view)
{
	__u16 port_be = view->udp->src_be;
	__u32 word = OUR_PORTS_WORD(port_be);
	const __u64 *bits = bpf_map_lookup_elem(&our_ports, &word);
	struct match_key key;

	if (!bits || !(*bits >> OUR_PORTS_BIT_NUM(port_be) & 1))
		return 0;
	match_key_return(view, &key);
	return bpf_map_lookup_elem(&services, &key) || bpf_map_lookup_elem(&backends, &key);
}

PARSE_INLINE int service_frame(struct xdp_md *ctx, const struct udp_view *view,
			       const struct service_rule *rule)
{
	__u32 ifindex = ctx->ingress_ifindex;
	const struct port_rule *port = bpf_map_lookup_elem(&ports, &ifindex);
	int action;

	if (!port)
		return counted(INGRESS_PASS_NO_SOCKET, XDP_PASS);
	if (!match_mac_equals(port->mac, view->eth->dst))
		return counted(INGRESS_PASS_OTHER_MAC, XDP_PASS);
	if (match_source_is_martian(view))
		return counted(INGRESS_DROP_SOURCE_MARTIAN, XDP_DROP);
	if (source_is_ours(view))
		return counted(INGRESS_DROP_SOURCE_OURS, XDP_DROP);
	action = aim(ctx, port->port, XDP_PASS);
	if (action != XDP_REDIRECT)
		return counted(INGRESS_PASS_NO_SOCKET, action);
	meta_put(ctx, FRAME_SERVICE, rule->slot, rule->edition);
	return counted(INGRESS_REDIRECT_SERVICE, action);
}

/* How would the kernel route this datagram if it came from `source`? The answer as
 * of bpf_fib_lookup, and in *ret_route. */
PARSE_INLINE long route_ask(struct xdp_md *ctx, const struct udp_view *view, const __u8 source[16],
			    __u16 source_port_be, struct bpf_fib_lookup *ret_route)
{
	__builtin_memset(ret_route, 0, sizeof(*ret_route));
	ret_route->ifindex = ctx->ingress_ifindex;
	ret_route->l4_protocol = WIRE_PROTOCOL_UDP;
	ret_route->sport = source_port_be;
	ret_route->dport = view->udp->dst_be;
	ret_route->tot_len = view->ip_len;
	if (view->ip_version == 4) {
		ret_route->family = FAMILY_INET;
		ret_route->tos = view->ipv4->tos;
		__builtin_memcpy(&ret_route->ipv4_src, source + 12, 4);
		__builtin_memcpy(&ret_route->ipv4_dst, view->ipv4->dst, 4);
	} else {
		ret_route->family = FAMILY_INET6;
		__builtin_memcpy(&ret_route->flowinfo, view->ipv6->version_class_flow, 4);
		ret_route->flowinfo &= IPV6_FLOWINFO_MASK;
		__builtin_memcpy(ret_route->ipv6_src, source, 16);
		__builtin_memcpy(ret_route->ipv6_dst, view->ipv6->dst, 16);
	}
	return bpf_fib_lookup(ctx, ret_route, sizeof(*ret_route), 0);
}

/* The kernel has put the gateway's address in the place of the client's, of another
 * family where an IPv6 gateway leads to IPv4. */
PARSE_INLINE int drop_no_neighbour(const struct bpf_fib_lookup *route)
{
	struct neighbour_wanted record = { .ifindex = route->ifindex, .family = route->family };

	if (route->family == FAMILY_INET)
		__builtin_memcpy(record.addr, &route->ipv4_dst, 4);
	else
		__builtin_memcpy(record.addr, route->ipv6_dst, 16);
	/* Full: the control thread has enough to do, and the client will ask again. */
	(void)bpf_ringbuf_output(&wanted, &record, sizeof(record), 0);
	return counted(INGRESS_DROP_NO_NEIGHBOUR, XDP_DROP);
}

/* Not to be forwarded: to this host itself, or without a route. The stack gets it
 * only if it agrees for the source that it will see, since a rule for that address
 * may say otherwise and the datagram would leave under it. */
PARSE_INLINE int pass_local(struct xdp_md *ctx, const struct udp_view *view,
			    const struct match_key *key)
{
	struct bpf_fib_lookup route;

	if (route_ask(ctx, view, key->addr, key->port_be, &route) != BPF_FIB_LKUP_RET_NOT_FWDED)
		return counted(INGRESS_DROP_NO_ROUTE, XDP_DROP);
	return counted(INGRESS_PASS_LOCAL, XDP_PASS);
}

/* May the answer be sent on from here? Not what userspace learns from, completes the
 * checksum of, or drops for a reason of its own. */
PARSE_INLINE int return_is_plain(const struct xdp_md *ctx, const struct udp_view *view,
				 const struct return_rule *rule)
{
	const __u8 *first = (const void *)(view->udp + 1);

	if (!(rule->flags & RETURN_IN_XDP))
		return 0;
	if (rule->flags & RETURN_IS_QUIC) {
		if ((const void *)(first + 1) > (void *)(long)ctx->data_end ||
		    view->udp_len == sizeof(struct wire_udp) || *first & QUIC_LONG_HEADER)
			return 0;
	}
	if (view->udp->checksum_be == checksum_udp_pseudo(view))
		return 0;
	if (view->ip_version == 4)
		return view->ipv4->ttl > 1;
	return view->ipv6->hop_limit > 1 && view->udp->checksum_be;
}

/* As core's nat.h does. */
PARSE_INLINE void return_rewrite(const struct udp_view *view, const struct return_rule *rule)
{
	struct wire_udp *udp = view->udp;

	if (view->ip_version == 4) {
		struct wire_ipv4 *ip = view->ipv4;

		__builtin_memcpy(ip->src, rule->service_addr + 12, 4);
		ip->ttl--;
		ip->checksum_be = checksum_update(
			ip->checksum_be, checksum_add(rule->delta_addr, CHECKSUM_TTL_DELTA));
	} else {
		__builtin_memcpy(view->ipv6->src, rule->service_addr, 16);
		view->ipv6->hop_limit--;
	}
	udp->src_be = rule->service_port_be;
	if (udp->checksum_be)
		udp->checksum_be =
			checksum_udp_nonzero(checksum_update(udp->checksum_be, rule->delta));
}

PARSE_INLINE int return_routed(struct xdp_md *ctx, const struct udp_view *view,
			       const struct return_rule *rule, const struct bpf_fib_lookup *route)
{
	__u32 port_out = port_of(route->ifindex);
	int action;

	if (port_out >= PORT_COUNT_MAX)
		return counted(INGRESS_DROP_FOREIGN_INTERFACE, XDP_DROP);
	if (return_is_plain(ctx, view, rule)) {
		return_rewrite(view, rule);
		__builtin_memcpy(view->eth->dst, route->dmac, 6);
		__builtin_memcpy(view->eth->src, route->smac, 6);
		return counted(INGRESS_FORWARD_RETURN, (int)bpf_redirect(route->ifindex, 0));
	}
	action = aim(ctx, rule->port, XDP_DROP);
	if (action != XDP_REDIRECT)
		return counted(INGRESS_DROP_NO_SOCKET, action);
	__builtin_memcpy(view->eth->dst, route->dmac, 6);
	__builtin_memcpy(view->eth->src, route->smac, 6);
	meta_put(ctx, FRAME_RETURN, rule->slot, port_out);
	return counted(INGRESS_REDIRECT_RETURN, action);
}

PARSE_INLINE int return_frame(struct xdp_md *ctx, const struct udp_view *view,
			      const struct match_key *key, const struct return_rule *rule)
{
	__u32 ifindex = ctx->ingress_ifindex;
	const struct port_rule *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct bpf_fib_lookup route;

	if (port && !match_mac_equals(port->mac, view->eth->dst))
		return counted(INGRESS_PASS_OTHER_MAC, XDP_PASS);
	if (!port || match_return(rule, port->port, view->eth) != MATCH_OURS)
		return counted(INGRESS_DROP_RETURN_SPOOFED, XDP_DROP);

	switch (route_ask(ctx, view, rule->service_addr, rule->service_port_be, &route)) {
	case BPF_FIB_LKUP_RET_SUCCESS: return return_routed(ctx, view, rule, &route);
	case BPF_FIB_LKUP_RET_NOT_FWDED: return pass_local(ctx, view, key);
	case BPF_FIB_LKUP_RET_NO_NEIGH: return drop_no_neighbour(&route);
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT: return counted(INGRESS_DROP_NO_ROUTE, XDP_DROP);
	case BPF_FIB_LKUP_RET_FWD_DISABLED: return counted(INGRESS_DROP_FORWARDING_OFF, XDP_DROP);
	case BPF_FIB_LKUP_RET_UNSUPP_LWT: return counted(INGRESS_DROP_ROUTE_ENCAPSULATES, XDP_DROP);
	case BPF_FIB_LKUP_RET_FRAG_NEEDED: return counted(INGRESS_DROP_TOO_BIG, XDP_DROP);
	default: return counted(INGRESS_DROP_FIB_ERROR, XDP_DROP);
	}
}

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	const struct service_rule *service;
	const struct return_rule *rule;
	enum parse_result parsed;
	struct match_key key;
	struct udp_view view;

	parsed = parse_udp(&cur, &view);
	if (parsed != PARSE_OK)
		return unparsed_frame(ctx, parsed);

	match_key_service(&view, &key);
	service = bpf_map_lookup_elem(&services, &key);
	if (service)
		return service_frame(ctx, &view, service);

	match_key_return(&view, &key);
	rule = bpf_map_lookup_elem(&backends, &key);
	if (rule)
		return return_frame(ctx, &view, &key, rule);
	return counted(INGRESS_PASS_NOT_OURS, XDP_PASS);
}
