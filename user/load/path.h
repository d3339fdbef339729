/* SPDX-License-Identifier: GPL-2.0-only */
/* path.h - how a frame gets from an interface of this host to an address. */
#ifndef RINGWAY_LOAD_PATH_H
#define RINGWAY_LOAD_PATH_H

#include <stddef.h>
#include <stdint.h>

struct load_path {
	uint32_t ifindex;
	uint16_t mtu; /* bytes of IP packet */
	uint8_t source_mac[6];
	uint8_t next_hop_mac[6];
	uint8_t from[16]; /* as in match_key */
};

/* The path by ifname to `to` (as in match_key). Where from or mac is NULL, the kernel
 * is asked: for the source address it would take, for the next hop's MAC address,
 * which it solicits if need be. 0, or a negative errno and a sentence in error[].
 * Blocks for at most 3 s. */
int load_path_find(const char *ifname, const uint8_t to[16], const uint8_t *from,
		   const uint8_t *mac, struct load_path *ret_path, char *error, size_t error_size);

/* The same for sockets, which find the next hop by themselves: source_mac and next_hop_mac
 * are 0, and the interface may be any, the loopback too. Needs no privilege. */
int load_path_find_sockets(const char *ifname, const uint8_t to[16], const uint8_t *from,
			   struct load_path *ret_path, char *error, size_t error_size);

#endif
