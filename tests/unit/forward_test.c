/* SPDX-License-Identifier: GPL-2.0-only */
/* forward_burst(): every byte of what leaves, every reason for what does not.
 *
 * What must come out is built from its fields, not rewritten from what went in. */
#include "core/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datagram.h"
#include "ringway/checksum.h"
#include "test.h"
#include "util/huge_memory.h"

enum { PORT_CLIENTS, PORT_BACKENDS, PORT_COUNT };
enum { SERVICE_WEB, SERVICE_DNS, SERVICE_EMPTY, SERVICE_L2, SERVICE_COUNT };
enum { BACKEND_WEB_1, BACKEND_WEB_2, BACKEND_DNS, BACKEND_DRAINED, BACKEND_L2, BACKEND_COUNT };

#define SERVICE_PORT 443
#define BACKEND_PORT 4433
#define MTU	     1500
#define EDITION	     7

static const uint8_t port_macs[PORT_COUNT][6] = { { 2, 0, 0, 0, 0, 0xa0 },
						  { 2, 0, 0, 0, 0, 0xb0 } };
static const uint8_t client_mac[6] = { 2, 0, 0, 0, 0, 0xc1 };
static const uint8_t gateway_mac[6] = { 2, 0, 0, 0, 0, 0xc2 };

static const uint8_t service_ipv4[4] = { 192, 0, 2, 1 };
static const uint8_t service_ipv6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
static const uint8_t client_ipv4[4] = { 203, 0, 113, 9 };
static const uint8_t client_ipv6[16] = { 0x20, 1, 0xd, 0xb8, 0xff, [15] = 9 };

static struct table *table;
static struct forward_stats stats;
static struct router router; /* remembers nothing */
static struct router_worker worker;

static void backend_addr(bool is_ipv6, uint16_t slot, uint8_t *addr)
{
	static const uint8_t ipv4[4] = { 10, 0, 0, 10 };
	static const uint8_t ipv6[16] = { 0xfd, [14] = 1, [15] = 10 };

	memcpy(addr, is_ipv6 ? ipv6 : ipv4, is_ipv6 ? 16 : 4);
	addr[is_ipv6 ? 15 : 3] = (uint8_t)(10 + slot);
}

static void backend_mac(uint16_t slot, uint8_t *mac)
{
	memcpy(mac, (const uint8_t[]){ 2, 0, 0, 1, 0, 0 }, 6);
	mac[5] = (uint8_t)slot;
}

static struct table_endpoint endpoint(const uint8_t *ipv4, const uint8_t *ipv6, uint16_t port)
{
	struct table_endpoint endpoint = { .port_be = wire_be16(port) };

	endpoint.present[FAMILY_IPV4] = ipv4;
	endpoint.present[FAMILY_IPV6] = ipv6;
	if (ipv4)
		match_addr_set(endpoint.addr[FAMILY_IPV4], ipv4, NULL);
	if (ipv6)
		match_addr_set(endpoint.addr[FAMILY_IPV6], NULL, ipv6);
	return endpoint;
}

static struct table_backend backend(uint16_t slot, uint16_t weight)
{
	uint8_t ipv4[4], ipv6[16];

	backend_addr(false, slot, ipv4);
	backend_addr(true, slot, ipv6);
	return (struct table_backend){ .slot = slot,
				       .endpoint = endpoint(ipv4, ipv6, BACKEND_PORT),
				       .id = 1000 + slot,
				       .weight = weight };
}

static int setup(void **state)
{
	const struct table_backend web[] = { backend(BACKEND_WEB_1, 1), backend(BACKEND_WEB_2, 1) };
	const struct table_backend dns[] = { backend(BACKEND_DNS, 1) };
	const struct table_backend drained[] = { backend(BACKEND_DRAINED, 0) };
	const struct table_backend l2[] = { backend(BACKEND_L2, 1) };
	const struct table_service services[SERVICE_COUNT] = {
		{ .slot = SERVICE_WEB,
		  .endpoint = endpoint(service_ipv4, service_ipv6, SERVICE_PORT),
		  .is_quic = true,
		  .backends = web,
		  .backend_count = ARRAY_LEN(web) },
		{ .slot = SERVICE_DNS,
		  .endpoint = endpoint(service_ipv4, NULL, 53),
		  .backends = dns,
		  .backend_count = ARRAY_LEN(dns) },
		{ .slot = SERVICE_EMPTY,
		  .endpoint = endpoint(service_ipv4, NULL, 54),
		  .backends = drained,
		  .backend_count = ARRAY_LEN(drained) },
		{ .slot = SERVICE_L2,
		  .endpoint = endpoint(service_ipv4, service_ipv6, 55),
		  .mode = TABLE_L2,
		  .backends = l2,
		  .backend_count = ARRAY_LEN(l2) },
	};
	struct table_port ports[PORT_COUNT];
	struct table_spec spec = { .ports = ports,
				   .port_count = PORT_COUNT,
				   .services = services,
				   .service_count = SERVICE_COUNT,
				   .edition = EDITION,
				   .hash_key = "0123456789abcdef",
				   .memory_new = huge_memory_new };

	(void)state;
	for (size_t i = 0; i < PORT_COUNT; i++) {
		memcpy(ports[i].mac, port_macs[i], 6);
		ports[i].mtu = MTU;
	}
	if (table_build(&spec, &table))
		return -1;
	for (uint16_t slot = 0; slot < BACKEND_COUNT; slot++) {
		uint8_t mac[6];

		backend_mac(slot, mac);
		table_next_hop_set(table, slot, FAMILY_IPV4, PORT_BACKENDS, mac);
		table_next_hop_set(table, slot, FAMILY_IPV6, PORT_BACKENDS, mac);
	}
	memset(&stats, 0, sizeof(stats));
	router_worker_init(&worker, NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	table_free(table);
	table = NULL;
	return 0;
}

static size_t forward(struct packet *packets, size_t count)
{
	struct forward_ctx ctx = {
		.route = { .table = table, .router = &router, .worker = &worker }, .stats = &stats
	};

	return forward_burst(&ctx, packets, count);
}

static uint8_t payload_bytes[DATAGRAM_SIZE_MAX] = { 0x40 };

static struct datagram to_service(bool is_ipv6)
{
	struct datagram d = { .is_ipv6 = is_ipv6,
			      .src_port = 50000,
			      .dst_port = SERVICE_PORT,
			      .ttl = 64,
			      .payload = payload_bytes,
			      .payload_len = 100 };

	memcpy(d.eth_dst, port_macs[PORT_CLIENTS], 6);
	memcpy(d.eth_src, client_mac, 6);
	memcpy(d.src, is_ipv6 ? client_ipv6 : client_ipv4, is_ipv6 ? 16 : 4);
	memcpy(d.dst, is_ipv6 ? service_ipv6 : service_ipv4, is_ipv6 ? 16 : 4);
	return d;
}

static struct datagram to_client(bool is_ipv6, uint16_t slot)
{
	struct datagram d = to_service(is_ipv6);

	/* XDP has addressed the frame to the client's next hop. */
	memcpy(d.eth_dst, gateway_mac, 6);
	memcpy(d.eth_src, port_macs[PORT_CLIENTS], 6);
	memcpy(d.dst, d.src, 16);
	backend_addr(is_ipv6, slot, d.src);
	d.src_port = BACKEND_PORT;
	d.dst_port = 50000;
	return d;
}

static struct packet packet_of(uint8_t *frame, size_t len, enum frame_kind kind, uint16_t slot)
{
	return (struct packet){ .data = frame,
				.len = (uint32_t)len,
				.kind = kind,
				.slot = slot,
				.rx_port = kind == FRAME_RETURN ? PORT_BACKENDS : PORT_CLIENTS,
				.tx_port = kind == FRAME_SERVICE ? EDITION : PORT_CLIENTS };
}

/* What forwarding makes of d, from its fields. */
static struct datagram forwarded_out(struct datagram d, uint16_t slot)
{
	backend_mac(slot, d.eth_dst);
	memcpy(d.eth_src, port_macs[PORT_BACKENDS], 6);
	backend_addr(d.is_ipv6, slot, d.dst);
	d.dst_port = BACKEND_PORT;
	d.ttl--;
	if (d.checksum == CHECKSUM_PARTIAL)
		d.checksum = CHECKSUM_VALID;
	return d;
}

static struct datagram forwarded_back(struct datagram d)
{
	memcpy(d.src, d.is_ipv6 ? service_ipv6 : service_ipv4, d.is_ipv6 ? 16 : 4);
	d.src_port = SERVICE_PORT;
	d.ttl--;
	if (d.checksum == CHECKSUM_PARTIAL)
		d.checksum = CHECKSUM_VALID;
	return d;
}

static void check_one(const struct datagram *in, enum frame_kind kind)
{
	uint8_t frame[DATAGRAM_SIZE_MAX], wanted[DATAGRAM_SIZE_MAX];
	size_t len = datagram_build(in, frame);
	struct packet packet =
		packet_of(frame, len, kind, kind == FRAME_SERVICE ? SERVICE_WEB : BACKEND_WEB_2);
	struct datagram out;

	assert_int_equal(forward(&packet, 1), 1);
	assert_int_equal(packet.tx_port, kind == FRAME_SERVICE ? PORT_BACKENDS : PORT_CLIENTS);
	out = kind == FRAME_SERVICE ? forwarded_out(*in, packet.slot) : forwarded_back(*in);
	assert_int_equal(datagram_build(&out, wanted), len);
	assert_memory_equal(frame, wanted, len);
}

static void every_form_is_rewritten(void **state)
{
	static const enum datagram_checksum checksums[] = { CHECKSUM_VALID, CHECKSUM_PARTIAL,
							    CHECKSUM_ZERO };
	static const uint16_t lengths[] = { 1, 2, 7, 18, 100, 1201, 1452 };
	uint64_t random = 1, partial = 0, count = 0;

	(void)state;
	for (size_t i = 1; i < sizeof(payload_bytes); i++)
		payload_bytes[i] = (uint8_t)random_next(&random);
	for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++)
		for (unsigned int tags = 0; tags <= 2; tags++)
			for (size_t c = 0; c < ARRAY_LEN(checksums); c++)
				for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
					struct datagram out = to_service(is_ipv6);
					struct datagram back = to_client(is_ipv6, BACKEND_WEB_2);

					if (is_ipv6 && checksums[c] == CHECKSUM_ZERO)
						continue;
					out.vlan_tags = back.vlan_tags = tags;
					out.checksum = back.checksum = checksums[c];
					out.payload_len = back.payload_len = lengths[l];
					check_one(&out, FRAME_SERVICE);
					check_one(&back, FRAME_RETURN);
					count += 2;
					partial += checksums[c] == CHECKSUM_PARTIAL ? 2 : 0;
				}
	assert_int_equal(stats.forwarded, count);
	assert_int_equal(stats.checksums_completed, partial);
}

/* Random addresses, ports, lengths and payloads: incremental sums never differ
 * from those of a datagram made anew. */
static void checksums_hold_for_random_datagrams(void **state)
{
	uint64_t random = 42;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		struct datagram d = to_service(i % 2);

		for (size_t j = 0; j < 16; j++)
			d.src[j] = (uint8_t)random_next(&random);
		for (size_t j = 1; j < 64; j++)
			payload_bytes[j] = (uint8_t)random_next(&random);
		d.src_port = (uint16_t)random_next(&random);
		d.ttl = (uint8_t)(2 + random_next(&random) % 254);
		d.payload_len = (uint16_t)(1 + random_next(&random) % 64);
		check_one(&d, FRAME_SERVICE);
	}
}

/* A sum that comes out as zero is sent as all ones, and stays that way. */
static void a_sum_of_zero_is_sent_as_ones(void **state)
{
	struct datagram d = to_service(false);
	uint8_t frame[DATAGRAM_SIZE_MAX], payload[4] = { 0 };
	struct packet packet =
		packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE, SERVICE_WEB);
	size_t hits = 0;

	(void)state;
	assert_int_equal(forward(&packet, 1), 1);
	d.payload = payload;
	d.payload_len = sizeof(payload);
	for (uint32_t word = 0; word <= 0xffff; word++) {
		struct datagram out;

		put_be16(payload, (uint16_t)word);
		out = forwarded_out(d, packet.slot);
		datagram_build(&out, frame);
		if (frame[40] != 0xff || frame[41] != 0xff)
			continue;
		check_one(&d, FRAME_SERVICE);
		hits++;
	}
	assert_true(hits > 0);
}

/* The bytes behind the IP packet: unchanged in memory, and not sent. */
static void check_tail(struct datagram d, enum frame_kind kind, uint16_t slot, size_t tail)
{
	uint8_t frame[DATAGRAM_SIZE_MAX + 600], wanted[sizeof(frame)];
	struct packet packet;
	struct datagram out;
	size_t len;

	memset(frame, 0xee, sizeof(frame));
	len = datagram_build(&d, frame);
	packet = packet_of(frame, len + tail, kind, slot);
	assert_int_equal(forward(&packet, 1), 1);
	out = kind == FRAME_SERVICE ? forwarded_out(d, packet.slot) : forwarded_back(d);
	memset(wanted, 0xee, sizeof(wanted));
	datagram_build(&out, wanted);
	assert_int_equal(packet.len, len);
	assert_memory_equal(frame, wanted, sizeof(frame));
}

static void bytes_behind_the_packet_are_not_sent(void **state)
{
	static const size_t payloads[] = { 3, 100, 1400 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
		for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
			struct datagram out = to_service(is_ipv6);
			struct datagram back = to_client(is_ipv6, BACKEND_WEB_1);

			out.payload_len = payloads[i];
			back.payload_len = payloads[i];
			check_tail(out, FRAME_SERVICE, SERVICE_WEB, 15);
			check_tail(out, FRAME_SERVICE, SERVICE_WEB, 500);
			check_tail(back, FRAME_RETURN, BACKEND_WEB_1, 15);
			check_tail(back, FRAME_RETURN, BACKEND_WEB_1, 500);
			out.vlan_tags = 1;
			check_tail(out, FRAME_SERVICE, SERVICE_WEB, 15);
		}
}

static void mutate_ttl(struct datagram *d)
{
	d->ttl = 1;
}

static void mutate_len(struct datagram *d)
{
	d->payload_len = MTU;
}

static void mutate_checksum(struct datagram *d)
{
	d->checksum = CHECKSUM_ZERO;
}

static void mutate_tags(struct datagram *d)
{
	d->vlan_tags = 3;
}

/* Neither a service nor a backend has them. */
static void mutate_ports(struct datagram *d)
{
	d->src_port++;
	d->dst_port++;
}

static void mutate_nothing(struct datagram *d)
{
	(void)d;
}

static void every_reason_to_drop(void **state)
{
	static const struct {
		const char *name;
		bool is_ipv6;
		enum frame_kind kind;
		uint16_t slot;
		uint8_t tx_port;
		void (*mutate)(struct datagram *d);
		enum drop_reason wanted;
	} cases[] = {
		{ "TTL 1", false, FRAME_SERVICE, SERVICE_WEB, 0, mutate_ttl, DROP_TTL_EXPIRED },
		{ "hop limit 1", true, FRAME_SERVICE, SERVICE_WEB, 0, mutate_ttl,
		  DROP_TTL_EXPIRED },
		{ "TTL 1, return", false, FRAME_RETURN, 0, 0, mutate_ttl, DROP_TTL_EXPIRED },
		{ "too long", false, FRAME_SERVICE, SERVICE_WEB, 0, mutate_len, DROP_TOO_BIG },
		{ "too long, return", true, FRAME_RETURN, 0, 0, mutate_len, DROP_TOO_BIG },
		{ "IPv6, no checksum", true, FRAME_SERVICE, SERVICE_WEB, 0, mutate_checksum,
		  DROP_NO_CHECKSUM },
		{ "three tags", false, FRAME_SERVICE, SERVICE_WEB, 0, mutate_tags, DROP_MALFORMED },
		{ "all drained", false, FRAME_SERVICE, SERVICE_EMPTY, 0, mutate_nothing,
		  DROP_NO_BACKEND },
		{ "no IPv6 service", true, FRAME_SERVICE, SERVICE_DNS, 0, mutate_nothing,
		  DROP_NO_BACKEND },
		{ "no such service", false, FRAME_SERVICE, SERVICE_COUNT, 0, mutate_ports,
		  DROP_NOT_OURS },
		{ "no such backend", false, FRAME_RETURN, BACKEND_COUNT, 0, mutate_ports,
		  DROP_NOT_OURS },
		{ "no such port", false, FRAME_RETURN, 0, PORT_COUNT, mutate_ports, DROP_NOT_OURS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct datagram d = cases[i].kind == FRAME_SERVICE ? to_service(cases[i].is_ipv6)
								   : to_client(cases[i].is_ipv6, 0);
		uint8_t frame[DATAGRAM_SIZE_MAX], before[DATAGRAM_SIZE_MAX];
		struct packet packet;
		uint64_t dropped = 0;
		size_t len;

		print_message("case: %s\n", cases[i].name);
		cases[i].mutate(&d);
		len = datagram_build(&d, frame);
		memcpy(before, frame, len);
		packet = packet_of(frame, len, cases[i].kind, cases[i].slot);
		if (cases[i].kind == FRAME_RETURN)
			packet.tx_port = cases[i].tx_port;
		memset(&stats, 0, sizeof(stats));
		assert_int_equal(forward(&packet, 1), 0);
		assert_int_equal(stats.dropped[cases[i].wanted], 1);
		for (size_t reason = 0; reason < DROP_REASON_COUNT; reason++)
			dropped += stats.dropped[reason];
		assert_int_equal(dropped, 1);
		assert_int_equal(stats.forwarded, 0);
		assert_memory_equal(frame, before, len); /* what is dropped is not touched */
	}
}

static void unresolved_next_hop_drops(void **state)
{
	struct datagram d = to_service(false);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	for (uint16_t slot = 0; slot < 2; slot++)
		table_next_hop_set(table, slot, FAMILY_IPV4, PORT_BACKENDS, NULL);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE, SERVICE_WEB);
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NO_NEIGHBOUR], 1);
}

/* Also of what is dropped after its backend has been chosen. */
static void a_trace_says_what_becomes_of_a_datagram(void **state)
{
	static struct trace_ring ring;
	const struct trace_filter every = { .every = 1 };
	struct forward_ctx ctx = {
		.route = { .table = table, .router = &router, .worker = &worker },
		.stats = &stats,
		.trace = &every,
		.trace_ring = &ring
	};
	struct trace_record records[4];
	uint64_t tail = 0, lost = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct datagram d = to_service(false);
		uint8_t frame[DATAGRAM_SIZE_MAX];
		struct packet packet;

		d.dst_port = 53;
		d.ttl = i == 1 ? 1 : 64;
		if (i == 2)
			table_next_hop_set(table, BACKEND_DNS, FAMILY_IPV4, 0, NULL);
		packet = packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE, SERVICE_DNS);
		assert_int_equal(forward_burst(&ctx, &packet, 1), i == 0);
	}
	assert_int_equal(trace_read(&ring, &tail, records, ARRAY_LEN(records), &lost), 3);
	assert_int_equal(records[0].reason, TRACE_KEPT);
	assert_int_equal(records[1].reason, DROP_TTL_EXPIRED);
	assert_int_equal(records[2].reason, DROP_NO_NEIGHBOUR);
}

/* Kept ones in front and in order, the rest behind, nobody lost or twice. */
static void a_burst_is_partitioned(void **state)
{
	static uint8_t frames[BURST_MAX][DATAGRAM_SIZE_MAX];
	struct packet packets[BURST_MAX];
	bool seen[BURST_MAX] = { false };
	uint64_t random = 3, last = 0;
	size_t kept, expected = 0;

	(void)state;
	for (size_t i = 0; i < BURST_MAX; i++) {
		struct datagram d = to_service(i % 2);

		if (random_next(&random) % 3 == 0)
			d.ttl = 1;
		else
			expected++;
		packets[i] = packet_of(frames[i], datagram_build(&d, frames[i]), FRAME_SERVICE,
				       SERVICE_WEB);
		packets[i].frame = i;
	}
	kept = forward(packets, BURST_MAX);
	assert_int_equal(kept, expected);
	for (size_t i = 0; i < BURST_MAX; i++) {
		assert_false(seen[packets[i].frame]);
		seen[packets[i].frame] = true;
		assert_ptr_equal(packets[i].data, frames[packets[i].frame]);
		if (i > 0 && i < kept)
			assert_true(packets[i].frame > last);
		last = packets[i].frame;
	}
	assert_int_equal(stats.forwarded + stats.dropped[DROP_TTL_EXPIRED], BURST_MAX);
}

/* Each prefix in memory of exactly its size, so that a sanitizer sees a step
 * beyond the end. */
static void every_proper_prefix_is_dropped(void **state)
{
	(void)state;
	for (int form = 0; form < 12; form++) {
		struct datagram d = form & 1 ? to_service(form & 2) : to_client(form & 2, 0);
		uint8_t frame[DATAGRAM_SIZE_MAX];
		size_t len;

		d.vlan_tags = (unsigned int)form / 4;
		len = datagram_build(&d, frame);
		for (size_t short_len = 0; short_len < len; short_len++) {
			uint8_t *exact = malloc(short_len ? short_len : 1);
			struct packet packet;

			memcpy(exact, frame, short_len);
			packet = packet_of(exact, short_len,
					   form & 1 ? FRAME_SERVICE : FRAME_RETURN, 0);
			memset(&stats, 0, sizeof(stats));
			assert_int_equal(forward(&packet, 1), 0);
			assert_int_equal(stats.dropped[DROP_MALFORMED], 1);
			assert_memory_equal(exact, frame, short_len);
			free(exact);
		}
	}
}

static void counters_name_the_backend(void **state)
{
	struct datagram out = to_service(false), back = to_client(true, BACKEND_WEB_1);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet =
		packet_of(frame, datagram_build(&out, frame), FRAME_SERVICE, SERVICE_WEB);
	const struct backend_traffic *traffic;

	(void)state;
	assert_int_equal(forward(&packet, 1), 1);
	traffic = &stats.backends[packet.slot];
	assert_int_equal(traffic->out.datagrams, 1);
	assert_int_equal(traffic->out.bytes, 20 + 8 + 100);
	assert_int_equal(traffic->back.datagrams, 0);

	packet = packet_of(frame, datagram_build(&back, frame), FRAME_RETURN, BACKEND_WEB_1);
	assert_int_equal(forward(&packet, 1), 1);
	traffic = &stats.backends[BACKEND_WEB_1];
	assert_int_equal(traffic->back.datagrams, 1);
	assert_int_equal(traffic->back.bytes, 40 + 8 + 100);
}

static void initials_are_counted(void **state)
{
	static const struct {
		uint8_t bytes[24];
		uint16_t slot, port;
		uint64_t wanted;
	} cases[] = {
		{ { 0xc0, 0, 0, 0, 1, 8 }, SERVICE_WEB, SERVICE_PORT, 1 },
		{ { 0xd0, 0x6b, 0x33, 0x43, 0xcf, 8 }, SERVICE_WEB, SERVICE_PORT, 1 },
		{ { 0xe0, 0, 0, 0, 1, 8 }, SERVICE_WEB, SERVICE_PORT, 0 }, /* Handshake */
		{ { 0x40 }, SERVICE_WEB, SERVICE_PORT, 0 },
		{ { 0xc0, 0, 0, 0, 1, 8 }, SERVICE_DNS, 53, 0 }, /* not QUIC */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct datagram d = to_service(false);
		uint8_t frame[DATAGRAM_SIZE_MAX];
		struct packet packet;

		d.payload = cases[i].bytes;
		d.payload_len = sizeof(cases[i].bytes);
		d.dst_port = cases[i].port;
		packet = packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE, cases[i].slot);
		memset(&stats, 0, sizeof(stats));
		assert_int_equal(forward(&packet, 1), 1);
		assert_int_equal(stats.new_connections, cases[i].wanted);
	}
}

static void four_tuples_spread_and_stay(void **state)
{
	size_t per_backend[2] = { 0 };

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		for (uint16_t port = 1024; port < 11024; port++) {
			static uint8_t choice[UINT16_MAX];
			struct datagram d = to_service(port % 2);
			uint8_t frame[DATAGRAM_SIZE_MAX];
			struct packet packet;

			d.src_port = port;
			packet = packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE,
					   SERVICE_WEB);
			assert_int_equal(forward(&packet, 1), 1);
			if (pass)
				assert_int_equal(packet.slot, choice[port]);
			choice[port] = (uint8_t)packet.slot;
			per_backend[packet.slot]++;
		}
	}
	print_message("%zu and %zu\n", per_backend[0], per_backend[1]);
	assert_true(per_backend[0] > 9500 && per_backend[1] > 9500);
}

static void without_metadata_userspace_classifies(void **state)
{
	struct datagram out = to_service(true), back = to_client(false, BACKEND_DNS);
	uint8_t frame[DATAGRAM_SIZE_MAX], wanted[DATAGRAM_SIZE_MAX];
	struct packet packet;
	size_t len;

	(void)state;
	check_one(&out, FRAME_SERVICE);
	packet = packet_of(frame, datagram_build(&out, frame), FRAME_UNCLASSIFIED, 0);
	assert_int_equal(forward(&packet, 1), 1);
	assert_int_equal(packet.kind, FRAME_SERVICE);

	/* XDP has left the sender's MAC address of the port to leave by. */
	len = datagram_build(&back, frame);
	packet = packet_of(frame, len, FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_BACKENDS;
	packet.tx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 1);
	assert_int_equal(packet.kind, FRAME_RETURN);
	assert_int_equal(packet.slot, BACKEND_DNS);
	assert_int_equal(packet.tx_port, PORT_CLIENTS);
	back = forwarded_back(back);
	back.src_port = 53;
	datagram_build(&back, wanted);
	assert_memory_equal(frame, wanted, len);
}

static void without_metadata_and_not_ours(void **state)
{
	struct datagram d = to_client(false, BACKEND_DNS);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_CLIENTS;
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_RETURN_SPOOFED], 1);

	memcpy(d.eth_src, client_mac, 6);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NO_NEIGHBOUR], 1);

	table_client_next_hop_set(table, PORT_CLIENTS, gateway_mac);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 1);
	assert_memory_equal(frame, gateway_mac, 6);
	assert_memory_equal(frame + 6, port_macs[PORT_CLIENTS], 6);

	d.src_port++;
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NOT_OURS], 1);
}

/* A reload has given the backend, or the service, another slot since XDP saw the frame,
 * or the slot another address: the addresses say whose it is. What XDP wrote for the way
 * out stays as it is, though no port has that MAC address and userspace could not tell
 * the client's. */
static void old_metadata_is_made_anew(void **state)
{
	static const struct {
		const char *name;
		uint16_t service, backend;
		bool is_ipv6;
	} cases[] = { { "a slot beyond all", SERVICE_COUNT, BACKEND_COUNT, false },
		      { "the same, IPv6", SERVICE_COUNT, BACKEND_COUNT, true },
		      { "the largest of all", UINT16_MAX, UINT16_MAX, false },
		      { "a backend beside it", SERVICE_WEB, BACKEND_WEB_1, false },
		      { "the same, IPv6", SERVICE_WEB, BACKEND_WEB_1, true },
		      { "one of another service", SERVICE_WEB, BACKEND_DNS, false },
		      { "one without IPv6", SERVICE_WEB, BACKEND_DNS, true },
		      { "one that answers clients itself", SERVICE_WEB, BACKEND_L2, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct datagram out = to_service(cases[i].is_ipv6);
		struct datagram back = to_client(cases[i].is_ipv6, BACKEND_WEB_2);
		uint8_t frame[DATAGRAM_SIZE_MAX], wanted[DATAGRAM_SIZE_MAX];
		struct packet packet;
		size_t len;

		print_message("case: %s\n", cases[i].name);
		len = datagram_build(&out, frame);
		packet = packet_of(frame, len, FRAME_SERVICE, cases[i].service);
		assert_int_equal(forward(&packet, 1), 1);
		out = forwarded_out(out, packet.slot);
		datagram_build(&out, wanted);
		assert_memory_equal(frame, wanted, len);

		memcpy(back.eth_src, "\x02\x00\x00\x00\x0a\x11", 6);
		len = datagram_build(&back, frame);
		packet = packet_of(frame, len, FRAME_RETURN, cases[i].backend);
		assert_int_equal(forward(&packet, 1), 1);
		assert_int_equal(packet.slot, BACKEND_WEB_2);
		assert_int_equal(packet.tx_port, PORT_CLIENTS);
		back = forwarded_back(back);
		datagram_build(&back, wanted);
		assert_memory_equal(frame, wanted, len);
	}
	assert_int_equal(stats.backends[BACKEND_WEB_2].back.datagrams, ARRAY_LEN(cases));
}

/* A reload has taken its sender out, or has it answer clients itself: under the backend's
 * own address it must not reach the client from here. */
static void old_metadata_of_nobody_is_dropped(void **state)
{
	static const struct {
		const char *name;
		uint16_t slot, sender, port_more;
		bool is_ipv6;
	} cases[] = { { "another port", BACKEND_WEB_1, BACKEND_WEB_1, 1, false },
		      { "the same, IPv6", BACKEND_WEB_1, BACKEND_WEB_1, 1, true },
		      { "another address", BACKEND_WEB_1, BACKEND_COUNT, 0, false },
		      { "the same, IPv6", BACKEND_WEB_1, BACKEND_COUNT, 0, true },
		      { "answers itself", BACKEND_L2, BACKEND_L2, 0, false },
		      { "the same, IPv6", BACKEND_L2, BACKEND_L2, 0, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct datagram d = to_client(cases[i].is_ipv6, cases[i].sender);
		uint8_t frame[DATAGRAM_SIZE_MAX];
		struct packet packet;

		print_message("case: %s\n", cases[i].name);
		d.src_port += cases[i].port_more;
		packet = packet_of(frame, datagram_build(&d, frame), FRAME_RETURN, cases[i].slot);
		assert_int_equal(forward(&packet, 1), 0);
		assert_int_equal(stats.dropped[DROP_NOT_OURS], i + 1);
	}
}

/* It wrote none: whoever sent the frame did. */
static void old_metadata_of_a_service_says_nothing_of_the_way_back(void **state)
{
	struct datagram d = to_client(false, BACKEND_WEB_2);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	memcpy(d.eth_src, client_mac, 6);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_SERVICE, SERVICE_COUNT);
	packet.rx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NO_NEIGHBOUR], 1);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_RETURN, BACKEND_COUNT);
	packet.tx_port = PORT_COUNT; /* nor did XDP write that */
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NO_NEIGHBOUR], 2);
}

/* XDP classified the frame when the address was still another service's. */
static void a_service_that_has_moved_is_found_by_its_address(void **state)
{
	struct datagram d = to_service(false);
	uint8_t frame[DATAGRAM_SIZE_MAX], wanted[DATAGRAM_SIZE_MAX];
	struct packet packet;
	size_t len;

	(void)state;
	d.dst_port = 53;
	len = datagram_build(&d, frame);
	packet = packet_of(frame, len, FRAME_SERVICE, SERVICE_WEB);
	packet.edition = EDITION - 1;
	assert_int_equal(forward(&packet, 1), 1);
	assert_int_equal(packet.slot, BACKEND_DNS);
	d = forwarded_out(d, BACKEND_DNS);
	datagram_build(&d, wanted);
	assert_memory_equal(frame, wanted, len);
}

/* XDP needs the route only, to let it through. */
static void without_metadata_and_unresolved(void **state)
{
	struct datagram d = to_client(false, BACKEND_DNS);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	table_next_hop_set(table, BACKEND_DNS, FAMILY_IPV4, PORT_BACKENDS, NULL);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 1);
	assert_int_equal(packet.tx_port, PORT_CLIENTS);
}

static void without_metadata_and_two_ports_with_one_address(void **state)
{
	struct datagram d = to_client(false, BACKEND_DNS);
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	memcpy(table->ports[PORT_BACKENDS].mac, table->ports[PORT_CLIENTS].mac, 6);
	packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
	packet.rx_port = PORT_BACKENDS;
	assert_int_equal(forward(&packet, 1), 0);
	assert_int_equal(stats.dropped[DROP_NO_NEIGHBOUR], 1);
}

/* Only MAC addresses change, and what the sender left for its card to sum. */
static void l2_changes_mac_addresses_only(void **state)
{
	(void)state;
	for (int form = 0; form < 4; form++) {
		struct datagram d = to_service(form & 1);
		uint8_t frame[DATAGRAM_SIZE_MAX], wanted[DATAGRAM_SIZE_MAX];
		struct packet packet;
		size_t len;

		d.dst_port = 55;
		d.ttl = 1; /* as a switch would */
		d.checksum = form & 2 ? CHECKSUM_PARTIAL : CHECKSUM_VALID;
		len = datagram_build(&d, frame);
		packet = packet_of(frame, len, FRAME_SERVICE, SERVICE_L2);
		assert_int_equal(forward(&packet, 1), 1);
		assert_int_equal(packet.tx_port, PORT_BACKENDS);
		backend_mac(BACKEND_L2, d.eth_dst);
		memcpy(d.eth_src, port_macs[PORT_BACKENDS], 6);
		d.checksum = CHECKSUM_VALID;
		datagram_build(&d, wanted);
		assert_memory_equal(frame, wanted, len);
	}
	assert_int_equal(stats.checksums_completed, 2);
}

static int table_try(struct table_service *services, size_t count, size_t port_count)
{
	const struct table_port port = { .mtu = MTU };
	const struct table_spec spec = { .ports = &port,
					 .port_count = port_count,
					 .services = services,
					 .service_count = count,
					 .memory_new = huge_memory_new };
	struct table *built = NULL;
	int err = table_build(&spec, &built);

	assert_true(err ? !built : !!built);
	table_free(built);
	return err;
}

/* A spoofed source of ours would set two backends talking to each other. */
static void without_metadata_and_a_source_of_ours(void **state)
{
	static const struct {
		const char *name;
		uint8_t src[4];
		uint16_t src_port;
		int reason; /* -1: forwarded */
	} cases[] = {
		{ "the service", { 192, 0, 2, 1 }, SERVICE_PORT, DROP_SOURCE_OURS },
		{ "the service's address", { 192, 0, 2, 1 }, 50000, -1 },
		{ "0/8", { 0, 1, 2, 3 }, 50000, DROP_SOURCE_MARTIAN },
		{ "127/8", { 127, 0, 0, 1 }, 50000, DROP_SOURCE_MARTIAN },
		{ "224/3", { 224, 0, 0, 1 }, 50000, DROP_SOURCE_MARTIAN },
		{ "below 224/3", { 223, 255, 255, 255 }, 50000, -1 },
	};
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet;

	(void)state;
	for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++) {
		struct datagram d = to_service(is_ipv6);

		backend_addr(is_ipv6, BACKEND_WEB_1, d.src);
		d.src_port = BACKEND_PORT;
		packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
		assert_int_equal(forward(&packet, 1), 0);
		assert_int_equal(stats.dropped[DROP_SOURCE_OURS], 1 + is_ipv6);
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct datagram d = to_service(false);
		int reason = cases[i].reason;
		uint64_t before = reason < 0 ? 0 : stats.dropped[reason];

		print_message("case: %s\n", cases[i].name);
		memcpy(d.src, cases[i].src, 4);
		d.src_port = cases[i].src_port;
		packet = packet_of(frame, datagram_build(&d, frame), FRAME_UNCLASSIFIED, 0);
		assert_int_equal(forward(&packet, 1), reason < 0);
		if (reason >= 0)
			assert_int_equal(stats.dropped[reason], before + 1);
	}
}

static void a_table_refuses(void **state)
{
	struct table_backend backends[] = { backend(0, 1), backend(1, 1) };
	struct table_service services[] = { { .endpoint = endpoint(service_ipv4, NULL, 1),
					      .backends = backends,
					      .backend_count = 2 },
					    { .slot = 1,
					      .endpoint = endpoint(service_ipv4, NULL, 2) } };

	(void)state;
	assert_int_equal(table_try(services, 2, 1), 0);
	assert_int_equal(table_try(services, 2, 0), -EINVAL);
	assert_int_equal(table_try(services, SERVICE_COUNT_MAX + 1, 1), -EINVAL);

	services[1].slot = 0; /* twice */
	assert_int_equal(table_try(services, 2, 1), -EINVAL);
	services[1].slot = SERVICE_COUNT_MAX;
	assert_int_equal(table_try(services, 2, 1), -EINVAL);
	services[1].slot = 1;
	services[1].endpoint.port_be = services[0].endpoint.port_be;
	assert_int_equal(table_try(services, 2, 1), -EINVAL);

	backends[1].slot = 0;
	assert_int_equal(table_try(services, 1, 1), -EINVAL);
	backends[1] = backend(0, 1); /* one (address, port) twice */
	backends[1].slot = 1;
	backends[1].id++;
	assert_int_equal(table_try(services, 1, 1), -EINVAL);
	services[0].mode = TABLE_L2; /* where it may stand twice */
	assert_int_equal(table_try(services, 1, 1), 0);
	backends[1] = backend(1, 1);
	backends[1].id = backends[0].id;
	assert_int_equal(table_try(services, 1, 1), -EINVAL);
	backends[1] = backend(BACKEND_COUNT_MAX - 1, 1);
	backends[1].slot = BACKEND_COUNT_MAX;
	assert_int_equal(table_try(services, 1, 1), -EINVAL);
}

static struct {
	uint8_t *start;
	size_t size;
} given;

static void *memory_give(size_t size)
{
	given.start = huge_memory_new(size);
	given.size = size;
	return given.start;
}

static void *memory_refuse(size_t size)
{
	(void)size;
	return NULL;
}

static void assert_given(const void *memory, size_t size)
{
	assert_in_range((uintptr_t)memory, (uintptr_t)given.start,
			(uintptr_t)given.start + given.size - size);
}

static void a_table_is_one_piece_of_memory(void **state)
{
	const struct table_backend backends[] = { backend(0, 1), backend(7, 1) };
	const struct table_service service = { .endpoint = endpoint(service_ipv4, NULL, 1),
					       .backends = backends,
					       .backend_count = 2 };
	const struct table_port port = { .mtu = MTU };
	struct table_spec spec = { .ports = &port,
				   .port_count = 1,
				   .services = &service,
				   .service_count = 1,
				   .memory_new = memory_refuse };
	struct table *built = NULL;
	const struct maglev *maglev;

	(void)state;
	assert_int_equal(table_build(&spec, &built), -ENOMEM);
	assert_null(built);
	spec.memory_new = memory_give;
	assert_int_equal(table_build(&spec, &built), 0);
	assert_given(built, sizeof(*built));
	assert_given(built->targets, 8 * FAMILY_COUNT * sizeof(*built->targets));
	assert_given(built->owners, 8 * FAMILY_COUNT * sizeof(*built->owners));
	assert_given(built->matches, (built->match_mask + 1) * sizeof(*built->matches));
	assert_given(built->service_backends, 2 * sizeof(*built->service_backends));
	maglev = &built->services[0].maglev[FAMILY_IPV4];
	assert_given(maglev->slots, maglev->size * sizeof(*maglev->slots));
	assert_int_equal(built->services[0].maglev[FAMILY_IPV6].size, 0);
	assert_int_equal(table_owner(built, 7, FAMILY_IPV4), 0);
	assert_int_equal(table_owner(built, 6, FAMILY_IPV4), TABLE_NOBODY);
	assert_false(table_has_service(built, 1));
	assert_false(table_target(built, 6, FAMILY_IPV4)->present);
	table_free(built);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_form_is_rewritten),
		TEST(checksums_hold_for_random_datagrams),
		TEST(a_sum_of_zero_is_sent_as_ones),
		TEST(bytes_behind_the_packet_are_not_sent),
		TEST(every_reason_to_drop),
		TEST(unresolved_next_hop_drops),
		TEST(a_trace_says_what_becomes_of_a_datagram),
		TEST(a_burst_is_partitioned),
		TEST(every_proper_prefix_is_dropped),
		TEST(counters_name_the_backend),
		TEST(initials_are_counted),
		TEST(four_tuples_spread_and_stay),
		TEST(without_metadata_userspace_classifies),
		TEST(without_metadata_and_not_ours),
		TEST(l2_changes_mac_addresses_only),
		TEST(without_metadata_and_a_source_of_ours),
		TEST(old_metadata_is_made_anew),
		TEST(old_metadata_of_nobody_is_dropped),
		TEST(old_metadata_of_a_service_says_nothing_of_the_way_back),
		TEST(a_service_that_has_moved_is_found_by_its_address),
		TEST(without_metadata_and_unresolved),
		TEST(without_metadata_and_two_ports_with_one_address),
		TEST(a_table_refuses),
		TEST(a_table_is_one_piece_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
