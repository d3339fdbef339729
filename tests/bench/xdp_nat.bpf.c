// SPDX-License-Identifier: GPL-2.0-only
/* xdp_nat.bpf.c - the in-kernel way: the same rewriting as ringwayd's, IPv4 and one
 * service, ended by XDP_REDIRECT. The 4-tuple is hashed into a table of backends;
 * nothing is remembered, no Connection ID is read. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ringway/checksum.h"
#include "xdp_nat.h"

#define FAMILY_INET 2
#define FNV_PRIME   0x100000001b3ull

const volatile struct xdp_nat_plan plan;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XDP_NAT_TABLE_SIZE);
	__type(key, __u32);
	__type(value, __u32);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, XDP_NAT_BACKEND_COUNT_MAX);
	__type(key, __u32);
	__type(value, struct xdp_nat_backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_NAT_BACKEND_COUNT_MAX);
	__type(key, __u64);
	__type(value, __u32);
} returns SEC(".maps");

PARSE_INLINE __u32 entry_of(const struct udp_view *view)
{
	__u32 src;
	__u64 hash;

	__builtin_memcpy(&src, view->ipv4->src, sizeof(src));
	hash = ((__u64)src << 16 | view->udp->src_be) * FNV_PRIME;
	hash ^= hash >> 29;
	hash *= FNV_PRIME;
	return (__u32)((hash >> 32) * XDP_NAT_TABLE_SIZE >> 32);
}

PARSE_INLINE void checksums_update(const struct udp_view *view, __u32 old_sum, __u32 new_sum)
{
	__u16 delta = checksum_delta(old_sum, new_sum);

	view->ipv4->ttl--;
	view->ipv4->checksum_be =
		checksum_update(view->ipv4->checksum_be, checksum_add(delta, CHECKSUM_TTL_DELTA));
}

PARSE_INLINE void address_change(const struct udp_view *view, __u8 *addr, __u16 *port_be,
				 const volatile struct xdp_nat_address *wanted)
{
	__u32 new_addr = wanted->addr;
	__u32 old_sum = checksum_words(addr, 4), new_sum;
	__u32 old_port = *port_be;

	__builtin_memcpy(addr, &new_addr, 4);
	*port_be = wanted->port_be;
	new_sum = checksum_words(addr, 4);
	checksums_update(view, old_sum, new_sum);
	if (view->udp->checksum_be)
		view->udp->checksum_be = checksum_udp_nonzero(checksum_update(
			view->udp->checksum_be,
			checksum_delta(old_sum + old_port, new_sum + wanted->port_be)));
}

PARSE_INLINE int service_frame(const struct udp_view *view)
{
	__u32 index = entry_of(view);
	const __u32 *number = bpf_map_lookup_elem(&table, &index);
	const struct xdp_nat_backend *backend;

	if (!number)
		return XDP_DROP;
	backend = bpf_map_lookup_elem(&backends, number);
	if (!backend)
		return XDP_DROP;
	address_change(view, view->ipv4->dst, &view->udp->dst_be, &backend->address);
	__builtin_memcpy(view->eth->dst, backend->dst_mac, 6);
	__builtin_memcpy(view->eth->src, backend->src_mac, 6);
	return (int)bpf_redirect(backend->ifindex, 0);
}

PARSE_INLINE int return_frame(struct xdp_md *ctx, const struct udp_view *view)
{
	struct bpf_fib_lookup route = { .family = FAMILY_INET,
					.ifindex = ctx->ingress_ifindex,
					.l4_protocol = WIRE_PROTOCOL_UDP,
					.tot_len = view->ip_len,
					.ipv4_src = plan.service.addr };

	__builtin_memcpy(&route.ipv4_dst, view->ipv4->dst, 4);
	if (bpf_fib_lookup(ctx, &route, sizeof(route), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return XDP_DROP;
	address_change(view, view->ipv4->src, &view->udp->src_be, &plan.service);
	__builtin_memcpy(view->eth->dst, route.dmac, 6);
	__builtin_memcpy(view->eth->src, route.smac, 6);
	return (int)bpf_redirect(route.ifindex, 0);
}

SEC("xdp")
int xdp_nat(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct udp_view view;
	__u32 addr;
	__u64 key;

	if (parse_udp(&cur, &view) != PARSE_OK || view.ip_version != 4 || view.ipv4->ttl <= 1)
		return XDP_PASS;
	__builtin_memcpy(&addr, view.ipv4->dst, sizeof(addr));
	if (addr == plan.service.addr && view.udp->dst_be == plan.service.port_be)
		return service_frame(&view);
	__builtin_memcpy(&addr, view.ipv4->src, sizeof(addr));
	key = (__u64)addr << 16 | view.udp->src_be;
	return bpf_map_lookup_elem(&returns, &key) ? return_frame(ctx, &view) : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
