/* SPDX-License-Identifier: GPL-2.0-only */
/* af_xdp_test.c - the AF_XDP engine against a scripted kernel (tests/fake). After
 * every step the engine's account of the frames is held against the kernel's. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../fake/fake_xsk.h"
#include "io/io.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define RING		 64
#define FRAME_SIZE	 2048
#define DATA_OFFSET	 256 /* XDP_PACKET_HEADROOM */
#define FRAMES(ports)	 ((ports)*3 * RING + BURST_MAX)

static const struct io_port_config ports[PORT_COUNT_MAX] = {
	{ "p0", 1 }, { "p1", 2 }, { "p2", 3 }, { "p3", 4 },
	{ "p4", 5 }, { "p5", 6 }, { "p6", 7 }, { "p7", 8 },
};

static const struct io_engine *const engine = &io_af_xdp;
static struct io *io;
static struct packet held[FRAMES(PORT_COUNT_MAX)]; /* what the test has of rx */
static size_t held_count;

static struct io_config config_of(uint32_t port_count)
{
	return (struct io_config){
		.ports = ports,
		.port_count = port_count,
		.queue = 3,
		.mode = IO_MODE_COPY,
		.frame_count = FRAMES(port_count),
		.frame_size = FRAME_SIZE,
		.ring_size = RING,
	};
}

static void open_ports(uint32_t port_count)
{
	const struct io_config config = config_of(port_count);
	char error[256];

	fake_reset();
	held_count = 0;
	assert_int_equal(engine->open(&config, &io, error, sizeof(error)), 0);
}

static int one_port(void **state)
{
	(void)state;
	open_ports(1);
	return 0;
}

static int two_ports(void **state)
{
	(void)state;
	open_ports(2);
	return 0;
}

static int no_port(void **state)
{
	(void)state;
	fake_reset();
	io = NULL;
	return 0;
}

static int close_ports(void **state)
{
	(void)state;
	engine->close(io);
	io = NULL;
	return fake.opened == fake.closed ? 0 : -1;
}

static struct io_stats stats_of(void)
{
	struct io_stats stats;

	engine->stats(io, &stats);
	return stats;
}

/* Every frame is in one place, and both sides agree in which. */
static void assert_conserved(void)
{
	struct io_stats stats = stats_of();
	uint64_t out = 0;

	for (uint32_t i = 0; i < stats.port_count; i++) {
		const struct io_port_stats *port = &stats.ports[i];

		assert_true(port->posted <= 2 * RING);
		assert_true(port->sent - port->completed <= RING);
		assert_int_equal(port->rx_waiting, fake_rx_waiting(i));
		assert_int_equal(fake.ports[i].invalid, 0);
		out += port->posted + port->sent - port->completed;
	}
	assert_int_equal(stats.held, held_count);
	assert_int_equal(stats.free + stats.held + out, stats.frames);
	assert_int_equal(fake_frames_out(), out);
}

static size_t receive(size_t max)
{
	size_t count = engine->rx(io, held + held_count, max);

	held_count += count;
	assert_conserved();
	return count;
}

/* The first taken are some of offered[], in its order; the rest are the others. */
static void assert_split(const struct packet *offered, size_t count, size_t taken)
{
	size_t at = 0, others = taken;

	for (size_t i = 0; i < count; i++) {
		bool found = false;

		if (at < taken && held[at].frame == offered[i].frame) {
			at++;
			continue;
		}
		for (size_t j = taken; j < count && !found; j++)
			found = held[j].frame == offered[i].frame;
		assert_true(found);
		others++;
	}
	assert_int_equal(at, taken);
	assert_int_equal(others, count);
}

/* Offer the first count held packets to tx; what is not taken stays held. */
static size_t transmit(size_t count)
{
	struct packet offered[BURST_MAX];
	size_t taken;

	memcpy(offered, held, count * sizeof(held[0]));
	taken = engine->tx(io, held, count);
	assert_true(taken <= count);
	assert_split(offered, count, taken);
	held_count -= taken;
	memmove(held, held + taken, held_count * sizeof(held[0]));
	assert_conserved();
	return taken;
}

static void release(size_t count)
{
	held_count -= count;
	engine->release(io, held + held_count, count);
	assert_conserved();
}

static void bytes_of(uint32_t number, uint8_t bytes[60])
{
	memset(bytes, 0x5a, 60);
	memcpy(bytes + 14, &number, sizeof(number));
}

/* The kernel receives count numbered frames. */
static void arrive(uint32_t port, uint32_t count, uint32_t first_number)
{
	uint8_t bytes[60];

	for (uint32_t i = 0; i < count; i++) {
		bytes_of(first_number + i, bytes);
		assert_true(fake_receive(port, DATA_OFFSET, bytes, sizeof(bytes), NULL));
	}
}

/* Hold count frames that came in by `port` and are to leave by tx_port. */
static void hold(uint32_t port, uint32_t count, uint8_t tx_port, uint32_t first_number)
{
	size_t before = held_count;

	assert_int_equal(receive(0), 0); /* fill rings are full again */
	arrive(port, count, first_number);
	while (held_count < before + count)
		assert_true(receive(BURST_MAX) > 0);
	for (size_t i = before; i < held_count; i++)
		held[i].tx_port = tx_port;
}

static uint32_t number_of(const uint8_t *data)
{
	uint32_t number;

	memcpy(&number, data + 14, sizeof(number));
	return number;
}

static uint32_t sent_numbers[4096], sent_count;

static void sent_record(uint32_t port, const uint8_t *data, uint32_t len)
{
	(void)port;
	(void)len;
	assert_true(sent_count < ARRAY_LEN(sent_numbers));
	sent_numbers[sent_count++] = number_of(data);
}

static int eight_ports(void **state)
{
	(void)state;
	open_ports(8);
	return 0;
}

/* Two of eight always have more than a burst, the others nothing. */
static void shares_between_busy_ports_among_idle_ones(void **state)
{
	const struct {
		uint32_t a, b;
	} busy[] = { { 0, 1 }, { 0, 7 }, { 2, 6 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		struct io_stats before = stats_of(), after;
		uint64_t from_a, from_b;

		assert_int_equal(receive(0), 0);
		for (uint32_t round = 0; round < 32; round++) {
			while (fake_rx_waiting(busy[i].a) < 32)
				arrive(busy[i].a, 1, 0);
			while (fake_rx_waiting(busy[i].b) < 32)
				arrive(busy[i].b, 1, 0);
			assert_int_equal(receive(32), 32);
			release(32);
		}
		after = stats_of();
		from_a = after.ports[busy[i].a].received - before.ports[busy[i].a].received;
		from_b = after.ports[busy[i].b].received - before.ports[busy[i].b].received;
		print_message("ports %u and %u: %u and %u\n", busy[i].a, busy[i].b,
			      (unsigned int)from_a, (unsigned int)from_b);
		assert_int_equal(from_a, from_b);
		while (receive(BURST_MAX))
			release(held_count);
	}
}

static void knows_when_all_is_sent(void **state)
{
	(void)state;
	assert_true(engine->sent_all(io));
	hold(0, 2, 1, 0);
	assert_true(engine->sent_all(io));
	fake.ports[1].stuck = true;
	assert_int_equal(transmit(2), 2);
	assert_false(engine->sent_all(io)); /* in the ring */
	fake.ports[1].stuck = false;
	fake.ports[1].hold_completions = true;
	for (int round = 0; round < 4 && fake.ports[1].sent < 2; round++)
		assert_int_equal(receive(0), 0);
	assert_int_equal(fake.ports[1].sent, 2);
	assert_false(engine->sent_all(io)); /* with the kernel */
	assert_int_equal(fake_complete(1, 2), 2);
	assert_int_equal(receive(0), 0);
	assert_true(engine->sent_all(io));

	engine->wake(io);
	assert_int_equal(fake.wakes, 1);
}

static void refuses_bad_configurations(void **state)
{
	static const struct {
		const char *name;
		uint32_t port_count, frame_size, ring_size, frame_count;
		const char *sentence;
	} cases[] = {
		{ "no port", 0, 2048, RING, 1024, "0 interfaces" },
		{ "too many ports", 9, 2048, RING, 4096, "9 interfaces" },
		{ "small frames", 1, 1024, RING, 1024, "frame size of 1024" },
		{ "odd frames", 1, 3000, RING, 1024, "frame size of 3000" },
		{ "ring below a burst", 1, 2048, 32, 1024, "ring size of 32" },
		{ "ring no power of two", 1, 2048, 100, 1024, "ring size of 100" },
		{ "ring too long", 1, 2048, 16384, 100000, "ring size of 16384" },
		{ "one frame short", 1, 2048, RING, FRAMES(1) - 1, "at least 256" },
		{ "one frame short, two ports", 2, 4096, RING, FRAMES(2) - 1, "at least 448" },
		{ "frames without end", 1, 2048, RING, UINT32_MAX, "is the most" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct io_config config = config_of(cases[i].port_count);
		struct io *untouched = (struct io *)&config;
		char error[256] = "";

		print_message("case: %s\n", cases[i].name);
		config.frame_size = cases[i].frame_size;
		config.ring_size = cases[i].ring_size;
		config.frame_count = cases[i].frame_count;
		assert_int_equal(engine->open(&config, &untouched, error, sizeof(error)), -EINVAL);
		assert_ptr_equal(untouched, &config);
		assert_non_null(strstr(error, cases[i].sentence));
		assert_int_equal(fake.opened, 0);
	}
}

static void binds_all_ports_in_one_mode(void **state)
{
	static const struct {
		const char *name;
		enum io_mode asked, bound;
		int zero_copy_error[2], copy_error[2]; /* by port */
		int err;
		uint32_t opened;
	} cases[] = {
		{ "auto", IO_MODE_AUTO, IO_MODE_ZERO_COPY, { 0 }, { 0 }, 0, 1 },
		{ "auto, no port can",
		  IO_MODE_AUTO,
		  IO_MODE_COPY,
		  { -EOPNOTSUPP, -EOPNOTSUPP },
		  { 0 },
		  0,
		  2 },
		{ "auto, the second cannot",
		  IO_MODE_AUTO,
		  IO_MODE_COPY,
		  { 0, -EINVAL },
		  { 0 },
		  0,
		  2 },
		{ "auto, neither mode",
		  IO_MODE_AUTO,
		  0,
		  { -EOPNOTSUPP, 0 },
		  { 0, -ENODEV },
		  -ENODEV,
		  2 },
		{ "auto, busy", IO_MODE_AUTO, 0, { 0, -EBUSY }, { 0 }, -EBUSY, 1 },
		{ "zero-copy", IO_MODE_ZERO_COPY, IO_MODE_ZERO_COPY, { 0 }, { 0 }, 0, 1 },
		{ "zero-copy, the second cannot",
		  IO_MODE_ZERO_COPY,
		  0,
		  { 0, -EOPNOTSUPP },
		  { 0 },
		  -EOPNOTSUPP,
		  1 },
		{ "copy", IO_MODE_COPY, IO_MODE_COPY, { -EINVAL, -EINVAL }, { 0 }, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct io_config config = config_of(2);
		char error[256] = "";

		print_message("case: %s\n", cases[i].name);
		fake_reset();
		held_count = 0;
		for (int port = 0; port < 2; port++) {
			fake.ports[port].bind_error[0] = cases[i].copy_error[port];
			fake.ports[port].bind_error[1] = cases[i].zero_copy_error[port];
		}
		config.mode = cases[i].asked;
		io = NULL;
		assert_int_equal(engine->open(&config, &io, error, sizeof(error)), cases[i].err);
		assert_int_equal(fake.opened, cases[i].opened);
		if (cases[i].err) {
			assert_null(io);
			assert_non_null(strstr(error, "cannot bind queue 3 of p1"));
		} else {
			for (uint32_t port = 0; port < 2; port++) {
				assert_int_equal(stats_of().ports[port].mode, cases[i].bound);
				assert_int_equal(fake.ports[port].filled_at_bind, 2 * RING);
				assert_int_equal(engine->socket(io, port), 100 + (int)port);
			}
			assert_int_equal(engine->socket(io, 2), -1);
			assert_conserved();
		}
		engine->close(io);
		io = NULL;
		assert_int_equal(fake.closed, fake.opened); /* half-open ones too */
	}
}

static void closes_nothing_and_what_is_held(void **state)
{
	char error[256] = "";
	struct io_config config = config_of(1);

	(void)state;
	engine->close(NULL);
	fake.open_error = -EPERM;
	assert_int_equal(engine->open(&config, &io, error, sizeof(error)), -EPERM);
	assert_null(io);
	assert_string_not_equal(error, "");
	open_ports(1);
	hold(0, 5, 0, 0);
}

static void delivers_bytes_and_metadata(void **state)
{
	static const struct {
		const char *name;
		uint32_t offset;
		struct frame_meta meta;
		uint8_t kind, tx_port;
		uint16_t slot;
	} cases[] = {
		{ "service",
		  256,
		  { FRAME_META_MAGIC, 1023, FRAME_SERVICE, 3 },
		  FRAME_SERVICE,
		  3,
		  1023 },
		{ "return",
		  256,
		  { FRAME_META_MAGIC, 4095, FRAME_RETURN, 1 },
		  FRAME_RETURN,
		  1,
		  4095 },
		{ "no magic", 256, { 0, 7, FRAME_RETURN, 1 }, FRAME_UNCLASSIFIED, 0, 0 },
		{ "other magic",
		  256,
		  { FRAME_META_MAGIC + 1, 7, FRAME_RETURN, 1 },
		  FRAME_UNCLASSIFIED,
		  0,
		  0 },
		{ "at an odd address",
		  257,
		  { FRAME_META_MAGIC, 9, FRAME_SERVICE, 0 },
		  FRAME_SERVICE,
		  0,
		  9 },
		{ "frame at the very front",
		  8,
		  { FRAME_META_MAGIC, 9, FRAME_SERVICE, 0 },
		  FRAME_SERVICE,
		  0,
		  9 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t bytes[60];

		print_message("case: %s\n", cases[i].name);
		bytes_of((uint32_t)i, bytes);
		assert_true(fake_receive(1, cases[i].offset, bytes, sizeof(bytes), &cases[i].meta));
		assert_int_equal(receive(BURST_MAX), 1);
		assert_int_equal(held[0].len, sizeof(bytes));
		assert_memory_equal(held[0].data, bytes, sizeof(bytes));
		assert_int_equal(held[0].frame % FRAME_SIZE, 0);
		assert_int_equal(held[0].rx_port, 1);
		assert_int_equal(held[0].kind, cases[i].kind);
		assert_int_equal(held[0].slot, cases[i].slot);
		assert_int_equal(held[0].tx_port, cases[i].tx_port);
		release(1);
	}
	assert_int_equal(stats_of().ports[1].received, ARRAY_LEN(cases));
}

/* A frame that comes without metadata into a place where some lay before. */
static void never_shows_metadata_twice(void **state)
{
	const struct frame_meta meta = { FRAME_META_MAGIC, 77, FRAME_RETURN, 1 };
	uint8_t bytes[60];
	uint32_t total = FRAMES(2);

	(void)state;
	for (uint32_t i = 0; i < 3 * total; i++) {
		bytes_of(i, bytes);
		assert_true(fake_receive(0, DATA_OFFSET, bytes, sizeof(bytes),
					 i < total ? &meta : NULL));
		assert_int_equal(receive(BURST_MAX), 1);
		assert_int_equal(held[0].kind, i < total ? FRAME_RETURN : FRAME_UNCLASSIFIED);
		assert_int_equal(held[0].slot, i < total ? 77 : 0);
		release(1);
	}
}

static void survives_impossible_descriptors(void **state)
{
	static const struct {
		const char *name;
		uint32_t offset, len;
		bool good;
	} lies[] = {
		{ "ends with the frame", DATA_OFFSET, FRAME_SIZE - DATA_OFFSET, true },
		{ "one byte too long", DATA_OFFSET, FRAME_SIZE - DATA_OFFSET + 1, false },
		{ "endless", DATA_OFFSET, UINT32_MAX, false },
		{ "no room for metadata", 7, 60, false },
		{ "at the frame's last byte", FRAME_SIZE - 1, 2, false },
	};
	struct io_stats stats;
	uint64_t invalid = 0, posted, busy_frame;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		print_message("case: %s\n", lies[i].name);
		assert_true(fake_receive_lying(0, lies[i].offset, lies[i].len));
		assert_int_equal(receive(BURST_MAX), lies[i].good);
		invalid += !lies[i].good;
		assert_int_equal(stats_of().ports[0].rx_invalid, invalid);
		release(held_count);
	}

	hold(0, 1, 0, 0);
	assert_int_equal(receive(0), 0);
	posted = stats_of().ports[0].posted;
	busy_frame = held[0].frame + DATA_OFFSET;
	fake_receive_raw(0, busy_frame, 60);			   /* the caller has it */
	fake_receive_raw(0, (uint64_t)FRAMES(2) * FRAME_SIZE, 60); /* behind the last */
	fake_receive_raw(0, UINT64_MAX - 1000, 60);
	assert_int_equal(engine->rx(io, held + 1, BURST_MAX), 0);
	assert_conserved();
	stats = stats_of();
	assert_int_equal(stats.ports[0].rx_invalid, invalid + 3);
	assert_int_equal(stats.ports[0].posted, posted);
	assert_int_equal(stats.ports[0].received, 2);
}

static void shares_a_burst_between_ports(void **state)
{
	uint32_t got[2] = { 0 };

	(void)state;
	for (int round = 0; round < 4; round++) {
		arrive(0, 10, 0);
		arrive(1, 10, 0);
		assert_int_equal(receive(10), 10); /* each port would fill it */
		for (size_t i = 0; i < held_count; i++)
			got[held[i].rx_port]++;
		release(held_count);
	}
	assert_int_equal(got[0], 20);
	assert_int_equal(got[1], 20);
}

static void gives_no_more_than_asked(void **state)
{
	(void)state;
	arrive(0, 40, 100);
	assert_int_equal(receive(7), 7);
	assert_int_equal(receive(0), 0);
	assert_int_equal(receive(BURST_MAX), 33);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(number_of(held[i].data), 100 + i);
	assert_int_equal(stats_of().rx_calls, 3);
	assert_int_equal(stats_of().rx_empty, 1);
}

/* The fill ring's reader says late what it has read: more than a ring of frames
 * must pass through it all the same, and it must never be written over. */
static void refills_past_a_late_reader(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 40; round++) {
		arrive(0, 50, round * 50);
		assert_int_equal(receive(BURST_MAX), 50);
		for (uint32_t i = 0; i < 50; i++)
			assert_int_equal(number_of(held[i].data), round * 50 + i);
		release(50);
	}
	assert_int_equal(fake.ports[0].rx_fill_empty, 0);
}

static void kicks_the_fill_ring_when_asked_only(void **state)
{
	const uint8_t bytes[60] = { 0 };

	(void)state;
	fake.ports[0].fill_sleeps = true;
	while (fake_receive(0, DATA_OFFSET, bytes, sizeof(bytes), NULL))
		assert_int_equal(receive(BURST_MAX), 1);
	assert_int_equal(held_count, FRAMES(1)); /* none left to post, and the driver sleeps */
	assert_int_equal(fake.ports[0].rx_fill_empty, 1);
	assert_int_equal(fake.ports[0].fill_kicks, 0);

	release(held_count);
	assert_int_equal(receive(BURST_MAX), 0);
	assert_int_equal(fake.ports[0].fill_kicks, 1);
	assert_true(fake_receive(0, DATA_OFFSET, bytes, sizeof(bytes), NULL));
	assert_int_equal(receive(BURST_MAX), 1);
	assert_int_equal(fake.ports[0].fill_kicks, 1);
	assert_int_equal(stats_of().ports[0].rx_fill_empty, 1);
}

static void transmits_in_order(void **state)
{
	(void)state;
	sent_count = 0;
	fake.ports[1].on_send = sent_record;
	hold(0, 64, 1, 500);
	assert_int_equal(transmit(64), 64);
	assert_int_equal(sent_count, 64);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(sent_numbers[i], 500 + i);
	assert_int_equal(stats_of().ports[1].sent, 64);
	assert_int_equal(stats_of().ports[1].completed, 64);
	assert_int_equal(stats_of().ports[0].sent, 0);
}

/* 64 entries and 50 of them outstanding: 14 are taken, in order; the rest stay. */
static void takes_what_fits_and_no_more(void **state)
{
	struct packet offered[64];

	(void)state;
	sent_count = 0;
	fake.ports[0].on_send = sent_record;
	fake.ports[0].hold_completions = true;
	hold(0, 50, 0, 0);
	assert_int_equal(transmit(50), 50);
	hold(0, 64, 0, 1000);
	assert_int_equal(transmit(64), 14);
	assert_int_equal(held_count, 50);
	assert_int_equal(sent_count, 64);
	for (uint32_t i = 0; i < 14; i++)
		assert_int_equal(sent_numbers[50 + i], 1000 + i);
	memcpy(offered, held, 50 * sizeof(held[0]));
	assert_int_equal(transmit(50), 0);
	assert_memory_equal(offered, held, 50 * sizeof(held[0])); /* not even reordered */

	/* Room comes back: tx finds it without an rx in between. */
	assert_int_equal(fake_complete(0, 20), 20);
	assert_int_equal(transmit(50), 20);
	release(held_count);
}

/* One port full: packets for the other are taken around it. */
static void one_full_port_leaves_the_other(void **state)
{
	(void)state;
	fake.ports[0].hold_completions = true;
	hold(1, 64, 0, 0);
	assert_int_equal(transmit(64), 64);
	sent_count = 0;
	fake.ports[1].on_send = sent_record;
	hold(1, 40, 1, 2000);
	for (size_t i = 0; i < 40; i += 2)
		held[i].tx_port = 0;
	assert_int_equal(transmit(40), 20);
	assert_int_equal(sent_count, 20);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(sent_numbers[i], 2001 + 2 * i);
	for (size_t i = 0; i < held_count; i++)
		assert_int_equal(held[i].tx_port, 0);
	release(held_count);
}

static void never_queues_an_invalid_descriptor(void **state)
{
	static const struct {
		const char *name;
		int data_shift;
		uint32_t len;
		uint8_t tx_port;
		bool good;
	} cases[] = {
		{ "a header and no more", 0, 14, 0, true },
		{ "short of a header", 0, 13, 0, false },
		{ "empty", 0, 0, 0, false },
		{ "to the frame's end", 0, FRAME_SIZE - DATA_OFFSET, 0, true },
		{ "over the frame's end", 0, FRAME_SIZE - DATA_OFFSET + 1, 0, false },
		{ "endless", 0, UINT32_MAX, 0, false },
		{ "from the frame's first byte", -DATA_OFFSET, FRAME_SIZE, 0, true },
		{ "from before the frame", -DATA_OFFSET - 1, 60, 0, false },
		{ "in the next frame", FRAME_SIZE - DATA_OFFSET, 60, 0, false },
		{ "no such port", 0, 60, 1, false },
		{ "no port at all", 0, 60, 255, false },
	};
	uint64_t invalid = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		hold(0, 3, 0, 0);
		held[1].data += cases[i].data_shift;
		held[1].len = cases[i].len;
		held[1].tx_port = cases[i].tx_port;
		assert_int_equal(transmit(3), cases[i].good ? 3 : 2);
		invalid += !cases[i].good;
		assert_int_equal(stats_of().ports[0].tx_invalid, invalid);
		release(held_count); /* a refused one is still the caller's */
	}
}

static void takes_completions_however_addressed(void **state)
{
	static const struct {
		const char *name;
		uint32_t data_shift, xor;
	} cases[] = {
		{ "as sent, even", 0, 0 },
		{ "odd address sent, bit 0 lost", 1, 0 },
		{ "frame base instead of the data", 0, DATA_OFFSET },
		{ "last bytes of the frame", 0, 0x7fe },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		fake.ports[0].completion_xor = cases[i].xor ;
		hold(0, 32, 0, 0);
		for (size_t p = 0; p < 32; p++)
			held[p].data += cases[i].data_shift;
		assert_int_equal(transmit(32), 32);
		assert_int_equal(stats_of().ports[0].completed, 32 * (i + 1));
		assert_int_equal(stats_of().ports[0].tx_invalid, 0);
	}
}

static void takes_completions_in_any_order(void **state)
{
	(void)state;
	fake.ports[0].hold_completions = true;
	for (uint32_t round = 0; round < 20; round++) {
		hold(0, 60, 0, 0);
		assert_int_equal(transmit(60), 60);
		for (uint32_t i = 0; i < 60; i++)
			fake_shuffle(0, i, (i * 37 + round) % 60);
		assert_int_equal(fake_complete(0, 25), 25);
		assert_int_equal(receive(0), 0);
		assert_int_equal(fake_complete(0, 60), 35);
		assert_int_equal(receive(0), 0);
		assert_int_equal(stats_of().ports[0].completed, 60 * (round + 1));
	}
}

static void ignores_completions_of_what_was_not_sent(void **state)
{
	struct io_stats stats;
	uint64_t sent_frame, held_frame;

	(void)state;
	fake.ports[0].hold_completions = true;
	hold(0, 3, 0, 0);
	sent_frame = held[0].frame;
	held_frame = held[2].frame;
	assert_int_equal(transmit(2), 2);
	assert_int_equal(fake_complete(0, 2), 2);
	fake_complete_raw(0, sent_frame + DATA_OFFSET); /* a second time */
	fake_complete_raw(0, sent_frame);
	fake_complete_raw(0, held_frame);			/* never sent */
	fake_complete_raw(0, (uint64_t)FRAMES(2) * FRAME_SIZE); /* no frame */
	fake_complete_raw(0, UINT64_MAX);
	assert_int_equal(receive(0), 0);
	stats = stats_of();
	assert_int_equal(stats.ports[0].completed, 2);
	assert_int_equal(stats.ports[0].tx_invalid, 5);

	/* By the wrong port: the frame is still the other's. */
	held[0].tx_port = 1;
	fake.ports[1].hold_completions = true;
	fake.ports[0].hold_completions = true;
	hold(0, 1, 0, 0);
	assert_int_equal(engine->tx(io, held, 2), 2);
	held_count = 0;
	fake_complete_raw(0, held_frame);
	(void)engine->rx(io, held, 0);
	assert_int_equal(stats_of().ports[1].completed, 0);
	assert_int_equal(stats_of().ports[0].tx_invalid, 6);
	assert_int_equal(fake_complete(1, 1), 1);
	assert_int_equal(receive(0), 0);
	assert_int_equal(stats_of().ports[1].completed, 1);
}

/* A full completion ring stops the kernel: it has to be drained between two kicks. */
static void drains_between_kicks(void **state)
{
	(void)state;
	hold(0, 64, 0, 0);
	for (int i = 0; i < 40; i++)
		fake_complete_raw(0, UINT64_MAX);
	assert_int_equal(transmit(64), 64);
	assert_int_equal(fake.ports[0].sent, 64);
	assert_true(fake.ports[0].kicks <= 64 / 32 + 1);
	assert_int_equal(stats_of().ports[0].completed, 64);
}

static void counts_and_outlives_kick_errors(void **state)
{
	static const struct {
		const char *name;
		int err;
		uint32_t count;
		enum io_kick_error kind;
		uint64_t counted;      /* by the tx call */
		uint64_t refused;      /* frames lost in the end */
		uint64_t sent_at_once; /* frames that left in the tx call */
	} cases[] = {
		{ "again, once", -EAGAIN, 1, IO_KICK_AGAIN, 1, 0, 0 },
		{ "busy, one frame dropped", -EBUSY, 1, IO_KICK_BUSY, 1, 1, 31 },
		{ "busy, as often as it may be tried", -EBUSY, 2, IO_KICK_BUSY, 2, 2, 0 },
		{ "no buffers", -ENOBUFS, 1, IO_KICK_NO_BUFFERS, 1, 0, 0 },
		{ "link down", -ENETDOWN, 1, IO_KICK_LINK_DOWN, 1, 0, 0 },
		{ "something else", -ENXIO, 1, IO_KICK_OTHER, 1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct io_port_stats port;

		print_message("case: %s\n", cases[i].name);
		open_ports(1);
		hold(0, 32, 0, 0);
		fake.ports[0].kick_error = cases[i].err;
		fake.ports[0].kick_error_count = cases[i].count;
		assert_int_equal(transmit(32), 32);
		port = stats_of().ports[0];
		assert_int_equal(port.kick_errors[cases[i].kind], cases[i].counted);
		assert_true(port.kicks <= 2);
		assert_int_equal(fake.ports[0].sent, cases[i].sent_at_once);

		for (int round = 0; round < 4; round++)
			assert_int_equal(receive(0), 0);
		port = stats_of().ports[0];
		assert_int_equal(fake.ports[0].refused, cases[i].refused);
		assert_int_equal(fake.ports[0].sent, 32 - cases[i].refused);
		assert_int_equal(port.completed, 32);
		assert_int_equal(port.kicks, fake.ports[0].kicks);
		(void)close_ports(NULL);
	}
	open_ports(1);
}

/* Kicks that move nothing, for ever: each call returns after one, and their rate
 * falls to one in 65 rounds. Nothing leaks, and traffic resumes. */
static void kicks_less_and_less_in_vain(void **state)
{
	static const struct {
		const char *name;
		int err;
		bool down, stuck;
	} cases[] = {
		{ "again", -EAGAIN, false, false },
		{ "no buffers", -ENOBUFS, false, false },
		{ "link down", 0, true, false },
		{ "silently stuck", 0, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fake_port *kernel = &fake.ports[0];

		print_message("case: %s\n", cases[i].name);
		open_ports(1);
		hold(0, 64, 0, 0);
		kernel->kick_error = cases[i].err;
		kernel->kick_error_count = cases[i].err ? FAKE_FOREVER : 0;
		kernel->link_down = cases[i].down;
		kernel->stuck = cases[i].stuck;
		assert_int_equal(transmit(64), 64);
		assert_int_equal(kernel->kicks, 1);
		hold(0, 40, 0, 0);
		for (int round = 0; round < 6500; round++) {
			assert_int_equal(receive(0), 0);
			assert_int_equal(transmit(held_count), 0);
		}
		assert_true(kernel->kicks >= 100);
		assert_true(kernel->kicks <= 110);
		release(held_count);

		kernel->kick_error_count = 0;
		kernel->link_down = false;
		kernel->stuck = false;
		for (int round = 0; round < 70; round++)
			assert_int_equal(receive(0), 0);
		assert_int_equal(kernel->sent, 64);
		assert_int_equal(stats_of().ports[0].completed, 64);
		hold(0, 64, 0, 0);
		assert_int_equal(transmit(64), 64); /* at once: the pause is forgotten */
		assert_int_equal(kernel->sent, 128);
		(void)close_ports(NULL);
	}
	open_ports(1);
}

/* What tx had to leave in the ring goes out with later rounds, without a tx. */
static void sends_the_tail(void **state)
{
	(void)state;
	fake.ports[0].budget = 8;
	hold(0, 60, 0, 0);
	assert_int_equal(transmit(60), 60);
	assert_int_equal(fake.ports[0].sent, 24); /* ceil(60 / 32) + 1 kicks of 8 */
	assert_int_equal(receive(0), 0);
	assert_int_equal(receive(0), 0);
	assert_int_equal(fake.ports[0].sent, 60);
	assert_int_equal(stats_of().ports[0].completed, 60);
}

static void kicks_nobody_who_is_awake(void **state)
{
	uint32_t *flags = fake.xsk->ports[0].tx.flags;

	(void)state;
	*flags = 0; /* a zero-copy driver at work */
	hold(0, 10, 0, 0);
	assert_int_equal(transmit(10), 10);
	assert_int_equal(receive(0), 0);
	assert_int_equal(fake.ports[0].kicks, 0);
	*flags = XDP_RING_NEED_WAKEUP; /* it went to sleep without seeing them */
	assert_int_equal(receive(0), 0);
	assert_int_equal(fake.ports[0].kicks, 1);
	assert_int_equal(fake.ports[0].sent, 10);
}

/* A zero-copy driver sends when it likes: what comes back late ends the pause. */
static void forgets_the_pause_when_frames_return(void **state)
{
	(void)state;
	fake.ports[0].stuck = true;
	hold(0, 20, 0, 0);
	assert_int_equal(transmit(20), 20);
	for (int round = 0; round < 200; round++)
		assert_int_equal(receive(0), 0);
	fake.ports[0].stuck = false;
	assert_int_equal(xsk_kick_transmit(&fake.xsk->ports[0]), 0); /* nobody asked it */
	hold(0, 20, 0, 0);
	assert_int_equal(transmit(20), 20);
	assert_int_equal(fake.ports[0].sent, 40);
}

static void a_dead_port_does_not_stop_the_other(void **state)
{
	struct io_stats stats;

	(void)state;
	fake.ports[1].link_down = true;
	for (uint32_t round = 0; round < 50; round++) {
		hold(0, 32, 1, 0);
		for (size_t i = 0; i < 16; i++)
			held[i].tx_port = 0;
		(void)transmit(32);
		release(held_count);
	}
	stats = stats_of();
	assert_int_equal(stats.ports[0].received, 50 * 32);
	assert_int_equal(stats.ports[0].completed, 50 * 16);
	assert_int_equal(stats.ports[1].sent, RING);
	assert_int_equal(stats.ports[1].completed, 0);
	assert_int_equal(receive(0), 0);
	assert_true(stats_of().ports[0].posted >= RING); /* as far as its reader has said */

	fake.ports[1].link_down = false;
	for (uint32_t round = 0; round < 70; round++)
		assert_int_equal(receive(0), 0);
	assert_int_equal(stats_of().ports[1].completed, RING);
}

static void one_system_call_moves_32_datagrams(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		arrive(0, 64, 0);
		assert_int_equal(receive(BURST_MAX), 64);
		assert_int_equal(transmit(64), 64);
	}
	assert_int_equal(fake.ports[0].kicks * 32, 200 * 64);
	assert_int_equal(stats_of().ports[0].kicks, fake.ports[0].kicks);
	assert_int_equal(fake.ports[0].fill_kicks, 0);

	fake.ports[0].budget = RING; /* XDP_MAX_TX_SKB_BUDGET */
	fake.ports[0].kicks = 0;
	for (int round = 0; round < 200; round++) {
		arrive(0, 64, 0);
		assert_int_equal(receive(BURST_MAX), 64);
		assert_int_equal(transmit(64), 64);
	}
	assert_int_equal(fake.ports[0].kicks, 200);

	for (int round = 0; round < 200; round++)
		assert_int_equal(receive(BURST_MAX), 0); /* idle: none */
	assert_int_equal(fake.ports[0].kicks, 200);
	assert_int_equal(fake.ports[0].fill_kicks, 0);
}

static void sleeps_shortly_over_a_tail(void **state)
{
	static const struct {
		const char *name;
		bool tail;
		int asked_ms, slept_ms;
	} cases[] = {
		{ "nothing to send", false, 100, 100 },
		{ "nothing to send, for ever", false, -1, -1 },
		{ "a tail", true, 100, 1 },
		{ "a tail, for ever", true, -1, 1 },
		{ "a tail, without sleeping", true, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print_message("case: %s\n", cases[i].name);
		fake.ports[1].link_down = cases[i].tail;
		hold(0, 2, 1, 0);
		assert_int_equal(transmit(2), 2);
		assert_true(engine->wait(io, cases[i].asked_ms));
		assert_int_equal(fake.wait_ms, cases[i].slept_ms);
	}
	assert_int_equal(stats_of().waits, ARRAY_LEN(cases));
}

static void *stats_reader(void *stop)
{
	struct io_stats stats = { 0 };

	do
		engine->stats(io, &stats);
	while (!__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE));
	assert_int_equal(stats.frames, FRAMES(1));
	return NULL;
}

/* For ThreadSanitizer: the counters are read while the owner works. */
static void is_read_while_it_works(void **state)
{
	bool stop = false;
	pthread_t reader;

	(void)state;
	assert_int_equal(pthread_create(&reader, NULL, stats_reader, &stop), 0);
	for (int round = 0; round < 200; round++) {
		hold(0, 32, 0, 0);
		assert_int_equal(transmit(16), 16);
		release(held_count);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(reader, NULL), 0);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 16) % limit);
}

static void kernel_changes_its_mind(struct fake_port *kernel)
{
	static const int errors[] = { -EAGAIN, -EBUSY, -ENOBUFS, -ENETDOWN, -EINTR };

	kernel->budget = 1 + random_below(64);
	kernel->kick_error = errors[random_below(ARRAY_LEN(errors))];
	kernel->kick_error_count = random_below(3) ? 0 : random_below(20);
	kernel->link_down = random_below(8) == 0;
	kernel->stuck = random_below(16) == 0;
	kernel->hold_completions = random_below(2);
	kernel->completion_xor = random_below(2) * DATA_OFFSET;
	kernel->fill_sleeps = random_below(2);
}

static void random_arrivals(uint32_t port)
{
	uint32_t count = random_below(80);
	uint8_t bytes[60];

	for (uint32_t i = 0; i < count; i++) {
		bytes_of(i, bytes);
		if (random_below(50) == 0)
			(void)fake_receive_lying(port, random_below(FRAME_SIZE),
						 random_below(2 * FRAME_SIZE));
		else
			(void)fake_receive(port, DATA_OFFSET, bytes, sizeof(bytes), NULL);
	}
}

static void random_transmit(uint32_t port_count)
{
	size_t count = held_count < BURST_MAX ? held_count : BURST_MAX;

	for (size_t i = 0; i < count; i++) {
		held[i].tx_port = (uint8_t)random_below(port_count);
		held[i].len = random_below(100) ? 60 : random_below(4096);
	}
	(void)transmit(count);
}

static void random_completions(uint32_t port)
{
	uint32_t count = fake.ports[port].in_flight_count;

	for (uint32_t i = 0; i < count; i++)
		fake_shuffle(port, i, random_below(count));
	(void)fake_complete(port, random_below(count + 1));
}

/* 3 ports, whatever can happen, in any order: the frames add up after every call,
 * and when the kernel behaves again everything comes back. */
static void conserves_frames_in_a_long_random_run(void **state)
{
	const uint32_t port_count = 3;
	struct io_stats stats;

	(void)state;
	random_state = 0x9e3779b97f4a7c15;
	print_message("seed: %#llx\n", (unsigned long long)random_state);
	open_ports(port_count);
	for (int step = 0; step < 60000; step++) {
		uint32_t port = random_below(port_count);

		switch (random_below(6)) {
		case 0: random_arrivals(port); break;
		case 1: (void)receive(held_count < 64 ? random_below(65) : 0); break;
		case 2: random_transmit(port_count); break;
		case 3: release(random_below((uint32_t)held_count + 1)); break;
		case 4: random_completions(port); break;
		default: kernel_changes_its_mind(&fake.ports[port]); break;
		}
		assert_conserved();
	}
	for (uint32_t port = 0; port < port_count; port++)
		fake.ports[port] = (struct fake_port){
			.budget = 32,
			.fill_cursor = fake.ports[port].fill_cursor,
			.fill_known = fake.ports[port].fill_known,
			.tx_cursor = fake.ports[port].tx_cursor,
			.in_flight = fake.ports[port].in_flight,
			.in_flight_count = fake.ports[port].in_flight_count,
		};
	release(held_count);
	for (int round = 0; round < 200; round++) {
		for (uint32_t port = 0; port < port_count; port++)
			(void)fake_complete(port, RING);
		(void)receive(BURST_MAX);
		release(held_count);
	}
	stats = stats_of();
	assert_true(stats.ports[0].sent > 10000);
	assert_true(stats.ports[0].rx_invalid > 100);
	for (uint32_t port = 0; port < port_count; port++) {
		assert_int_equal(stats.ports[port].completed, stats.ports[port].sent);
		for (int kind = 0; kind < IO_KICK_ERROR_COUNT; kind++)
			assert_true(stats.ports[port].kick_errors[kind] > 0);
	}
	assert_true(stats.free >= stats.frames - port_count * 2 * RING);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, close_ports)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_bad_configurations, no_port),
		TEST(binds_all_ports_in_one_mode, no_port),
		TEST(closes_nothing_and_what_is_held, no_port),
		TEST(delivers_bytes_and_metadata, two_ports),
		TEST(never_shows_metadata_twice, two_ports),
		TEST(survives_impossible_descriptors, two_ports),
		TEST(shares_a_burst_between_ports, two_ports),
		TEST(gives_no_more_than_asked, one_port),
		TEST(refills_past_a_late_reader, one_port),
		TEST(kicks_the_fill_ring_when_asked_only, one_port),
		TEST(transmits_in_order, two_ports),
		TEST(takes_what_fits_and_no_more, one_port),
		TEST(one_full_port_leaves_the_other, two_ports),
		TEST(never_queues_an_invalid_descriptor, one_port),
		TEST(takes_completions_however_addressed, one_port),
		TEST(takes_completions_in_any_order, one_port),
		TEST(ignores_completions_of_what_was_not_sent, two_ports),
		TEST(drains_between_kicks, one_port),
		TEST(counts_and_outlives_kick_errors, no_port),
		TEST(kicks_less_and_less_in_vain, no_port),
		TEST(sends_the_tail, one_port),
		TEST(kicks_nobody_who_is_awake, one_port),
		TEST(forgets_the_pause_when_frames_return, one_port),
		TEST(a_dead_port_does_not_stop_the_other, two_ports),
		TEST(one_system_call_moves_32_datagrams, one_port),
		TEST(sleeps_shortly_over_a_tail, two_ports),
		TEST(shares_between_busy_ports_among_idle_ones, eight_ports),
		TEST(knows_when_all_is_sent, two_ports),
		TEST(is_read_while_it_works, one_port),
		TEST(conserves_frames_in_a_long_random_run, no_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
