/* SPDX-License-Identifier: GPL-2.0-only */
/* quic.h - what every version of QUIC shows to those who only pass it on.
 *
 * RFC 8999 sections 5.1 and 5.2; packet types of version 1 (RFC 9000 section
 * 17.2) and version 2 (RFC 9369 section 3.2). Never judges the fixed bit (RFC
 * 9287), never reads the type of an unknown version. A datagram is what its
 * first packet is. */
#ifndef RINGWAY_QUIC_H
#define RINGWAY_QUIC_H

#include <linux/types.h>

enum quic_type {
	QUIC_SHORT,
	QUIC_INITIAL,
	QUIC_0RTT,
	QUIC_HANDSHAKE,
	QUIC_RETRY,
	QUIC_VERSION_NEGOTIATION,
	QUIC_LONG_UNKNOWN, /* long header of a version whose types we do not know */
	QUIC_TYPE_COUNT,
};

enum {
	QUIC_VERSION_1 = 0x00000001,
	QUIC_VERSION_2 = 0x6b3343cf,
};

/* RFC 8999 section 5.1: in the first byte of a packet. */
#define QUIC_LONG_HEADER 0x80

/* The pointers lead into the datagram. A short header has no length for its
 * Connection ID: dcid_len is then every byte that follows the first one, which
 * may be more than a __u8 holds, and scid_len is 0. */
struct quic_header {
	enum quic_type type;
	__u32 version; /* long headers only, else 0 */
	const __u8 *dcid, *scid;
	__u16 dcid_len, scid_len; /* bytes */
};

static inline enum quic_type quic_long_type(__u8 first, __u32 version)
{
	static const __u8 version_1[] = { QUIC_INITIAL, QUIC_0RTT, QUIC_HANDSHAKE, QUIC_RETRY };
	__u8 bits = first >> 4 & 3;

	switch (version) {
	case 0: return QUIC_VERSION_NEGOTIATION;
	case QUIC_VERSION_1: return (enum quic_type)version_1[bits];
	case QUIC_VERSION_2: return (enum quic_type)version_1[(bits + 3) & 3];
	default: return QUIC_LONG_UNKNOWN;
	}
}

/* The first packet's header of a datagram of len bytes. 0, or -1 for an empty
 * datagram and a long header that is cut off; *ret_header is then untouched. */
static inline int quic_parse(const __u8 *datagram, __u32 len, struct quic_header *ret_header)
{
	__u32 dcid_end, scid_end;

	if (len < 1)
		return -1;
	if (!(datagram[0] & QUIC_LONG_HEADER)) {
		*ret_header =
			(struct quic_header){ .type = QUIC_SHORT,
					      .dcid = datagram + 1,
					      .dcid_len = len - 1 < 0xffff ? len - 1 : 0xffff };
		return 0;
	}
	if (len < 7)
		return -1;
	dcid_end = 6 + (__u32)datagram[5];
	if (len < dcid_end + 1)
		return -1;
	scid_end = dcid_end + 1 + datagram[dcid_end];
	if (len < scid_end)
		return -1;

	ret_header->version = (__u32)datagram[1] << 24 | (__u32)datagram[2] << 16 |
			      (__u32)datagram[3] << 8 | datagram[4];
	ret_header->type = quic_long_type(datagram[0], ret_header->version);
	ret_header->dcid = datagram + 6;
	ret_header->dcid_len = datagram[5];
	ret_header->scid = datagram + dcid_end + 1;
	ret_header->scid_len = datagram[dcid_end];
	return 0;
}

#endif
