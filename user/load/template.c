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

static const char *const kind_names[] = {
#define X(constant, name, size, meaning) [LOAD_##constant] = name,
	LOAD_KINDS(X)
#undef X
};

const char *load_kind_name(enum load_kind kind)
{
	return kind_names[kind];
}

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

/* The Connection ID stays 0. Returns how long the header is, which has room in payload
 * with the longest Connection ID. */
static uint32_t header_write(enum load_kind kind, uint32_t cid_len, uint32_t size, uint8_t *payload,
			     uint32_t *ret_cid_offset)
{
	uint32_t len = 0;

	*ret_cid_offset = 1;
	if (kind == LOAD_QUIC_SHORT)
		len = quic_short_write(payload, cid_len, ret_cid_offset);
	if (kind == LOAD_QUIC_INITIAL)
		len = quic_initial_write(payload, cid_len, size, ret_cid_offset);
	if (kind == LOAD_QUIC_HANDSHAKE)
		len = quic_handshake_write(payload, cid_len, size, ret_cid_offset);
	if (len)
		memset(payload + *ret_cid_offset, 0, cid_len);
	return len;
}

/* Words of a datagram with an odd end: as if a zero byte followed (RFC 768). */
static uint16_t datagram_sum(const uint8_t *payload, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum += wire_be16((uint16_t)(i & 1 ? payload[i] : payload[i] << 8));
	return checksum_fold(sum);
}

/* The first words go from the payload into the form, the hash and the sum of what is left too. */
static void payload_sum(uint8_t *payload, struct load_form *form)
{
	uint32_t len = form->trailer_offset, words = (len + 7) / 8;
	uint64_t words_be[LOAD_HEAD_WORD_COUNT];

	form->hash_words = (uint8_t)(words < LOAD_HEAD_WORD_COUNT ? words : LOAD_HEAD_WORD_COUNT);
	form->hash = load_hash(payload, len, 0) - load_hash_word(0, LOAD_HASH_SEQUENCE_PLACE);
	memset(payload + len, 0, sizeof(struct load_trailer));
	memcpy(words_be, payload, sizeof(words_be));
	for (uint32_t i = 0; i < LOAD_HEAD_WORD_COUNT; i++) {
		form->words[i] = load_be64(words_be[i]);
		if (i < form->hash_words)
			form->hash -= load_hash_word(form->words[i], i);
	}
	memset(payload, 0, sizeof(words_be));
	form->udp_sum = datagram_sum(payload, len);
}

static void filler_write(uint8_t *payload, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		payload[i] = (uint8_t)i;
}

/* The payload's part of a form. */
static int payload_plan(enum load_kind kind, const struct load_shape *shape, uint32_t size,
			struct load_form *form, char *error, size_t error_size)
{
	uint8_t payload[LOAD_FRAME_LEN_MAX];
	uint32_t cid_offset, size_min;

	filler_write(payload, size);
	size_min = header_write(kind, shape->cid_len, size, payload, &cid_offset) +
		   (uint32_t)sizeof(struct load_trailer);
	if (size < size_min)
		return fail(-EINVAL, error, error_size,
			    "%u bytes of payload do not hold the header and the %zu bytes of "
			    "the trailer behind it: --size must be at least %u",
			    size, sizeof(struct load_trailer), size_min);
	form->cid_len = (uint8_t)shape->cid_len;
	form->cid_mask = kind == LOAD_QUIC_INITIAL ? LOAD_CID_MASK_CLIENT : 0;
	form->cid_offset = (uint16_t)cid_offset;
	form->trailer_offset = (uint16_t)(size - sizeof(struct load_trailer));
	payload_sum(payload, form);
	return 0;
}

static void eth_write(struct wire_eth *eth, const struct load_path *path, uint16_t type)
{
	memcpy(eth->dst, path->next_hop_mac, sizeof(eth->dst));
	memcpy(eth->src, path->source_mac, sizeof(eth->src));
	eth->type_be = wire_be16(type);
}

/* What varies is left 0. */
static void head4_write(const struct load_shape *shape, const struct load_path *path,
			struct load_head4 *head)
{
	eth_write(&head->eth, path, WIRE_ETHERTYPE_IPV4);
	head->ipv4 = (struct wire_ipv4){
		.version_ihl = 0x45,
		.fragment_be = wire_be16(IPV4_DONT_FRAGMENT),
		.ttl = HOP_LIMIT,
		.protocol = WIRE_PROTOCOL_UDP,
	};
	memcpy(head->ipv4.dst, shape->to.addr + 12, sizeof(head->ipv4.dst));
	head->udp.dst_be = wire_be16(shape->to.port);
}

static void head6_write(const struct load_shape *shape, const struct load_path *path,
			struct load_head6 *head)
{
	eth_write(&head->eth, path, WIRE_ETHERTYPE_IPV6);
	head->ipv6 = (struct wire_ipv6){
		.version_class_flow = { 0x60 },
		.next_header = WIRE_PROTOCOL_UDP,
		.hop_limit = HOP_LIMIT,
	};
	memcpy(head->ipv6.src, path->from, 12);
	memcpy(head->ipv6.dst, shape->to.addr, sizeof(head->ipv6.dst));
	head->udp.dst_be = wire_be16(shape->to.port);
}

/* Lengths of the headers, and what is the same in every sum; udp_sum has the payload's. */
void load_form_finish(const struct load_plan *plan, uint32_t size, struct load_form *form)
{
	struct load_head4 v4 = plan->head.v4;
	struct load_head6 v6 = plan->head.v6;
	struct udp_view view = { .ip_version = plan->is_ipv6 ? 6 : 4,
				 .ipv4 = &v4.ipv4,
				 .ipv6 = &v6.ipv6,
				 .udp = plan->is_ipv6 ? &v6.udp : &v4.udp };
	uint16_t udp_len = (uint16_t)(sizeof(*view.udp) + size);

	form->udp_len_be = wire_be16(udp_len);
	form->ip_len_be =
		plan->is_ipv6 ? form->udp_len_be : wire_be16((uint16_t)(sizeof(v4.ipv4) + udp_len));
	v4.ipv4.len_be = form->ip_len_be;
	view.udp->len_be = form->udp_len_be;
	form->ip_sum = checksum_fold(checksum_words(&v4.ipv4, sizeof(v4.ipv4)));
	form->udp_sum = checksum_fold((uint32_t)form->udp_sum + checksum_udp_pseudo(&view) +
				      checksum_words(view.udp, sizeof(*view.udp)));
	form->frame_len = (uint16_t)((plan->is_ipv6 ? sizeof(v6) : sizeof(v4)) + size);
}

static int form_build(enum load_kind kind, const struct load_shape *shape,
		      const struct load_path *path, struct load_template *template,
		      struct load_form *form, char *error, size_t error_size)
{
	uint32_t size = shape->size ? shape->size : default_sizes[kind];
	uint32_t ip_len = template->head_len - (uint32_t)sizeof(struct wire_eth) + size;
	int err;

	if (ip_len > path->mtu || template->head_len + size > sizeof(template->frame))
		return fail(-EINVAL, error, error_size,
			    "%u bytes of payload make packets of %u bytes, more than the MTU of "
			    "%u (jumbo frames are not sent): choose a smaller --size",
			    size, ip_len, path->mtu);
	err = payload_plan(kind, shape, size, form, error, error_size);
	if (err)
		return err;
	load_form_finish(&template->plan, size, form);
	if (template->frame_len < form->frame_len)
		template->frame_len = form->frame_len;
	return 0;
}

/* Where the shorter datagrams of a mix have their trailer, the longer ones have filler. */
static int mix_build(const struct load_shape *shape, const struct load_path *path,
		     struct load_template *template, char *error, size_t error_size)
{
	struct load_form *forms = template->plan.forms;
	uint8_t filler[LOAD_FRAME_LEN_MAX];
	int err = form_build(LOAD_QUIC_SHORT, shape, path, template, &forms[LOAD_FORM_MAIN], error,
			     error_size);

	if (!err)
		err = form_build(LOAD_QUIC_INITIAL, shape, path, template,
				 &forms[LOAD_FORM_INITIAL], error, error_size);
	if (err)
		return err;
	filler_write(filler, sizeof(filler));
	forms[LOAD_FORM_INITIAL].filler_offset = forms[LOAD_FORM_MAIN].trailer_offset;
	for (uint32_t i = 0; i < LOAD_HEAD_WORD_COUNT; i++) {
		uint64_t word_be;

		memcpy(&word_be, filler + forms[LOAD_FORM_MAIN].trailer_offset + 8 * i, 8);
		forms[LOAD_FORM_INITIAL].filler[i] = load_be64(word_be);
	}
	return 0;
}

uint64_t load_template_flows(const struct load_plan *plan)
{
	uint32_t sets = !plan->is_mix	   ? 1
			: plan->initials   ? LOAD_PATH_COUNT + 1
			: plan->migrations ? LOAD_PATH_COUNT
					   : 1;

	return (uint64_t)sets * plan->flow_count;
}

uint64_t load_template_initials(const struct load_plan *plan, uint64_t count)
{
	return plan->is_mix ? count * plan->initials / 100 : 0;
}

uint64_t load_template_bytes(const struct load_template *template, uint64_t count)
{
	const struct load_form *forms = template->plan.forms;
	uint64_t initials = load_template_initials(&template->plan, count);

	return (count - initials) * (forms[LOAD_FORM_MAIN].frame_len - template->head_len) +
	       initials * (forms[LOAD_FORM_INITIAL].frame_len - template->head_len);
}

uint64_t load_template_migrations(const struct load_plan *plan, uint64_t count)
{
	return plan->is_mix && count ? (count - 1) * plan->migrations / plan->rate : 0;
}

static int flows_lay_out(const struct load_shape *shape, const struct load_path *path,
			 struct load_plan *plan, char *error, size_t error_size)
{
	uint32_t ports = UINT16_MAX + 1u - shape->first_port;
	const uint8_t *low = path->from + 12;
	uint64_t flows = load_template_flows(plan), others;

	plan->first_port = shape->first_port;
	plan->address_step = shape->step;
	plan->port_count = ports < shape->ports ? ports : shape->ports;
	plan->first_address =
		(uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];
	others = (flows - 1) / plan->port_count * shape->step;
	if (plan->first_address + others > UINT32_MAX)
		return fail(-EINVAL, error, error_size,
			    "%llu flows need %llu source addresses, more than follow the first: "
			    "give a lower one with --from",
			    (unsigned long long)flows,
			    (unsigned long long)((flows - 1) / plan->port_count + 1));
	return 0;
}

int load_template_build(const struct load_shape *shape, const struct load_path *path,
			struct load_template *ret_template, char *error, size_t error_size)
{
	struct load_template *template = ret_template;
	struct load_plan *plan = &template->plan;
	int err;

	memset(template, 0, sizeof(*template));
	if (address_is_ipv4(path->from) != address_is_ipv4(shape->to.addr))
		return fail(-EINVAL, error, error_size,
			    "source and destination are of different families");
	plan->ifindex = path->ifindex;
	plan->stream = shape->stream;
	plan->flow_count = shape->flows;
	plan->cid_count = shape->cids;
	plan->first_cid = shape->first_cid;
	plan->train = shape->train;
	plan->is_mix = shape->kind == LOAD_QUIC_MIX;
	plan->initials = shape->initials;
	plan->migrations = shape->migrations;
	plan->rate = shape->rate ? (uint32_t)shape->rate : 1;
	plan->is_ipv6 = !address_is_ipv4(shape->to.addr);
	if (plan->is_ipv6)
		head6_write(shape, path, &plan->head.v6);
	else
		head4_write(shape, path, &plan->head.v4);
	template->head_len = plan->is_ipv6 ? sizeof(plan->head.v6) : sizeof(plan->head.v4);
	if (plan->is_mix)
		err = mix_build(shape, path, template, error, error_size);
	else
		err = form_build(shape->kind, shape, path, template, &plan->forms[LOAD_FORM_MAIN],
				 error, error_size);
	if (err)
		return err;
	memcpy(template->frame, &plan->head, template->head_len);
	filler_write(template->frame + template->head_len,
		     template->frame_len - template->head_len);
	return flows_lay_out(shape, path, plan, error, error_size);
}
