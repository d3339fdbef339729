/* SPDX-License-Identifier: GPL-2.0-only */
/* health_test.c - backends that answer, are silent, refuse, answer wrongly or flap:
 * real sockets on loopback, all of them in this process.
 *
 * The clock is the test's and far in the future, so that the module's own timer never
 * rings: its file descriptor is readable only when a probe has been answered. */
#include "health/health.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ringway/limits.h"
#include "ringway/quic.h"
#include "util/clock.h"
#include "util/number.h"

/* Last: it has a macro fail(). */
#include "test.h"

#define MS_NS	 1000000ull
#define START_NS (1ull << 60)

enum {
	INTERVAL_MS = 1000,
	TIMEOUT_MS = 500,
	WAIT_MAX_MS = 10000, /* for what loopback does at once on a machine at rest */
	ID = 5,
};

struct fixture {
	struct health *health;
	uint64_t now_ns;
	unsigned int changes;
	uint32_t changed_id;
	bool is_up;   /* as last reported */
	int fds_idle; /* open while no probe is on its way */
};

static void changed(void *arg, uint32_t id, bool is_up)
{
	struct fixture *fixture = arg;
	struct health_status status;

	fixture->changes++;
	fixture->changed_id = id;
	fixture->is_up = is_up;
	assert_int_equal(health_status(fixture->health, id, &status), 0);
	assert_int_equal(status.is_up, is_up);
	assert_int_equal(status.since_ns, fixture->now_ns);
}

static void fixture_open(struct fixture *fixture)
{
	char error[256];

	*fixture = (struct fixture){ .now_ns = START_NS };
	assert_int_equal(health_open(changed, fixture, &fixture->health, error, sizeof(error)), 0);
}

static struct health_status status_of(const struct fixture *fixture)
{
	struct health_status status;

	assert_int_equal(health_status(fixture->health, ID, &status), 0);
	return status;
}

/* --- peers ------------------------------------------------------------------ */

struct peer {
	int fd;
	uint8_t addr[16];
	uint16_t port_be;
};

static bool peer_try(struct peer *peer, const char *text, int type)
{
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in ipv4 = { .sin_family = AF_INET };
	struct sockaddr *name = (struct sockaddr *)&ipv6;
	socklen_t size = sizeof(ipv6);

	assert_true(address_parse(text, peer->addr));
	memcpy(&ipv6.sin6_addr, peer->addr, 16);
	if (address_is_ipv4(peer->addr)) {
		memcpy(&ipv4.sin_addr, peer->addr + 12, 4);
		name = (struct sockaddr *)&ipv4;
		size = sizeof(ipv4);
	}
	peer->fd = socket(name->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (peer->fd < 0 || bind(peer->fd, name, size) || getsockname(peer->fd, name, &size))
		return false;
	peer->port_be = name == (struct sockaddr *)&ipv4 ? ipv4.sin_port : ipv6.sin6_port;
	return true;
}

static void peer_open(struct peer *peer, const char *text, int type)
{
	assert_true(peer_try(peer, text, type));
}

static void fixture_close(struct fixture *fixture, const struct peer *peer)
{
	health_close(fixture->health);
	(void)close(peer->fd);
}

/* To itself only: the kernel answers others as if nobody had the port, and yet nobody
 * else can take it meanwhile. */
static void peer_refuse(struct peer *peer)
{
	struct sockaddr_in6 own = { 0 };
	socklen_t size = sizeof(own);

	assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&own, &size), 0);
	assert_int_equal(connect(peer->fd, (struct sockaddr *)&own, size), 0);
}

static void wait_readable(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&wanted, 1, WAIT_MAX_MS), 1);
}

/* Wait for one datagram, and answer it. What it was is left in datagram. */
static size_t peer_receive(const struct peer *peer, uint8_t datagram[2048],
			   struct sockaddr_storage *from, socklen_t *from_size)
{
	ssize_t len;

	*from_size = sizeof(*from);
	wait_readable(peer->fd);
	len = recvfrom(peer->fd, datagram, 2048, 0, (struct sockaddr *)from, from_size);
	assert_true(len >= 0);
	return (size_t)len;
}

static void peer_send(const struct peer *peer, const void *bytes, size_t len,
		      const struct sockaddr_storage *to, socklen_t to_size)
{
	assert_int_equal(sendto(peer->fd, bytes, len, 0, (const struct sockaddr *)to, to_size),
			 (ssize_t)len);
}

/* As a server does; before it, or instead of it, with a Connection ID that is not ours. */
static void peer_negotiate(const struct peer *peer, bool wrongly, bool rightly)
{
	uint8_t datagram[2048], answer[64] = { 0x80, 0, 0, 0, 0 };
	struct sockaddr_storage from;
	struct quic_header header = { 0 };
	socklen_t from_size;
	size_t len = peer_receive(peer, datagram, &from, &from_size), used = 5;

	assert_int_equal(len, 1200);
	assert_int_equal(quic_parse(datagram, (uint32_t)len, &header), 0);
	assert_int_equal(header.version & 0x0f0f0f0f, 0x0a0a0a0a);
	answer[used++] = (uint8_t)header.scid_len;
	memcpy(answer + used, header.scid, header.scid_len);
	used += header.scid_len;
	answer[used++] = (uint8_t)header.dcid_len;
	memcpy(answer + used, header.dcid, header.dcid_len);
	used += header.dcid_len;
	memcpy(answer + used, "\0\0\0\1", 4);
	used += 4;

	answer[6] ^= 1;
	if (wrongly)
		peer_send(peer, answer, used, &from, from_size);
	answer[6] ^= 1;
	if (rightly)
		peer_send(peer, answer, used, &from, from_size);
}

/* --- one probe, and what the peer makes of it ---------------------------------- */

enum behaviour {
	SILENT,
	NEGOTIATES,
	NEGOTIATES_WRONGLY,
	NEGOTIATES_AT_LAST, /* a wrong answer first */
	PONGS,		    /* "pong" and more */
	MUMBLES,	    /* "pon" */
	ANSWERS_EMPTY,
	REFUSES,
	CONNECTS, /* TCP */
	CROWDED,  /* TCP: its backlog is full */
};

/* Returns whether there is an answer to wait for. */
static bool peer_behave(const struct peer *peer, enum behaviour behaviour, const char *payload)
{
	uint8_t datagram[2048];
	struct sockaddr_storage from;
	socklen_t from_size;

	switch (behaviour) {
	case NEGOTIATES: peer_negotiate(peer, false, true); return true;
	case NEGOTIATES_WRONGLY: peer_negotiate(peer, true, false); return true;
	case NEGOTIATES_AT_LAST: peer_negotiate(peer, true, true); return true;
	case REFUSES:
	case CONNECTS: return true;
	case CROWDED: return false;
	default: break;
	}
	if (!payload)
		return false;
	assert_int_equal(peer_receive(peer, datagram, &from, &from_size), strlen(payload));
	assert_memory_equal(datagram, payload, strlen(payload));
	if (behaviour == PONGS)
		peer_send(peer, "pong!", 5, &from, from_size);
	else if (behaviour == MUMBLES)
		peer_send(peer, "pon", 3, &from, from_size);
	else if (behaviour == ANSWERS_EMPTY)
		peer_send(peer, "", 0, &from, from_size);
	return behaviour != SILENT;
}

static int fd_count(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(fds);
	while (readdir(fds))
		count++;
	(void)closedir(fds);
	return count;
}

/* From one time at which the probe is due to the next. */
static void cycle(struct fixture *fixture, const struct peer *peer, enum behaviour behaviour,
		  const char *payload)
{
	uint64_t due_ns = fixture->now_ns;

	if (fd_count() == fixture->fds_idle)
		health_serve(fixture->health, fixture->now_ns);
	if (peer_behave(peer, behaviour, payload)) {
		wait_readable(health_fd(fixture->health));
		fixture->now_ns += 1 * MS_NS;
		health_serve(fixture->health, fixture->now_ns);
	}
	fixture->now_ns = due_ns + TIMEOUT_MS * MS_NS;
	health_serve(fixture->health, fixture->now_ns);
	fixture->now_ns = due_ns + INTERVAL_MS * MS_NS;
}

static struct health_settings settings_of(enum health_kind kind)
{
	return (struct health_settings){
		.kind = kind,
		.interval_ms = INTERVAL_MS,
		.timeout_ms = TIMEOUT_MS,
		.rise = 1,
		.fall = 1,
	};
}

static const struct health_settings none = { .kind = HEALTH_NONE };

/* Watch ID, and go to where its first probe begins, to a millisecond. */
static void watch(struct fixture *fixture, const struct peer *peer,
		  const struct health_settings *settings, bool is_up)
{
	uint64_t end_ns = fixture->now_ns + INTERVAL_MS * MS_NS;

	assert_int_equal(health_watch(fixture->health, fixture->now_ns, ID, peer->addr,
				      peer->port_be, settings, is_up),
			 0);
	fixture->fds_idle = fd_count();
	for (;;) {
		health_serve(fixture->health, fixture->now_ns);
		if (fd_count() > fixture->fds_idle)
			break;
		fixture->now_ns += MS_NS;
		assert_true(fixture->now_ns <= end_ns);
	}
}

static const struct {
	const char *name;
	enum health_kind kind;
	enum behaviour behaviour;
	const char *payload, *expected;
	const char *reason; /* "": it is healthy */
} cases[] = {
	{ "QUIC, Version Negotiation", HEALTH_QUIC, NEGOTIATES, NULL, "", "" },
	{ "QUIC, not our Connection ID", HEALTH_QUIC, NEGOTIATES_WRONGLY, NULL, "",
	  "answered something else" },
	{ "QUIC, right after a wrong one", HEALTH_QUIC, NEGOTIATES_AT_LAST, NULL, "", "" },
	{ "QUIC, silence", HEALTH_QUIC, SILENT, NULL, "", "no answer in 500 ms" },
	{ "QUIC, nobody there", HEALTH_QUIC, REFUSES, NULL, "", "port unreachable" },
	{ "UDP, as expected", HEALTH_UDP, PONGS, "ping", "pong", "" },
	{ "UDP, the beginning only", HEALTH_UDP, MUMBLES, "ping", "pong",
	  "answered something else" },
	{ "UDP, an empty answer", HEALTH_UDP, ANSWERS_EMPTY, "ping", "pong",
	  "answered something else" },
	{ "UDP, silence", HEALTH_UDP, SILENT, "ping", "pong", "no answer in 500 ms" },
	{ "UDP, nothing expected, silence", HEALTH_UDP, SILENT, "ping", "", "" },
	{ "UDP, nothing expected, an answer", HEALTH_UDP, MUMBLES, "ping", "", "" },
	{ "UDP, nothing expected, an empty answer", HEALTH_UDP, ANSWERS_EMPTY, "ping", "", "" },
	{ "UDP, nothing sent or expected", HEALTH_UDP, SILENT, "", "", "" },
	{ "UDP, nothing sent, answered", HEALTH_UDP, PONGS, "", "pong", "" },
	{ "UDP, nothing expected, nobody there", HEALTH_UDP, REFUSES, "ping", "",
	  "port unreachable" },
	{ "TCP, connects", HEALTH_TCP, CONNECTS, NULL, "", "" },
	{ "TCP, nobody there", HEALTH_TCP, REFUSES, NULL, "", "connection refused" },
	{ "TCP, silence", HEALTH_TCP, CROWDED, NULL, "", "no answer in 500 ms" },
};

/* A connection of its own that nobody accepts, which is all that a backlog of 0 holds. */
static int peer_crowd(const struct peer *peer)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	int fd;

	assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&own, &size), 0);
	fd = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&own, size), 0);
	wait_readable(peer->fd);
	return fd;
}

/* A probe leaves no half-open connection behind. */
static void check_reset(const struct peer *peer)
{
	char byte;
	int fd;

	wait_readable(peer->fd);
	fd = accept(peer->fd, NULL, NULL);
	assert_true(fd >= 0);
	wait_readable(fd);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	(void)close(fd);
}

static void run_case(size_t i, const char *address)
{
	bool is_healthy = !cases[i].reason[0];
	struct health_settings settings = settings_of(cases[i].kind);
	struct health_status status;
	struct fixture fixture;
	struct peer peer;
	int crowd = -1;

	print_message("case: %s, %s\n", cases[i].name, address);
	peer_open(&peer, address, cases[i].kind == HEALTH_TCP ? SOCK_STREAM : SOCK_DGRAM);
	if (cases[i].behaviour == REFUSES && cases[i].kind != HEALTH_TCP)
		peer_refuse(&peer);
	if (cases[i].behaviour == CONNECTS || cases[i].behaviour == CROWDED)
		assert_int_equal(listen(peer.fd, 0), 0);
	if (cases[i].behaviour == CROWDED)
		crowd = peer_crowd(&peer);
	if (cases[i].payload) {
		settings.payload = (const uint8_t *)cases[i].payload;
		settings.payload_len = strlen(cases[i].payload);
	}
	settings.expected = (const uint8_t *)cases[i].expected;
	settings.expected_len = strlen(cases[i].expected);

	fixture_open(&fixture);
	watch(&fixture, &peer, &settings, !is_healthy);
	cycle(&fixture, &peer, cases[i].behaviour, cases[i].payload);
	assert_int_equal(fixture.changes, 1);
	assert_int_equal(fixture.changed_id, ID);
	assert_int_equal(fixture.is_up, is_healthy);
	status = status_of(&fixture);
	assert_string_equal(status.reason, cases[i].reason);
	if (cases[i].behaviour == CONNECTS)
		check_reset(&peer);
	fixture_close(&fixture, &peer);
	(void)close(crowd);
}

static void judges_ipv4(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(i, "127.0.0.1");
}

static void judges_ipv6(void **state)
{
	struct peer peer;
	bool has_ipv6 = peer_try(&peer, "::1", SOCK_DGRAM);

	(void)state;
	(void)close(peer.fd);
	if (!has_ipv6)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(i, "::1");
}

/* --- rise, fall, dampening ------------------------------------------------------- */

static void watch_ping(struct fixture *fixture, struct peer *peer, struct health_settings *settings)
{
	peer_open(peer, "127.0.0.1", SOCK_DGRAM);
	settings->payload = (const uint8_t *)"ping";
	settings->payload_len = 4;
	settings->expected = (const uint8_t *)"pong";
	settings->expected_len = 4;
	fixture_open(fixture);
	watch(fixture, peer, settings, true);
}

/* + answers, - is silent; U is reported up, D down, . nothing. */
static void run_cycles(struct fixture *fixture, const struct peer *peer, const char *answers,
		       const char *wanted)
{
	for (size_t i = 0; answers[i]; i++) {
		unsigned int changes = fixture->changes;
		char got = '.';

		cycle(fixture, peer, answers[i] == '+' ? PONGS : SILENT, "ping");
		if (fixture->changes != changes)
			got = fixture->is_up ? 'U' : 'D';
		print_message("probe %zu of %s\n", i, answers);
		assert_int_equal(got, wanted[i]);
		assert_true(fixture->changes <= changes + 1);
	}
}

static void reports_changes_only(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status status;
	struct fixture fixture;
	struct peer peer;

	(void)state;
	settings.rise = 2;
	settings.fall = 3;
	watch_ping(&fixture, &peer, &settings);
	run_cycles(&fixture, &peer, "++--+---+-+++---",
		   ".......D.."
		   ".U..."
		   "D");
	status = status_of(&fixture);
	assert_false(status.is_up);
	assert_int_equal(status.since_ns, fixture.now_ns - (INTERVAL_MS - TIMEOUT_MS) * MS_NS);
	assert_int_equal(status.held_until_ns, 0);
	assert_string_equal(status.reason, "no answer in 500 ms");
	fixture_close(&fixture, &peer);
}

static void holds_who_flaps(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status status;
	struct fixture fixture;
	struct peer peer;

	(void)state;
	settings.flap_changes = 2;
	settings.flap_intervals = 5;
	watch_ping(&fixture, &peer, &settings);
	run_cycles(&fixture, &peer, "-+-", "DUD");
	status = status_of(&fixture);
	assert_int_equal(status.held_until_ns, status.since_ns + 5 * INTERVAL_MS * MS_NS);
	/* Silence is noticed 500 ms after an interval's begin, an answer 1 ms after. */
	run_cycles(&fixture, &peer, "++++++", ".....U");
	status = status_of(&fixture);
	assert_int_equal(status.held_until_ns, 0);
	fixture_close(&fixture, &peer);
}

/* --- watching ---------------------------------------------------------------------- */

static void same_settings_change_nothing(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_settings copy;
	struct fixture fixture;
	struct peer peer;
	uint8_t datagram[2048];
	char ping[] = "ping";

	(void)state;
	settings.fall = 2;
	watch_ping(&fixture, &peer, &settings);
	copy = settings;
	copy.payload = (const uint8_t *)ping;
	/* A failure, and a second one whose time is not yet over. */
	run_cycles(&fixture, &peer, "-", ".");
	health_serve(fixture.health, fixture.now_ns);
	assert_int_equal(health_watch(fixture.health, fixture.now_ns, ID, peer.addr, peer.port_be,
				      &copy, false),
			 0);
	fixture.now_ns += TIMEOUT_MS * MS_NS;
	health_serve(fixture.health, fixture.now_ns);
	assert_int_equal(fixture.changes, 1);
	assert_false(fixture.is_up);
	wait_readable(peer.fd);
	assert_int_equal(recv(peer.fd, datagram, sizeof(datagram), 0), 4);
	fixture_close(&fixture, &peer);
}

static void new_settings_keep_the_state(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status before, after;
	struct fixture fixture;
	struct peer peer;

	(void)state;
	watch_ping(&fixture, &peer, &settings);
	run_cycles(&fixture, &peer, "-", "D");
	before = status_of(&fixture);
	settings.rise = 3;
	watch(&fixture, &peer, &settings, true);
	after = status_of(&fixture);
	assert_false(after.is_up);
	assert_int_equal(after.since_ns, before.since_ns);
	run_cycles(&fixture, &peer, "+++", "..U");

	/* Another port is another backend. */
	(void)close(peer.fd);
	peer_open(&peer, "127.0.0.2", SOCK_DGRAM);
	watch(&fixture, &peer, &settings, false);
	assert_int_equal(fixture.changes, 2);
	after = status_of(&fixture);
	assert_false(after.is_up);
	run_cycles(&fixture, &peer, "+++", "..U");
	fixture_close(&fixture, &peer);
}

static void none_is_up(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status status;
	struct fixture fixture;
	struct peer peer;

	(void)state;
	watch_ping(&fixture, &peer, &settings);
	run_cycles(&fixture, &peer, "-", "D");
	assert_int_equal(health_watch(fixture.health, fixture.now_ns, ID, peer.addr, peer.port_be,
				      &none, false),
			 0);
	assert_int_equal(fixture.changes, 2);
	assert_true(fixture.is_up);
	fixture.now_ns += 10 * INTERVAL_MS * MS_NS;
	health_serve(fixture.health, fixture.now_ns);
	assert_int_equal(fixture.changes, 2);
	status = status_of(&fixture);
	assert_true(status.is_up);
	assert_string_equal(status.reason, "");
	fixture_close(&fixture, &peer);
}

static void unwatched_is_forgotten(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status status;
	struct fixture fixture;
	struct peer peer;

	(void)state;
	watch_ping(&fixture, &peer, &settings);
	assert_int_equal(fd_count(), fixture.fds_idle + 1);
	health_unwatch(fixture.health, ID);
	assert_int_equal(fd_count(), fixture.fds_idle);
	health_unwatch(fixture.health, ID);
	health_unwatch(fixture.health, HEALTH_WATCH_COUNT_MAX);
	fixture.now_ns += INTERVAL_MS * MS_NS;
	health_serve(fixture.health, fixture.now_ns);
	assert_int_equal(fd_count(), fixture.fds_idle);
	assert_int_equal(fixture.changes, 0);
	assert_int_equal(health_status(fixture.health, ID, &status), -ENOENT);
	fixture_close(&fixture, &peer);
	health_close(NULL);
}

static void refuses_what_is_out_of_bounds(void **state)
{
	static const struct {
		const char *name;
		uint32_t id;
		struct health_settings settings;
	} invalid[] = {
		{ "id", HEALTH_WATCH_COUNT_MAX, { .kind = HEALTH_TCP, 1000, 500, 1, 1 } },
		{ "interval too short",
		  0,
		  { .kind = HEALTH_TCP, HEALTH_INTERVAL_MIN_MS - 1, 50, 1, 1 } },
		{ "interval too long",
		  0,
		  { .kind = HEALTH_TCP, HEALTH_INTERVAL_MAX_MS + 1, 50, 1, 1 } },
		{ "timeout too short",
		  0,
		  { .kind = HEALTH_TCP, 1000, HEALTH_TIMEOUT_MIN_MS - 1, 1, 1 } },
		{ "timeout above the interval", 0, { .kind = HEALTH_TCP, 1000, 1001, 1, 1 } },
		{ "rise 0", 0, { .kind = HEALTH_TCP, 1000, 500, 0, 1 } },
		{ "fall 0", 0, { .kind = HEALTH_TCP, 1000, 500, 1, 0 } },
		{ "rise", 0, { .kind = HEALTH_TCP, 1000, 500, HEALTH_STREAK_MAX + 1, 1 } },
		{ "fall", 0, { .kind = HEALTH_TCP, 1000, 500, 1, HEALTH_STREAK_MAX + 1 } },
		{ "changes",
		  0,
		  { .kind = HEALTH_TCP, 1000, 500, 1, 1, HEALTH_FLAP_CHANGES_MAX + 1, 1 } },
		{ "window",
		  0,
		  { .kind = HEALTH_TCP, 1000, 500, 1, 1, 1, HEALTH_FLAP_INTERVALS_MAX + 1 } },
		{ "payload",
		  0,
		  { .kind = HEALTH_UDP,
		    1000,
		    500,
		    1,
		    1,
		    .payload_len = HEALTH_PAYLOAD_LEN_MAX + 1 } },
		{ "expected",
		  0,
		  { .kind = HEALTH_UDP,
		    1000,
		    500,
		    1,
		    1,
		    .expected_len = HEALTH_PAYLOAD_LEN_MAX + 1 } },
	};
	struct fixture fixture;
	struct peer peer;

	(void)state;
	peer_open(&peer, "127.0.0.1", SOCK_DGRAM);
	fixture_open(&fixture);
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		struct health_status status;

		print_message("case: %s\n", invalid[i].name);
		assert_int_equal(health_watch(fixture.health, fixture.now_ns, invalid[i].id,
					      peer.addr, peer.port_be, &invalid[i].settings, true),
				 -EINVAL);
		assert_int_equal(health_status(fixture.health, invalid[i].id, &status), -ENOENT);
	}
	fixture_close(&fixture, &peer);
}

/* --- many ----------------------------------------------------------------------------- */

enum {
	MANY = 1000,
};

/* All at one peer that never reads; a UDP probe that expects something, or nothing. */
static void watch_many(struct fixture *fixture, struct peer *peer, uint32_t timeout_ms,
		       const char *expected, bool is_up)
{
	struct health_settings settings = settings_of(HEALTH_UDP);

	settings.timeout_ms = timeout_ms;
	settings.expected = (const uint8_t *)expected;
	settings.expected_len = strlen(expected);
	peer_open(peer, "127.0.0.1", SOCK_DGRAM);
	fixture_open(fixture);
	for (uint32_t id = 0; id < MANY; id++)
		assert_int_equal(health_watch(fixture->health, fixture->now_ns, id, peer->addr,
					      peer->port_be, &settings, is_up),
				 0);
}

/* As after a pause of the whole process: all are due at once. */
static void probes_in_flight_are_bounded(void **state)
{
	struct fixture fixture;
	struct peer peer;
	int fds;

	(void)state;
	watch_many(&fixture, &peer, TIMEOUT_MS, "pong", true);
	fds = fd_count();
	fixture.now_ns += INTERVAL_MS * MS_NS;
	for (int left = MANY; left > 0; left -= HEALTH_PROBE_COUNT_MAX) {
		health_serve(fixture.health, fixture.now_ns);
		health_serve(fixture.health, fixture.now_ns);
		assert_int_equal(fixture.changes, MANY - left);
		assert_int_equal(fd_count() - fds, HEALTH_PROBE_COUNT_MAX);
		fixture.now_ns += TIMEOUT_MS * MS_NS;
	}
	/* Nobody had a second turn before all had the first. */
	health_serve(fixture.health, fixture.now_ns);
	assert_int_equal(fixture.changes, MANY);
	health_close(fixture.health);
	assert_int_equal(fd_count(), fds - 2);
	(void)close(peer.fd);
}

/* Each probe takes the whole timeout of 10 ms, so as many are in flight at any time as
 * begin in 10 ms: a hundredth of an interval, and a hundredth of all watches. */
static void probes_are_spread(void **state)
{
	enum { TIMEOUT_SHORT_MS = 10 };
	struct fixture fixture;
	struct peer peer;
	int fds, most = 0, fewest = MANY;

	(void)state;
	watch_many(&fixture, &peer, TIMEOUT_SHORT_MS, "", false);
	fds = fd_count();
	for (int ms = 0; ms <= INTERVAL_MS + TIMEOUT_SHORT_MS; ms++) {
		int in_flight;

		health_serve(fixture.health, fixture.now_ns);
		in_flight = fd_count() - fds;
		if (in_flight > most)
			most = in_flight;
		if (in_flight < fewest && ms >= TIMEOUT_SHORT_MS)
			fewest = in_flight;
		fixture.now_ns += MS_NS;
	}
	print_message("%d to %d probes in flight\n", fewest, most);
	assert_in_range(fewest, 7, 10);
	assert_in_range(most, 10, 13);
	assert_int_equal(fixture.changes, MANY);
	fixture_close(&fixture, &peer);
}

/* --- the rest of the world --------------------------------------------------------------- */

/* That we have no file descriptors left is no backend's fault. */
static void own_trouble_counts_for_nothing(void **state)
{
	struct health_settings settings = settings_of(HEALTH_UDP);
	struct health_status status;
	struct rlimit before, now;
	struct fixture fixture;
	struct peer peer;
	int lowest;

	(void)state;
	watch_ping(&fixture, &peer, &settings);
	run_cycles(&fixture, &peer, "+", ".");
	lowest = dup(peer.fd);
	(void)close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	for (int i = 0; i < 5; i++) {
		health_serve(fixture.health, fixture.now_ns);
		fixture.now_ns += INTERVAL_MS * MS_NS;
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

	assert_int_equal(fixture.changes, 0);
	status = status_of(&fixture);
	assert_true(status.is_up);
	assert_string_equal(status.reason, "not probed: Too many open files");
	run_cycles(&fixture, &peer, "+-", ".D");
	fixture_close(&fixture, &peer);
}

/* The only test with the real time: the module wakes its owner by itself. */
static void timer_rings(void **state)
{
	struct health_settings settings = settings_of(HEALTH_QUIC);
	struct fixture fixture;
	struct peer peer;

	(void)state;
	settings.interval_ms = HEALTH_INTERVAL_MIN_MS;
	settings.timeout_ms = HEALTH_TIMEOUT_MIN_MS;
	settings.fall = 2;
	peer_open(&peer, "127.0.0.1", SOCK_DGRAM);
	fixture_open(&fixture);
	fixture.now_ns = clock_ns();
	assert_int_equal(health_watch(fixture.health, fixture.now_ns, ID, peer.addr, peer.port_be,
				      &settings, true),
			 0);
	while (!fixture.changes) { /* each turn waits for at most WAIT_MAX_MS */
		wait_readable(health_fd(fixture.health));
		fixture.now_ns = clock_ns();
		health_serve(fixture.health, fixture.now_ns);
	}
	assert_false(fixture.is_up);
	fixture_close(&fixture, &peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_ipv4),
		cmocka_unit_test(judges_ipv6),
		cmocka_unit_test(reports_changes_only),
		cmocka_unit_test(holds_who_flaps),
		cmocka_unit_test(same_settings_change_nothing),
		cmocka_unit_test(new_settings_keep_the_state),
		cmocka_unit_test(none_is_up),
		cmocka_unit_test(unwatched_is_forgotten),
		cmocka_unit_test(refuses_what_is_out_of_bounds),
		cmocka_unit_test(probes_in_flight_are_bounded),
		cmocka_unit_test(probes_are_spread),
		cmocka_unit_test(own_trouble_counts_for_nothing),
		cmocka_unit_test(timer_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
