/* SPDX-License-Identifier: GPL-2.0-only */
/* health_quic.h - the datagram that asks a QUIC server whether it is there, and what
 * answers it.
 *
 * RFC 8999 section 6 and RFC 9000 section 6: a server answers a long header of a
 * version that it does not know, in at least 1200 bytes, with a Version Negotiation
 * packet that mirrors the Connection IDs. It costs the server no state. Pure. */
#ifndef RINGWAY_HEALTH_HEALTH_QUIC_H
#define RINGWAY_HEALTH_HEALTH_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEALTH_QUIC_DATAGRAM_SIZE 1200 /* RFC 9000 section 14.1 */

/* What differs between two probes. */
struct health_quic {
	uint32_t version; /* of the pattern 0x?a?a?a?a, which no server will ever know */
	uint8_t dcid[8], scid[8];
};

void health_quic_init(struct health_quic *quic, const uint8_t random[20]);

/* Shaped like an Initial of version 1, as nothing on the way must take offence. */
void health_quic_write(const struct health_quic *quic, uint8_t datagram[HEALTH_QUIC_DATAGRAM_SIZE]);

/* Is this the answer to it? Our Connection IDs, which nobody else knows, the other
 * way round, and at least one version, none of them ours. */
bool health_quic_answers(const struct health_quic *quic, const uint8_t *datagram, size_t len);

#endif
