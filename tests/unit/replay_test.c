/* SPDX-License-Identifier: GPL-2.0-only */
/* replay_test.c - the replay engine: packets of a pcap file in, another out. */
#include <errno.h>
#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define FRAME_COUNT	 100
#define FRAME_SIZE	 2048
#define LEN_MAX		 (FRAME_SIZE - 256)

static const struct io_engine *const engine = &io_replay;
static const struct io_port_config ports[2] = { { "p0", 1 }, { "p1", 2 } };
static char folder[] = "/tmp/ringway-replay-XXXXXX";
static char in_name[64], out_name[64];
static struct io *io;

static struct io_config config_of(void)
{
	return (struct io_config){
		.ports = ports,
		.port_count = 2,
		.frame_count = FRAME_COUNT,
		.frame_size = FRAME_SIZE,
		.replay_in = in_name,
		.replay_out = out_name,
	};
}

static int folder_make(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(in_name, sizeof(in_name), "%s/in.pcap", folder);
	(void)snprintf(out_name, sizeof(out_name), "%s/out.pcap", folder);
	return 0;
}

static int folder_remove(void **state)
{
	(void)state;
	(void)unlink(in_name);
	(void)unlink(out_name);
	return rmdir(folder);
}

static int io_close(void **state)
{
	(void)state;
	engine->close(io);
	io = NULL;
	return 0;
}

struct record {
	uint32_t caplen, len, second;
};

static void bytes_of(uint32_t number, uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(number * 31 + i);
}

static void file_write(const struct record *records, uint32_t count, int link_type)
{
	pcap_t *format = pcap_open_dead(link_type, 65535);
	pcap_dumper_t *file = pcap_dump_open(format, in_name);
	static uint8_t bytes[65535];

	assert_non_null(file);
	for (uint32_t i = 0; i < count; i++) {
		const struct pcap_pkthdr header = {
			.ts = { .tv_sec = records[i].second, .tv_usec = i },
			.caplen = records[i].caplen,
			.len = records[i].len,
		};

		bytes_of(i, bytes, records[i].caplen);
		pcap_dump((u_char *)file, &header, bytes);
	}
	pcap_dump_close(file);
	pcap_close(format);
}

static void io_open(void)
{
	const struct io_config config = config_of();
	char error[256] = "";

	assert_int_equal(engine->open(&config, &io, error, sizeof(error)), 0);
}

static struct io_stats stats_of(void)
{
	struct io_stats stats;
	uint64_t out = 0;

	engine->stats(io, &stats);
	for (uint32_t i = 0; i < stats.port_count; i++)
		out += stats.ports[i].sent - stats.ports[i].completed + stats.ports[i].posted;
	assert_int_equal(stats.frames, FRAME_COUNT);
	assert_int_equal(stats.free + stats.held + out, stats.frames);
	return stats;
}

static void refuses_what_it_cannot_replay(void **state)
{
	static const struct {
		const char *name, *in, *out;
		uint32_t port_count, frame_size, frame_count;
		const char *sentence;
	} cases[] = {
		{ "no input", NULL, out_name, 1, 2048, 100, "two files" },
		{ "no output", in_name, NULL, 1, 2048, 100, "two files" },
		{ "no port", in_name, out_name, 0, 2048, 100, "0 interfaces" },
		{ "too many ports", in_name, out_name, 9, 2048, 100, "9 interfaces" },
		{ "frame size", in_name, out_name, 1, 2047, 100, "frame size of 2047" },
		{ "few frames", in_name, out_name, 1, 2048, 63, "63 frames" },
		{ "missing file", "/nonexistent/in", out_name, 1, 2048, 100, "/nonexistent/in" },
		{ "no pcap file", "/dev/null", out_name, 1, 2048, 100, "cannot read packets" },
		{ "not writable", in_name, "/nonexistent/out", 1, 2048, 100, "/nonexistent/out" },
	};
	char error[256] = "";
	struct io_config config;

	(void)state;
	file_write(NULL, 0, DLT_EN10MB);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		config = (struct io_config){
			.ports = ports,
			.port_count = cases[i].port_count,
			.frame_size = cases[i].frame_size,
			.frame_count = cases[i].frame_count,
			.replay_in = cases[i].in,
			.replay_out = cases[i].out,
		};
		assert_int_equal(engine->open(&config, &io, error, sizeof(error)), -EINVAL);
		assert_null(io);
		assert_non_null(strstr(error, cases[i].sentence));
	}
	file_write(NULL, 0, DLT_LINUX_SLL);
	config = config_of();
	assert_int_equal(engine->open(&config, &io, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "not Ethernet"));
	engine->close(NULL);
}

/* Odd ones are sent, by both ports; the file written has their bytes and times. */
static void sends_bytes_and_times_through(void **state)
{
	struct record records[150];
	struct packet packets[BURST_MAX];
	uint32_t number = 0, odd = 1;
	struct pcap_pkthdr *header;
	const uint8_t *data;
	pcap_t *out;
	char error[PCAP_ERRBUF_SIZE];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(records); i++)
		records[i] = (struct record){ 60 + i * 11, 60 + i * 11, 1000 + i };
	file_write(records, ARRAY_LEN(records), DLT_EN10MB);
	io_open();
	assert_int_equal(engine->socket(io, 0), -1);
	while (engine->wait(io, 1000)) {
		size_t count = engine->rx(io, packets, 7);
		size_t kept = 0;

		assert_int_equal(stats_of().held, count);
		for (size_t i = 0; i < count; i++, number++) {
			uint8_t bytes[LEN_MAX];
			struct packet packet = packets[i];

			bytes_of(number, bytes, 60 + number * 11);
			assert_int_equal(packet.len, 60 + number * 11);
			assert_memory_equal(packet.data, bytes, packet.len);
			assert_int_equal(packet.kind, FRAME_UNCLASSIFIED);
			assert_int_equal(packet.rx_port, 0);
			packet.tx_port = (uint8_t)(number / 2 % 2);
			packets[i] = packets[kept];
			packets[number % 2 ? kept++ : i] = packet;
		}
		assert_int_equal(engine->tx(io, packets, kept), kept);
		engine->release(io, packets + kept, count - kept);
		assert_int_equal(stats_of().held, 0);
	}
	assert_int_equal(number, 150);
	assert_int_equal(stats_of().ports[0].received, 150);
	assert_int_equal(stats_of().ports[0].sent, 38);
	assert_int_equal(stats_of().ports[1].sent, 37);
	(void)io_close(NULL);

	out = pcap_open_offline(out_name, error);
	assert_non_null(out);
	assert_int_equal(pcap_datalink(out), DLT_EN10MB);
	for (; pcap_next_ex(out, &header, &data) == 1; odd += 2) {
		uint8_t bytes[LEN_MAX];

		bytes_of(odd, bytes, 60 + odd * 11);
		assert_int_equal(header->caplen, 60 + odd * 11);
		assert_int_equal(header->len, header->caplen);
		assert_int_equal(header->ts.tv_sec, 1000 + odd);
		assert_int_equal(header->ts.tv_usec, odd);
		assert_memory_equal(data, bytes, header->caplen);
	}
	assert_int_equal(odd, 151);
	pcap_close(out);
}

static void counts_what_is_cut_or_too_long(void **state)
{
	static const struct record records[] = {
		{ 60, 60, 1 },
		{ 60, 61, 1 },
		{ 0, 0, 1 },
		{ LEN_MAX, LEN_MAX, 1 },
		{ LEN_MAX + 1, LEN_MAX + 1, 1 },
		{ 65000, 65000, 1 },
	};
	struct packet packets[BURST_MAX];

	(void)state;
	file_write(records, ARRAY_LEN(records), DLT_EN10MB);
	io_open();
	assert_int_equal(engine->rx(io, packets, BURST_MAX), 3);
	assert_int_equal(packets[0].len, 60);
	assert_int_equal(packets[1].len, 0); /* for the caller to drop */
	assert_int_equal(packets[2].len, LEN_MAX);
	assert_int_equal(stats_of().ports[0].received, 3);
	assert_int_equal(stats_of().ports[0].rx_invalid, 3);

	assert_int_equal(engine->tx(io, packets, 3), 2); /* the empty one is refused */
	assert_int_equal(stats_of().ports[0].tx_invalid, 1);
	assert_int_equal(stats_of().held, 1);
	assert_int_equal(packets[2].len, 0);
	packets[2].tx_port = 2;
	packets[2].len = 60;
	assert_int_equal(engine->tx(io, packets + 2, 1), 0);
	assert_int_equal(stats_of().ports[0].tx_invalid, 2);
	engine->release(io, packets + 2, 1);
	assert_int_equal(stats_of().free, FRAME_COUNT);
}

static void waits_for_frames_not_for_the_file(void **state)
{
	struct record records[FRAME_COUNT + 1];
	struct packet packets[FRAME_COUNT + BURST_MAX];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(records); i++)
		records[i] = (struct record){ 60, 60, 0 };
	file_write(records, ARRAY_LEN(records), DLT_EN10MB);
	io_open();
	assert_int_equal(engine->rx(io, packets, 64), 64);
	assert_int_equal(engine->rx(io, packets + 64, 64), FRAME_COUNT - 64);
	assert_int_equal(engine->rx(io, packets + FRAME_COUNT, 64), 0);
	assert_true(engine->wait(io, 0)); /* all frames are held, one record is left */
	assert_int_equal(stats_of().rx_empty, 1);
	engine->release(io, packets, FRAME_COUNT);
	assert_int_equal(engine->rx(io, packets, 64), 1);
	assert_false(engine->wait(io, 0));
	assert_int_equal(engine->rx(io, packets + 1, 64), 0);
	assert_false(engine->wait(io, 0));
	engine->release(io, packets, 1);
	assert_int_equal(stats_of().free, FRAME_COUNT);
}

/* What is whole is replayed, and the log says why the rest is not. */
static void ends_where_the_file_is_cut(void **state)
{
	static const struct record records[] = { { 60, 60, 0 }, { 60, 60, 0 } };
	static const struct {
		const char *name;
		off_t size;
		size_t whole;
	} cases[] = {
		{ "the last byte is missing", 24 + 2 * 76 - 1, 1 },
		{ "in the second record's header", 24 + 76 + 15, 1 },
		{ "between two records", 24 + 76, 1 },
		{ "in the first record", 24 + 75, 0 },
		{ "behind the file's header", 24, 0 },
	};
	struct packet packets[BURST_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		file_write(records, 2, DLT_EN10MB);
		assert_int_equal(truncate(in_name, cases[i].size), 0);
		io_open();
		assert_int_equal(engine->rx(io, packets, BURST_MAX), cases[i].whole);
		assert_false(engine->wait(io, 0));
		(void)io_close(NULL);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, io_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_what_it_cannot_replay),  TEST(sends_bytes_and_times_through),
		TEST(counts_what_is_cut_or_too_long), TEST(waits_for_frames_not_for_the_file),
		TEST(ends_where_the_file_is_cut),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
