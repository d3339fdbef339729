/* SPDX-License-Identifier: GPL-2.0-only */
/* xdp_nat.h - what xdp_nat's program and its loader share. */
#ifndef RINGWAY_BENCH_XDP_NAT_H
#define RINGWAY_BENCH_XDP_NAT_H

#include <linux/types.h>

#define XDP_NAT_TABLE_SIZE	  65537 /* as many entries as ringwayd's */
#define XDP_NAT_BACKEND_COUNT_MAX 1024

/* Both in network order. */
struct xdp_nat_address {
	__u32 addr;
	__u16 port_be;
	__u16 pad;
};

struct xdp_nat_plan {
	struct xdp_nat_address service;
};

struct xdp_nat_backend {
	struct xdp_nat_address address;
	__u32 ifindex;
	__u8 dst_mac[6], src_mac[6];
};

#endif
