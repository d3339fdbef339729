/* SPDX-License-Identifier: GPL-2.0-only */
/* Which backend gets a datagram, and what answers teach: stories told in frames
 * through forward_burst(), with the tables, a clock and the backends in hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/forward.h"
#include "datagram.h"
#include "ringway/match.h"
#include "test.h"

#define SERVICE	     0
#define BACKENDS_MAX 6
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

static struct table_endpoint endpoint(const uint8_t *ipv4, uint16_t port)
{
	struct table_endpoint endpoint = { .port_be = wire_be16(port) };

	endpoint.present[FAMILY_IPV4] = true;
	match_addr_set(endpoint.addr[FAMILY_IPV4], ipv4, NULL);
	return endpoint;
}

static void backend_addr(uint16_t slot, uint8_t addr[4])
{
	memcpy(addr, (const uint8_t[]){ 10, 0, 0, (uint8_t)(1 + slot) }, 4);
}

/* The world as it is from now on; what is remembered stays. */
static void world_set(const struct world *world)
{
	struct table_backend backends[BACKENDS_MAX];
	struct table_service service = world->service;
	const struct table_port port = { .mac = { 2, 1 }, .mtu = 1500 };
	const struct table_spec spec = { .ports = &port,
					 .port_count = 1,
					 .services = &service,
					 .service_count = 1,
					 .hash_key = "route_test" };

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

static int setup(void **state)
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

static int teardown(void **state)
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

static int forward(const struct datagram *d, enum frame_kind kind, uint16_t slot)
{
	struct forward_ctx ctx = {
		.route = { .table = table, .router = router, .worker = &worker, .now_ms = now_ms },
		.stats = &stats,
		.spares = spares,
		.spare_count = BACKENDS_MAX,
		.spare_size = DATAGRAM_SIZE_MAX
	};
	uint8_t frame[DATAGRAM_SIZE_MAX];
	struct packet packet = { .data = frame, .kind = kind, .slot = slot };
	uint64_t before[DROP_REASON_COUNT];

	packet.len = (uint32_t)datagram_build(d, frame);
	memcpy(before, stats.dropped, sizeof(before));
	if (forward_burst(&ctx, &packet, 1) == 1) {
		copy_count = ctx.copy_count;
		for (uint32_t i = 0; i < copy_count; i++)
			copy_slots[i] = spares[i].slot;
		return packet.slot;
	}
	copy_count = ctx.copy_count;
	for (int reason = 0; reason < DROP_REASON_COUNT; reason++)
		if (stats.dropped[reason] != before[reason])
			return DROPPED - reason;
	return DROPPED;
}

static int from_client(const struct client *client, const uint8_t *payload, uint16_t len)
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
static int from_backend(uint16_t slot, const struct client *client, const uint8_t *payload,
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
static uint16_t long_header(uint8_t first, uint32_t version, uint64_t dcid, uint64_t scid,
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

static uint16_t short_header(uint64_t dcid, uint16_t len)
{
	memset(bytes, 0x77, sizeof(bytes));
	bytes[0] = 0x41;
	memcpy(bytes + 1, &dcid, CID_LEN);
	return len;
}

static int client_initial(const struct client *client, uint64_t dcid)
{
	uint16_t len = long_header(0xc0, QUIC_VERSION_1, dcid, 1, INITIAL_LEN);

	return from_client(client, bytes, len);
}

static int client_short(const struct client *client, uint64_t dcid)
{
	uint16_t len = short_header(dcid, SHORT_LEN);

	return from_client(client, bytes, len);
}

static int server_handshake(uint16_t slot, const struct client *client, uint64_t scid)
{
	uint16_t len = long_header(0xe0, QUIC_VERSION_1, 1, scid, INITIAL_LEN);

	return from_backend(slot, client, bytes, len);
}

/* end: the last byte, so that two answers may differ there. */
static int server_short(uint16_t slot, const struct client *client, uint16_t len, uint8_t end)
{
	(void)short_header(1, len);
	bytes[len - 1] = end;
	return from_backend(slot, client, bytes, len);
}

#define SERVER_CID(slot) (0xabcd000000000000ull + (slot))

/* A whole handshake: the connection is known and proven. Returns its backend. */
static int connect(const struct client *client, uint64_t server_cid)
{
	int slot = client_initial(client, 0x1111);

	assert_true(slot >= 0);
	assert_int_equal(server_handshake((uint16_t)slot, client, server_cid), slot);
	assert_int_equal(client_short(client, server_cid), slot);
	assert_int_equal(worker.decided[ROUTE_CID] > 0, 1);
	return slot;
}

/* A client whose new connections Maglev gives to slot. */
static struct client client_of(int slot)
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

/* --- the stories ------------------------------------------------------------ */

static void a_connection_stays_when_backends_come(void **state)
{
	struct world grown = ordinary;
	int before[200];

	(void)state;
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	for (uint16_t i = 0; i < 200; i++) {
		const struct client client = { { 203, 0, 113, 5 }, (uint16_t)(40000 + i) };

		before[i] = client_initial(&client, i);
	}
	world_set(&grown);
	for (uint16_t i = 0; i < 200; i++) {
		const struct client known = { { 203, 0, 113, 5 }, (uint16_t)(40000 + i) };

		assert_int_equal(client_initial(&known, i), before[i]);
	}
	assert_int_equal(worker.decided[ROUTE_TUPLE], 200);
}

static void a_client_that_moves_keeps_its_backend(void **state)
{
	int slot = connect(&home, SERVER_CID(1));

	(void)state;
	for (uint16_t i = 0; i < 50; i++) {
		const struct client moved = { { 198, 51, 100, (uint8_t)i }, (uint16_t)(1000 + i) };

		assert_int_equal(client_short(&moved, SERVER_CID(1)), slot);
		/* and its new 4-tuple is known */
		assert_int_equal(client_short(&moved, SERVER_CID(1)), slot);
	}
}

static void retry_changes_the_id_twice(void **state)
{
	int slot = client_initial(&home, 0x1111);
	uint16_t len = long_header(0xf0, QUIC_VERSION_1, 1, 0x2222, 120); /* Retry */

	(void)state;
	assert_int_equal(from_backend((uint16_t)slot, &home, bytes, len), slot);
	assert_int_equal(client_initial(&away, 0x2222), slot);
	assert_int_equal(server_handshake((uint16_t)slot, &away, 0x3333), slot);
	assert_int_equal(client_short(&home, 0x3333), slot);
}

static void version_2_and_unknown_versions_teach_too(void **state)
{
	static const uint32_t versions[] = { QUIC_VERSION_2, 0xfaceb002 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		uint16_t len = long_header(0xd0, versions[i], 0x1111 + i, 1, INITIAL_LEN);
		int slot = from_client(&home, bytes, len);

		len = long_header(0xf0, versions[i], 1, SERVER_CID(i), INITIAL_LEN);
		assert_int_equal(from_backend((uint16_t)slot, &home, bytes, len), slot);
		assert_int_equal(client_short(&away, SERVER_CID(i)), slot);
	}
}

static void version_negotiation_teaches_nothing(void **state)
{
	int slot = client_initial(&home, 0x1111);
	uint16_t len = long_header(0x80, 0, 1, 0x9999, 40);
	uint64_t inserted = worker.cid_stats.inserted;

	(void)state;
	assert_int_equal(from_backend((uint16_t)slot, &home, bytes, len), slot);
	assert_int_equal(worker.cid_stats.inserted, inserted);
}

static void a_cleared_fixed_bit_is_no_obstacle(void **state)
{
	int slot = connect(&home, SERVER_CID(3));

	(void)state;
	(void)short_header(SERVER_CID(3), SHORT_LEN);
	bytes[0] &= ~0x40;
	assert_int_equal(from_client(&away, bytes, SHORT_LEN), slot);
}

static void lengths_are_learned_and_several_are_tried(void **state)
{
	uint8_t initial[INITIAL_LEN] = { 0xc0, 0, 0, 0, 1, 8, [14] = 0 };
	static const uint8_t lens[] = { 20, 4, 12 };

	(void)state;
	(void)connect(&home, SERVER_CID(1)); /* 8, the most used */
	(void)server_handshake(0, &home, SERVER_CID(1));
	for (uint8_t i = 0; i < ARRAY_LEN(lens); i++) {
		const struct client client = { { 203, 0, 113, 77 }, (uint16_t)(3000 + i) };
		uint8_t answer[INITIAL_LEN] = { 0xe0, 0, 0, 0, 1, 0, lens[i] };
		uint8_t data[SHORT_LEN] = { 0x41 };
		int slot = from_client(&client, initial, sizeof(initial));

		memset(answer + 7, 0xc0 + i, lens[i]);
		memset(data + 1, 0xc0 + i, lens[i]);
		assert_int_equal(from_backend((uint16_t)slot, &client, answer, sizeof(answer)),
				 slot);
		assert_int_equal(from_client(&away, data, sizeof(data)), slot);
	}
}

/* (5): first whom Maglev names, then everybody; the longest answer wins. */
static void a_migrated_client_is_found(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	struct client moved = client_of((owner + 1) % 4);

	(void)state;
	assert_int_equal(client_short(&moved, 0x7777), (owner + 1) % 4);
	assert_int_equal(copy_count, 0);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
	assert_int_equal(client_short(&moved, 0x7777), (owner + 1) % 4);
	assert_int_equal(copy_count, 3);
	for (uint32_t i = 0; i < copy_count; i++)
		assert_int_not_equal(copy_slots[i], (owner + 1) % 4);
	/* resets of the others are shorter, and do not get through */
	for (uint16_t slot = 0; slot < 4; slot++)
		if (slot != owner)
			assert_int_equal(server_short(slot, &moved, SHORT_LEN - 1, 1),
					 DROPPED - DROP_DISCOVERY_ANSWER);
	assert_int_equal(server_short((uint16_t)owner, &moved, SHORT_LEN, 2), owner);
	assert_int_equal(worker.counts[ROUTE_COUNT_DISCOVERED], 1);
	assert_int_equal(client_short(&moved, 0x7777), owner);
	assert_int_equal(copy_count, 0);
	/* and what the others still say is not let through either */
	assert_int_equal(server_short((uint16_t)((owner + 1) % 4), &moved, SHORT_LEN - 1, 1),
			 DROPPED - DROP_DISCOVERY_ANSWER);
	/* the ID it uses there is known: it may rebind */
	assert_int_equal(client_short(&away, 0x7777), owner);
}

static void two_short_answers_that_differ_tell_too(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	struct client moved = client_of((owner + 2) % 4);
	uint16_t other = (uint16_t)((owner + 2) % 4);

	(void)state;
	(void)client_short(&moved, 0x7777);
	(void)client_short(&moved, 0x7777);
	for (int i = 0; i < 3; i++) /* a reset's end is always the same */
		assert_int_equal(server_short(other, &moved, 40, 9),
				 DROPPED - DROP_DISCOVERY_ANSWER);
	assert_int_equal(server_short((uint16_t)owner, &moved, 41, 1),
			 DROPPED - DROP_DISCOVERY_ANSWER);
	assert_int_equal(server_short((uint16_t)owner, &moved, 41, 2), owner);
	assert_int_equal(client_short(&moved, 0x7777), owner);
}

static void path_validation_is_answer_enough(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	struct client moved = client_of((owner + 1) % 4);

	(void)state;
	(void)short_header(0x7777, 1400);
	(void)from_client(&moved, bytes, 1400);
	(void)short_header(0x7777, 1400);
	(void)from_client(&moved, bytes, 1400);
	assert_int_equal(server_short((uint16_t)owner, &moved, 1199, 1),
			 DROPPED - DROP_DISCOVERY_ANSWER);
	assert_int_equal(server_short((uint16_t)owner, &moved, 1200, 1), owner);
}

static void a_question_ends(void **state)
{
	int owner = connect(&home, SERVER_CID(1)), first = (owner + 1) % 4;
	struct client moved = client_of(first);

	(void)state;
	(void)client_short(&moved, 0x7777);
	now_ms += DISCOVERY_TIME_MS;
	assert_int_equal(server_short((uint16_t)first, &moved, 30, 1), first);
	assert_int_equal(worker.counts[ROUTE_COUNT_DISCOVERED], 0);
}

static void nobody_asks_again_at_once(void **state)
{
	struct client stranger = client_of(2);

	(void)state;
	(void)client_short(&stranger, 0x7777);
	now_ms += DISCOVERY_TIME_MS;
	assert_int_equal(client_short(&stranger, 0x7777), 2);
	assert_int_equal(worker.decided[ROUTE_UNKNOWN], 1);
	assert_int_equal(worker.counts[ROUTE_COUNT_DISCOVERIES], 1);
	now_ms += DISCOVERY_PAUSE_MS;
	(void)client_short(&stranger, 0x7777);
	assert_int_equal(worker.counts[ROUTE_COUNT_DISCOVERIES], 2);
}

/* One prefix cannot use up what others need. */
static void junk_does_not_stop_others(void **state)
{
	enum { JUNK_QUESTIONS = 2 * DISCOVERY_PER_PREFIX_PER_S / DISCOVERY_QUESTION_COPIES };
	int owner = connect(&home, SERVER_CID(1));
	struct client moved = client_of((owner + 1) % 4);

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		const struct client junk = { { 192, 168, 3, (uint8_t)i }, (uint16_t)(1 + i / 3) };

		(void)client_short(&junk, i);
	}
	assert_in_range(worker.counts[ROUTE_COUNT_DISCOVERIES], JUNK_QUESTIONS * 9 / 10,
			JUNK_QUESTIONS);
	(void)client_short(&moved, 0x7777);
	assert_int_equal(client_short(&moved, 0x7777), (owner + 1) % 4);
	assert_int_equal(copy_count, 3);
	assert_int_equal(server_short((uint16_t)owner, &moved, SHORT_LEN, 2), owner);
	assert_int_equal(client_short(&moved, 0x7777), owner);
}

static void without_discovery_maglev_and_nothing_learned(void **state)
{
	struct world silent = ordinary;
	struct client stranger;

	(void)state;
	silent.service.discovers = false;
	world_set(&silent);
	stranger = client_of(3);
	assert_int_equal(client_short(&stranger, 0x7777), 3);
	assert_int_equal(worker.decided[ROUTE_UNKNOWN], 1);
	assert_int_equal(worker.tuple_stats.inserted, 0);
	assert_int_equal(worker.cid_stats.inserted, 0);
}

/* A restarted forwarder learns a running download from the server's own traffic. */
static void short_answers_teach_who_owns_a_tuple(void **state)
{
	struct client busy = client_of(1);

	(void)state;
	assert_int_equal(server_short(2, &busy, 1200, 1), 2);
	assert_int_equal(client_short(&busy, 0x4242), 2);
	/* but a wrong one does not change what is known */
	assert_int_equal(server_short(3, &busy, 1200, 1), 3);
	assert_int_equal(client_short(&busy, 0x4242), 2);
}

static void long_answers_replace_only_what_is_old(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	uint16_t other = (uint16_t)((owner + 1) % 4);

	(void)state;
	(void)server_handshake(other, &home, SERVER_CID(1));
	assert_int_equal(client_short(&away, SERVER_CID(1)), owner);
	assert_int_equal(worker.counts[ROUTE_COUNT_REPLACED], 0);
	now_ms += (uint64_t)(ROUTE_OWNER_TICKS + 1) * AFFINITY_TICK_MS;
	(void)server_handshake(other, &home, SERVER_CID(1));
	assert_int_equal(worker.counts[ROUTE_COUNT_REPLACED], 2);
	assert_int_equal(client_short(&home, SERVER_CID(1)), other);
}

static void a_replayed_id_moves_nobody(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	struct client thief = client_of((owner + 1) % 4);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(client_initial(&thief, SERVER_CID(1)), owner);
		assert_int_equal(client_short(&thief, SERVER_CID(1)), owner);
	}
	assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
	assert_int_equal(client_short(&home, 0x8888), owner);
}

static void a_tuple_without_answers_decides_no_longer(void **state)
{
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	now_ms += (uint64_t)(ROUTE_OWNER_TICKS + 1) * AFFINITY_TICK_MS;
	assert_int_equal(client_short(&home, 0x5555), owner); /* whom to ask first */
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
	assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
}

static void idle_connections_are_forgotten(void **state)
{
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	now_ms += 151ull * AFFINITY_TICK_MS;
	(void)client_short(&away, SERVER_CID(1));
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
	(void)owner;
}

static void a_drained_backend_keeps_and_takes_none(void **state)
{
	struct world drained = ordinary;
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	drained.weights[owner] = 0;
	world_set(&drained);
	assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
	assert_int_equal(client_short(&home, 0x6666), owner);
	assert_int_equal(client_short(&away, SERVER_CID(1)), owner);
	assert_int_not_equal(client_initial(&home, 0x1234), owner);
	for (uint16_t i = 0; i < 500; i++) {
		const struct client client = { { 203, 0, 113, 6 }, (uint16_t)(2000 + i) };

		assert_int_not_equal(client_initial(&client, i), owner);
	}
}

static void a_removed_backends_connections_go_on_elsewhere(void **state)
{
	struct world smaller = ordinary;
	int owner = connect(&home, SERVER_CID(1)), heir;

	(void)state;
	smaller.weights[owner] = -1;
	world_set(&smaller);
	heir = client_short(&home, SERVER_CID(1));
	assert_true(heir >= 0);
	assert_int_not_equal(heir, owner);
	assert_int_equal(worker.decided[ROUTE_GONE], 1);
	assert_int_equal(client_short(&home, SERVER_CID(1)), heir); /* one heir */
	assert_int_equal(client_short(&away, SERVER_CID(1)), heir);
	assert_int_equal(worker.decided[ROUTE_GONE], 1);
}

static void or_are_dropped(void **state)
{
	struct world smaller = ordinary;
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	smaller.weights[owner] = -1;
	smaller.service.drops_gone = true;
	world_set(&smaller);
	assert_int_equal(client_short(&home, SERVER_CID(1)), DROPPED - DROP_BACKEND_GONE);
	assert_int_equal(client_short(&away, SERVER_CID(1)), DROPPED - DROP_BACKEND_GONE);
}

/* What is proven does not give way to what floods. */
static void a_flood_moves_nobody(void **state)
{
	enum { CONNECTIONS = 1000 };
	struct world grown = ordinary;
	int owners[CONNECTIONS];

	(void)state;
	for (uint16_t i = 0; i < CONNECTIONS; i++) {
		const struct client client = { { 203, 0, (uint8_t)(i / 200), 5 },
					       (uint16_t)(2000 + i) };

		owners[i] = connect(&client, SERVER_CID(i));
	}
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	world_set(&grown);
	for (uint32_t i = 0; i < 1000000; i++) {
		const struct client stranger = {
			{ 100, (uint8_t)(i >> 8), (uint8_t)(i >> 4), (uint8_t)i }, (uint16_t)(i * 7)
		};

		if (i % 1000 == 0)
			now_ms++;
		(void)client_initial(&stranger, i);
	}
	for (uint32_t i = 0; i < 100000; i++) /* and on a known 4-tuple */
		(void)client_short(&home, 0xf000000 + i);
	for (uint16_t i = 0; i < CONNECTIONS; i++) {
		const struct client client = { { 203, 0, (uint8_t)(i / 200), 5 },
					       (uint16_t)(2000 + i) };
		const struct client moved = { { 198, 51, 100, 9 }, (uint16_t)(2000 + i) };

		assert_int_equal(client_short(&client, SERVER_CID(i)), owners[i]);
		assert_int_equal(client_short(&moved, SERVER_CID(i)), owners[i]);
	}
}

static void a_client_teaches_few_ids_a_minute(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	uint64_t before = worker.cid_stats.inserted;

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(client_short(&home, 0x100000 + i), owner);
	assert_int_equal(worker.cid_stats.inserted - before, CIDS_PER_TUPLE_PER_MINUTE);
	now_ms += MINUTE_MS;
	assert_int_equal(server_short((uint16_t)owner, &home, 100, 1), owner);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(client_short(&home, 0x200000 + i), owner);
	assert_int_equal(worker.cid_stats.inserted - before, 2 * CIDS_PER_TUPLE_PER_MINUTE);
}

static void plain_udp_is_known_by_its_tuple(void **state)
{
	struct world plain = ordinary, grown;
	int before[100];

	(void)state;
	plain.service.is_quic = false;
	world_set(&plain);
	grown = plain;
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	for (int pass = 0; pass < 3; pass++) {
		for (uint16_t i = 0; i < 100; i++) {
			const struct client client = { { 203, 0, 113, 5 }, (uint16_t)(100 + i) };
			int slot = from_client(&client, (const uint8_t *)"hello", 5);

			if (pass)
				assert_int_equal(slot, before[i]);
			before[i] = slot;
		}
		world_set(&grown);
		now_ms += 140ull * AFFINITY_TICK_MS; /* kept alive by the client alone */
	}
	assert_int_equal(worker.decided[ROUTE_NEW], 100);
}

static void l2_learns_from_clients_alone(void **state)
{
	struct world l2 = ordinary, grown;
	int owner;

	(void)state;
	l2.service.mode = TABLE_L2;
	l2.service.connection_id_len = CID_LEN;
	world_set(&l2);
	owner = client_initial(&home, 0x1111);
	assert_int_equal(client_short(&home, 0x2222), owner);
	grown = l2;
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	world_set(&grown);
	assert_int_equal(client_short(&away, 0x2222), owner);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 0);
	(void)client_short(&(struct client){ { 1, 2, 3, 4 }, 5 }, 0x3333);
	assert_int_equal(worker.decided[ROUTE_UNKNOWN], 1);
}

static void by_connection_id_the_prefix_decides(void **state)
{
	struct world prefix = ordinary;
	size_t per_backend[4] = { 0 };

	(void)state;
	prefix.service.hash_connection_id = true;
	world_set(&prefix);
	for (uint64_t i = 0; i < 400; i++) {
		const struct client client = { { 203, 0, 113, 5 }, (uint16_t)(100 + i) };
		const struct client moved = { { 198, 51, 100, 5 }, (uint16_t)(100 + i) };
		int slot = client_initial(&client, i * 7919);

		assert_int_equal(client_short(&moved, i * 7919), slot);
		per_backend[slot]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(per_backend[i] > 50);
}

static void a_server_id_in_the_connection_id_decides(void **state)
{
	struct quic_lb_config configs[QUIC_LB_ROTATION_COUNT] = {
		[2] = { .present = true, .server_id_len = 2, .nonce_len = 5 },
	};
	const struct quic_lb_server servers[] = { { 2, { 0xaa, 1 }, 1 },
						  { 2, { 0xaa, 2 }, 2 },
						  { 2, { 0xaa, 3 }, 3 } };
	static const uint8_t id[] = { 0xaa, 3 }, nonce[] = { 9, 8, 7, 6, 5 };
	struct world lb = ordinary;
	uint8_t cid[QUIC_CID_LEN_MAX];
	uint64_t number;
	struct client stranger;

	(void)state;
	assert_int_equal(quic_lb_build(configs, servers, 3, &lb.service.quic_lb), 0);
	assert_int_equal(quic_lb_encode(&configs[2], 2, id, nonce, 7, cid), CID_LEN);
	memcpy(&number, cid, CID_LEN);
	world_set(&lb);
	worker.quic_lb = quic_lb_scratch_new();
	stranger = client_of(0);
	assert_int_equal(client_short(&stranger, number), 3);
	assert_int_equal(worker.decided[ROUTE_QUIC_LB], 1);
	assert_int_equal(client_initial(&stranger, number), 3);

	/* A new connection is not forced upon a backend that takes none. */
	assert_int_equal(quic_lb_build(configs, servers, 3, &lb.service.quic_lb), 0);
	lb.weights[3] = 0;
	world_set(&lb);
	assert_int_equal(client_short(&stranger, number), 3);
	assert_int_not_equal(client_initial(&away, number), 3);
	quic_lb_scratch_free(worker.quic_lb);
}

static void what_is_too_short_for_quic_is_not_sought(void **state)
{
	struct client stranger = client_of(1);

	(void)state;
	(void)short_header(0x7777, 20);
	assert_int_equal(from_client(&stranger, bytes, 20), 1);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 0);
	assert_int_equal(worker.decided[ROUTE_NEW], 1);
	(void)short_header(0x7777, SHORT_LEN);
	bytes[0] &= ~0x40; /* but a client that greases is */
	assert_int_equal(from_client(&stranger, bytes, SHORT_LEN), 1);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_stays_when_backends_come),
		TEST(a_client_that_moves_keeps_its_backend),
		TEST(retry_changes_the_id_twice),
		TEST(version_2_and_unknown_versions_teach_too),
		TEST(version_negotiation_teaches_nothing),
		TEST(a_cleared_fixed_bit_is_no_obstacle),
		TEST(lengths_are_learned_and_several_are_tried),
		TEST(a_migrated_client_is_found),
		TEST(two_short_answers_that_differ_tell_too),
		TEST(path_validation_is_answer_enough),
		TEST(a_question_ends),
		TEST(nobody_asks_again_at_once),
		TEST(junk_does_not_stop_others),
		TEST(without_discovery_maglev_and_nothing_learned),
		TEST(short_answers_teach_who_owns_a_tuple),
		TEST(long_answers_replace_only_what_is_old),
		TEST(a_replayed_id_moves_nobody),
		TEST(a_tuple_without_answers_decides_no_longer),
		TEST(idle_connections_are_forgotten),
		TEST(a_drained_backend_keeps_and_takes_none),
		TEST(a_removed_backends_connections_go_on_elsewhere),
		TEST(or_are_dropped),
		TEST(a_flood_moves_nobody),
		TEST(a_client_teaches_few_ids_a_minute),
		TEST(plain_udp_is_known_by_its_tuple),
		TEST(l2_learns_from_clients_alone),
		TEST(by_connection_id_the_prefix_decides),
		TEST(a_server_id_in_the_connection_id_decides),
		TEST(what_is_too_short_for_quic_is_not_sought),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
