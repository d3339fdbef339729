/* SPDX-License-Identifier: GPL-2.0-only */
/* nic_stats_test.c - which names of drivers' counters mean loss, and what they add up to. */
#include "host/nic_stats.h"

#include <errno.h>
#include <string.h>

#include "test.h"

/* Names as veth, virtio_net, e1000e, ixgbe, i40e, ice, mlx5, ena and bnxt have them. */
static void names_are_judged(void **state)
{
	static const struct {
		const char *name;
		enum nic_class want;
	} cases[] = {
		{ "peer_ifindex", NIC_NO_LOSS },
		{ "rx_queue_0_xdp_packets", NIC_RX_XDP },
		{ "rx_queue_0_drops", NIC_RX_DROPPED },
		{ "rx_queue_12_xdp_drops", NIC_RX_XDP },
		{ "tx_queue_0_xdp_xmit", NIC_NO_LOSS },
		{ "tx_queue_0_xdp_xmit_errors", NIC_TX_DROPPED },
		{ "rx0_drops", NIC_RX_DROPPED },
		{ "rx0_xdp_drops", NIC_RX_XDP },
		{ "tx0_timeouts", NIC_TX_ERRORS },
		{ "rx_packets", NIC_NO_LOSS },
		{ "rx_bytes", NIC_NO_LOSS },
		{ "rx_crc_errors", NIC_RX_DAMAGED },
		{ "rx_length_errors", NIC_RX_DAMAGED },
		{ "rx_missed_errors", NIC_RX_MISSED },
		{ "rx_no_buffer_count", NIC_RX_MISSED },
		{ "rx_over_errors", NIC_RX_MISSED },
		{ "rx_fifo_errors", NIC_RX_MISSED },
		{ "rx_csum_offload_errors", NIC_NO_LOSS },
		{ "alloc_rx_buff_failed", NIC_NO_LOSS }, /* it is tried again */
		{ "rx_flow_control_xon", NIC_NO_LOSS },
		{ "port.rx_crc_errors", NIC_RX_DAMAGED },
		{ "port.rx_dropped", NIC_RX_DROPPED },
		{ "port.tx_dropped_link_down", NIC_TX_DROPPED },
		{ "rx_dropped.nic", NIC_RX_DROPPED },
		{ "rx_out_of_buffer", NIC_RX_MISSED },
		{ "rx_discards_phy", NIC_RX_MISSED },
		{ "rx3_xdp_drop", NIC_RX_XDP },
		{ "tx3_xdp_full", NIC_TX_DROPPED },
		{ "rx3_xdp_tx_full", NIC_RX_XDP },
		{ "rx3_wqe_err", NIC_RX_DAMAGED },
		{ "rx3_cache_full", NIC_NO_LOSS },
		{ "rx_global_pause", NIC_NO_LOSS },
		{ "tx_errors_phy", NIC_TX_ERRORS },
		{ "tx_queue_dropped", NIC_TX_DROPPED },
		{ "queue_3_rx_refil_partial", NIC_NO_LOSS },
		{ "queue_3_rx_page_alloc_fail", NIC_RX_MISSED },
		{ "queue_3_rx_xdp_drop", NIC_RX_XDP },
		{ "rx_total_discard_pkts", NIC_RX_MISSED },
		{ "RX_MISSED", NIC_RX_MISSED },
		{ "", NIC_NO_LOSS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		assert_int_equal(nic_class_of(cases[i].name), cases[i].want);
	}
}

#define DRIVER(name, class, value)        \
	{                                 \
		name, false, class, value \
	}
#define KERNEL(name, class, value)       \
	{                                \
		name, true, class, value \
	}

static void the_same_loss_is_not_counted_twice(void **state)
{
	struct nic_counter counters[] = {
		DRIVER("rx0_wqe_err", NIC_RX_DAMAGED, 3),
		DRIVER("rx1_wqe_err", NIC_RX_DAMAGED, 4),
		DRIVER("rx_wqe_err", NIC_RX_DAMAGED, 7),
		DRIVER("rx_queue_0_drops", NIC_RX_DROPPED, 10),
		DRIVER("rx_queue_1_drops", NIC_RX_DROPPED, 20),
		DRIVER("rx_out_of_buffer", NIC_RX_MISSED, 5),
		KERNEL("rx_errors", NIC_RX_DAMAGED, 9),
		KERNEL("rx_missed_errors", NIC_RX_MISSED, 5),
		KERNEL("rx_dropped", NIC_RX_DROPPED, 1000),
		KERNEL("tx_dropped", NIC_TX_DROPPED, 6),
	};
	struct nic_stats stats = { ARRAY_LEN(counters), counters };

	(void)state;
	/* Of queues and their sum the sum; of driver and kernel the one that has more. */
	assert_int_equal(nic_stats_sum(&stats, NIC_RX_DAMAGED), 9);
	counters[6].value = 6;
	assert_int_equal(nic_stats_sum(&stats, NIC_RX_DAMAGED), 7);
	assert_int_equal(nic_stats_sum(&stats, NIC_RX_MISSED), 5);
	/* Here the kernel counts frames that nobody wanted, too. */
	assert_int_equal(nic_stats_sum(&stats, NIC_RX_DROPPED), 30);
	assert_false(nic_stats_counts(&stats, &counters[8]));
	assert_false(nic_stats_counts(&stats, &counters[0]));
	assert_true(nic_stats_counts(&stats, &counters[2]));
	assert_int_equal(nic_stats_sum(&stats, NIC_TX_DROPPED), 6);
	assert_int_equal(nic_stats_sum(&stats, NIC_TX_ERRORS), 0);
	/* Where the driver has no name for it, the kernel's is what there is. */
	counters[3].class = counters[4].class = NIC_NO_LOSS;
	assert_int_equal(nic_stats_sum(&stats, NIC_RX_DROPPED), 1000);
}

static void what_was_before_is_taken_off(void **state)
{
	struct nic_counter before[] = {
		DRIVER("rx_queue_0_drops", NIC_RX_DROPPED, 10),
		DRIVER("rx_queue_1_drops", NIC_RX_DROPPED, 20),
		KERNEL("rx_errors", NIC_RX_DAMAGED, 7),
		KERNEL("tx_errors", NIC_TX_ERRORS, 100),
	};
	/* A queue more, and so another order. */
	struct nic_counter now[] = {
		DRIVER("rx_queue_0_drops", NIC_RX_DROPPED, 11),
		DRIVER("rx_queue_1_drops", NIC_RX_DROPPED, 22),
		DRIVER("rx_queue_2_drops", NIC_RX_DROPPED, 33),
		KERNEL("rx_errors", NIC_RX_DAMAGED, 7),
		KERNEL("tx_errors", NIC_TX_ERRORS, 1),
	};
	const uint64_t want[] = { 1, 2, 33, 0, 1 };
	struct nic_stats old = { ARRAY_LEN(before), before }, stats = { ARRAY_LEN(now), now };
	struct nic_stats none = { 0, NULL };

	(void)state;
	nic_stats_since(&stats, &none);
	nic_stats_since(&stats, &old);
	for (size_t i = 0; i < ARRAY_LEN(now); i++)
		assert_int_equal(now[i].value, want[i]);
	nic_stats_since(&none, &old);
}

/* Without privileges. */
static void an_interface_is_read(void **state)
{
	struct nic_stats stats = { 1, NULL };

	(void)state;
	assert_int_equal(nic_stats_read("lo", &stats), 0);
	assert_true(stats.count >= 6);
	for (size_t i = 0; i < stats.count; i++)
		assert_int_not_equal(stats.counters[i].class, NIC_NO_LOSS);
	nic_stats_free(&stats);
	assert_int_equal(stats.count, 0);
	assert_int_equal(nic_stats_read("no-such-device", &stats), -ENODEV);
	assert_int_equal(stats.count, 0);
	nic_stats_free(&stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_judged),
		cmocka_unit_test(the_same_loss_is_not_counted_twice),
		cmocka_unit_test(what_was_before_is_taken_off),
		cmocka_unit_test(an_interface_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
