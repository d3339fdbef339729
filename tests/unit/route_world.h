/* SPDX-License-Identifier: GPL-2.0-only */
/* route_world.h - one service with its backends, its clients and what is remembered of
 * them, for tests that tell stories in frames. Decides nothing itself. */
#ifndef RINGWAY_TESTS_ROUTE_WORLD_H
#define RINGWAY_TESTS_ROUTE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "core/forward.h"
#include "datagram.h"
#include "ringway/match.h"
#include "test.h"
#include "util/huge_memory.h"

#define SERVICE	     0
#define BACKENDS_MAX 80
#define SERVICE_PORT 443
#define BACKEND_PORT 4433
#define KEY_COUNT    65536
#define MINUTE_MS    60000
#define CID_LEN	     8
#define SHORT_LEN    60 /* of a short header's datagram, longer than any reset */
#define INITIAL_LEN  1200

static const uint8_t mac[6] = { 2 };
static const uint8_t service_addr[4] = { 192, 0, 2, 1 };

static struct table *table;
static struct router *router;
static struct router_worker worker;
static struct forward_stats stats;
static uint64_t now_ms;
static uint8_t spare_frames[BACKENDS_MAX][DATAGRAM_SIZE_MAX];
static struct packet spares[BACKENDS_MAX];
static uint32_t copy_count;
static uint16_t copy_slots[BACKENDS_MAX];

/* What the service is like; backends[i] has slot i, those of weight -1 are gone. */
struct world {
	struct table_service service;
	int weights[BACKENDS_MAX];
	size_t backend_count;
};

static const struct world ordinary = {
	.service = { .is_quic = true, .discovers = true, .idle_ticks = 150 },
	.weights = { 1, 1, 1, 1 },
	.backend_count = 4,
};

static inline struct table_endpoint endpoint(const uint8_t *ipv4, uint16_t port)
{
	struct table_endpoint endpoint = { .port_be = wire_be16(port) };

	endpoint.present[FAMILY_IPV4] = true;
	match_addr_set(endpoint.addr[FAMILY_IPV4], ipv4, NULL);
	return endpoint;
}

static inline void backend_addr(uint16_t slot, uint8_t addr[4])
{
	memcpy(addr, (const uint8_t[]){ 10, 0, 0, (uint8_t)(1 + slot) }, 4);
}

/* The world as it is from now on; what is remembered stays. */
static inline void world_set(const struct world *world)
{
	struct table_backend backends[BACKENDS_MAX];
	struct table_service service = world->service;
	const struct table_port port = { .mac = { 2, 1 }, .mtu = 1500 };
	const struct table_spec spec = { .ports = &port,
					 .port_count = 1,
					 .services = &service,
					 .service_count = 1,
					 .hash_key = "route_test",
					 .memory_new = huge_memory_new };

	service.endpoint = endpoint(service_addr, SERVICE_PORT);
	service.backends = backends;
	for (uint16_t i = 0; i < world->backend_count; i++) {
		uint8_t addr[4];

		if (world->weights[i] < 0)
			continue;
		backend_addr(i, addr);
		backends[service.backend_count++] =
			(struct table_backend){ .slot = i,
						.endpoint = endpoint(addr, BACKEND_PORT),
						.id = 100 + i,
						.weight = (uint16_t)world->weights[i] };
	}
	table_free(table);
	table = NULL;
	assert_int_equal(table_build(&spec, &table), 0);
	for (uint16_t i = 0; i < table->slot_limit; i++)
		table_next_hop_set(table, i, FAMILY_IPV4, 0, mac);
}

static inline int setup(void **state)
{
	size_t size = affinity_size(KEY_COUNT);
	void *memory = aligned_alloc(64, 2 * size);

	(void)state;
	router = aligned_alloc(64, (sizeof(*router) + 63) & ~63ul);
	if (!router || !memory)
		return -1;
	memset(router, 0, sizeof(*router));
	memset(memory, 0, 2 * size);
	hash_secret_derive((const uint8_t *)"0123456789abcdef", &router->secret);
	affinity_init(&router->tuples, memory, size);
	affinity_init(&router->cids, (uint8_t *)memory + size, size);
	now_ms = 1000000;
	router_worker_init(&worker, NULL, now_ms);
	memset(&stats, 0, sizeof(stats));
	for (size_t i = 0; i < BACKENDS_MAX; i++)
		spares[i] = (struct packet){ .data = spare_frames[i] };
	world_set(&ordinary);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	free(router->tuples.words);
	free(router);
	table_free(table);
	table = NULL;
	return 0;
}

/* --- datagrams ------------------------------------------------------------- */

struct client {
	uint8_t addr[4];
	uint16_t port;
};

static const struct client home = { { 203, 0, 113, 5 }, 40000 };
static const struct client away = { { 198, 51, 100, 7 }, 50000 };

enum { DROPPED = -1000 };

/* In memory of exactly its size, so that the sanitizer sees every byte too far. */
static inline int forward(const struct datagram *d, enum frame_kind kind, uint16_t slot)
{
	struct forward_ctx ctx = {
		.route = { .table = table, .router = router, .worker = &worker, .now_ms = now_ms },
		.stats = &stats,
		.spares = spares,
		.spare_count = BACKENDS_MAX,
		.spare_size = DATAGRAM_SIZE_MAX
	};
	uint8_t frame[DATAGRAM_SIZE_MAX];
	uint32_t len = (uint32_t)datagram_build(d, frame);
	struct packet packet = { .data = malloc(len), .len = len, .kind = kind, .slot = slot };
	uint64_t before[DROP_REASON_COUNT];
	size_t kept;

	assert_non_null(packet.data);
	memcpy(packet.data, frame, len);
	memcpy(before, stats.dropped, sizeof(before));
	kept = forward_burst(&ctx, &packet, 1);
	free(packet.data);
	copy_count = ctx.copy_count;
	for (uint32_t i = 0; i < copy_count; i++)
		copy_slots[i] = spares[i].slot;
	if (kept == 1)
		return packet.slot;
	for (int reason = 0; reason < DROP_REASON_COUNT; reason++)
		if (stats.dropped[reason] != before[reason])
			return DROPPED - reason;
	return DROPPED;
}

static inline int from_client(const struct client *client, const uint8_t *payload, uint16_t len)
{
	struct datagram d = { .ttl = 64,
			      .src_port = client->port,
			      .dst_port = SERVICE_PORT,
			      .payload = payload,
			      .payload_len = len };

	memcpy(d.src, client->addr, 4);
	memcpy(d.dst, service_addr, 4);
	return forward(&d, FRAME_SERVICE, SERVICE);
}

/* The slot, or DROPPED less the reason. */
static inline int from_backend(uint16_t slot, const struct client *client, const uint8_t *payload,
			       uint16_t len)
{
	struct datagram d = { .ttl = 64,
			      .src_port = BACKEND_PORT,
			      .dst_port = client->port,
			      .payload = payload,
			      .payload_len = len };

	backend_addr(slot, d.src);
	memcpy(d.dst, client->addr, 4);
	return forward(&d, FRAME_RETURN, slot);
}

static uint8_t bytes[DATAGRAM_SIZE_MAX];

/* IDs are CID_LEN bytes of the number given. */
static inline uint16_t long_header(uint8_t first, uint32_t version, uint64_t dcid, uint64_t scid,
				   uint16_t len)
{
	memset(bytes, 0x5a, sizeof(bytes));
	bytes[0] = first;
	for (int i = 0; i < 4; i++)
		bytes[1 + i] = (uint8_t)(version >> (24 - 8 * i));
	bytes[5] = CID_LEN;
	memcpy(bytes + 6, &dcid, CID_LEN);
	bytes[6 + CID_LEN] = CID_LEN;
	memcpy(bytes + 7 + CID_LEN, &scid, CID_LEN);
	return len;
}

static inline uint16_t short_header(uint64_t dcid, uint16_t len)
{
	memset(bytes, 0x77, sizeof(bytes));
	bytes[0] = 0x41;
	memcpy(bytes + 1, &dcid, CID_LEN);
	return len;
}

static inline int client_initial(const struct client *client, uint64_t dcid)
{
	uint16_t len = long_header(0xc0, QUIC_VERSION_1, dcid, 1, INITIAL_LEN);

	return from_client(client, bytes, len);
}

static inline int client_short(const struct client *client, uint64_t dcid)
{
	uint16_t len = short_header(dcid, SHORT_LEN);

	return from_client(client, bytes, len);
}

static inline int server_handshake(uint16_t slot, const struct client *client, uint64_t scid)
{
	uint16_t len = long_header(0xe0, QUIC_VERSION_1, 1, scid, INITIAL_LEN);

	return from_backend(slot, client, bytes, len);
}

/* end: the last byte, so that two answers may differ there. */
static inline int server_short(uint16_t slot, const struct client *client, uint16_t len,
			       uint8_t end)
{
	(void)short_header(1, len);
	bytes[len - 1] = end;
	return from_backend(slot, client, bytes, len);
}

#define SERVER_CID(slot) (0xabcd000000000000ull + (slot))

/* A whole handshake: the connection is known and proven. Returns its backend. */
static inline int connect(const struct client *client, uint64_t server_cid)
{
	int slot = client_initial(client, 0x1111);

	assert_true(slot >= 0);
	assert_int_equal(server_handshake((uint16_t)slot, client, server_cid), slot);
	assert_int_equal(client_short(client, server_cid), slot);
	assert_int_equal(worker.decided[ROUTE_CID] > 0, 1);
	return slot;
}

/* A client whose new connections Maglev gives to slot. */
static inline struct client client_of(int slot)
{
	struct client client = { { 203, 0, 113, 200 }, 1024 };
	struct router nothing = { .tuples = { NULL, 0 } };
	struct router *remembered = router;
	struct router_worker counts = worker;

	router = &nothing;
	while (client_initial(&client, 1) != slot)
		client.port++;
	router = remembered;
	worker = counts;
	return client;
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
