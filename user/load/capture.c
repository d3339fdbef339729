/* SPDX-License-Identifier: GPL-2.0-only */
#include "load/capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ringway/checksum.h"
#include "ringway/match.h"
#include "util/number.h"

#define NS_PER_SECOND  1000000000ull
#define PACKETS_MAX    (1u << 24)
#define BYTES_MAX      (1ull << 30) /* of payload */
#define FLOW_SLOTS_MIN 1024u
#define FRAME_LEN_MAX  65536u

/* A datagram's addresses and ports. Without padding: it is compared as bytes. */
struct tuple {
	struct match_key source, destination;
};

struct flow_slot {
	struct tuple tuple;
	uint32_t flow_plus_1; /* 0: free */
};

struct load_capture {
	struct load_capture_packet *packets;
	uint32_t count, room, flow_count, slot_count; /* slot_count: a power of two */
	struct flow_slot *slots;
	uint64_t left_out, bytes, first_ns;
};

void load_capture_close(struct load_capture *capture)
{
	if (!capture)
		return;
	for (uint32_t i = 0; i < capture->count; i++)
		free(capture->packets[i].payload);
	free(capture->packets);
	free(capture->slots);
	free(capture);
}

static struct flow_slot *slot_find(struct flow_slot *slots, uint32_t slot_count,
				   const struct tuple *tuple)
{
	const uint8_t *bytes = (const uint8_t *)tuple;
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */
	struct flow_slot *slot;

	for (size_t i = 0; i < sizeof(*tuple); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	for (uint64_t i = hash ^ hash >> 32;; i++) {
		slot = &slots[i & (slot_count - 1)];
		if (!slot->flow_plus_1 || memcmp(&slot->tuple, tuple, sizeof(*tuple)) == 0)
			return slot;
	}
}

static int slots_grow(struct load_capture *capture)
{
	uint32_t count = capture->slot_count ? 2 * capture->slot_count : FLOW_SLOTS_MIN;
	struct flow_slot *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < capture->slot_count; i++)
		if (capture->slots[i].flow_plus_1)
			*slot_find(slots, count, &capture->slots[i].tuple) = capture->slots[i];
	free(capture->slots);
	capture->slots = slots;
	capture->slot_count = count;
	return 0;
}

static int flow_find(struct load_capture *capture, const struct udp_view *view, uint32_t *ret_flow)
{
	struct flow_slot *slot;
	struct tuple tuple;
	int err;

	if (2 * capture->flow_count >= capture->slot_count) {
		err = slots_grow(capture);
		if (err)
			return err;
	}
	match_key_return(view, &tuple.source);
	match_key_service(view, &tuple.destination);
	slot = slot_find(capture->slots, capture->slot_count, &tuple);
	if (!slot->flow_plus_1) {
		slot->tuple = tuple;
		slot->flow_plus_1 = ++capture->flow_count;
	}
	*ret_flow = slot->flow_plus_1 - 1;
	return 0;
}

static int packets_grow(struct load_capture *capture)
{
	uint32_t room = capture->room ? 2 * capture->room : 1024;
	struct load_capture_packet *packets;

	if (room > PACKETS_MAX)
		return -E2BIG;
	packets = realloc(capture->packets, room * sizeof(*packets));
	if (!packets)
		return -ENOMEM;
	capture->packets = packets;
	capture->room = room;
	return 0;
}

/* An odd last byte is summed as if a zero followed (RFC 768). */
static int packet_keep(struct load_capture *capture, const struct udp_view *view, uint64_t time_ns)
{
	struct load_capture_packet packet = { .len = (uint16_t)(view->udp_len -
								sizeof(*view->udp)) };
	int err = capture->count < capture->room ? 0 : packets_grow(capture);

	if (!err && capture->bytes + packet.len > BYTES_MAX)
		err = -E2BIG;
	if (!err)
		err = flow_find(capture, view, &packet.flow);
	if (err)
		return err;
	packet.payload = calloc(1, packet.len + 2u);
	if (!packet.payload)
		return -ENOMEM;
	memcpy(packet.payload, view->udp + 1, packet.len);
	packet.sum = checksum_fold(checksum_words(packet.payload, packet.len + (packet.len & 1u)));
	if (!capture->count)
		capture->first_ns = time_ns;
	packet.time_ns = time_ns > capture->first_ns ? time_ns - capture->first_ns : 0;
	if (capture->count && packet.time_ns < capture->packets[capture->count - 1].time_ns)
		packet.time_ns = capture->packets[capture->count - 1].time_ns;
	capture->packets[capture->count++] = packet;
	capture->bytes += packet.len;
	return 0;
}

/* The record as an Ethernet frame; its length, or 0 if it is none. */
static uint32_t record_to_frame(int link_type, const struct pcap_pkthdr *header,
				const uint8_t *data, uint8_t *frame)
{
	struct wire_eth eth = { .type_be = 0 };

	if (!header->caplen || header->caplen > FRAME_LEN_MAX - sizeof(eth))
		return 0;
	if (link_type == DLT_EN10MB) {
		memcpy(frame, data, header->caplen);
		return header->caplen;
	}
	eth.type_be = wire_be16(data[0] >> 4 == 6 ? WIRE_ETHERTYPE_IPV6 : WIRE_ETHERTYPE_IPV4);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), data, header->caplen);
	return (uint32_t)sizeof(eth) + header->caplen;
}

static int records_read(struct load_capture *capture, pcap_t *file, uint8_t *frame,
			uint32_t size_max)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	int result, err = 0;

	while (!err && (result = pcap_next_ex(file, &header, &data)) == 1) {
		uint64_t time_ns =
			(uint64_t)header->ts.tv_sec * NS_PER_SECOND + (uint64_t)header->ts.tv_usec;
		uint32_t len = record_to_frame(pcap_datalink(file), header, data, frame);
		struct cursor cur = { frame, frame + len };
		struct udp_view view;

		if (parse_udp(&cur, &view) != PARSE_OK ||
		    view.udp_len - sizeof(*view.udp) > size_max)
			capture->left_out++;
		else
			err = packet_keep(capture, &view, time_ns);
	}
	return err ? err : result == PCAP_ERROR_BREAK ? 0 : -EIO;
}

static int capture_read(struct load_capture *capture, pcap_t *file, const char *path,
			uint32_t size_max, char *error, size_t error_size)
{
	int link_type = pcap_datalink(file), err;
	uint8_t *frame;

	if (link_type != DLT_EN10MB && link_type != DLT_RAW && link_type != DLT_IPV4 &&
	    link_type != DLT_IPV6)
		return fail(-EINVAL, error, error_size,
			    "%s has packets of link type %d; only Ethernet (1) and raw IP are read",
			    path, link_type);
	frame = malloc(FRAME_LEN_MAX);
	if (!frame)
		return fail(-ENOMEM, error, error_size, "no memory to read %s", path);
	err = records_read(capture, file, frame, size_max);
	free(frame);
	if (err == -E2BIG)
		return fail(
			err, error, error_size,
			"%s is too large: at most %u datagrams and %llu bytes of payload; cut it, "
			"as with editcap -c",
			path, PACKETS_MAX, BYTES_MAX);
	if (err)
		return fail(err, error, error_size, "reading %s: %s", path,
			    err == -EIO ? pcap_geterr(file) : strerror(-err));
	if (!capture->count)
		return fail(-EINVAL, error, error_size,
			    "%s has no UDP datagram of at most %u bytes (%llu other packets)", path,
			    size_max, (unsigned long long)capture->left_out);
	return 0;
}

int load_capture_open(const char *path, uint32_t size_max, struct load_capture **ret_capture,
		      char *error, size_t error_size)
{
	char pcap_error[PCAP_ERRBUF_SIZE] = "";
	struct load_capture *capture;
	pcap_t *file = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO,
							       pcap_error);
	int err;

	if (!file) /* names the file */
		return fail(-EINVAL, error, error_size, "no capture to send: %s", pcap_error);
	capture = calloc(1, sizeof(*capture));
	err = capture ? capture_read(capture, file, path, size_max, error, error_size)
		      : fail(-ENOMEM, error, error_size, "no memory to read %s", path);
	pcap_close(file);
	if (err) {
		load_capture_close(capture);
		return err;
	}
	*ret_capture = capture;
	return 0;
}

uint32_t load_capture_count(const struct load_capture *capture)
{
	return capture->count;
}

uint32_t load_capture_flows(const struct load_capture *capture)
{
	return capture->flow_count;
}

uint64_t load_capture_left_out(const struct load_capture *capture)
{
	return capture->left_out;
}

uint64_t load_capture_bytes(const struct load_capture *capture, uint64_t count)
{
	uint64_t bytes = count / capture->count * capture->bytes;

	for (uint64_t i = 0; i < count % capture->count; i++)
		bytes += capture->packets[i].len;
	return bytes;
}

const struct load_capture_packet *load_capture_packet(const struct load_capture *capture,
						      uint64_t n)
{
	return &capture->packets[n % capture->count];
}

uint64_t load_capture_time(const struct load_capture *capture, uint64_t n)
{
	uint64_t last = capture->packets[capture->count - 1].time_ns;
	uint64_t gap = capture->count > 1 ? last / (capture->count - 1) : NS_PER_SECOND;

	return n / capture->count * (last + gap) + capture->packets[n % capture->count].time_ns;
}
