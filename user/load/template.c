/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/template.h"

#include <errno.h>
#include <string.h>

#include "ringway/checksum.h"
#include "util/number.h"

#define HOP_LIMIT	   64
#define IPV4_DONT_FRAGMENT 0x4000 /* RFC 9000 section 14 */

static const uint32_t default_sizes[] = {
#define X(constant, name, size, meaning) [LOAD_##constant] = (size),
	LOAD_KINDS(X)
#undef X
};

/* RFC 9000 section 17.3.1. What follows the Connection ID looks encrypted anyway. */
static uint32_t quic_short_write(uint8_t *payload, uint32_t cid_len, uint32_t *ret_cid_offset)
{
	payload[0] = 0x40;
	*ret_cid_offset = 1;
	return 1 + cid_len;
}

/* RFC 9000 section 17.2.2, with an empty source Connection ID and no token. */
static uint32_t quic_initial_write(uint8_t *payload, uint32_t cid_len, uint32_t size,
				   uint32_t *ret_cid_offset)
{
	const uint8_t start[] = { LOAD_FIRST_INITIAL, 0, 0, 0, 1, (uint8_t)cid_len };
	uint32_t end = (uint32_t)sizeof(start) + cid_len;
	uint32_t header_len = end + 4; /* source Connection ID's length, token's, two of Length */
	uint32_t rest = size > header_len ? size - header_len : 0;
	const uint8_t finish[] = { 0, 0, (uint8_t)(0x40 | rest >> 8), (uint8_t)rest };

	memcpy(payload, start, sizeof(start));
	memcpy(payload + end, finish, sizeof(finish));
	*ret_cid_offset = sizeof(start);
	return header_len;
}

/* RFC 9000 section 17.2.4, with an empty destination Connection ID. */
static uint32_t quic_handshake_write(uint8_t *payload, uint32_t cid_len, uint32_t size,
				     uint32_t *ret_cid_offset)
{
	const uint8_t start[] = { LOAD_FIRST_HANDSHAKE, 0, 0, 0, 1, 0, (uint8_t)cid_len };
	uint32_t end = (uint32_t)sizeof(start) + cid_len;
	uint32_t header_len = end + 2;
	uint32_t rest = size > header_len ? size - header_len : 0;
	const uint8_t finish[] = { (uint8_t)(0x40 | rest >> 8), (uint8_t)rest };

	memcpy(payload, start, sizeof(start));
	memcpy(payload + end, finish, sizeof(finish));
	*ret_cid_offset = sizeof(start);
	return header_len;
}

/* The Connection ID stays 0, and so does the trailer. Returns how long the datagram must
 * be at least. payload has room for every header with the longest Connection ID. */
static uint32_t payload_write(const struct load_shape *shape, uint32_t size, uint8_t *payload,
			      struct load_plan *plan)
{
	uint32_t cid_offset = 1, header_len = 0;

	for (uint32_t i = 0; i < size; i++)
		payload[i] = (uint8_t)i;
	if (shape->kind == LOAD_QUIC_SHORT)
		header_len = quic_short_write(payload, shape->cid_len, &cid_offset);
	if (shape->kind == LOAD_QUIC_INITIAL)
		header_len = quic_initial_write(payload, shape->cid_len, size, &cid_offset);
	if (shape->kind == LOAD_QUIC_HANDSHAKE)
		header_len = quic_handshake_write(payload, shape->cid_len, size, &cid_offset);
	if (size < header_len + sizeof(struct load_trailer))
		return header_len + (uint32_t)sizeof(struct load_trailer);

	memset(payload + cid_offset, 0, shape->cid_len);
	memset(payload + size - sizeof(struct load_trailer), 0, sizeof(struct load_trailer));
	plan->cid_len = (uint8_t)shape->cid_len;
	plan->cid_mask = shape->kind == LOAD_QUIC_INITIAL ? LOAD_CID_MASK_CLIENT : 0;
	plan->cid_offset = (uint16_t)cid_offset;
	plan->stream = shape->stream;
	plan->trailer_offset = (uint16_t)(size - sizeof(struct load_trailer));
	return size;
}

/* The first words go from the payload into the plan, the hash of what is left too. */
static void payload_sum(uint8_t *payload, struct load_plan *plan)
{
	uint32_t len = plan->trailer_offset, words = (len + 7) / 8;
	uint64_t words_be[LOAD_HEAD_WORD_COUNT];

	plan->hash_words = (uint8_t)(words < LOAD_HEAD_WORD_COUNT ? words : LOAD_HEAD_WORD_COUNT);
	plan->hash = load_hash(payload, len, 0) - load_hash_word(0, LOAD_HASH_SEQUENCE_PLACE);
	memcpy(words_be, payload, sizeof(words_be));
	for (uint32_t i = 0; i < LOAD_HEAD_WORD_COUNT; i++) {
		plan->words[i] = load_be64(words_be[i]);
		if (i < plan->hash_words)
			plan->hash -= load_hash_word(plan->words[i], i);
	}
	memset(payload, 0, sizeof(words_be));
}

static void eth_write(struct wire_eth *eth, const struct load_path *path, uint16_t type)
{
	memcpy(eth->dst, path->next_hop_mac, sizeof(eth->dst));
	memcpy(eth->src, path->source_mac, sizeof(eth->src));
	eth->type_be = wire_be16(type);
}

static void udp_write(struct wire_udp *udp, uint16_t to_port, uint32_t size)
{
	*udp = (struct wire_udp){
		.dst_be = wire_be16(to_port),
		.len_be = wire_be16((uint16_t)(sizeof(*udp) + size)),
	};
}

/* What varies is left 0. */
static void head4_write(const struct load_shape *shape, const struct load_path *path, uint32_t size,
			struct load_head4 *head)
{
	uint16_t len = (uint16_t)(sizeof(head->ipv4) + sizeof(head->udp) + size);

	eth_write(&head->eth, path, WIRE_ETHERTYPE_IPV4);
	head->ipv4 = (struct wire_ipv4){
		.version_ihl = 0x45,
		.len_be = wire_be16(len),
		.fragment_be = wire_be16(IPV4_DONT_FRAGMENT),
		.ttl = HOP_LIMIT,
		.protocol = WIRE_PROTOCOL_UDP,
	};
	memcpy(head->ipv4.dst, shape->to.addr + 12, sizeof(head->ipv4.dst));
	udp_write(&head->udp, shape->to.port, size);
}

static void head6_write(const struct load_shape *shape, const struct load_path *path, uint32_t size,
			struct load_head6 *head)
{
	eth_write(&head->eth, path, WIRE_ETHERTYPE_IPV6);
	head->ipv6 = (struct wire_ipv6){
		.version_class_flow = { 0x60 },
		.payload_len_be = wire_be16((uint16_t)(sizeof(head->udp) + size)),
		.next_header = WIRE_PROTOCOL_UDP,
		.hop_limit = HOP_LIMIT,
	};
	memcpy(head->ipv6.src, path->from, 12);
	memcpy(head->ipv6.dst, shape->to.addr, sizeof(head->ipv6.dst));
	udp_write(&head->udp, shape->to.port, size);
}

/* Words of a datagram with an odd end: as if a zero byte followed (RFC 768). */
static uint16_t datagram_sum(const uint8_t *payload, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum += wire_be16((uint16_t)(i & 1 ? payload[i] : payload[i] << 8));
	return checksum_fold(sum);
}

static uint32_t head_write(const struct load_shape *shape, const struct load_path *path,
			   uint32_t size, struct load_plan *plan)
{
	struct udp_view view = { .ip_version = 4 };
	uint32_t head_len;

	plan->is_ipv6 = !address_is_ipv4(shape->to.addr);
	if (plan->is_ipv6) {
		head6_write(shape, path, size, &plan->head.v6);
		view.ip_version = 6;
		view.ipv6 = &plan->head.v6.ipv6;
		view.udp = &plan->head.v6.udp;
		head_len = sizeof(plan->head.v6);
	} else {
		head4_write(shape, path, size, &plan->head.v4);
		view.ipv4 = &plan->head.v4.ipv4;
		view.udp = &plan->head.v4.udp;
		head_len = sizeof(plan->head.v4);
		plan->ip_sum = checksum_fold(checksum_words(view.ipv4, sizeof(*view.ipv4)));
	}
	plan->udp_sum = checksum_fold(checksum_udp_pseudo(&view) +
				      checksum_words(view.udp, sizeof(*view.udp)));
	return head_len;
}

/* Flow n goes out from address n / port_count * address_step, port n % port_count. */
static int flows_lay_out(const struct load_shape *shape, const struct load_path *path,
			 struct load_plan *plan, char *error, size_t error_size)
{
	uint32_t ports = UINT16_MAX + 1u - shape->first_port;
	const uint8_t *low = path->from + 12;
	uint64_t others;

	plan->flow_count = shape->flows;
	plan->cid_count = shape->cids;
	plan->first_port = shape->first_port;
	plan->first_cid = shape->first_cid;
	plan->address_step = shape->step;
	plan->port_count = ports < shape->ports ? ports : shape->ports;
	plan->first_address =
		(uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];
	others = (uint64_t)((shape->flows - 1) / plan->port_count) * shape->step;
	if (plan->first_address + others > UINT32_MAX)
		return fail(-EINVAL, error, error_size,
			    "%u flows need %u source addresses, more than follow the first: "
			    "give a lower one with --from",
			    shape->flows, (shape->flows - 1) / plan->port_count + 1);
	return 0;
}

int load_template_build(const struct load_shape *shape, const struct load_path *path,
			struct load_template *ret_template, char *error, size_t error_size)
{
	uint32_t size = shape->size ? shape->size : default_sizes[shape->kind];
	struct load_template *template = ret_template;
	struct load_plan *plan = &template->plan;
	uint32_t head_len, size_min, ip_len;

	memset(template, 0, sizeof(*template));
	if (address_is_ipv4(path->from) != address_is_ipv4(shape->to.addr))
		return fail(-EINVAL, error, error_size,
			    "source and destination are of different families");
	plan->ifindex = path->ifindex;
	head_len = address_is_ipv4(shape->to.addr) ? sizeof(plan->head.v4) : sizeof(plan->head.v6);
	ip_len = head_len - (uint32_t)sizeof(struct wire_eth) + size;
	if (ip_len > path->mtu || head_len + size > sizeof(template->frame))
		return fail(-EINVAL, error, error_size,
			    "%u bytes of payload make packets of %u bytes, more than the MTU of "
			    "%u (jumbo frames are not sent): choose a smaller --size",
			    size, ip_len, path->mtu);

	size_min = payload_write(shape, size, template->frame + head_len, plan);
	if (size < size_min)
		return fail(-EINVAL, error, error_size,
			    "%u bytes of payload do not hold the header and the %zu bytes of "
			    "the trailer behind it: --size must be at least %u",
			    size, sizeof(struct load_trailer), size_min);
	payload_sum(template->frame + head_len, plan);
	(void)head_write(shape, path, size, plan);
	plan->udp_sum = checksum_fold(plan->udp_sum +
				      (uint32_t)datagram_sum(template->frame + head_len, size));
	memcpy(template->frame, &plan->head, head_len);
	template->frame_len = head_len + size;
	return flows_lay_out(shape, path, plan, error, error_size);
}
