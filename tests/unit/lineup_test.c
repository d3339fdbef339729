/* SPDX-License-Identifier: GPL-2.0-only */
/* lineup_test.c - what a backend keeps over a reload, and which weights and QUIC-LB
 * ids the table gets. */
#include "control/lineup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/table_spec.h"

#include "test.h"

#define BACKEND(name, host, more) \
	"      - { name: " name ", addresses: [10.0.0." host "], port: 4433" more " }\n"
#define SERVICE(name, host, more)             \
	"  - name: " name "\n"                \
	"    addresses: [192.0.2." host "]\n" \
	"    port: 443\n" more "    backends:\n"
#define TOP "interfaces: [eth0]\nservices:\n"

static struct config *config_of(const char *text)
{
	struct config *config = NULL;

	assert_int_equal(config_parse("f", text, strlen(text), stderr, &config), 0);
	return config;
}

static struct lineup *make_at(const char *text, const struct lineup *before, uint64_t now_s)
{
	struct lineup *lineup = NULL;

	assert_int_equal(lineup_make(config_of(text), before, now_s, &lineup), 0);
	return lineup;
}

static struct lineup *make(const char *text, const struct lineup *before)
{
	return make_at(text, before, 100);
}

static struct lineup_backend *named(const struct lineup *lineup, const char *name)
{
	struct lineup_backend *backend = lineup_find_name(lineup, name);

	assert_non_null(backend);
	assert_ptr_equal(lineup_find(lineup, backend->slot), backend);
	return backend;
}

static void names_keep_slots_and_state(void **state)
{
	struct lineup *first =
		make(TOP SERVICE("web", "1", "") BACKEND("a", "1", "") BACKEND("b", "2", "")
			     SERVICE("dns", "2", "") BACKEND("a", "3", ""),
		     NULL);
	struct lineup *second;
	struct lineup_backend *backend = named(first, "web/b");

	(void)state;
	assert_int_equal(first->backend_count, 3);
	assert_int_equal(named(first, "dns/a")->slot, 2);
	assert_int_equal(named(first, "dns/a")->service_slot, 1);
	backend->is_drained = backend->is_flushed = true;
	backend->is_down = backend->is_watched[FAMILY_IPV4] = true;
	backend->next_hop[FAMILY_IPV4].ifindex = 7;

	second = make(TOP SERVICE("dns", "2", "") BACKEND("c", "9", "") BACKEND("a", "3", "")
			      SERVICE("web", "1", "") BACKEND("b", "2", ", weight: 5"),
		      first);
	assert_int_equal(named(second, "dns/a")->slot, 2);
	assert_int_equal(named(second, "dns/a")->service_slot, 1);
	assert_int_equal(named(second, "dns/c")->slot, 3); /* web/a's may be remembered */
	assert_null(lineup_find_name(second, "web/a"));
	assert_null(lineup_find(second, 0));
	backend = named(second, "web/b");
	assert_int_equal(backend->slot, 1);
	assert_int_equal(backend->service_slot, 0);
	assert_int_equal(backend->config->weight, 5);
	assert_true(backend->is_drained);
	assert_true(backend->is_flushed);
	assert_true(backend->is_down);
	assert_true(backend->is_watched[FAMILY_IPV4]);
	assert_int_equal(backend->next_hop[FAMILY_IPV4].ifindex, 7);
	lineup_free(first);
	lineup_free(second);
}

/* What was learned of the old place does not hold at the new one; the command does. */
static void a_moved_backend_is_looked_up_anew(void **state)
{
	struct lineup *first = make(TOP SERVICE("web", "1", "") BACKEND("a", "1", ""), NULL);
	struct lineup *second;
	struct lineup_backend *before = named(first, "web/a"), *backend;

	(void)state;
	before->is_drained = before->is_flushed = true;
	before->is_down = before->is_watched[FAMILY_IPV4] = true;
	second = make(TOP SERVICE("web", "1", "") BACKEND("a", "2", ""), first);
	backend = named(second, "web/a");
	assert_int_equal(backend->slot, before->slot);
	assert_true(backend->is_drained);
	assert_true(backend->is_flushed);
	assert_false(backend->is_down);
	assert_false(backend->is_watched[FAMILY_IPV4]);
	assert_int_not_equal(lineup_watch_id(backend, FAMILY_IPV4),
			     lineup_watch_id(before, FAMILY_IPV4));
	lineup_free(first);
	lineup_free(second);
}

static void slots_come_back_after_the_longest_idle_time(void **state)
{
	struct lineup *first = make(TOP SERVICE("web", "1", "    idle_timeout: 60s\n")
					    BACKEND("a", "1", "") BACKEND("b", "2", ""),
				    NULL);
	struct lineup *second = make(
		TOP SERVICE("web", "1", "    idle_timeout: 5s\n") BACKEND("b", "2", ""), first);
	bool gone[BACKEND_COUNT_MAX];

	(void)state;
	assert_int_equal(slots_expired(second->backend_slots, 100 + 59, gone), 0);
	assert_int_equal(slots_expired(second->backend_slots, 100 + 60, gone), 1);
	assert_true(gone[0]);
	lineup_free(first);
	lineup_free(second);
}

static void nothing_is_taken_when_slots_run_out(void **state)
{
	static char text[2][BACKEND_COUNT_MAX * 64];
	struct lineup *first, *second = NULL;
	struct config *config;

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *end = stpcpy(text[i], TOP SERVICE("web", "1", ""));

		for (int j = 0; j < BACKEND_COUNT_MAX; j++)
			end += sprintf(end, "      - { name: %c%d, addresses: [10.1.%d.%d] }\n",
				       'a' + i, j, j / 256, j % 256);
	}
	first = make(text[0], NULL);
	config = config_of(text[1]);
	assert_int_equal(lineup_make(config, first, 0, &second), -ENOSPC);
	assert_null(second);
	config_free(config); /* still ours */
	lineup_free(first);
}

/* Which of a and b get new connections, as the table has it. */
static void weights_follow_drains_and_health(void **state)
{
	static const struct {
		const char *name, *all_down, *more_a;
		bool a_drained, a_down, b_down, want_a, want_b;
	} cases[] = {
		{ "all well", "keep", "", false, false, false, true, true },
		{ "drained by command", "keep", "", true, false, false, false, true },
		{ "drained by the file", "keep", ", drain: yes", false, false, false, false, true },
		{ "weight 0", "keep", ", weight: 0", false, false, false, false, true },
		{ "one down", "keep", "", false, true, false, false, true },
		{ "all down, keep", "keep", "", false, true, true, true, true },
		{ "all down, drop", "drop", "", false, true, true, false, false },
		{ "one drained, the other down, keep", "keep", "", true, false, true, false, true },
		{ "one drained and down, keep", "keep", "", true, true, true, false, true },
		{ "one drained, the other down, drop", "drop", "", true, false, true, false,
		  false },
	};
	const struct host_link link = { .mtu = 1500 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[1024];
		struct lineup *lineup;
		struct table *table;

		print_message("case: %s\n", cases[i].name);
		(void)snprintf(text, sizeof(text),
			       TOP SERVICE("web", "1", "    health: { probe: tcp, all_down: %s }\n")
				       BACKEND("a", "1", "%s") BACKEND("b", "2", ""),
			       cases[i].all_down, cases[i].more_a);
		lineup = make(text, NULL);
		named(lineup, "web/a")->is_drained = cases[i].a_drained;
		named(lineup, "web/a")->is_down = cases[i].a_down;
		named(lineup, "web/b")->is_down = cases[i].b_down;
		assert_int_equal(table_spec_build(lineup, &link, 1, &table), 0);
		assert_int_equal(table_target(table, 0, FAMILY_IPV4)->accepts_new, cases[i].want_a);
		assert_int_equal(table_target(table, 1, FAMILY_IPV4)->accepts_new, cases[i].want_b);
		assert_int_equal(table->services[0].maglev[FAMILY_IPV4].size > 0,
				 cases[i].want_a || cases[i].want_b);
		table_free(table);
		lineup_free(lineup);
	}
}

/* How many addresses the table knows as those of a service, or of a backend. */
static size_t matches_of(const struct table *table, enum frame_kind kind)
{
	size_t count = 0;

	for (uint32_t i = 0; i <= table->match_mask; i++)
		count += table->matches[i].kind == kind;
	return count;
}

/* Negative: nobody. */
static int32_t slot_by(const struct service *service, uint8_t server_id)
{
	const uint8_t cid[] = { 0x20, server_id, 1, 2, 3, 4, 5, 6 };
	struct quic_lb_scratch *scratch = quic_lb_scratch_new();
	struct quic_lb_query query = { .lb = service->quic_lb, .cid = cid, .len = sizeof(cid) };

	quic_lb_decode(scratch, &query, 1);
	quic_lb_scratch_free(scratch);
	return query.slot;
}

static uint16_t named_by(const struct service *service, uint8_t server_id)
{
	int32_t slot = slot_by(service, server_id);

	assert_in_range(slot, 0, BACKEND_COUNT_MAX - 1);
	return (uint16_t)slot;
}

/* It keeps its slot, so that the counters stay its own, and nothing else. */
static void a_flushed_backend_has_no_part(void **state)
{
	static const struct {
		const char *name;
		bool a_flushed, b_flushed;
	} cases[] = {
		{ "none", false, false },
		{ "one", true, false },
		{ "all", true, true },
	};
	const struct host_link link = { .mtu = 1500 };
	const uint8_t mac[6] = { 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const bool flushed[] = { cases[i].a_flushed, cases[i].b_flushed };
		struct lineup *lineup =
			make(TOP SERVICE("web", "1",
					 "    health: { probe: tcp }\n"
					 "    quic_lb: [{ rotation: 1, server_id_length: 1, "
					 "nonce_length: 6 }]\n")
				     BACKEND("a", "1", ", server_ids: [\"00\"]")
					     BACKEND("b", "2", ", server_ids: [\"01\"]"),
			     NULL);
		const struct service *web;
		struct table *table;

		print_message("case: %s\n", cases[i].name);
		for (uint16_t slot = 0; slot < 2; slot++) {
			struct lineup_backend *backend = lineup_find(lineup, slot);

			backend->is_drained = backend->is_flushed = flushed[slot];
			backend->is_down = true; /* all of them: health counts for none */
		}
		assert_int_equal(table_spec_build(lineup, &link, 1, &table), 0);
		web = &table->services[0];
		for (uint16_t slot = 0; slot < 2; slot++) {
			table_next_hop_set(table, slot, FAMILY_IPV4, 0, mac);
			assert_int_equal(table_target(table, slot, FAMILY_IPV4)->present,
					 !flushed[slot]);
			assert_int_equal(table_target(table, slot, FAMILY_IPV4)->accepts_new,
					 !flushed[slot]);
			assert_int_equal(
				table_owner(table, named_by(web, (uint8_t)slot), FAMILY_IPV4),
				flushed[slot] ? TABLE_NOBODY : 0);
		}
		assert_int_equal(matches_of(table, FRAME_RETURN), 2 - flushed[0] - flushed[1]);
		assert_int_equal(matches_of(table, FRAME_SERVICE), 1);
		assert_int_equal(web->maglev[FAMILY_IPV4].size > 0, !(flushed[0] && flushed[1]));
		for (uint32_t at = 0; at < web->maglev[FAMILY_IPV4].size; at++)
			assert_false(flushed[web->maglev[FAMILY_IPV4].slots[at]]);
		table_free(table);
		lineup_free(lineup);
	}
}

#define WEB	 TOP SERVICE("web", "1", "    idle_timeout: 60s\n" ONE_BYTE)
#define ONE_BYTE "    quic_lb: [{ rotation: 1, server_id_length: 1, nonce_length: 6 }]\n"
#define IDS(ids) ", server_ids: [" ids "]"

#define UNKNOWN QUIC_LB_UNKNOWN_SERVER

/* By slots: a 0, b 1, c 2. UNKNOWN: an id of nobody. */
static void removed_ones_leave_their_server_ids(void **state)
{
	static const struct {
		const char *what, *text;
		uint64_t now_s;
		int32_t want[4]; /* by server id */
	} reloads[] = {
		{ "all there",
		  WEB BACKEND("a", "1", IDS("'00', '03'")) BACKEND("b", "2", IDS("'01'")),
		  100,
		  { 0, 1, UNKNOWN, 0 } },
		{ "a goes",
		  WEB BACKEND("b", "2", IDS("'01'")) BACKEND("c", "3", IDS("'02'")),
		  110,
		  { 0, 1, 2, 0 } },
		{ "b takes an id over, c goes",
		  WEB BACKEND("b", "2", IDS("'00', '01'")),
		  120,
		  { 1, 1, 2, 0 } },
		{ "b gives it back", WEB BACKEND("b", "2", IDS("'01'")), 169, { 0, 1, 2, 0 } },
		{ "a is forgotten",
		  WEB BACKEND("b", "2", IDS("'01'")),
		  170,
		  { UNKNOWN, 1, 2, UNKNOWN } },
		{ "c comes back without",
		  WEB BACKEND("c", "3", IDS("'05'")),
		  175,
		  { UNKNOWN, 1, UNKNOWN, UNKNOWN } },
		{ "others are asked",
		  TOP SERVICE("dns", "2", ONE_BYTE) BACKEND("d", "4", IDS("'07'")),
		  176,
		  { UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN } },
	};
	const struct host_link link = { .mtu = 1500 };
	struct lineup *before = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reloads); i++) {
		struct lineup *lineup = make_at(reloads[i].text, before, reloads[i].now_s);
		uint16_t service_slot = lineup->backends[0].service_slot;
		struct table *table;

		print_message("reload: %s\n", reloads[i].what);
		assert_int_equal(table_spec_build(lineup, &link, 1, &table), 0);
		for (uint8_t id = 0; id < 4; id++) {
			int32_t slot = slot_by(&table->services[service_slot], id);

			assert_int_equal(slot, reloads[i].want[id]);
			if (slot >= 0)
				assert_int_equal(table_owner(table, (uint16_t)slot, FAMILY_IPV4) ==
							 TABLE_NOBODY,
						 !lineup_find(lineup, (uint16_t)slot));
		}
		table_free(table);
		lineup_free(before);
		before = lineup;
	}
	lineup_free(before);
}

static void a_service_reaches_the_table(void **state)
{
	const struct host_link link = { .mtu = 1500 };
	struct lineup *lineup = make(
		TOP SERVICE("dns", "2",
			    "    protocol: udp\n    on_remove: drop\n"
			    "    idle_timeout: 9s\n") BACKEND("a", "3", "")
			SERVICE("web", "1",
				"    hash: connection-id\n    connection_id_length: 8\n"
				"    quic_lb: [{ rotation: 1, server_id_length: 1, "
				"nonce_length: 6 }]\n") BACKEND("a", "1", ", server_ids: [\"0a\"]")
				BACKEND("b", "2", ", server_ids: [\"0b\"]"),
		NULL);
	const struct service *dns, *web;
	struct table *table;

	(void)state;
	assert_int_equal(table_spec_build(lineup, &link, 1, &table), 0);
	dns = &table->services[0];
	web = &table->services[1];
	assert_false(dns->is_quic);
	assert_true(dns->is_nat);
	assert_true(dns->drops_gone);
	assert_false(dns->discovers);
	assert_int_equal(dns->idle_ticks, 3); /* of 4 s: not forgotten early */
	assert_null(dns->quic_lb);
	assert_true(web->is_quic);
	assert_true(web->discovers);
	assert_true(web->hash_connection_id);
	assert_false(web->drops_gone);
	assert_int_equal(web->connection_id_len, 8);
	assert_int_equal(web->idle_ticks, 150);
	assert_int_equal(named_by(web, 0x0b), named(lineup, "web/b")->slot);
	table_free(table);
	lineup_free(lineup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_keep_slots_and_state),
		cmocka_unit_test(a_moved_backend_is_looked_up_anew),
		cmocka_unit_test(slots_come_back_after_the_longest_idle_time),
		cmocka_unit_test(nothing_is_taken_when_slots_run_out),
		cmocka_unit_test(weights_follow_drains_and_health),
		cmocka_unit_test(a_flushed_backend_has_no_part),
		cmocka_unit_test(removed_ones_leave_their_server_ids),
		cmocka_unit_test(a_service_reaches_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
