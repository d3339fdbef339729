/* SPDX-License-Identifier: GPL-2.0-only */
/* Which backend gets a datagram, and what answers teach: stories told in frames
 * through forward_burst(), with the tables, a clock and the backends in hand. */
#include "route_world.h"

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
	/* short ones, too, now that it is known */
	assert_int_equal(server_short((uint16_t)owner, &moved, SHORT_LEN - 1, 3), owner);
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

/* A reset is shorter than the longest datagram that was asked about. */
static void the_longest_datagram_is_the_measure(void **state)
{
	int owner = connect(&home, SERVER_CID(1)), first = (owner + 1) % 4;
	struct client moved = client_of(first);

	(void)state;
	(void)client_short(&moved, 0x7777);
	(void)short_header(0x7777, 2 * SHORT_LEN);
	(void)from_client(&moved, bytes, 2 * SHORT_LEN);
	assert_int_equal(server_short((uint16_t)first, &moved, 2 * SHORT_LEN - 1, 1),
			 DROPPED - DROP_DISCOVERY_ANSWER);
	assert_int_equal(server_short((uint16_t)owner, &moved, 2 * SHORT_LEN, 1), owner);
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

/* Copies cost tokens, too, and there are none for those of all questions. */
static void a_prefix_gets_few_copies(void **state)
{
	enum { RATION = 2 * DISCOVERY_PER_PREFIX_PER_S, QUESTIONS = 300 };
	uint64_t copies;

	(void)state;
	for (uint16_t i = 0; i < 5 * QUESTIONS; i++) {
		const struct client junk = { { 192, 168, 3, 1 }, (uint16_t)(1000 + i % QUESTIONS) };

		(void)client_short(&junk, i);
	}
	copies = worker.counts[ROUTE_COUNT_COPIES];
	assert_in_range(copies, RATION / 4,
			RATION -
				DISCOVERY_QUESTION_COPIES * worker.counts[ROUTE_COUNT_DISCOVERIES]);
	assert_int_equal(copies % 3, 0); /* all others, or nobody */
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

/* Not more than so many at once, but none is left out. */
static void of_many_backends_all_are_asked(void **state)
{
	enum { MANY = 80 };
	struct world many = ordinary;
	bool is_asked[MANY] = { false };

	(void)state;
	_Static_assert(MANY > DISCOVERY_COPIES_MAX + 1 && MANY <= BACKENDS_MAX, "too many");
	many.backend_count = MANY;
	for (int i = 0; i < MANY; i++)
		many.weights[i] = 1;
	world_set(&many);
	for (int i = 0; i < 3; i++) {
		is_asked[client_short(&home, 0x7777)] = true;
		assert_int_equal(copy_count, i ? DISCOVERY_COPIES_MAX : 0);
		for (uint32_t j = 0; j < copy_count; j++)
			is_asked[copy_slots[j]] = true;
	}
	for (int i = 0; i < MANY; i++)
		assert_true(is_asked[i]);
}

/* Who finds an owner has to remember it. */
static void without_tables_nobody_is_asked(void **state)
{
	const struct affinity tuples = router->tuples;

	(void)state;
	router->tuples.line_count = 0;
	for (int i = 0; i < 3; i++) {
		assert_true(client_short(&home, 0x7777) >= 0);
		assert_int_equal(copy_count, 0);
	}
	assert_int_equal(worker.decided[ROUTE_UNKNOWN], 3);
	router->tuples = tuples;
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

/* Of a connection in its handshake, whose client may be silent meanwhile. */
static void long_answers_keep_their_connection_id(void **state)
{
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	for (int i = 0; i < 2; i++) {
		now_ms += 100ull * AFFINITY_TICK_MS;
		if (!i)
			(void)server_handshake((uint16_t)owner, &home, SERVER_CID(1));
	}
	worker.decided[ROUTE_CID] = 0;
	assert_int_equal(client_short(&away, SERVER_CID(1)), owner);
	assert_int_equal(worker.decided[ROUTE_CID], 1);
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

/* Not even what is old: nobody knows whose a short header is. But an owner that is gone
 * needs another. */
static void short_answers_replace_only_who_is_gone(void **state)
{
	struct world smaller = ordinary;
	int owner = connect(&home, SERVER_CID(1));
	uint16_t other = (uint16_t)((owner + 1) % 4);

	(void)state;
	now_ms += (uint64_t)(ROUTE_OWNER_TICKS + 1) * AFFINITY_TICK_MS;
	assert_int_equal(server_short(other, &home, 1200, 1), other);
	assert_int_equal(worker.counts[ROUTE_COUNT_REPLACED], 0);
	smaller.weights[owner] = -1;
	world_set(&smaller);
	assert_int_equal(server_short(other, &home, 1200, 1), other);
	assert_int_equal(worker.counts[ROUTE_COUNT_REPLACED], 1);
	assert_int_equal(client_short(&home, 0x5555), other);
	assert_int_equal(worker.decided[ROUTE_TUPLE], 1);
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

/* It tells whom to ask first, whom Maglev does not name any more; who answers has it again. */
static void a_tuple_without_answers_decides_no_longer(void **state)
{
	int owner = connect(&home, SERVER_CID(1));
	struct world drained = ordinary;

	(void)state;
	drained.weights[owner] = 0;
	world_set(&drained);
	now_ms += (uint64_t)(ROUTE_OWNER_TICKS + 1) * AFFINITY_TICK_MS;
	assert_int_equal(client_short(&home, 0x5555), owner);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
	assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
	assert_int_equal(server_short((uint16_t)owner, &home, 1200, 1), owner);
	assert_int_equal(worker.decided[ROUTE_TUPLE], 0);
	assert_int_equal(client_short(&home, 0x6666), owner);
	assert_int_equal(worker.decided[ROUTE_TUPLE], 1);
}

/* Its client's own datagrams say nothing of who owns it. */
static void only_answers_keep_a_tuple(void **state)
{
	int owner = connect(&home, SERVER_CID(1));

	(void)state;
	for (int i = 0; i <= ROUTE_OWNER_TICKS; i++) {
		now_ms += AFFINITY_TICK_MS;
		assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
	}
	assert_int_equal(client_short(&home, 0x5555), owner);
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 1);
}

static void a_tuple_goes_to_the_owner_that_is_found(void **state)
{
	int owner = connect(&home, SERVER_CID(1)), now = (owner + 1) % 4;

	(void)state;
	now_ms += (uint64_t)(ROUTE_OWNER_TICKS + 1) * AFFINITY_TICK_MS;
	assert_int_equal(client_short(&home, 0x5555), owner);
	(void)client_short(&home, 0x5555);
	assert_int_equal(copy_count, 3);
	assert_int_equal(server_short((uint16_t)now, &home, SHORT_LEN, 1), now);
	assert_int_equal(client_short(&home, 0x6666), now);
	assert_int_equal(worker.decided[ROUTE_TUPLE], 1);
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

/* By the policy, connections are dropped that a removed backend had: not new ones. */
static void a_new_connection_is_not_the_removed_backends(void **state)
{
	struct world smaller = ordinary;
	int owner = connect(&home, SERVER_CID(1)), heir;

	(void)state;
	smaller.weights[owner] = -1;
	smaller.service.drops_gone = true;
	world_set(&smaller);
	heir = client_initial(&home, 0x1234);
	assert_true(heir >= 0);
	assert_int_equal(worker.decided[ROUTE_GONE], 0);
	assert_int_equal(client_initial(&home, 0x1234), heir);
	assert_int_equal(client_short(&home, 0x6666), heir); /* the 4-tuple is the heir's */
	assert_int_equal(client_short(&home, SERVER_CID(1)), DROPPED - DROP_BACKEND_GONE);
}

/* Of strangers, each with a 4-tuple and a Connection ID of his own: more than the tables
 * hold. */
static void flood(void)
{
	for (uint32_t i = 0; i < 5 * KEY_COUNT; i++) {
		const struct client stranger = { { 100, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
						   (uint8_t)i },
						 (uint16_t)(i * 7) };
		uint16_t len;

		if (i % 1000 == 0)
			now_ms++;
		len = long_header(0xc0, QUIC_VERSION_1, i, 1, SHORT_LEN);
		(void)from_client(&stranger, bytes, len);
		(void)client_short(&stranger, 0xf00000000ull + i);
	}
	assert_true(worker.tuple_stats.evicted > 2 * KEY_COUNT);
	assert_true(worker.cid_stats.evicted > 2 * KEY_COUNT);
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
	flood();
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

/* What opens connections beyond the ration of its prefix is forwarded, and not remembered;
 * others are, and so is who has been. */
static void one_prefix_fills_no_table(void **state)
{
	enum { RATION = 2 * UNPROVEN_PER_PREFIX_PER_S };
	int owner = connect(&home, SERVER_CID(1));
	uint64_t inserted = worker.tuple_stats.inserted;

	(void)state;
	for (uint32_t i = 0; i < 2 * RATION; i++) {
		const struct client junk = { { 192, 168, 3, (uint8_t)(i >> 12) },
					     (uint16_t)(1 + i % 4096) };

		(void)long_header(0xc0, QUIC_VERSION_1, 0x1111, 1, SHORT_LEN);
		assert_true(from_client(&junk, bytes, SHORT_LEN) >= 0);
	}
	assert_int_equal(worker.tuple_stats.inserted - inserted, RATION);
	assert_int_equal(worker.counts[ROUTE_COUNT_RATIONED], RATION);
	assert_int_equal(client_short(&home, SERVER_CID(1)), owner);
	(void)connect(&away, SERVER_CID(2));
	assert_int_equal(worker.counts[ROUTE_COUNT_RATIONED], RATION);
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
	/* bytes that would be QUIC elsewhere teach nothing */
	(void)server_handshake(0, &home, SERVER_CID(1));
	assert_int_equal(worker.cid_stats.inserted, 0);
}

static size_t proven_count(const struct affinity *entries)
{
	size_t count = 0;

	for (uint64_t i = 0; i < entries->line_count * AFFINITY_LINE_WORDS; i++)
		count += entries->words[i] & AFFINITY_PROVEN;
	return count;
}

/* To use what only oneself has named proves nothing. */
static void clients_prove_by_what_servers_have_named(void **state)
{
	const struct client third = { { 203, 0, 113, 6 }, 40001 };
	struct world l2 = ordinary;

	(void)state;
	l2.service.mode = TABLE_L2;
	l2.service.connection_id_len = CID_LEN;
	world_set(&l2);
	(void)client_initial(&home, 0x1111);
	for (int i = 0; i < 3; i++)
		(void)client_short(&home, 0x2222);
	(void)client_short(&away, 0x2222);
	assert_true(worker.decided[ROUTE_CID] > 0);
	world_set(&ordinary);
	(void)client_initial(&third, 0x3333);
	(void)client_initial(&third, 0x3333);
	(void)client_initial(&third, 0x3333);
	assert_int_equal(proven_count(&router->tuples) + proven_count(&router->cids), 0);
	(void)connect(&third, SERVER_CID(1));
	assert_int_equal(proven_count(&router->tuples), 1);
	assert_int_equal(proven_count(&router->cids), 1);
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

/* Nobody sees which Connection ID the server names: what a client opens on a 4-tuple whose
 * backend drains must not go back there, and what is open there must stay. */
static void l2_splits_no_connection_of_a_drained_tuple(void **state)
{
	struct world l2 = ordinary;
	int owner, heir;

	(void)state;
	l2.service.mode = TABLE_L2;
	l2.service.connection_id_len = CID_LEN;
	world_set(&l2);
	owner = client_initial(&home, 0x1111);
	now_ms += 2 * AFFINITY_TICK_MS;
	assert_int_equal(client_short(&home, 0x2222), owner);
	l2.weights[owner] = 0;
	world_set(&l2);
	heir = client_initial(&home, 0x3333);
	assert_int_not_equal(heir, owner);
	assert_int_equal(client_initial(&home, 0x3333), heir);
	assert_int_equal(client_short(&home, 0x4444), heir);
	assert_int_equal(client_short(&away, 0x4444), heir);
	assert_int_equal(client_short(&home, 0x2222), owner);
	l2.weights[owner] = 1;
	world_set(&l2);
	assert_int_equal(client_initial(&home, 0x5555), heir);
}

/* The second Initial has the server's Connection ID, which nobody here has seen. */
static void l2_keeps_a_handshake_while_its_backend_drains(void **state)
{
	struct world l2 = ordinary;
	int owner;

	(void)state;
	l2.service.mode = TABLE_L2;
	l2.service.connection_id_len = CID_LEN;
	world_set(&l2);
	owner = client_initial(&home, 0x1111);
	l2.weights[owner] = 0;
	world_set(&l2);
	assert_int_equal(client_initial(&home, 0x2222), owner);
	assert_int_equal(client_short(&home, 0x2222), owner);
	now_ms += 2 * AFFINITY_TICK_MS;
	assert_int_equal(client_short(&home, 0x2222), owner);
	assert_int_not_equal(client_initial(&home, 0x3333), owner);
}

/* Nothing shows that these clients hear their servers, but that they have lasted. */
static void without_answers_a_flood_moves_nobody_who_has_lasted(void **state)
{
	enum { CONNECTIONS = 1000 };
	struct world l2 = ordinary, grown;
	int owners[CONNECTIONS];

	(void)state;
	l2.service.mode = TABLE_L2;
	l2.service.connection_id_len = CID_LEN;
	world_set(&l2);
	for (int tick = 0; tick < 2; tick++) {
		for (uint16_t i = 0; i < CONNECTIONS; i++) {
			const struct client client = { { 203, 0, (uint8_t)(i / 200), 5 },
						       (uint16_t)(2000 + i) };

			owners[i] = tick ? owners[i] : client_initial(&client, 0x10000 + i);
			assert_int_equal(client_short(&client, SERVER_CID(i)), owners[i]);
		}
		now_ms += AFFINITY_TICK_MS;
	}
	grown = l2;
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	world_set(&grown);
	flood();
	for (uint16_t i = 0; i < CONNECTIONS; i++) {
		const struct client client = { { 203, 0, (uint8_t)(i / 200), 5 },
					       (uint16_t)(2000 + i) };
		const struct client moved = { { 198, 51, 100, 9 }, (uint16_t)(2000 + i) };

		assert_int_equal(client_initial(&client, 0x20000 + i), owners[i]);
		assert_int_equal(client_short(&moved, SERVER_CID(i)), owners[i]);
	}
}

/* Short headers of answers leave from XDP: the client keeps its 4-tuple, so that a
 * Connection ID which nobody has seen finds its backend long after the handshake. */
static void without_answers_the_client_keeps_its_tuple(void **state)
{
	struct world unseen = ordinary, grown;
	int owner;

	(void)state;
	unseen.service.is_return_in_xdp = true;
	unseen.service.discovers = false;
	unseen.service.connection_id_len = CID_LEN;
	world_set(&unseen);
	owner = client_initial(&home, 0x1111);
	grown = unseen;
	grown.backend_count = 6;
	grown.weights[4] = grown.weights[5] = 1;
	world_set(&grown);
	for (uint64_t i = 0; i < 6; i++) {
		assert_int_equal(client_short(&home, 0x2222 + i), owner);
		now_ms += 140ull * AFFINITY_TICK_MS;
	}
	assert_int_equal(worker.decided[ROUTE_TUPLE], 6);
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
	assert_int_equal(worker.decided[ROUTE_DISCOVERY], 0);
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
	const struct client nobody = { { 1, 2, 3, 4 }, 5 };
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

	/* What names a server that is gone is its connection's, and not to be sought. */
	for (int drops = 0; drops <= 1; drops++) {
		assert_int_equal(quic_lb_build(configs, servers, 3, &lb.service.quic_lb), 0);
		lb.weights[3] = -1;
		lb.service.drops_gone = drops;
		world_set(&lb);
		if (drops)
			assert_int_equal(client_short(&nobody, number),
					 DROPPED - DROP_BACKEND_GONE);
		else
			assert_in_range(client_short(&nobody, number), 0, 2);
		assert_int_equal(worker.decided[ROUTE_GONE], 1);
		assert_int_equal(worker.decided[ROUTE_DISCOVERY], 0);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_connection_stays_when_backends_come),
		WORLD_TEST(a_client_that_moves_keeps_its_backend),
		WORLD_TEST(a_migrated_client_is_found),
		WORLD_TEST(two_short_answers_that_differ_tell_too),
		WORLD_TEST(path_validation_is_answer_enough),
		WORLD_TEST(the_longest_datagram_is_the_measure),
		WORLD_TEST(a_question_ends),
		WORLD_TEST(nobody_asks_again_at_once),
		WORLD_TEST(junk_does_not_stop_others),
		WORLD_TEST(a_prefix_gets_few_copies),
		WORLD_TEST(without_discovery_maglev_and_nothing_learned),
		WORLD_TEST(without_tables_nobody_is_asked),
		WORLD_TEST(short_answers_teach_who_owns_a_tuple),
		WORLD_TEST(long_answers_keep_their_connection_id),
		WORLD_TEST(long_answers_replace_only_what_is_old),
		WORLD_TEST(short_answers_replace_only_who_is_gone),
		WORLD_TEST(a_replayed_id_moves_nobody),
		WORLD_TEST(a_tuple_without_answers_decides_no_longer),
		WORLD_TEST(only_answers_keep_a_tuple),
		WORLD_TEST(a_tuple_goes_to_the_owner_that_is_found),
		WORLD_TEST(idle_connections_are_forgotten),
		WORLD_TEST(a_drained_backend_keeps_and_takes_none),
		WORLD_TEST(a_removed_backends_connections_go_on_elsewhere),
		WORLD_TEST(or_are_dropped),
		WORLD_TEST(a_new_connection_is_not_the_removed_backends),
		WORLD_TEST(of_many_backends_all_are_asked),
		WORLD_TEST(a_flood_moves_nobody),
		WORLD_TEST(one_prefix_fills_no_table),
		WORLD_TEST(a_client_teaches_few_ids_a_minute),
		WORLD_TEST(plain_udp_is_known_by_its_tuple),
		WORLD_TEST(clients_prove_by_what_servers_have_named),
		WORLD_TEST(l2_learns_from_clients_alone),
		WORLD_TEST(l2_splits_no_connection_of_a_drained_tuple),
		WORLD_TEST(l2_keeps_a_handshake_while_its_backend_drains),
		WORLD_TEST(without_answers_a_flood_moves_nobody_who_has_lasted),
		WORLD_TEST(without_answers_the_client_keeps_its_tuple),
		WORLD_TEST(by_connection_id_the_prefix_decides),
		WORLD_TEST(a_server_id_in_the_connection_id_decides),
		WORLD_TEST(what_is_too_short_for_quic_is_not_sought),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
