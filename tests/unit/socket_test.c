/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_test.c - the socket engine over real sockets, in a network namespace of the
 * test's own, with a real table and real decisions. Needs root or user namespaces. */
#include "io/socket.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include "core/counter.h"
#include "core/forward.h"
#include "dataplane/router_memory.h"
#include "io/io.h"
#include "util/clock.h"
#include "util/number.h"

#include "test.h"

#define FRAME_COUNT   512
#define FRAME_SIZE    2048
#define LEN_MAX	      1900 /* bytes that fit a frame whichever way it is received */
#define WORKER_COUNT  2
#define BACKEND_COUNT 3
#define CLIENT_COUNT  5
#define SERVICE_PORT  443
#define BACKEND_PORT  4433
#define FLOW_MAX      100
#define IDLE_MS	      600000 /* never, in a test */
#define PATIENCE_NS   20000000000u
#define SERVICES_MAX  3

static const struct io_engine *const engine = &io_socket;

/* What a test runs with. */
struct setting {
	const char *name;
	enum socket_calls calls;
	bool is_decoupled;
	bool is_ipv6;
};

static const struct setting settings[] = {
	{ "epoll, IPv4", SOCKET_EPOLL, false, false },
	{ "epoll, IPv6", SOCKET_EPOLL, false, true },
	{ "mmsg, IPv4", SOCKET_MMSG, false, false },
	{ "mmsg, IPv6", SOCKET_MMSG, false, true },
	{ "io_uring, IPv4", SOCKET_IO_URING, false, false },
	{ "io_uring, IPv6", SOCKET_IO_URING, false, true },
	{ "a receiving thread, epoll", SOCKET_EPOLL, true, false },
	{ "a receiving thread, mmsg", SOCKET_MMSG, true, true },
	{ "a receiving thread, io_uring", SOCKET_IO_URING, true, false },
};

/* One side of a worker, as its loop has it. */
struct station {
	struct io *io;
	struct router_worker router;
	struct forward_stats forward;
};

static struct world {
	struct setting setting;
	uint32_t worker_count;
	struct socket_group *group;
	struct station stations[WORKER_COUNT];
	struct router *router;
	struct table *table;
	int backends[BACKEND_COUNT], clients[CLIENT_COUNT];
	uint64_t sent, dropped; /* by the stations */
} world;

/* liburcu is not built for ThreadSanitizer, which so does not see that a grace period
 * lies between the last use of these and their end. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:flow_reclaim\nrace:services_close\nrace:socket_group_listen\nrace:table_free\n";
}

/* --- Addresses --- */

/* Of the namespace's loopback: 10.0.NET.HOST or fd00::NET:HOST. */
static void addr_set(uint8_t addr[16], bool is_ipv6, uint8_t net, uint8_t host)
{
	const uint8_t ipv4[4] = { 10, 0, net, host };
	const uint8_t ipv6[16] = { 0xfd, [13] = net, [15] = host };

	match_addr_set(addr, is_ipv6 ? NULL : ipv4, ipv6);
}

static socklen_t name_set(struct sockaddr_storage *name, uint8_t net, uint8_t host, uint16_t port)
{
	uint8_t addr[16];

	memset(name, 0, sizeof(*name));
	addr_set(addr, world.setting.is_ipv6, net, host);
	if (world.setting.is_ipv6) {
		struct sockaddr_in6 *ipv6 = (void *)name;

		*ipv6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
		memcpy(&ipv6->sin6_addr, addr, 16);
		return sizeof(*ipv6);
	}
	*(struct sockaddr_in *)name =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	memcpy(&((struct sockaddr_in *)name)->sin_addr, addr + 12, 4);
	return sizeof(struct sockaddr_in);
}

static int socket_at(uint8_t net, uint8_t host, uint16_t port)
{
	struct sockaddr_storage name;
	socklen_t size = name_set(&name, net, host, port);
	int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
	return fd;
}

static struct socket_endpoint endpoint_of(uint8_t host, uint32_t idle_ms)
{
	struct socket_endpoint endpoint = { .port_be = htons(SERVICE_PORT), .idle_ms = idle_ms };

	addr_set(endpoint.addr, world.setting.is_ipv6, 0, host);
	return endpoint;
}

/* --- The world --- */

static void table_endpoint_set(struct table_endpoint *endpoint, uint8_t net, uint8_t host,
			       uint16_t port)
{
	enum family family = world.setting.is_ipv6 ? FAMILY_IPV6 : FAMILY_IPV4;

	endpoint->present[family] = true;
	addr_set(endpoint->addr[family], world.setting.is_ipv6, net, host);
	endpoint->port_be = htons(port);
}

/* Service 10.0.0.1 and all backends, then services 10.0.0.2.. with one backend each,
 * on addresses of their own. */
static struct table *table_make(void)
{
	static const uint8_t mac[6];
	const struct table_port port = { .mtu = UINT16_MAX };
	struct table_backend backends[BACKEND_COUNT] = { 0 };
	struct table_backend others[SERVICES_MAX] = { 0 };
	struct table_service services[SERVICES_MAX] = { 0 };
	struct table_spec spec = {
		.ports = &port, .port_count = 1, .services = services, .service_count = SERVICES_MAX
	};
	struct table *table = NULL;

	for (uint16_t i = 0; i < BACKEND_COUNT; i++) {
		backends[i] = (struct table_backend){ .slot = i, .id = i + 1u, .weight = 1 };
		table_endpoint_set(&backends[i].endpoint, 1, (uint8_t)(i + 1), BACKEND_PORT);
	}
	for (uint16_t i = 0; i < SERVICES_MAX; i++) {
		others[i] = (struct table_backend){ .slot = (uint16_t)(BACKEND_COUNT + i),
						    .id = 100u + i,
						    .weight = 1 };
		table_endpoint_set(&others[i].endpoint, 1, 1, (uint16_t)(BACKEND_PORT + 1 + i));
		services[i] = (struct table_service){ .slot = i,
						      .backends = i ? &others[i] : backends,
						      .backend_count = i ? 1 : BACKEND_COUNT,
						      .idle_ticks = 1000 };
		table_endpoint_set(&services[i].endpoint, 0, (uint8_t)(i + 1), SERVICE_PORT);
	}
	assert_int_equal(table_build(&spec, &table), 0);
	for (uint16_t slot = 0; slot < BACKEND_COUNT + SERVICES_MAX; slot++)
		table_next_hop_set(table, slot, world.setting.is_ipv6 ? FAMILY_IPV6 : FAMILY_IPV4,
				   0, mac);
	return table;
}

static void listen_on(uint32_t count, uint32_t idle_ms)
{
	struct socket_endpoint endpoints[SERVICES_MAX];
	char error[256] = "";

	for (uint32_t i = 0; i < count; i++)
		endpoints[i] = endpoint_of((uint8_t)(i + 1), idle_ms);
	if (socket_group_listen(world.group, endpoints, count, error, sizeof(error)))
		fail_msg("%s", error);
}

static void world_open(const struct setting *setting, uint32_t worker_count, uint32_t flow_max)
{
	const struct socket_group_config group_config = {
		.calls = setting->calls,
		.is_decoupled = setting->is_decoupled,
		.worker_count = worker_count,
		.flow_max = flow_max,
		.receive_buffer = 4 << 20,
	};
	char error[256] = "";

	print_message("with: %s\n", setting->name);
	world = (struct world){ .setting = *setting, .worker_count = worker_count };
	if (socket_group_open(&group_config, &world.group, error, sizeof(error)))
		fail_msg("%s", error);
	world.table = table_make();
	assert_int_equal(router_new(1000, &world.router), 0);
	for (uint32_t i = 0; i < worker_count; i++) {
		struct io_config config = { .queue = i,
					    .port_count = 1,
					    .frame_count = FRAME_COUNT,
					    .frame_size = FRAME_SIZE,
					    .ring_size = 256,
					    .socket_group = world.group };

		router_worker_init(&world.stations[i].router, NULL, 0);
		if (engine->open(&config, &world.stations[i].io, error, sizeof(error)))
			fail_msg("%s", error);
	}
	for (uint8_t i = 0; i < BACKEND_COUNT; i++)
		world.backends[i] = socket_at(1, (uint8_t)(i + 1), BACKEND_PORT);
	for (uint8_t i = 0; i < CLIENT_COUNT; i++)
		world.clients[i] = socket_at(2, (uint8_t)(i + 1), 0);
}

static void assert_no_frame_lost(const struct io *io)
{
	struct io_stats stats;

	engine->stats(io, &stats);
	assert_int_equal(stats.free + stats.held + stats.ports[0].posted + stats.ports[0].sent -
				 stats.ports[0].completed,
			 stats.frames);
	assert_int_equal(stats.frames, FRAME_COUNT);
}

static void world_close(void)
{
	for (uint32_t i = 0; i < world.worker_count; i++) {
		assert_no_frame_lost(world.stations[i].io);
		engine->close(world.stations[i].io);
	}
	for (int i = 0; i < BACKEND_COUNT; i++)
		(void)close(world.backends[i]);
	for (int i = 0; i < CLIENT_COUNT; i++)
		(void)close(world.clients[i]);
	socket_group_close(world.group);
	router_free(world.router);
	table_free(world.table);
}

/* One round of a worker's loop. */
static size_t round_of(struct station *station)
{
	struct forward_ctx ctx = { .stats = &station->forward };
	struct packet packets[BURST_MAX];
	size_t received, kept, sent;

	urcu_qsbr_quiescent_state();
	received = engine->rx(station->io, packets, BURST_MAX);
	if (!received)
		return 0;
	ctx.route.table = world.table;
	ctx.route.router = world.router;
	ctx.route.worker = &station->router;
	ctx.route.now_ms = clock_ns() / 1000000;
	kept = forward_burst(&ctx, packets, received);
	sent = engine->tx(station->io, packets, kept);
	engine->release(station->io, packets + sent, received - sent);
	world.sent += sent;
	world.dropped += received - sent;
	assert_no_frame_lost(station->io);
	return received;
}

static void rounds(void)
{
	for (uint32_t i = 0; i < world.worker_count; i++)
		(void)round_of(&world.stations[i]);
}

/* Rounds until it is so; how long that takes is nobody's promise. */
#define rounds_until(condition)                                      \
	do {                                                         \
		uint64_t end_ns = clock_ns() + PATIENCE_NS;          \
                                                                     \
		while (!(condition)) {                               \
			rounds();                                    \
			if (clock_ns() > end_ns)                     \
				fail_msg("in vain: %s", #condition); \
		}                                                    \
	} while (0)

static struct socket_stats stats_now(void)
{
	struct socket_stats stats;

	socket_group_stats(world.group, &stats);
	return stats;
}

static uint64_t count_now(enum socket_counter counter)
{
	return stats_now().counts[counter];
}

static inline uint64_t drops_now(enum drop_reason reason)
{
	uint64_t drops = 0;

	for (uint32_t i = 0; i < world.worker_count; i++)
		drops += counter_read(&world.stations[i].forward.dropped[reason]);
	return drops;
}

/* --- Datagrams --- */

static void payload_fill(uint8_t *payload, uint32_t len, uint32_t seed)
{
	uint64_t state = seed;

	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)random_next(&state);
}

static void client_send(int client, uint8_t service, const void *payload, size_t len)
{
	struct sockaddr_storage name;
	socklen_t size = name_set(&name, 0, service, SERVICE_PORT);

	assert_int_equal(
		sendto(world.clients[client], payload, len, 0, (struct sockaddr *)&name, size),
		len);
}

/* The first backend that has something, or -1. */
static int backend_ready(void)
{
	struct pollfd fds[BACKEND_COUNT];

	for (int i = 0; i < BACKEND_COUNT; i++)
		fds[i] = (struct pollfd){ .fd = world.backends[i], .events = POLLIN };
	if (poll(fds, BACKEND_COUNT, 0) > 0)
		for (int i = 0; i < BACKEND_COUNT; i++)
			if (fds[i].revents & POLLIN)
				return i;
	return -1;
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) > 0;
}

/* What came, and from where. */
struct arrival {
	uint8_t payload[4096];
	ssize_t len;
	struct sockaddr_storage from;
	socklen_t from_size;
};

static void arrival_take(int fd, struct arrival *arrival)
{
	memset(arrival, 0, sizeof(*arrival));
	arrival->from_size = sizeof(arrival->from);
	arrival->len = recvfrom(fd, arrival->payload, sizeof(arrival->payload), MSG_DONTWAIT,
				(struct sockaddr *)&arrival->from, &arrival->from_size);
}

static void assert_from_service(const struct arrival *arrival, uint8_t service)
{
	struct sockaddr_storage name;
	socklen_t size = name_set(&name, 0, service, SERVICE_PORT);

	assert_int_equal(arrival->from_size, size);
	assert_memory_equal(&arrival->from, &name, size);
}

/* A datagram of the client's to service 1, its way there, an answer twice as long or
 * LEN_MAX, and its way back. Returns the backend, and where it saw the client. */
static int exchange(int client, uint32_t len, struct sockaddr_storage *ret_upstream)
{
	static uint32_t seed;
	uint32_t answer_len = 2 * len < LEN_MAX ? 2 * len : LEN_MAX;
	uint8_t payload[LEN_MAX], answer[LEN_MAX];
	struct arrival arrival;
	int backend;

	payload_fill(payload, len, ++seed);
	payload_fill(answer, answer_len, ++seed);
	client_send(client, 1, payload, len);
	rounds_until((backend = backend_ready()) >= 0);
	arrival_take(world.backends[backend], &arrival);
	assert_int_equal(arrival.len, len);
	assert_memory_equal(arrival.payload, payload, len);
	*ret_upstream = arrival.from;
	assert_int_equal(sendto(world.backends[backend], answer, answer_len, 0,
				(struct sockaddr *)&arrival.from, arrival.from_size),
			 answer_len);
	rounds_until(is_readable(world.clients[client]));
	arrival_take(world.clients[client], &arrival);
	assert_int_equal(arrival.len, answer_len);
	assert_memory_equal(arrival.payload, answer, answer_len);
	assert_from_service(&arrival, 1);
	return backend;
}

/* --- The tests --- */

static void each_setting(void (*test)(const struct setting *setting))
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		test(&settings[i]);
}

static void bytes_case(const struct setting *setting)
{
	static const uint32_t lens[] = { 1, 0, 17, 1200, 1472, LEN_MAX, 64 };
	struct sockaddr_storage upstreams[CLIENT_COUNT], upstream;
	int backends[CLIENT_COUNT];

	world_open(setting, WORKER_COUNT, FLOW_MAX);
	listen_on(1, IDLE_MS);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (int client = 0; client < CLIENT_COUNT; client++) {
			int backend = exchange(client, lens[i], &upstream);

			if (i == 0) {
				backends[client] = backend;
				upstreams[client] = upstream;
			}
			assert_int_equal(backends[client], backend);
			assert_memory_equal(&upstreams[client], &upstream, sizeof(upstream));
		}
	}
	assert_int_equal(stats_now().flows, CLIENT_COUNT);
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_OPENED), CLIENT_COUNT);
	assert_int_equal(world.dropped, 0);
	world_close();
}

static void carries_bytes_both_ways(void **state)
{
	(void)state;
	each_setting(bytes_case);
}

/* --- The namespace --- */

static bool namespace_enter(void)
{
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET))
		return false;
	return !system("ip link set lo up && ip address add 10.0.0.1/16 dev lo && "
		       "for net in 0 1 2; do for host in 1 2 3 4 5; do "
		       "ip address add fd00::$net:$host/128 dev lo nodad; done; done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_bytes_both_ways),
	};
	int result;

	if (!namespace_enter()) {
		(void)puts("no network namespace to be had: run as root");
		return 77;
	}
	urcu_qsbr_register_thread();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	urcu_qsbr_unregister_thread();
	return result;
}
