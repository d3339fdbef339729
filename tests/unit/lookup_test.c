/* SPDX-License-Identifier: GPL-2.0-only */
/* lookup_test.c - the backend and the rule that are told, and that telling changes
 * nothing of what is remembered. */
#include "control/lookup.h"

#include <string.h>

#include "core/key.h"
#include "dataplane/router_memory.h"
#include "ringway/match.h"
#include "util/huge_memory.h"
#include "util/number.h"

#include "test.h" /* last: cmocka's fail() would hide ours */

#define SERVICE	    5
#define SLOT_KNOWN  1 /* of what the tables have */
#define SLOT_SILENT 2 /* next hop not known */
#define SLOT_GONE   9
#define CID_LEN	    8
#define NOW_MS	    1000000
#define LB_ROTATION 1
#define CONNECTIONS 10000

static const uint8_t mac[6] = { 2 };
static struct table_endpoint service_endpoint;
static struct table *table;
static struct router *router;
static struct lookup *lookup;

static const struct quic_lb_config lb_configs[QUIC_LB_ROTATION_COUNT] = {
	[LB_ROTATION] = { .present = true, .server_id_len = 2, .nonce_len = 5 },
};

static void endpoint_set(struct table_endpoint *endpoint, const char *ipv4, const char *ipv6,
			 uint16_t port)
{
	*endpoint = (struct table_endpoint){ .port_be = wire_be16(port) };
	endpoint->present[FAMILY_IPV4] = address_parse(ipv4, endpoint->addr[FAMILY_IPV4]);
	endpoint->present[FAMILY_IPV6] = address_parse(ipv6, endpoint->addr[FAMILY_IPV6]);
}

static void table_set(bool discovers, bool drops_gone)
{
	const struct quic_lb_server server = { .rotation = LB_ROTATION, .id = { 7, 7 }, .slot = 0 };
	struct table_backend backends[3] = {
		{ .slot = 0, .id = 10, .weight = 1 },
		{ .slot = SLOT_KNOWN, .id = 11, .weight = 1 },
		{ .slot = SLOT_SILENT, .id = 12, .weight = 0 },
	};
	struct table_service service = {
		.slot = SERVICE,
		.is_quic = true,
		.discovers = discovers,
		.drops_gone = drops_gone,
		.connection_id_len = CID_LEN,
		.idle_ticks = 100,
		.backends = backends,
		.backend_count = ARRAY_LEN(backends),
	};
	const struct table_port port = { .mtu = 1500 };
	const struct table_spec spec = { .ports = &port,
					 .port_count = 1,
					 .services = &service,
					 .service_count = 1,
					 .memory_new = huge_memory_new };

	endpoint_set(&backends[0].endpoint, "10.0.0.1", "fd00::1", 4433);
	endpoint_set(&backends[1].endpoint, "10.0.0.2", "fd00::2", 4433);
	endpoint_set(&backends[2].endpoint, "10.0.0.3", "fd00::3", 4433);
	endpoint_set(&service_endpoint, "192.0.2.1", "2001:db8::1", 443);
	service.endpoint = service_endpoint;
	assert_int_equal(quic_lb_build(lb_configs, &server, 1, &service.quic_lb), 0);
	table_free(table);
	assert_int_equal(table_build(&spec, &table), 0);
	for (uint16_t slot = 0; slot < SLOT_SILENT; slot++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			table_next_hop_set(table, slot, family, 0, mac);
}

static int set_up(void **state)
{
	(void)state;
	lookup = lookup_new();
	assert_non_null(lookup);
	assert_int_equal(router_new(CONNECTIONS, &router), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	table_free(table);
	table = NULL;
	router_free(router);
	lookup_free(lookup);
	return 0;
}

static void remember_cid(const uint8_t *cid, uint16_t slot)
{
	struct affinity_stats stats = { 0 };
	uint64_t key = key_cid(SERVICE, cid, CID_LEN, &router->secret);

	assert_true(affinity_insert(&router->cids, key, slot, true, affinity_ticks(NOW_MS), 100,
				    &stats));
}

/* The client 198.51.100.7:5000. */
static void remember_tuple(uint16_t slot)
{
	struct wire_ipv4 ip = { .src = { 198, 51, 100, 7 }, .dst = { 192, 0, 2, 1 } };
	struct wire_udp udp = { .src_be = wire_be16(5000), .dst_be = wire_be16(443) };
	const struct udp_view view = { .ipv4 = &ip, .udp = &udp, .ip_version = 4 };
	struct affinity_stats stats = { 0 };

	assert_true(affinity_insert(&router->tuples, key_tuple(&view, &router->secret) | 1, slot,
				    true, affinity_ticks(NOW_MS), 100, &stats));
}

static void the_rule_and_the_backend_are_told(void **state)
{
	enum { ANY = -2, NONE = -1 };
	static const struct {
		const char *name;
		bool discovers, drops_gone;
		const char *from, *cid;
		uint32_t version;
		int slot, rule, drop;
	} cases[] = {
		{ "a new connection", true, false, "203.0.113.1:1", "0102030405060708",
		  QUIC_VERSION_1, ANY, ROUTE_NEW, NONE },
		{ "version 2", true, false, "203.0.113.1:1", "0102030405060708", QUIC_VERSION_2,
		  ANY, ROUTE_NEW, NONE },
		{ "IPv6", true, false, "[2001:db8::99]:1", "0102030405060708", QUIC_VERSION_1, ANY,
		  ROUTE_NEW, NONE },
		{ "a known Connection ID", true, false, "203.0.113.1:1", "aaaaaaaaaaaaaaaa", 0,
		  SLOT_KNOWN, ROUTE_CID, NONE },
		{ "of a long header", true, false, "203.0.113.1:1", "aaaaaaaaaaaaaaaa",
		  QUIC_VERSION_1, SLOT_KNOWN, ROUTE_CID, NONE },
		{ "by IPv6", true, false, "[2001:db8::99]:1", "aaaaaaaaaaaaaaaa", 0, SLOT_KNOWN,
		  ROUTE_CID, NONE },
		{ "a known 4-tuple", true, false, "198.51.100.7:5000", "0102030405060708", 0,
		  SLOT_KNOWN, ROUTE_TUPLE, NONE },
		{ "a server's own", true, false, "198.51.100.7:5000", "2707070102030405", 0, 0,
		  ROUTE_QUIC_LB, NONE },
		{ "nobody knows it", true, false, "203.0.113.1:1", "0102030405060708", 0, ANY,
		  ROUTE_DISCOVERY, NONE },
		{ "and nobody may be asked", false, false, "203.0.113.1:1", "0102030405060708", 0,
		  ANY, ROUTE_UNKNOWN, NONE },
		{ "too short to be known", false, false, "203.0.113.1:1", "aa", 0, ANY,
		  ROUTE_UNKNOWN, NONE },
		{ "a removed backend's", true, false, "203.0.113.1:1", "bbbbbbbbbbbbbbbb", 0, ANY,
		  ROUTE_GONE, NONE },
		{ "a removed backend's, dropped", true, true, "203.0.113.1:1", "bbbbbbbbbbbbbbbb",
		  0, NONE, ANY, DROP_BACKEND_GONE },
		{ "no next hop", true, false, "203.0.113.1:1", "cccccccccccccccc", 0, SLOT_SILENT,
		  ROUTE_CID, DROP_NO_NEIGHBOUR },
	};
	static uint64_t tuples[1 << 18], cids[1 << 18]; /* a huge page each */
	static struct discovery discovery;
	const size_t tuples_size = router->tuples.line_count * AFFINITY_LINE_SIZE_BYTES;
	const size_t cids_size = router->cids.line_count * AFFINITY_LINE_SIZE_BYTES;

	(void)state;
	assert_in_range(tuples_size, 1, sizeof(tuples));
	assert_in_range(cids_size, 1, sizeof(cids));
	table_set(true, false);
	remember_cid((const uint8_t *)"\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa", SLOT_KNOWN);
	remember_cid((const uint8_t *)"\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb", SLOT_GONE);
	remember_cid((const uint8_t *)"\xcc\xcc\xcc\xcc\xcc\xcc\xcc\xcc", SLOT_SILENT);
	remember_tuple(SLOT_KNOWN);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lookup_query query = { .service_slot = SERVICE,
					      .service = &service_endpoint,
					      .version = cases[i].version };
		struct lookup_result result;
		uint8_t cid[QUIC_CID_LEN_MAX];

		print_message("case: %s\n", cases[i].name);
		query.cid = cid;
		query.cid_len = (uint8_t)(strlen(cases[i].cid) / 2);
		assert_true(number_hex_parse(cases[i].cid, cid, query.cid_len));
		assert_true(endpoint_parse(cases[i].from, &query.client));
		table_set(cases[i].discovers, cases[i].drops_gone);
		memcpy(tuples, router->tuples.words, tuples_size);
		memcpy(cids, router->cids.words, cids_size);
		/* Later, so that an entry would be made fresh. */
		lookup_decide(lookup, table, router, NOW_MS + 3 * AFFINITY_TICK_MS, &query,
			      &result);
		assert_int_equal(result.drop, cases[i].drop);
		if (cases[i].slot == ANY)
			assert_in_range(result.slot, 0, SLOT_KNOWN);
		else
			assert_int_equal(result.slot, cases[i].slot);
		if (cases[i].rule != ANY)
			assert_int_equal(result.rule, cases[i].rule);
		assert_memory_equal(tuples, router->tuples.words, tuples_size);
		assert_memory_equal(cids, router->cids.words, cids_size);
		assert_memory_equal(&discovery, &router->discovery, sizeof(discovery));
	}
}

/* Of every connection a 4-tuple and two Connection IDs. */
static void all_of_a_connection_has_room(void **state)
{
	const struct affinity *tuples = &router->tuples, *cids = &router->cids;

	(void)state;
	assert_int_equal(tuples->line_count * AFFINITY_LINE_SIZE_BYTES, affinity_size(CONNECTIONS));
	assert_int_equal(cids->line_count * AFFINITY_LINE_SIZE_BYTES,
			 affinity_size(2 * CONNECTIONS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_a_connection_has_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_rule_and_the_backend_are_told, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
