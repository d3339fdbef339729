/* SPDX-License-Identifier: GPL-2.0-only */
#include "cid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

size_t cid_source_len(const struct cid_source *source)
{
	if (source->kind == CID_QUIC_LB)
		return 1u + source->lb.server_id_len + source->lb.nonce_len;
	return CID_LEN;
}

static int cid_quic_lb(const struct cid_source *source, ngtcp2_cid *ret_cid)
{
	uint8_t nonce[QUIC_CID_LEN_MAX], length_octet = (uint8_t)(cid_source_len(source) - 1);
	int len;

	if (source->lb.nonce_len > sizeof(nonce))
		return -EINVAL;
	(void)getrandom(nonce, source->lb.nonce_len, 0);
	len = quic_lb_encode(&source->lb, source->lb_rotation, source->lb_server_id, nonce,
			     length_octet, ret_cid->data);
	if (len < 0)
		return len;
	ret_cid->datalen = (size_t)len;
	return 0;
}

/* A client's ID has at least 8 bytes (RFC 9000 section 7.2); ngtcp2 sees to that. */
static size_t cid_copied(const ngtcp2_cid *client, size_t most)
{
	return client->datalen < most ? client->datalen : most;
}

int cid_source_first(const struct cid_source *source, const ngtcp2_cid *client, ngtcp2_cid *ret_cid)
{
	if (source->kind != CID_CLIENT)
		return cid_source_next(source, client, ret_cid);
	ret_cid->datalen = CID_LEN;
	memset(ret_cid->data, 0, CID_LEN);
	memcpy(ret_cid->data, client->data, cid_copied(client, CID_LEN));
	return 0;
}

int cid_source_next(const struct cid_source *source, const ngtcp2_cid *client, ngtcp2_cid *ret_cid)
{
	if (source->kind == CID_QUIC_LB)
		return cid_quic_lb(source, ret_cid);
	ret_cid->datalen = CID_LEN;
	(void)getrandom(ret_cid->data, CID_LEN, 0);
	if (source->kind != CID_RANDOM)
		memcpy(ret_cid->data, client->data, cid_copied(client, CID_PREFIX_LEN));
	return 0;
}
