/* SPDX-License-Identifier: GPL-2.0-only */
/* parse_fuzz.c - whatever parses lies inside the frame, as do both its lengths. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ringway/checksum.h"
#include "ringway/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(size ? size : 1);
	struct cursor cur = { frame, frame + size };
	struct match_key service, back;
	struct udp_view view;

	memcpy(frame, data, size);
	if (parse_udp(&cur, &view) == PARSE_OK) {
		uint8_t *ip = view.ipv4 ? (uint8_t *)view.ipv4 : (uint8_t *)view.ipv6;

		match_key_service(&view, &service);
		match_key_return(&view, &back);
		(void)checksum_udp_pseudo(&view);
		if (ip + view.ip_len > frame + size ||
		    (uint8_t *)view.udp + view.udp_len > ip + view.ip_len)
			abort();
	}
	free(frame);
	return 0;
}
