/* SPDX-License-Identifier: GPL-2.0-only */
/* proc_net_test.c - the kernel's counters from texts as /proc has them, and from texts as
 * it never should. */
#include "host/proc_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static const char snmp[] =
	"Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors OutDiscards OutNoRoutes\n"
	"Ip: 1 64 18446744073709551615 7 8 9 10\n"
	"Icmp: InMsgs InErrors\n"
	"Icmp: 3 99\n"
	"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors "
	"IgnoredMulti MemErrors\n"
	"Udp: 1000 11 60 999 40 12 13 0 5\n"
	"UdpLite: InDatagrams NoPorts InErrors\n"
	"UdpLite: 1 2 3\n";

static const char snmp6[] = "Ip6InReceives                   \t12\n"
			    "Ip6InHdrErrors                  \t3\n"
			    "Udp6InErrors                    \t21\n"
			    "Udp6RcvbufErrors                \t20\n"
			    "UdpLite6InErrors                \t77\n";

static void tables_are_read(void **state)
{
	static const struct {
		const char *title, *text, *table, *name;
		uint64_t want;
	} cases[] = {
		{ "first table", snmp, "Ip", "InHdrErrors", 7 },
		{ "last column", snmp, "Ip", "OutNoRoutes", 10 },
		{ "largest number", snmp, "Ip", "InReceives", UINT64_MAX },
		{ "a table further on", snmp, "Udp", "RcvbufErrors", 40 },
		{ "last column of it", snmp, "Udp", "MemErrors", 5 },
		{ "the same name in another table", snmp, "Icmp", "InErrors", 99 },
		{ "no such name", snmp, "Udp", "InErr", 0 },
		{ "a name that continues", snmp, "Udp", "InErrorsX", 0 },
		{ "no such table", snmp, "Ud", "InErrors", 0 },
		{ "a value that is a name", snmp, "Udp", "40", 0 },
		{ "nothing", "", "Udp", "InErrors", 0 },
		{ "names alone", "Udp: InErrors\n", "Udp", "InErrors", 0 },
		{ "names at the end", "Udp: InErrors", "Udp", "InErrors", 0 },
		{ "another table's values", "Udp: InErrors\nIp: 7\n", "Udp", "InErrors", 0 },
		{ "too few values", "Udp: A InErrors\nUdp: 1\nUdp: 7\n", "Udp", "InErrors", 0 },
		{ "no number", "Udp: InErrors\nUdp: x7\n", "Udp", "InErrors", 0 },
		{ "a number and more", "Udp: InErrors\nUdp: 7x\n", "Udp", "InErrors", 0 },
		{ "negative", "Udp: InErrors\nUdp: -1\n", "Udp", "InErrors", 0 },
		{ "very long", "Udp: InErrors\nUdp: 1111111111111111111111111\n", "Udp", "InErrors",
		  0 },
		{ "blanks and tabs", "Udp: \t A  InErrors\nUdp:\t1 \t7", "Udp", "InErrors", 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].title);
		assert_int_equal(proc_net_table_value(cases[i].text, cases[i].table, cases[i].name),
				 cases[i].want);
	}
}

static void lines_are_read(void **state)
{
	(void)state;
	assert_int_equal(proc_net_line_value(snmp6, "Ip6InReceives"), 12);
	assert_int_equal(proc_net_line_value(snmp6, "Udp6InErrors"), 21);
	assert_int_equal(proc_net_line_value(snmp6, "Udp6In"), 0);
	assert_int_equal(proc_net_line_value(snmp6, "InErrors"), 0);
	assert_int_equal(proc_net_line_value("", "Udp6InErrors"), 0);
	assert_int_equal(proc_net_line_value("Udp6InErrors", "Udp6InErrors"), 0);
	assert_int_equal(proc_net_line_value("Udp6InErrors\n7\n", "Udp6InErrors"), 0);
	assert_int_equal(proc_net_line_value("\n\nUdp6InErrors 7", "Udp6InErrors"), 7);
}

static void cpus_are_added_up(void **state)
{
	static const char text[] = "00ebac80 00000001 0000003c 00000000\n"
				   "00ccea93 000000ff 00000043 00000000\n";

	(void)state;
	assert_int_equal(proc_net_softnet_sum(text, 0), 0xebac80 + 0xccea93);
	assert_int_equal(proc_net_softnet_sum(text, 1), 0x100);
	assert_int_equal(proc_net_softnet_sum(text, 2), 0x3c + 0x43);
	assert_int_equal(proc_net_softnet_sum(text, 4), 0);
	assert_int_equal(proc_net_softnet_sum("", 1), 0);
	assert_int_equal(proc_net_softnet_sum("1\n2 3\n\nx y\n4 5", 1), 8);
}

/* Every text cut at every length: nothing is read behind its end (the sanitizers see). */
static void cut_texts_are_harmless(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(snmp); len++) {
		char *text = calloc(1, len + 1);

		assert_non_null(text);
		memcpy(text, snmp, len);
		assert_true(proc_net_table_value(text, "Udp", "NoPorts") <= 11);
		(void)proc_net_line_value(text, "Udp:");
		(void)proc_net_softnet_sum(text, 1);
		free(text);
	}
}

static void in_errors_contain_the_others(void **state)
{
	static const struct {
		const char *title;
		uint64_t all, buffer, checksum, memory, want;
	} cases[] = {
		{ "none", 0, 0, 0, 0, 0 },
		{ "all of one", 40, 40, 0, 0, 0 },
		{ "of three, and more", 60, 40, 13, 5, 2 },
		{ "read before they grew", 60, 61, 0, 0, 0 },
		{ "nothing else", 7, 0, 0, 0, 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint64_t counters[PROC_NET_COUNTER_COUNT] = {
			[PROC_NET_UDP_IN_ERRORS] = cases[i].all,
			[PROC_NET_UDP_RECEIVE_BUFFER] = cases[i].buffer,
			[PROC_NET_UDP_CHECKSUM] = cases[i].checksum,
			[PROC_NET_UDP_MEMORY] = cases[i].memory,
			[PROC_NET_UDP_NO_PORT] = 1000, /* is not in InErrors */
		};

		print_message("case: %s\n", cases[i].title);
		assert_int_equal(proc_net_udp_other(counters), cases[i].want);
	}
}

static void what_was_before_is_taken_off(void **state)
{
	struct proc_net before = { .softnet_dropped = 5, .softnet_squeezed = 9 };
	struct proc_net now = { .softnet_dropped = 7, .softnet_squeezed = 3 };

	(void)state;
	before.counters[FAMILY_IPV6][PROC_NET_UDP_NO_PORT] = 100;
	now.counters[FAMILY_IPV6][PROC_NET_UDP_NO_PORT] = 101;
	now.counters[FAMILY_IPV4][PROC_NET_UDP_NO_PORT] = 4;
	proc_net_since(&now, &before);
	assert_int_equal(now.softnet_dropped, 2);
	assert_int_equal(now.softnet_squeezed, 3);
	assert_int_equal(now.counters[FAMILY_IPV6][PROC_NET_UDP_NO_PORT], 1);
	assert_int_equal(now.counters[FAMILY_IPV4][PROC_NET_UDP_NO_PORT], 4);
}

static char *file_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	assert_non_null(file);
	assert_true(fread(text, 1, 65535, file) > 0);
	(void)fclose(file);
	return text;
}

/* A name that is misspelt would count nothing for ever. UDP's MemErrors are of 5.11. */
static void the_kernel_has_these_names(void **state)
{
	char *tables = file_text("/proc/net/snmp"), *more = file_text("/proc/net/netstat");
	char *lines = file_text("/proc/net/snmp6");

	(void)state;
#define X(constant, table, name, name6)                                               \
	print_message("case: %s %s, %s\n", table, name, name6);                       \
	assert_true(strstr(tables, " " name) || strstr(more, " " name));              \
	assert_true(strstr(tables, "\n" table ":") || strstr(more, "\n" table ":") || \
		    strncmp(tables, table ":", strlen(table ":")) == 0);              \
	assert_true(!*(name6) || strstr(lines, "\n" name6 " "));
	PROC_NET_COUNTERS(X)
#undef X
	free(tables);
	free(more);
	free(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_read),
		cmocka_unit_test(lines_are_read),
		cmocka_unit_test(cpus_are_added_up),
		cmocka_unit_test(cut_texts_are_harmless),
		cmocka_unit_test(in_errors_contain_the_others),
		cmocka_unit_test(what_was_before_is_taken_off),
		cmocka_unit_test(the_kernel_has_these_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
