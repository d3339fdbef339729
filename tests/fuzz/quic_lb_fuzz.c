/* SPDX-License-Identifier: GPL-2.0-only */
/* quic_lb_fuzz.c - any lengths, and any bytes as a Connection ID: refused, or what
 * is encoded decodes, and no byte is read behind the Connection ID. */
#include <stdlib.h>
#include <string.h>

#include "core/quic_lb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[18] = "0123456789abcdefg";
	static struct quic_lb_scratch *scratch;
	struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = { 0 };
	struct quic_lb_server server = { .rotation = 6, .id = "fuzz", .slot = 1 };
	uint8_t encoded[QUIC_CID_LEN_MAX], *cid;
	struct quic_lb *lb = NULL;
	int len;

	if (size < 3)
		return 0;
	if (!scratch)
		scratch = quic_lb_scratch_new();
	configs[6] = (struct quic_lb_config){ true, data[0] & 1, data[1], data[2], { data[0] } };
	configs[data[0] % 6] = (struct quic_lb_config){ true, data[0] & 2, 9, 9, { data[0] } };
	len = quic_lb_encode(&configs[6], 6, server.id, nonce, 0, encoded);
	if ((quic_lb_build(configs, &server, 1, &lb) == 0) != (len > 0))
		abort();
	if (!lb)
		return 0;
	cid = malloc(size - 3);
	memcpy(cid, data + 3, size - 3);
	struct quic_lb_query queries[] = { { lb, cid, (uint16_t)(size - 3), 9 },
					   { lb, encoded, (uint16_t)len, 9 } };
	quic_lb_decode(scratch, queries, 2);
	if (queries[0].slot < QUIC_LB_UNKNOWN_SERVER || queries[0].slot > 1 || queries[1].slot != 1)
		abort();
	free(cid);
	quic_lb_free(lb);
	return 0;
}
