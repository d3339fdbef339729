/* SPDX-License-Identifier: GPL-2.0-only */
/* drops_places_test.c - that every counter of lost datagrams has its place, in the order
 * of the way, with something to do about it; and which is not counted at two places. */
#include <stdlib.h>
#include <string.h>

#include "control/drops.h"
#include "ringway/wire.h"

#include "test.h"

static struct drops_counts counts;

static int setup(void **state)
{
	(void)state;
	memset(&counts, 0, sizeof(counts));
	counts.port_count = 2;
	counts.worker_count = 2;
	counts.ifnames[0] = "ext";
	counts.ifnames[1] = "int";
	counts.drivers[0] = counts.drivers[1] = "ice";
	for (int i = 0; i < 2; i++)
		for (int port = 0; port < 2; port++)
			counts.ios[i].ports[port].mode = IO_MODE_COPY;
	return 0;
}

/* Borrowed from places, or NULL. */
static json_t *place_find(json_t *places, const char *name)
{
	json_t *place;
	size_t i;

	json_array_foreach (places, i, place) {
		if (strcmp(json_string_value(json_object_get(place, "place")), name) == 0)
			return place;
	}
	return NULL;
}

static json_int_t count_of(const char *name)
{
	json_t *places = drops_places(&counts), *place = place_find(places, name);
	json_int_t count;

	if (!place)
		print_message("there is no place %s\n", name);
	assert_non_null(place);
	count = json_integer_value(json_object_get(place, "count"));
	json_decref(places);
	return count;
}

static void assert_kind(const char *name, const char *want)
{
	json_t *places = drops_places(&counts), *place = place_find(places, name);

	assert_non_null(place);
	assert_string_equal(json_string_value(json_object_get(place, "kind")), want);
	json_decref(places);
}

/* name's sources as compact JSON, compared with want, which has ' for ". */
static void assert_sources(const char *name, const char *want)
{
	json_t *places = drops_places(&counts), *place = place_find(places, name);
	char *text;

	assert_non_null(place);
	text = json_dumps(json_object_get(place, "sources"), JSON_COMPACT);
	for (char *c = text; (c = strchr(c, '"')); c++)
		*c = '\'';
	assert_string_equal(text, want);
	free(text);
	json_decref(places);
}

/* --- the table ------------------------------------------------------------------- */

static void every_place_says_what_it_means(void **state)
{
	(void)state;
	for (int has_sockets = 0; has_sockets < 2; has_sockets++) {
		json_t *places, *place;
		size_t i;

		counts.has_sockets = has_sockets;
		places = drops_places(&counts);
		assert_true(json_array_size(places) > 20);
		json_array_foreach (places, i, place) {
			const char *name = json_string_value(json_object_get(place, "place"));

			print_message("case: %s\n", name);
			assert_non_null(json_string_value(json_object_get(place, "stage")));
			assert_true(json_string_length(json_object_get(place, "meaning")) > 10);
			assert_true(json_string_length(json_object_get(place, "advice")) > 10);
			/* Which does not see what XDP takes. */
			if (!has_sockets)
				assert_null(
					strstr(json_string_value(json_object_get(place, "advice")),
					       "tcpdump -ni"));
			assert_int_equal(json_integer_value(json_object_get(place, "count")), 0);
			assert_ptr_equal(place_find(places, name), place);
		}
		json_decref(places);
	}
}

/* A stage is one stretch of the way: none is left and entered again. */
static void stages_are_in_order(void **state)
{
	static const char *const ways[2][9] = {
		{ "interface in", "softnet", "XDP", "AF_XDP receive", "IP in", "parse", "routing",
		  "AF_XDP transmit", "interface out" },
		{ "interface in", "softnet", "IP in", "UDP in", "sockets in", "routing",
		  "sockets out", "IP out" },
	};

	(void)state;
	for (int has_sockets = 0; has_sockets < 2; has_sockets++) {
		const char *const *way = ways[has_sockets];
		json_t *places, *place;
		size_t i, stage = 0;

		counts.has_sockets = has_sockets;
		places = drops_places(&counts);
		json_array_foreach (places, i, place) {
			const char *name = json_string_value(json_object_get(place, "stage"));

			if (strcmp(name, way[stage]) != 0 && strcmp(name, "interface out") != 0)
				assert_string_equal(name, way[++stage]);
		}
		assert_true(stage >= 6);
		json_decref(places);
	}
}

/* Of engine socket the kernel parses, routes and fragments; with AF_XDP it is XDP that
 * sees every source first. */
static bool can_happen(enum drop_reason reason, bool has_sockets)
{
	switch (reason) {
	case DROP_MALFORMED:
	case DROP_NO_CHECKSUM:
	case DROP_TTL_EXPIRED:
	case DROP_TOO_BIG:
	case DROP_NO_NEIGHBOUR:
	case DROP_RETURN_SPOOFED: return !has_sockets;
	case DROP_SOURCE_MARTIAN: return has_sockets;
	default: return true;
	}
}

static void every_reason_and_verdict_has_its_place(void **state)
{
	(void)state;
	for (int has_sockets = 0; has_sockets < 2; has_sockets++) {
		counts.has_sockets = has_sockets;
		for (enum drop_reason reason = 0; reason < DROP_REASON_COUNT; reason++) {
			json_t *places = drops_places(&counts);

			counts.reasons[reason] = 100 + reason;
			if (can_happen(reason, has_sockets))
				assert_int_equal(count_of(drop_reason_name(reason)), 100 + reason);
			else
				assert_null(place_find(places, drop_reason_name(reason)));
			json_decref(places);
		}
	}
	counts.has_sockets = false;
#define X(constant, name, meaning)                                 \
	counts.xdp[INGRESS_##constant] = 200 + INGRESS_##constant; \
	if (strncmp(name, "xdp_drop_", strlen("xdp_drop_")) == 0)  \
		assert_int_equal(count_of(name), 200 + INGRESS_##constant);
	INGRESS_COUNTERS(X)
#undef X
#define X(constant, name) counts.ios[1].ports[1].kick_errors[IO_KICK_##constant] = 7;
	IO_KICK_ERRORS(X)
#undef X
#define X(constant, name) assert_int_equal(count_of("kick_" name), 7);
	IO_KICK_ERRORS(X)
#undef X
}

static void sockets_tell_what_they_did_not_send(void **state)
{
	static const struct {
		enum io_kick_error error;
		const char *place;
	} cases[] = {
		{ IO_KICK_AGAIN, "send_again" },
		{ IO_KICK_NO_BUFFERS, "send_no_buffers" },
		{ IO_KICK_LINK_DOWN, "send_link_down" },
		{ IO_KICK_OTHER, "send_other" },
	};

	(void)state;
	counts.has_sockets = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		counts.ios[0].ports[0].kick_errors[cases[i].error] = 3;
		counts.ios[1].ports[0].kick_errors[cases[i].error] = 4;
		assert_int_equal(count_of(cases[i].place), 7);
	}
	assert_sources("send_other",
		       "[{'name':'worker 0','count':3},{'name':'worker 1','count':4}]");
	counts.sockets.dropped_service = 8;
	counts.sockets.dropper_count = 1;
	counts.sockets.droppers[0] = (struct socket_dropper){
		.addr = { [10] = 0xff, 0xff, 192, 0, 2, 1 },
		.port_be = wire_be16(443),
		.worker = 1,
		.dropped = 6,
	};
	counts.sockets.dropped_flow = 9;
	assert_int_equal(count_of("service_socket"), 8);
	assert_sources("service_socket", "[{'name':'192.0.2.1:443 worker 1','count':6},"
					 "{'name':'others','count':2}]");
	assert_int_equal(count_of("flow_socket"), 9);
#define COUNTED_ONLY (1u << SOCKET_COUNT_FLOWS_OPENED | 1u << SOCKET_COUNT_FLOWS_EXPIRED)
#define X(constant, name, meaning)                           \
	counts.sockets.counts[SOCKET_COUNT_##constant] = 50; \
	if (!(COUNTED_ONLY >> SOCKET_COUNT_##constant & 1))  \
		assert_int_equal(count_of(name), 50);
	SOCKET_COUNTERS(X)
#undef X
}

/* --- what is counted twice --------------------------------------------------------- */

static void veth_counts_what_af_xdp_refused(void **state)
{
	struct nic_counter drops = { "rx_queue_0_drops", false, NIC_RX_DROPPED, 110 };

	(void)state;
	counts.nics[0] = (struct nic_stats){ 1, &drops };
	counts.ios[0].ports[0].rx_ring_full = 70;
	counts.ios[1].ports[0].rx_dropped = 30;
	assert_int_equal(count_of("nic_rx_dropped"), 110);
	counts.drivers[0] = "veth";
	assert_int_equal(count_of("nic_rx_dropped"), 10);
	assert_sources("nic_rx_dropped",
		       "[{'name':'ext','count':10,'counters':{'rx_queue_0_drops':110}}]");
	assert_sources("rx_ring_full", "[{'name':'ext queue 0','count':70}]");
	drops.value = 99; /* read before the rings */
	assert_int_equal(count_of("nic_rx_dropped"), 0);
	assert_sources("nic_rx_dropped", "[]");
}

static void veth_counts_what_redirect_failed_for(void **state)
{
	struct nic_counter drops[] = { { "rx_queue_0_drops", false, NIC_RX_DROPPED, 50 },
				       { "rx_queue_0_drops", false, NIC_RX_DROPPED, 30 } };

	(void)state;
	counts.nics[0] = (struct nic_stats){ 1, &drops[0] };
	counts.nics[1] = (struct nic_stats){ 1, &drops[1] };
	counts.ios[0].ports[0].rx_ring_full = 10;
	counts.xdp[INGRESS_REDIRECT_SERVICE] = 10 + 60;
	assert_int_equal(count_of("nic_rx_dropped"), 80);
	counts.drivers[0] = "veth";
	assert_sources("nic_rx_dropped",
		       "[{'name':'int','count':30,'counters':{'rx_queue_0_drops':30}}]");
	counts.drivers[1] = "veth";
	assert_int_equal(count_of("nic_rx_dropped"), 80 - 10 - 60);
	assert_int_equal(count_of("xdp_redirect_lost"), 60);
}

static void virtio_counts_what_xdp_dropped(void **state)
{
	struct nic_counter counters[] = {
		{ "rx0_drops", false, NIC_RX_DROPPED, 50 },
		{ "rx0_xdp_drops", false, NIC_RX_XDP, 45 },
	};

	(void)state;
	counts.nics[1] = (struct nic_stats){ 2, counters };
	assert_int_equal(count_of("nic_rx_dropped"), 50);
	counts.drivers[1] = "virtio_net";
	assert_int_equal(count_of("nic_rx_dropped"), 5);
}

static void no_free_frame_is_not_too_long_a_frame(void **state)
{
	(void)state;
	counts.ios[0].ports[1] = (struct io_port_stats){ .mode = IO_MODE_COPY,
							 .rx_dropped = 12,
							 .rx_fill_empty = 9 };
	assert_int_equal(count_of("rx_fill_empty"), 9);
	assert_int_equal(count_of("rx_dropped"), 3);
	assert_kind("rx_fill_empty", "loss");
	counts.ios[0].ports[0].mode = IO_MODE_ZERO_COPY;
	assert_kind("rx_fill_empty", "sign");
}

/* Native XDP is before it, so it says nothing of a service's datagrams. */
static void softnet_is_on_the_way_or_not(void **state)
{
	(void)state;
	counts.net.softnet_dropped = 3;
	assert_int_equal(count_of("softnet_dropped"), 3);
	assert_kind("softnet_dropped", "sign");
	counts.has_generic = true;
	assert_kind("softnet_dropped", "loss");
	counts.has_generic = false;
	counts.has_sockets = true;
	assert_kind("softnet_dropped", "loss");
}

static void what_xdp_aimed_and_nobody_had(void **state)
{
	(void)state;
	counts.xdp[INGRESS_REDIRECT_SERVICE] = 1000;
	counts.xdp[INGRESS_REDIRECT_RETURN] = 500;
	counts.ios[0].ports[0] = (struct io_port_stats){ .received = 900, .rx_ring_full = 50 };
	counts.ios[1].ports[1] = (struct io_port_stats){
		.received = 400, .rx_waiting = 64, .rx_dropped = 6, .rx_invalid = 1
	};
	assert_int_equal(count_of("xdp_redirect_lost"), 1500 - 1421);
	counts.ios[0].ports[0].received = 1100; /* read later */
	assert_int_equal(count_of("xdp_redirect_lost"), 0);
}

static void udp_errors_are_told_apart(void **state)
{
	uint64_t *ipv4 = counts.net.counters[FAMILY_IPV4];
	uint64_t *ipv6 = counts.net.counters[FAMILY_IPV6];

	(void)state;
	counts.has_sockets = true;
	ipv4[PROC_NET_UDP_IN_ERRORS] = 100;
	ipv4[PROC_NET_UDP_RECEIVE_BUFFER] = 90;
	ipv4[PROC_NET_UDP_CHECKSUM] = 8;
	ipv6[PROC_NET_UDP_IN_ERRORS] = 5;
	assert_int_equal(count_of("udp_receive_buffer"), 90);
	assert_int_equal(count_of("udp_checksum"), 8);
	assert_sources("udp_other", "[{'name':'IPv4','count':2},{'name':'IPv6','count':5}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_place_says_what_it_means, setup),
		cmocka_unit_test_setup(stages_are_in_order, setup),
		cmocka_unit_test_setup(every_reason_and_verdict_has_its_place, setup),
		cmocka_unit_test_setup(sockets_tell_what_they_did_not_send, setup),
		cmocka_unit_test_setup(veth_counts_what_af_xdp_refused, setup),
		cmocka_unit_test_setup(veth_counts_what_redirect_failed_for, setup),
		cmocka_unit_test_setup(virtio_counts_what_xdp_dropped, setup),
		cmocka_unit_test_setup(no_free_frame_is_not_too_long_a_frame, setup),
		cmocka_unit_test_setup(softnet_is_on_the_way_or_not, setup),
		cmocka_unit_test_setup(what_xdp_aimed_and_nobody_had, setup),
		cmocka_unit_test_setup(udp_errors_are_told_apart, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
