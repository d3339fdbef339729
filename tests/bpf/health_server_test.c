/* SPDX-License-Identifier: GPL-2.0-only */
/* health_server_test.c - a real QUIC server across a veth pair is up while it runs,
 * and down while it does not. Root. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "health/health.h"
#include "util/clock.h"
#include "util/number.h"

#include <arpa/inet.h>

/* Last: it has a macro fail(). */
#include <cmocka.h>

#include "netns.h"

enum {
	INTERVAL_MS = 100,
	WAIT_MAX_S = 30,
	PORT = 4433,
};

static char dir[] = "/tmp/ringway-health-XXXXXX";

struct fixture {
	struct netns netns;
	struct health *health;
	unsigned int changes;
	pid_t server; /* 0: none */
};

static void changed(void *arg, uint32_t id, bool is_up)
{
	struct fixture *fixture = arg;

	(void)id;
	(void)is_up;
	fixture->changes++;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	char error[256];

	netns_open(&fixture.netns);
	netns_run(&fixture.netns,
		  "ip link add rw0 type veth peer name peer0 netns %s && "
		  "ip addr add 10.0.0.1/24 dev rw0 && ip link set rw0 up",
		  netns_peer_path(&fixture.netns));
	netns_run_peer(&fixture.netns, "ip addr add 10.0.0.2/24 dev peer0 && "
				       "ip link set peer0 up");
	assert_non_null(mkdtemp(dir));
	netns_run(&fixture.netns,
		  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
		  "-days 2 -subj /CN=ringway.example -keyout %s/key.pem -out %s/cert.pem "
		  "2>/dev/null",
		  dir, dir);
	assert_int_equal(health_open(changed, &fixture, &fixture.health, error, sizeof(error)), 0);
	*state = &fixture;
	return 0;
}

static void server_start(struct fixture *fixture)
{
	char port[8], key[64], certificate[64];

	(void)snprintf(port, sizeof(port), "%d", PORT);
	(void)snprintf(key, sizeof(key), "%s/key.pem", dir);
	(void)snprintf(certificate, sizeof(certificate), "%s/cert.pem", dir);
	fixture->server = fork();
	assert_true(fixture->server >= 0);
	if (fixture->server > 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!setns(fixture->netns.peer, CLONE_NEWNET))
		(void)execlp("gtlsserver", "gtlsserver", "-q", "-d", dir, "*", port, key,
			     certificate, NULL);
	_exit(127);
}

static void server_stop(struct fixture *fixture)
{
	if (!fixture->server)
		return;
	assert_int_equal(kill(fixture->server, SIGKILL), 0);
	assert_int_equal(waitpid(fixture->server, NULL, 0), fixture->server);
	fixture->server = 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	server_stop(fixture);
	health_close(fixture->health);
	netns_run(&fixture->netns, "rm -r %s", dir);
	netns_close(&fixture->netns);
	return 0;
}

static void wait_change(struct fixture *fixture)
{
	unsigned int changes = fixture->changes;
	uint64_t end_ns = clock_ns() + WAIT_MAX_S * 1000000000ull;

	while (fixture->changes == changes) {
		struct pollfd wanted = { .fd = health_fd(fixture->health), .events = POLLIN };

		assert_int_equal(poll(&wanted, 1, WAIT_MAX_S * 1000), 1);
		assert_true(clock_ns() < end_ns);
		health_serve(fixture->health, clock_ns());
	}
}

static struct health_status status_of(struct fixture *fixture)
{
	struct health_status status;

	assert_int_equal(health_status(fixture->health, 0, &status), 0);
	return status;
}

static void quic_server_is_seen(void **state)
{
	static const struct health_settings settings = { .kind = HEALTH_QUIC,
							 .interval_ms = INTERVAL_MS,
							 .timeout_ms = INTERVAL_MS,
							 .rise = 2,
							 .fall = 2 };
	struct fixture *fixture = *state;
	uint8_t addr[16];

	assert_true(address_parse("10.0.0.2", addr));
	assert_int_equal(
		health_watch(fixture->health, clock_ns(), 0, addr, htons(PORT), &settings, true),
		0);
	wait_change(fixture);
	assert_false(status_of(fixture).is_up);
	for (int round = 0; round < 2; round++) {
		server_start(fixture);
		wait_change(fixture);
		assert_true(status_of(fixture).is_up);
		server_stop(fixture);
		wait_change(fixture);
		assert_false(status_of(fixture).is_up);
		print_message("down: %s\n", status_of(fixture).reason);
	}
	assert_int_equal(fixture->changes, 5);

	/* No port unreachable from a host that is gone. */
	netns_run_peer(&fixture->netns, "echo 0 > /proc/sys/net/ipv4/ip_forward && "
					"ip addr flush dev peer0");
	health_unwatch(fixture->health, 0);
	assert_int_equal(
		health_watch(fixture->health, clock_ns(), 0, addr, htons(PORT), &settings, true),
		0);
	wait_change(fixture);
	assert_string_equal(status_of(fixture).reason, "no answer in 100 ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quic_server_is_seen, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
