/* SPDX-License-Identifier: GPL-2.0-only */
/* af_xdp_test.c - the AF_XDP engine on the real kernel, in a namespace that dies
 * with this process:
 *
 *     out0 (packet socket) === in0 [XDP: all to the XSK of port 0]  \ one engine,
 *     out1 (packet socket) === in1 [XDP: all to the XSK of port 1]  / two ports
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "control/drops.h"
#include "io/io.h"

#define ETHERTYPE    0x88b5 /* IEEE 802: for local experiments */
#define RING	     256
#define FRAME_COUNT  (2 * 3 * RING + BURST_MAX)
#define PORTS	     2
#define LEN_MAX	     1514
#define DEADLINE_MS  5000
#define META_SLOT    1234
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct io_engine *const engine = &io_af_xdp;
static struct io_port_config ports[PORTS] = { { "in0", 0 }, { "in1", 0 } };
static int wires[PORTS]; /* packet sockets on out0, out1 */
static int xskmaps[PORTS];
static struct io *io;
static struct nic_stats nics_before[PORTS]; /* when it was opened */

static void run(const char *command)
{
	if (system(command)) {
		print_message("failed: %s\n", command);
		exit(1);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wire_open(const char *ifname)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex(ifname),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETHERTYPE));
	int buffer = 16 << 20, ignore = 1;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore))) {
		perror("packet socket");
		exit(1);
	}
	return fd;
}

/* A program that puts metadata in front and redirects to key 0 of its map, and
 * passes what the map has no socket for. */
static int program_load(int map_fd)
{
	enum {
		WORD = BPF_LDX | BPF_MEM | BPF_W,
		STORE = BPF_ST | BPF_MEM,
	};
	const struct bpf_insn instructions[] = {
		/* code, destination, source, offset, value */
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, -(int)sizeof(struct frame_meta) },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_xdp_adjust_meta },
		{ WORD, BPF_REG_1, BPF_REG_6, offsetof(struct xdp_md, data_meta), 0 },
		{ WORD, BPF_REG_2, BPF_REG_6, offsetof(struct xdp_md, data), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_1, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, sizeof(struct frame_meta) },
		{ BPF_JMP | BPF_JGT | BPF_X, BPF_REG_3, BPF_REG_2, 4, 0 }, /* over the stores */
		{ STORE | BPF_W, BPF_REG_1, 0, offsetof(struct frame_meta, magic),
		  FRAME_META_MAGIC },
		{ STORE | BPF_H, BPF_REG_1, 0, offsetof(struct frame_meta, slot), META_SLOT },
		{ STORE | BPF_B, BPF_REG_1, 0, offsetof(struct frame_meta, kind), FRAME_RETURN },
		{ STORE | BPF_B, BPF_REG_1, 0, offsetof(struct frame_meta, port), 1 },
		{ BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd },
		{ 0 }, /* second half of the address */
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options);

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "to_xsk", "GPL", instructions,
			     ARRAY_LEN(instructions), &options);
}

static void program_attach(uint32_t port)
{
	int program_fd;

	xskmaps[port] = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsk", 4, 4, 1, NULL);
	program_fd = program_load(xskmaps[port]);
	if (program_fd < 0 ||
	    bpf_link_create(program_fd, (int)ports[port].ifindex, BPF_XDP, NULL) < 0) {
		perror("XDP program");
		exit(1);
	}
}

static void pair_make(uint32_t i)
{
	char command[256];

	(void)snprintf(command, sizeof(command),
		       "ip link add in%u type veth peer name out%u && "
		       "sysctl -qw net.ipv6.conf.in%u.disable_ipv6=1 "
		       "net.ipv6.conf.out%u.disable_ipv6=1 && "
		       "ip link set in%u up && ip link set out%u up",
		       i, i, i, i, i, i);
	run(command);
	ports[i].ifindex = if_nametoindex(ports[i].ifname);
	wires[i] = wire_open(i ? "out1" : "out0");
	program_attach(i);
}

static int topology_make(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET)) {
		perror("unshare (this test takes root)");
		return -1;
	}
	for (uint32_t i = 0; i < PORTS; i++)
		pair_make(i);
	return 0;
}

static struct io_config config_of(enum io_mode mode)
{
	return (struct io_config){
		.ports = ports,
		.port_count = PORTS,
		.queue = 0,
		.mode = mode,
		.frame_count = FRAME_COUNT,
		.frame_size = 2048,
		.ring_size = RING,
	};
}

static void io_open(enum io_mode mode)
{
	const struct io_config config = config_of(mode);
	char error[256] = "";
	int err = engine->open(&config, &io, error, sizeof(error));

	if (err)
		print_message("%s\n", error);
	assert_int_equal(err, 0);
	for (uint32_t i = 0; i < PORTS; i++) {
		uint32_t key = 0;
		int fd = engine->socket(io, i);

		assert_true(fd >= 0);
		assert_int_equal(bpf_map_update_elem(xskmaps[i], &key, &fd, BPF_ANY), 0);
		nic_stats_free(&nics_before[i]);
		assert_int_equal(nic_stats_read(ports[i].ifname, &nics_before[i]), 0);
	}
}

static int io_close(void **state)
{
	(void)state;
	engine->close(io);
	io = NULL;
	run("ip link set in1 up");
	for (uint32_t i = 0; i < PORTS; i++) { /* what a failed test left on the wire */
		char bytes[LEN_MAX];

		while (recv(wires[i], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
	}
	return 0;
}

static struct io_stats stats_of(void)
{
	struct io_stats stats;
	uint64_t out = 0;

	engine->stats(io, &stats);
	for (uint32_t i = 0; i < PORTS; i++)
		out += stats.ports[i].posted + stats.ports[i].sent - stats.ports[i].completed;
	assert_int_equal(stats.free + stats.held + out, FRAME_COUNT);
	return stats;
}

/* What `ringwayctl drops` would say: the place's kind and count, and that nothing before it
 * is a loss. The kernel counted nothing else, neither did XDP. */
static void assert_place(const char *name, const char *kind, uint64_t count)
{
	struct drops_counts *counts = calloc(1, sizeof(*counts));
	json_t *places, *place = NULL;
	size_t i;

	assert_non_null(counts);
	counts->port_count = PORTS;
	counts->worker_count = 1;
	counts->ios[0] = stats_of();
	for (uint32_t port = 0; port < PORTS; port++) {
		counts->ifnames[port] = ports[port].ifname;
		counts->drivers[port] = "veth";
		assert_int_equal(nic_stats_read(ports[port].ifname, &counts->nics[port]), 0);
		nic_stats_since(&counts->nics[port], &nics_before[port]);
	}
	places = drops_places(counts);
	json_array_foreach (places, i, place) {
		json_int_t lost = json_integer_value(json_object_get(place, "count"));

		if (strcmp(json_string_value(json_object_get(place, "place")), name) == 0)
			break;
		if (strcmp(json_string_value(json_object_get(place, "kind")), "loss") == 0)
			assert_int_equal(lost, 0);
	}
	assert_non_null(place);
	assert_int_equal(json_integer_value(json_object_get(place, "count")), count);
	assert_string_equal(json_string_value(json_object_get(place, "kind")), kind);
	json_decref(places);
	for (uint32_t port = 0; port < PORTS; port++)
		nic_stats_free(&counts->nics[port]);
	free(counts);
}

static uint32_t datagram_make(uint32_t number, uint8_t bytes[LEN_MAX])
{
	uint32_t len = 60 + number * 37 % (LEN_MAX - 59), type = htons(ETHERTYPE);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(number * 7 + i * 13);
	memset(bytes, 0xff, ETH_ALEN);
	memset(bytes + ETH_ALEN, 0x02, ETH_ALEN);
	memcpy(bytes + 2 * ETH_ALEN, &type, 2);
	memcpy(bytes + ETH_HLEN, &number, sizeof(number));
	return len;
}

static void wire_send(uint32_t port, uint32_t first, uint32_t count)
{
	uint8_t bytes[LEN_MAX];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t len = datagram_make(first + i, bytes);

		assert_int_equal(send(wires[port], bytes, len, 0), len);
	}
}

static void wire_expect(uint32_t port, uint32_t first, uint32_t count)
{
	uint8_t want[LEN_MAX], got[LEN_MAX + 1];

	for (uint32_t i = 0; i < count; i++) {
		struct pollfd poll_fd = { .fd = wires[port], .events = POLLIN };
		uint32_t len = datagram_make(first + i, want);

		assert_int_equal(poll(&poll_fd, 1, DEADLINE_MS), 1);
		assert_int_equal(recv(wires[port], got, sizeof(got), 0), len);
		assert_memory_equal(got, want, len);
	}
}

/* Receive count datagrams of the port; all are held in packets[] in order. */
static void expect_received(uint32_t port, uint32_t first, struct packet *packets, size_t count)
{
	const int64_t deadline = now_ms() + DEADLINE_MS;
	uint8_t want[LEN_MAX];
	size_t received = 0;

	while (received < count) {
		size_t got = engine->rx(io, packets + received, count - received);

		(void)stats_of();
		if (!got)
			assert_true(engine->wait(io, 100));
		for (; got; got--, received++) {
			const struct packet *packet = &packets[received];
			uint32_t len = datagram_make(first + (uint32_t)received, want);

			assert_int_equal(packet->len, len);
			assert_memory_equal(packet->data, want, len);
			assert_int_equal(packet->rx_port, port);
			assert_int_equal(packet->kind, FRAME_RETURN);
			assert_int_equal(packet->slot, META_SLOT);
			assert_int_equal(packet->tx_port, 1);
		}
		assert_true(now_ms() < deadline);
	}
}

static void send_all(struct packet *packets, size_t count, uint8_t tx_port)
{
	for (size_t i = 0; i < count; i++)
		packets[i].tx_port = tx_port;
	assert_int_equal(engine->tx(io, packets, count), count);
}

/* Rounds until the kernel has given back all that was sent. */
static void drain(uint32_t port)
{
	const int64_t deadline = now_ms() + DEADLINE_MS;

	for (;;) {
		struct io_stats stats = stats_of();

		if (stats.ports[port].completed == stats.ports[port].sent)
			return;
		assert_true(now_ms() < deadline);
		assert_int_equal(engine->rx(io, NULL, 0), 0);
		(void)engine->wait(io, 1);
	}
}

/* 64 rounds of 32: the memory is gone through several times, both ways. */
static void forwards_every_byte(void **state)
{
	static const struct {
		const char *name;
		uint32_t from;
		uint8_t to;
	} cases[] = { { "0 to 1", 0, 1 }, { "1 to 0", 1, 0 }, { "0 to 0", 0, 0 } };

	(void)state;
	io_open(IO_MODE_AUTO);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct io_stats before = stats_of(), after;

		print_message("case: %s\n", cases[i].name);
		for (uint32_t round = 0; round < 64; round++) {
			struct packet packets[32];

			wire_send(cases[i].from, round * 32, 32);
			expect_received(cases[i].from, round * 32, packets, 32);
			send_all(packets, 32, cases[i].to);
			wire_expect(cases[i].to, round * 32, 32);
		}
		drain(cases[i].to);
		after = stats_of();
		assert_int_equal(after.ports[cases[i].from].received -
					 before.ports[cases[i].from].received,
				 64 * 32);
		assert_int_equal(after.ports[cases[i].to].completed -
					 before.ports[cases[i].to].completed,
				 64 * 32);
		assert_true(after.ports[cases[i].to].kicks - before.ports[cases[i].to].kicks <=
			    2 * 64);
	}
	for (uint32_t port = 0; port < PORTS; port++) {
		const struct io_port_stats stats = stats_of().ports[port];

		assert_int_equal(stats.mode, IO_MODE_COPY); /* veth has no zero-copy */
		assert_int_equal(stats.rx_dropped + stats.rx_invalid + stats.tx_invalid, 0);
		assert_int_equal(stats.rx_ring_full + stats.rx_fill_empty, 0);
	}
}

/* An odd address, and one before where the frame was received: both come back. */
static void sends_from_anywhere_in_the_frame(void **state)
{
	static const int shifts[] = { 1, -1, -40, -255, 17 };
	struct packet packets[ARRAY_LEN(shifts)];
	uint8_t want[LEN_MAX];

	(void)state;
	io_open(IO_MODE_COPY);
	for (uint32_t round = 0; round < 400; round++) {
		wire_send(0, 0, ARRAY_LEN(shifts));
		expect_received(0, 0, packets, ARRAY_LEN(shifts));
		for (uint32_t i = 0; i < ARRAY_LEN(shifts); i++) {
			packets[i].len = datagram_make(i, want);
			packets[i].data += shifts[i];
			memcpy(packets[i].data, want, packets[i].len);
		}
		send_all(packets, ARRAY_LEN(shifts), 1);
		wire_expect(1, 0, ARRAY_LEN(shifts));
		drain(1);
	}
	assert_int_equal(stats_of().ports[1].tx_invalid, 0);
	assert_int_equal(stats_of().held, 0);
}

/* The kernel releases a closed queue later: open has to wait for that. */
static void opens_again_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct packet packets[8];

		io_open(IO_MODE_COPY);
		wire_send(0, 0, 8);
		expect_received(0, 0, packets, 8);
		send_all(packets, 8, 1);
		wire_expect(1, 0, 8);
		engine->close(io); /* with frames in the kernel's hands */
		io = NULL;
	}
}

static void says_why_it_cannot_open(void **state)
{
	struct io_config config = config_of(IO_MODE_COPY);
	struct io *second = NULL;
	char error[256] = "";

	(void)state;
	io_open(IO_MODE_COPY);
	print_message("case: the queue is taken\n");
	assert_int_equal(engine->open(&config, &second, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "queue 0 of in0"));
	assert_non_null(strstr(error, "another AF_XDP socket has it"));

	print_message("case: zero-copy where there is none\n");
	(void)io_close(NULL);
	config.mode = IO_MODE_ZERO_COPY;
	assert_int_equal(engine->open(&config, &second, error, sizeof(error)), -EOPNOTSUPP);
	assert_non_null(strstr(error, "in zero-copy mode"));

	print_message("case: no such queue\n");
	config = config_of(IO_MODE_COPY);
	config.queue = 7;
	assert_int_equal(engine->open(&config, &second, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "no such queue"));

	print_message("case: no such interface\n");
	config = config_of(IO_MODE_COPY);
	config.ports = (const struct io_port_config[]){ { "in0", 0 }, { "gone0", 0 } };
	assert_int_equal(engine->open(&config, &second, error, sizeof(error)), -ENODEV);
	assert_non_null(strstr(error, "gone0"));
	assert_null(second);
}

/* veth binds while it is down; the frames flow once it is up. */
static void opens_before_the_link_is_up(void **state)
{
	struct packet packets[8];

	(void)state;
	run("ip link set in1 down");
	io_open(IO_MODE_COPY);
	wire_send(0, 0, 8);
	expect_received(0, 0, packets, 8);
	send_all(packets, 8, 1);
	assert_int_equal(stats_of().ports[1].kick_errors[IO_KICK_LINK_DOWN], 1);
	assert_place("kick_link_down", "sign", 1);
	run("ip link set in1 up");
	drain(1);
	wire_expect(1, 0, 8);
}

/* Its frames stay in the ring, the other port goes on; then they arrive. */
static void outlives_a_lost_link(void **state)
{
	struct packet packets[32];
	struct io_stats stats;

	(void)state;
	io_open(IO_MODE_COPY);
	wire_send(0, 0, 32);
	expect_received(0, 0, packets, 32);
	run("ip link set in1 down");
	send_all(packets, 32, 1);
	stats = stats_of();
	assert_true(stats.ports[1].kick_errors[IO_KICK_LINK_DOWN] > 0);
	assert_int_equal(stats.ports[1].completed, 0);

	for (uint32_t round = 0; round < 50; round++) {
		wire_send(0, round, 16);
		expect_received(0, round, packets, 16);
		send_all(packets, 16, 0);
		wire_expect(0, round, 16);
	}
	run("ip link set in1 up");
	drain(1);
	wire_expect(1, 0, 32);
	assert_int_equal(stats_of().ports[1].completed, 32);
	drain(0);
	assert_int_equal(stats_of().held, 0);
}

/* A worker never keeps so many frames: here all that are not posted, and then the rest. */
static void counts_what_finds_no_frame(void **state)
{
	static struct packet held[FRAME_COUNT], posted[2 * RING];
	size_t taken = 0, got;

	(void)state;
	io_open(IO_MODE_COPY);
	while ((got = engine->take(io, held + taken, BURST_MAX)))
		taken += got;
	for (size_t i = 0; i < 2 * RING; i += BURST_MAX) {
		wire_send(0, (uint32_t)i, BURST_MAX);
		expect_received(0, (uint32_t)i, posted + i, BURST_MAX);
	}
	assert_int_equal(stats_of().free, 0);
	wire_send(0, 0, 10);
	assert_place("rx_fill_empty", "loss", 10);
	for (size_t i = 0; i < taken; i += got) {
		got = taken - i < BURST_MAX ? taken - i : BURST_MAX;
		engine->release(io, held + i, got);
	}
	assert_int_equal(engine->rx(io, NULL, 0), 0); /* and there are frames again */
	wire_send(0, 0, 8);
	expect_received(0, 0, held, 8);
}

static void counts_what_is_no_frame(void **state)
{
	struct packet packets[4];

	(void)state;
	io_open(IO_MODE_COPY);
	wire_send(0, 0, 4);
	expect_received(0, 0, packets, 4);
	for (size_t i = 0; i < 4; i++)
		packets[i].len = ETH_HLEN - 1;
	assert_int_equal(engine->tx(io, packets, 4), 0);
	assert_place("tx_invalid", "loss", 4);
}

/* Its socket is left, without a device to send by. */
static void counts_kicks_that_nobody_takes(void **state)
{
	struct packet packets[4];

	(void)state;
	io_open(IO_MODE_COPY);
	wire_send(0, 0, 4);
	expect_received(0, 0, packets, 4);
	run("ip link delete in1");
	packets[0].tx_port = 1;
	assert_int_equal(engine->tx(io, packets, 1), 1);
	assert_int_equal(stats_of().ports[1].kick_errors[IO_KICK_OTHER], 1);
	engine->close(io);
	io = NULL;
	(void)close(wires[1]);
	(void)close(xskmaps[1]);
	pair_make(1);
}

/* The kernel says twice what it was told. */
static void send_buffer_holds_the_ring(void **state)
{
	(void)state;
	io_open(IO_MODE_COPY);
	for (uint32_t i = 0; i < PORTS; i++) {
		int size = 0;
		socklen_t len = sizeof(size);

		assert_int_equal(
			getsockopt(engine->socket(io, i), SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
		assert_int_equal(size, 2 * RING * 2048);
	}
}

/* One wake ends one wait, whichever comes first. */
static void wakes_from_its_sleep(void **state)
{
	int64_t start_ms;

	(void)state;
	io_open(IO_MODE_COPY);
	engine->wake(io);
	engine->wake(io);
	start_ms = now_ms();
	assert_true(engine->wait(io, DEADLINE_MS));
	assert_true(now_ms() - start_ms < DEADLINE_MS / 2);
	start_ms = now_ms();
	assert_true(engine->wait(io, 20));
	assert_true(now_ms() - start_ms >= 19);
}

#define TEST(name) cmocka_unit_test_teardown(name, io_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(forwards_every_byte),
		TEST(sends_from_anywhere_in_the_frame),
		TEST(opens_again_at_once),
		TEST(says_why_it_cannot_open),
		TEST(opens_before_the_link_is_up),
		TEST(outlives_a_lost_link),
		TEST(send_buffer_holds_the_ring),
		TEST(wakes_from_its_sleep),
		TEST(counts_what_finds_no_frame),
		TEST(counts_what_is_no_frame),
		TEST(counts_kicks_that_nobody_takes),
	};

	return cmocka_run_group_tests(tests, topology_make, NULL);
}
