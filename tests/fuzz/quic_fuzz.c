/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_fuzz.c - Connection IDs lie inside the datagram. */
#include <stdint.h>
#include <stdlib.h>

#include "ringway/quic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quic_header header;

	if (quic_parse(data, (uint32_t)size, &header))
		return 0;
	if (header.type >= QUIC_TYPE_COUNT || header.dcid + header.dcid_len > data + size)
		abort();
	if (header.type != QUIC_SHORT && header.scid + header.scid_len > data + size)
		abort();
	return 0;
}
