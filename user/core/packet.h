/* SPDX-License-Identifier: GPL-2.0-only */
/* packet.h - one frame on its way through a worker.
 *
 * The frame itself belongs to whoever holds the packet: the engine until rx
 * returns, then the worker, then the engine again after tx or release. The
 * struct is the only thing that core and io share. */
#ifndef RINGWAY_CORE_PACKET_H
#define RINGWAY_CORE_PACKET_H

#include <stdint.h>

#include "ringway/abi.h"

struct packet {
	uint8_t *data;	 /* the Ethernet header */
	uint64_t frame;	 /* the engine's name for the memory; nobody else reads it */
	uint32_t len;	 /* bytes from data; once it is forwarded, of the IP packet's end */
	uint16_t slot;	 /* of kind: service or backend */
	uint8_t kind;	 /* enum frame_kind */
	uint8_t rx_port; /* index of the port it came in by */
	union {
		uint8_t tx_port; /* index of the port it leaves by; FRAME_RETURN: XDP's choice */
		uint8_t edition; /* FRAME_SERVICE until that is known: of XDP's rule */
	};
};
_Static_assert(sizeof(struct packet) == 32, "two packets a cache line");

#endif
