/* SPDX-License-Identifier: GPL-2.0-only */
/* route_header_test.c - what each form of QUIC's headers does to routing: packet types
 * of every version, several packets in a datagram, Connection IDs of every length. */
#include "core/cid_length.h"
#include "route_world.h"

struct version {
	const char *name;
	uint32_t number;
	uint8_t first[QUIC_TYPE_COUNT]; /* byte of each type, fixed bit set */
};

/* RFC 9000 section 17.2, RFC 9369 section 3.2 */
static const struct version versions[] = {
	{ "version 1",
	  QUIC_VERSION_1,
	  { [QUIC_INITIAL] = 0xc0,
	    [QUIC_0RTT] = 0xd0,
	    [QUIC_HANDSHAKE] = 0xe0,
	    [QUIC_RETRY] = 0xf0 } },
	{ "version 2",
	  QUIC_VERSION_2,
	  { [QUIC_INITIAL] = 0xd0,
	    [QUIC_0RTT] = 0xe0,
	    [QUIC_HANDSHAKE] = 0xf0,
	    [QUIC_RETRY] = 0xc0 } },
};

static int client_long(const struct client *client, const struct version *version,
		       enum quic_type type, uint64_t dcid)
{
	uint16_t len = long_header(version->first[type], version->number, dcid, 1, INITIAL_LEN);

	return from_client(client, bytes, len);
}

static int server_long(uint16_t slot, const struct client *client, const struct version *version,
		       enum quic_type type, uint64_t scid)
{
	uint16_t len = long_header(version->first[type], version->number, 1, scid, INITIAL_LEN);

	return from_backend(slot, client, bytes, len);
}

static void backends_add(struct world world)
{
	world.backend_count = 6;
	world.weights[4] = world.weights[5] = 1;
	world_set(&world);
}

static struct client client_number(uint16_t number)
{
	return (struct client){ { 203, 0, 113, 50 }, (uint16_t)(20000 + number) };
}

/* One Connection ID, one backend, though two more have come in between. */
static void pair_check(const struct version *version, enum quic_type first, enum quic_type second,
		       bool by_connection_id)
{
	struct world world = ordinary;
	int owners[100];

	world.service.hash_connection_id = by_connection_id;
	world_set(&world);
	for (uint16_t i = 0; i < ARRAY_LEN(owners); i++) {
		const struct client client = client_number(i);

		owners[i] = client_long(&client, version, first, 0x1111111 * (i + 1ull));
	}
	backends_add(world);
	for (uint16_t i = 0; i < ARRAY_LEN(owners); i++) {
		const struct client client = client_number(i);
		uint64_t dcid = 0x1111111 * (i + 1ull);

		assert_int_equal(client_long(&client, version, second, dcid), owners[i]);
		/* by now the ID is known, wherever it comes from */
		assert_int_equal(client_long(&away, version, first, dcid), owners[i]);
	}
}

static void zero_rtt_goes_where_its_initial_goes(void **state)
{
	for (size_t i = 0; i < 8; i++) {
		const struct version *version = &versions[i & 1];
		bool by_connection_id = i & 2, is_early = i & 4;

		print_message("case: %s, %s first%s\n", version->name,
			      is_early ? "0-RTT" : "Initial",
			      by_connection_id ? ", hash: connection-id" : "");
		teardown(state);
		assert_int_equal(setup(state), 0);
		pair_check(version, is_early ? QUIC_0RTT : QUIC_INITIAL,
			   is_early ? QUIC_INITIAL : QUIC_0RTT, by_connection_id);
		assert_int_equal(stats.new_connections, is_early ? 100 : 200);
	}
}

/* What opens a connection is not for a drained backend, what belongs to one is. The
 * fixed bit makes no difference. */
static void types_are_those_of_the_version(void **state)
{
	static const struct version unknown = { "another version", 0xfaceb002, { 0 } };
	struct world drained = ordinary;
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	drained.weights[owner] = 0;
	world_set(&drained);
	for (uint8_t i = 0; i < 3 * 4 * 2; i++) {
		const struct version *version = i / 8 < 2 ? &versions[i / 8] : &unknown;
		uint8_t first = (uint8_t)(0x80 | (i & 4) << 4 | (i & 3) << 4), full = first | 0x40;
		bool is_initial = full == version->first[QUIC_INITIAL];
		bool opens = is_initial || full == version->first[QUIC_0RTT];
		uint64_t before = stats.new_connections;
		uint16_t len = long_header(first, version->number, 0x100 + i, 1, INITIAL_LEN);

		print_message("case: %s, first byte %02x\n", version->name, first);
		assert_int_equal(from_client(&home, bytes, len) != owner, opens);
		assert_int_equal(stats.new_connections, before + is_initial);
	}
}

/* Two packets, of half the datagram each. */
static uint16_t coalesce(uint16_t (*second)(void))
{
	uint8_t first[INITIAL_LEN / 2];

	memcpy(first, bytes, sizeof(first));
	(void)second();
	memmove(bytes + sizeof(first), bytes, sizeof(first));
	memcpy(bytes, first, sizeof(first));
	return INITIAL_LEN;
}

static uint16_t handshake_of_2(void)
{
	return long_header(0xe0, QUIC_VERSION_1, SERVER_CID(2), SERVER_CID(4), INITIAL_LEN);
}

static uint16_t short_of_2(void)
{
	return short_header(SERVER_CID(2), INITIAL_LEN);
}

static void the_first_of_several_packets_decides(void **state)
{
	const struct client first = client_of(1), second = client_of(2);
	uint64_t initials, inserted;
	uint16_t len;

	(void)state;
	assert_int_equal(connect(&first, SERVER_CID(1)), 1);
	assert_int_equal(connect(&second, SERVER_CID(2)), 2);
	initials = stats.new_connections;

	(void)long_header(0xe0, QUIC_VERSION_1, SERVER_CID(1), 1, INITIAL_LEN);
	len = coalesce(short_of_2);
	assert_int_equal(from_client(&away, bytes, len), 1);
	(void)long_header(0xe0, QUIC_VERSION_1, SERVER_CID(1), 1, INITIAL_LEN);
	len = coalesce(handshake_of_2);
	assert_int_equal(from_client(&home, bytes, len), 1);
	assert_int_equal(stats.new_connections, initials);
	(void)long_header(0xc0, QUIC_VERSION_1, 0x5151, 1, INITIAL_LEN);
	len = coalesce(handshake_of_2);
	assert_int_equal(from_client(&first, bytes, len), 1);
	assert_int_equal(stats.new_connections, initials + 1);

	/* An answer teaches the source of its first packet only. */
	inserted = worker.cid_stats.inserted;
	(void)long_header(0xc0, QUIC_VERSION_1, 1, SERVER_CID(3), INITIAL_LEN);
	len = coalesce(handshake_of_2);
	assert_int_equal(from_backend(1, &first, bytes, len), 1);
	assert_int_equal(worker.cid_stats.inserted, inserted + 1);
	assert_int_equal(client_short(&away, SERVER_CID(3)), 1);
}

/* IDs of both lengths in any long header; len is of the datagram. */
static uint16_t long_header_of(uint8_t first, uint32_t version, uint8_t dcid_len, uint8_t scid_len,
			       uint16_t len)
{
	uint8_t header[6];

	(void)long_header(first, version, 0, 0, len);
	memcpy(header, bytes, sizeof(header));
	memset(bytes, 0x5a, sizeof(bytes));
	memcpy(bytes, header, sizeof(header));
	bytes[5] = dcid_len;
	bytes[6 + dcid_len] = scid_len;
	return len;
}

/* What has no Connection ID has its 4-tuple. */
static void no_connection_id_is_none_to_learn(void **state)
{
	uint16_t len = long_header_of(0xc0, QUIC_VERSION_1, CID_LEN, 0, INITIAL_LEN);
	int owner = from_client(&home, bytes, len), stranger;

	(void)state;
	len = long_header_of(0xe0, QUIC_VERSION_1, 0, 0, INITIAL_LEN);
	assert_int_equal(from_backend((uint16_t)owner, &home, bytes, len), owner);
	assert_int_equal(worker.cid_stats.inserted, 0);
	backends_add(ordinary);
	for (int i = 0; i < 3; i++) {
		len = long_header_of(0xe0, QUIC_VERSION_1, 0, 0, INITIAL_LEN);
		assert_int_equal(from_client(&home, bytes, len), owner);
		assert_int_equal(client_short(&home, 0x7777 + (uint64_t)i), owner);
	}
	assert_int_equal(worker.cid_stats.inserted, 0);
	assert_int_equal(worker.decided[ROUTE_TUPLE], 6);

	/* The same bytes from elsewhere are nobody's. */
	stranger = client_short(&away, 0x7777);
	assert_true(stranger >= 0);
	assert_int_equal(worker.decided[ROUTE_CID], 0);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
}

#define LONG_CID_COUNT (256 - 21)

/* Of both IDs: the version's own limit of 20 is for servers to mind. */
static int client_long_cid(uint16_t number, uint16_t len)
{
	const struct client client = client_number(number);
	uint32_t version = number % 2 ? QUIC_VERSION_1 : 0xfaceb002;
	uint8_t cid_len = (uint8_t)(21 + number / 2);

	(void)long_header_of(0xe0, version, cid_len, cid_len, len);
	return from_client(&client, bytes, len);
}

/* RFC 8999 allows 255 bytes; only those of 20 and less are worth an entry. */
static void long_connection_ids_go_by_the_tuple(void **state)
{
	int owners[2 * LONG_CID_COUNT];

	(void)state;
	for (uint16_t i = 0; i < ARRAY_LEN(owners); i++) {
		const struct client client = client_number(i);
		uint16_t header_len = (uint16_t)(7 + 2 * (21 + i / 2)), len;

		owners[i] = client_long_cid(i, header_len);
		assert_true(owners[i] >= 0);
		/* one that is cut off is a datagram, too */
		for (len = 1; len < header_len; len += 13)
			assert_int_equal(client_long_cid(i, len), owners[i]);
		(void)client_long_cid(i, header_len);
		assert_int_equal(from_backend((uint16_t)owners[i], &client, bytes, header_len),
				 owners[i]);
	}
	backends_add(ordinary);
	for (uint16_t i = 0; i < ARRAY_LEN(owners); i++)
		assert_int_equal(client_long_cid(i, (uint16_t)(7 + 2 * (21 + i / 2))), owners[i]);
	assert_int_equal(worker.cid_stats.inserted, 0);
	assert_int_equal(worker.decided[ROUTE_CID], 0);
	assert_int_equal(worker.decided[ROUTE_NEW], ARRAY_LEN(owners));
	assert_int_equal(cid_length_at(&router->cid_lengths[SERVICE], 0), 0);
}

static void retry_changes_the_id_twice(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct version *version = &versions[i];
		int slot;

		print_message("case: %s\n", version->name);
		teardown(state);
		assert_int_equal(setup(state), 0);
		slot = client_long(&home, version, QUIC_INITIAL, 0x1111);
		assert_int_equal(server_long((uint16_t)slot, &home, version, QUIC_RETRY, 0x2222),
				 slot);
		assert_int_equal(client_long(&away, version, QUIC_INITIAL, 0x2222), slot);
		assert_int_equal(
			server_long((uint16_t)slot, &away, version, QUIC_HANDSHAKE, 0x3333), slot);
		assert_int_equal(client_short(&home, 0x3333), slot);
		assert_int_equal(worker.decided[ROUTE_CID], 2);
	}
}

static void version_2_and_unknown_versions_teach_too(void **state)
{
	static const uint32_t numbers[] = { QUIC_VERSION_2, 0xfaceb002 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint16_t len = long_header(0xd0, numbers[i], 0x1111 + i, 1, INITIAL_LEN);
		int slot = from_client(&home, bytes, len);

		len = long_header(0xf0, numbers[i], 1, SERVER_CID(i), INITIAL_LEN);
		assert_int_equal(from_backend((uint16_t)slot, &home, bytes, len), slot);
		assert_int_equal(client_short(&away, SERVER_CID(i)), slot);
	}
}

static void version_negotiation_teaches_nothing(void **state)
{
	int slot = client_initial(&home, 0x1111);
	uint16_t len = long_header(0x80, 0, 1, 0x9999, 40);

	(void)state;
	assert_int_equal(from_backend((uint16_t)slot, &home, bytes, len), slot);
	assert_int_equal(worker.cid_stats.inserted, 0);
	assert_int_equal(cid_length_at(&router->cid_lengths[SERVICE], 0), 0);
	(void)client_short(&away, 0x9999);
	assert_int_equal(worker.decided[ROUTE_CID], 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(zero_rtt_goes_where_its_initial_goes),
		WORLD_TEST(types_are_those_of_the_version),
		WORLD_TEST(the_first_of_several_packets_decides),
		WORLD_TEST(no_connection_id_is_none_to_learn),
		WORLD_TEST(long_connection_ids_go_by_the_tuple),
		WORLD_TEST(retry_changes_the_id_twice),
		WORLD_TEST(version_2_and_unknown_versions_teach_too),
		WORLD_TEST(version_negotiation_teaches_nothing),
		WORLD_TEST(a_cleared_fixed_bit_is_no_obstacle),
		WORLD_TEST(lengths_are_learned_and_several_are_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
