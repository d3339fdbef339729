/* SPDX-License-Identifier: GPL-2.0-only */
#include "health/health_quic.h"

#include <endian.h>
#include <string.h>

#include "ringway/quic.h"

/* The fields of the datagram, from its first byte. */
struct layout {
	uint8_t first;
	uint8_t version_be[4];
	uint8_t dcid_len, dcid[8];
	uint8_t scid_len, scid[8];
	uint8_t token_len;
	uint8_t length_be[2]; /* of what follows: packet number and payload */
};
_Static_assert(sizeof(struct layout) == 26, "bytes only");

void health_quic_init(struct health_quic *quic, const uint8_t random[20])
{
	/* RFC 9000 section 15: reserved to exercise Version Negotiation. */
	memcpy(&quic->version, random, 4);
	quic->version = (quic->version & 0xf0f0f0f0) | 0x0a0a0a0a;
	memcpy(quic->dcid, random + 4, 8);
	memcpy(quic->scid, random + 12, 8);
}

void health_quic_write(const struct health_quic *quic, uint8_t datagram[HEALTH_QUIC_DATAGRAM_SIZE])
{
	struct layout layout = { .first = 0xc3, .dcid_len = 8, .scid_len = 8 };
	uint32_t version_be = htobe32(quic->version);
	/* A variable-length integer in two bytes. */
	uint16_t length_be = htobe16(0x4000 | (HEALTH_QUIC_DATAGRAM_SIZE - sizeof(layout)));

	memcpy(layout.version_be, &version_be, 4);
	memcpy(layout.dcid, quic->dcid, 8);
	memcpy(layout.scid, quic->scid, 8);
	memcpy(layout.length_be, &length_be, 2);
	memset(datagram, 0, HEALTH_QUIC_DATAGRAM_SIZE);
	memcpy(datagram, &layout, sizeof(layout));
}

static bool offers(const uint8_t *versions, size_t len, uint32_t version)
{
	uint32_t version_be = htobe32(version);

	for (size_t i = 0; i < len; i += 4)
		if (!memcmp(versions + i, &version_be, 4))
			return true;
	return false;
}

bool health_quic_answers(const struct health_quic *quic, const uint8_t *datagram, size_t len)
{
	struct quic_header header;
	const uint8_t *versions;
	size_t versions_len;

	if (quic_parse(datagram, (uint32_t)len, &header) || header.type != QUIC_VERSION_NEGOTIATION)
		return false;
	if (header.dcid_len != 8 || memcmp(header.dcid, quic->scid, 8) != 0 ||
	    header.scid_len != 8 || memcmp(header.scid, quic->dcid, 8) != 0)
		return false;
	versions = header.scid + header.scid_len;
	versions_len = len - (size_t)(versions - datagram);
	return versions_len > 0 && versions_len % 4 == 0 &&
	       !offers(versions, versions_len, quic->version);
}
