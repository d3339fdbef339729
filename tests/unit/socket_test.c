/* SPDX-License-Identifier: GPL-2.0-only */
/* socket_test.c - the socket engine over real sockets, in a network namespace of the
 * test's own, with a real table and real decisions. Needs root or user namespaces. */
#include "io/socket.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
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
#include "dataplane/worker.h"
#include "io/io.h"
#include "io/socket_files.h"
#include "util/clock.h"
#include "util/huge_memory.h"
#include "util/number.h"

#include "datagram.h"
#include "test.h"

#define FRAME_COUNT   512
#define FRAME_SIZE    2048
#define RING_SIZE     256
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

#define SETTING_IO_URING 4

/* One side of a worker, as its loop has it. */
struct station {
	struct io *io;
	struct router_worker router;
	struct forward_stats forward;
};

static struct world {
	struct setting setting;
	bool is_open;
	uint32_t worker_count;
	struct socket_group *group;
	struct station stations[WORKER_COUNT];
	struct router *router;
	struct table *table;
	int backends[BACKEND_COUNT], clients[CLIENT_COUNT];
	uint64_t sent, dropped; /* by the stations */
} world;

static bool is_root = true; /* not of its own namespaces only */

/* The library's, in front of it: a kernel that takes no submissions for a while. */
static bool kernel_is_busy;

int io_uring_submit(struct io_uring *ring)
{
	return kernel_is_busy ? -EBUSY : io_uring_submit_and_wait(ring, 0);
}

/* liburcu is not built for ThreadSanitizer, which so does not see that a grace period
 * lies between the last use of these and their end, nor what its own thread does. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:liburcu-qsbr.so\n"
	       "race:flow_reclaim\nrace:service_close\nrace:set_free\n"
	       "race:table_free\n";
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
	struct table_spec spec = { .ports = &port,
				   .port_count = 1,
				   .services = services,
				   .service_count = SERVICES_MAX,
				   .memory_new = huge_memory_new };
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

static void world_open_as(const struct setting *setting, const struct socket_group_config *config)
{
	uint32_t worker_count = config->worker_count;
	char error[256] = "";

	print_message("with: %s\n", setting->name);
	urcu_qsbr_register_thread();
	world = (struct world){ .is_open = true,
				.setting = *setting,
				.worker_count = worker_count };
	if (socket_group_open(config, &world.group, error, sizeof(error)))
		fail_msg("%s", error);
	world.table = table_make();
	assert_int_equal(router_new(1000, &world.router), 0);
	for (uint32_t i = 0; i < worker_count; i++) {
		struct io_config io_config = { .queue = i,
					       .port_count = 1,
					       .frame_count = FRAME_COUNT,
					       .frame_size = FRAME_SIZE,
					       .ring_size = RING_SIZE,
					       .socket_group = world.group,
					       .receiver_cpu = -1 };

		router_worker_init(&world.stations[i].router, NULL, 0);
		if (engine->open(&io_config, &world.stations[i].io, error, sizeof(error)))
			fail_msg("%s", error);
	}
	for (uint8_t i = 0; i < BACKEND_COUNT; i++)
		world.backends[i] = socket_at(1, (uint8_t)(i + 1), BACKEND_PORT);
	for (uint8_t i = 0; i < CLIENT_COUNT; i++)
		world.clients[i] = socket_at(2, (uint8_t)(i + 1), 0);
}

static struct socket_group_config config_of(const struct setting *setting, uint32_t worker_count,
					    uint32_t flow_max)
{
	return (struct socket_group_config){
		.calls = setting->calls,
		.is_decoupled = setting->is_decoupled,
		.worker_count = worker_count,
		.flow_max = flow_max,
		.receive_buffer = 4 << 20,
	};
}

static void world_open(const struct setting *setting, uint32_t worker_count, uint32_t flow_max)
{
	const struct socket_group_config config = config_of(setting, worker_count, flow_max);

	world_open_as(setting, &config);
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
	urcu_qsbr_unregister_thread();
	world.is_open = false;
}

/* After a test that failed, for the next one. */
static int world_end(void **state)
{
	(void)state;
	if (world.is_open)
		world_close();
	return 0;
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

/* Without rounds. */
#define wait_until(condition)                                        \
	do {                                                         \
		uint64_t end_ns = clock_ns() + PATIENCE_NS;          \
                                                                     \
		while (!(condition)) {                               \
			(void)poll(NULL, 0, 1);                      \
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

static uint64_t send_errors_now(void)
{
	struct io_stats stats;

	engine->stats(world.stations[0].io, &stats);
	return stats.ports[0].kick_errors[IO_KICK_OTHER];
}

/* --- Datagrams --- */

static void payload_fill(uint8_t *payload, uint32_t len, uint32_t seed)
{
	uint64_t state = seed;

	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)random_next(&state);
}

static void send_by(int fd, uint8_t service, const void *payload, size_t len)
{
	struct sockaddr_storage name;
	socklen_t size = name_set(&name, 0, service, SERVICE_PORT);

	assert_int_equal(sendto(fd, payload, len, 0, (struct sockaddr *)&name, size), len);
}

static void client_send(int client, uint8_t service, const void *payload, size_t len)
{
	send_by(world.clients[client], service, payload, len);
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

/* --- Bursts --- */

/* Have count numbered datagrams come, in order? Some may be on their way. */
static bool numbers_take(int fd, uint32_t count, uint32_t *next)
{
	struct arrival arrival;

	for (;;) {
		arrival_take(fd, &arrival);
		if (arrival.len < 0)
			return *next == count;
		assert_int_equal(arrival.len, sizeof(*next));
		assert_memory_equal(arrival.payload, next, sizeof(*next));
		assert_true(++*next <= count);
	}
}

static void numbers_await(int fd, uint32_t count)
{
	uint32_t next = 0;

	rounds_until(numbers_take(fd, count, &next));
}

static void bursts_case(const struct setting *setting)
{
	static const uint32_t counts[] = { 1, 7, 64, 65, 200 };
	struct sockaddr_storage upstream;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		int backend = exchange(0, 100, &upstream);

		for (uint32_t number = 0; number < counts[i]; number++)
			client_send(0, 1, &number, sizeof(number));
		numbers_await(world.backends[backend], counts[i]);
		for (uint32_t number = 0; number < counts[i]; number++)
			assert_int_equal(sendto(world.backends[backend], &number, sizeof(number), 0,
						(struct sockaddr *)&upstream, sizeof(upstream)),
					 sizeof(number));
		numbers_await(world.clients[0], counts[i]);
	}
	assert_int_equal(world.dropped, 0);
	world_close();
}

static void carries_bursts_in_order(void **state)
{
	(void)state;
	each_setting(bursts_case);
}

/* --- Datagrams that do not fit --- */

static void truncated_case(const struct setting *setting)
{
	static uint8_t longer[3000];
	struct sockaddr_storage upstream;
	int backend;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	backend = exchange(0, 100, &upstream);
	for (uint32_t number = 0; number < 3; number++) {
		client_send(0, 1, longer, sizeof(longer));
		client_send(0, 1, &number, sizeof(number));
	}
	numbers_await(world.backends[backend], 3);
	assert_int_equal(count_now(SOCKET_COUNT_TRUNCATED), 3);
	assert_int_equal(sendto(world.backends[backend], longer, sizeof(longer), 0,
				(struct sockaddr *)&upstream, sizeof(upstream)),
			 sizeof(longer));
	rounds_until(count_now(SOCKET_COUNT_TRUNCATED) == 4);
	(void)exchange(0, LEN_MAX, &upstream);
	assert_int_equal(world.dropped, 0);
	world_close();
}

static void drops_what_does_not_fit_a_frame(void **state)
{
	(void)state;
	each_setting(truncated_case);
}

/* --- The life of flows --- */

static int files_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	(void)closedir(folder);
	return count;
}

static void expiry_case(const struct setting *setting)
{
	int files;

	world_open(setting, WORKER_COUNT, FLOW_MAX);
	listen_on(1, 200);
	rounds();
	files = files_open();
	for (int again = 1; again <= 2; again++) {
		/* No answer is waited for: the flow may be gone before it comes. */
		for (int client = 0; client < CLIENT_COUNT; client++) {
			uint64_t opened = count_now(SOCKET_COUNT_FLOWS_OPENED);

			client_send(client, 1, "x", 1);
			rounds_until(count_now(SOCKET_COUNT_FLOWS_OPENED) > opened);
		}
		rounds_until(count_now(SOCKET_COUNT_FLOWS_EXPIRED) ==
			     count_now(SOCKET_COUNT_FLOWS_OPENED));
		rounds_until(!stats_now().flows);
		assert_true(count_now(SOCKET_COUNT_FLOWS_OPENED) >= (uint64_t)again * CLIENT_COUNT);
		/* Fewer: one that a new thread had open for a moment was counted before. */
		rounds_until(files_open() <= files);
	}
	world_close();
}

static void closes_flows_that_are_idle(void **state)
{
	(void)state;
	each_setting(expiry_case);
}

/* Datagrams of one side only, for two idle times; the idle time is so long that no
 * machine is away from the test for as much. */
static void keeps_flows_that_are_not(void **state)
{
	const uint32_t idle_ms = 1500;
	struct sockaddr_storage upstream;
	struct arrival arrival;

	(void)state;
	world_open(&settings[0], 1, FLOW_MAX);
	listen_on(1, idle_ms);
	for (int side = 0; side < 2; side++) {
		int backend = exchange(0, 10, &upstream);
		int to = side ? world.clients[0] : world.backends[backend];
		uint64_t until_ns = clock_ns() + 2 * idle_ms * 1000000ull;

		while (clock_ns() < until_ns) {
			if (side)
				(void)sendto(world.backends[backend], "x", 1, 0,
					     (struct sockaddr *)&upstream, sizeof(upstream));
			else
				client_send(0, 1, "x", 1);
			rounds_until(is_readable(to));
			arrival_take(to, &arrival);
		}
	}
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_OPENED), 1);
	world_close();
}

enum { BUSY_FLOWS = 5 * BURST_MAX }; /* more than there is room for submissions */

/* All flows end at one time, when the kernel takes no submission. */
static void flows_end_while_busy(const int clients[BUSY_FLOWS])
{
	uint64_t start_ns;

	world_open(&settings[SETTING_IO_URING], 1, BUSY_FLOWS);
	listen_on(1, IDLE_MS);
	for (uint64_t i = 0; i < BUSY_FLOWS; i++) {
		send_by(clients[i], 1, "x", 1);
		rounds_until(stats_now().flows == i + 1);
	}
	listen_on(1, 1);
	start_ns = clock_ns();
	wait_until(clock_ns() - start_ns > 1100 * 1000000u); /* so all are looked at in a round */
	kernel_is_busy = true;
	rounds();
	kernel_is_busy = false;
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_EXPIRED), BUSY_FLOWS);
}

/* None keeps its file, whether the worker goes on or ends then. */
static void closes_flows_that_end_while_the_kernel_is_busy(void **state)
{
	int clients[BUSY_FLOWS], files;

	(void)state;
	world.setting = settings[SETTING_IO_URING];
	for (int i = 0; i < BUSY_FLOWS; i++)
		clients[i] = socket_at(2, 1, 0);
	files = files_open();
	flows_end_while_busy(clients);
	rounds_until(!stats_now().flows);
	world_close();
	assert_int_equal(files_open(), files);
	flows_end_while_busy(clients);
	world_close();
	assert_int_equal(files_open(), files);
	for (int i = 0; i < BUSY_FLOWS; i++)
		(void)close(clients[i]);
}

static void limit_case(const struct setting *setting)
{
	struct sockaddr_storage upstream;

	world_open(setting, 1, 3);
	listen_on(1, IDLE_MS);
	for (int client = 0; client < 3; client++)
		(void)exchange(client, 10, &upstream);
	for (int client = 3; client < CLIENT_COUNT; client++)
		client_send(client, 1, "x", 1);
	rounds_until(count_now(SOCKET_COUNT_FLOWS_REFUSED) == CLIENT_COUNT - 3);
	rounds_until(world.dropped == CLIENT_COUNT - 3);
	assert_int_equal(backend_ready(), -1);
	for (int client = 0; client < 3; client++)
		(void)exchange(client, 10, &upstream);
	assert_int_equal(stats_now().flows, 3);
	world_close();
}

static void opens_no_more_flows_than_allowed(void **state)
{
	(void)state;
	each_setting(limit_case);
}

static void file_write(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	(void)!write(fd, text, strlen(text));
	(void)close(fd);
}

/* Two ports for five clients. When there are more, it takes a while until one is sought:
 * who is flooded does not spend his time on it. */
static void ports_case(const struct setting *setting)
{
	static const char range[] = "/proc/sys/net/ipv4/ip_local_port_range";
	struct sockaddr_storage upstream;
	uint64_t before_ns;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	file_write(range, "61000 61001");
	for (int client = 0; client < 2; client++)
		(void)exchange(client, 10, &upstream);
	before_ns = clock_ns();
	for (int client = 2; client < CLIENT_COUNT; client++)
		client_send(client, 1, "x", 1);
	rounds_until(count_now(SOCKET_COUNT_FLOW_ERRORS) == CLIENT_COUNT - 2);
	assert_int_equal(stats_now().flows, 2);
	(void)exchange(0, 10, &upstream);

	file_write(range, "32768 60999");
	while (count_now(SOCKET_COUNT_FLOWS_OPENED) < 3) {
		client_send(2, 1, "x", 1);
		rounds();
		assert_true(clock_ns() - before_ns < PATIENCE_NS);
	}
	assert_true(clock_ns() - before_ns > 900000000); /* clocks are coarse */
	world_close();
}

static void seeks_ports_seldom_where_none_are_left(void **state)
{
	(void)state;
	each_setting(ports_case);
}

static void refused_case(const struct setting *setting)
{
	struct sockaddr_storage upstream, again;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	(void)exchange(0, 10, &upstream);
	for (int i = 0; i < BACKEND_COUNT; i++)
		(void)close(world.backends[i]);
	/* Three in a burst: what the first one meets is told to the second. */
	for (uint64_t i = 1; i <= 3; i++) {
		for (int j = 0; j < 3; j++)
			client_send(0, 1, "x", 1);
		rounds_until(count_now(SOCKET_COUNT_UNREACHABLE) >= 2 * i);
		rounds_until(world.sent == 2 + 3 * i);
	}
	assert_int_equal(world.dropped, 0);
	/* io_uring cannot send again what is refused for another one's sake: it is lost. */
	if (setting->calls == SOCKET_IO_URING)
		assert_in_range(send_errors_now(), 1, count_now(SOCKET_COUNT_UNREACHABLE));
	else
		assert_int_equal(send_errors_now(), 0);
	for (uint8_t i = 0; i < BACKEND_COUNT; i++)
		world.backends[i] = socket_at(1, (uint8_t)(i + 1), BACKEND_PORT);
	(void)exchange(0, 10, &again);
	assert_memory_equal(&upstream, &again, sizeof(upstream));
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_OPENED), 1);
	world_close();
}

static void outlives_a_backend_that_refuses(void **state)
{
	(void)state;
	each_setting(refused_case);
}

static void sends_from_the_sources_in_turn(void **state)
{
	struct socket_group_config config;
	struct socket_source sources[3];
	struct sockaddr_storage upstream;
	uint32_t seen[3] = { 0 };

	(void)state;
	addr_set(sources[0].addr, false, 3, 0);
	addr_set(sources[1].addr, false, 3, 1);
	addr_set(sources[2].addr, true, 3, 2); /* for others */
	config = config_of(&settings[0], 1, FLOW_MAX);
	config.sources = sources;
	config.source_count = 3;
	world_open_as(&settings[0], &config);
	listen_on(1, IDLE_MS);
	for (int client = 0; client < 4; client++) {
		const uint8_t *addr = (void *)&((struct sockaddr_in *)&upstream)->sin_addr;

		(void)exchange(client, 10, &upstream);
		assert_int_equal(addr[2], 3);
		assert_true(addr[3] < 3);
		seen[addr[3]]++;
	}
	assert_true(seen[0] >= 1);
	assert_true(seen[1] >= 1);
	assert_int_equal(seen[0] + seen[1], 4);
	world_close();
}

/* --- Services --- */

static void listen_case(const struct setting *setting)
{
	struct sockaddr_storage upstream, again;
	struct socket_endpoint bad[2];
	char error[256] = "";
	int files, other = -1;

	world_open(setting, WORKER_COUNT, FLOW_MAX);
	other = socket_at(1, 1, BACKEND_PORT + 2); /* service 2's backend */
	listen_on(1, IDLE_MS);
	(void)exchange(0, 10, &upstream);
	files = files_open();

	listen_on(2, IDLE_MS);
	client_send(0, 2, "two", 3);
	rounds_until(is_readable(other));
	assert_int_equal(stats_now().flows, 2);
	(void)exchange(0, 10, &again);
	assert_memory_equal(&upstream, &again, sizeof(upstream));

	/* All or nothing. */
	bad[0] = endpoint_of(3, IDLE_MS);
	bad[1] = endpoint_of(1, IDLE_MS);
	addr_set(bad[1].addr, setting->is_ipv6, 99, 9);
	bad[1].addr[12] ^= 0x40;
	assert_int_equal(socket_group_listen(world.group, bad, 2, error, sizeof(error)),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(error, "give this host that address"));
	(void)exchange(0, 10, &again);

	listen_on(1, IDLE_MS);
	rounds_until(stats_now().flows == 1);
	rounds_until(files_open() <= files); /* less: what an earlier case was still closing */
	(void)exchange(0, 10, &again);
	assert_memory_equal(&upstream, &again, sizeof(upstream));
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_OPENED), 2);

	/* Again, in the place where it was. */
	listen_on(2, IDLE_MS);
	client_send(0, 2, "two", 3);
	rounds_until(count_now(SOCKET_COUNT_FLOWS_OPENED) == 3);

	/* Gone and back between two rounds: another, whose flows are not the old one's. */
	listen_on(1, IDLE_MS);
	listen_on(2, IDLE_MS);
	rounds_until(stats_now().flows == 1);
	listen_on(0, IDLE_MS);
	rounds_until(!stats_now().flows);
	(void)close(other);
	world_close();
}

static void listens_where_it_is_told_to(void **state)
{
	(void)state;
	each_setting(listen_case);
}

/* One worker, so no SO_REUSEPORT; datagrams are on their way when it ends. */
static void again_case(const struct setting *setting)
{
	struct sockaddr_storage upstream;

	for (int i = 0; i < 3; i++) {
		world_open(setting, 1, FLOW_MAX);
		listen_on(1, IDLE_MS);
		(void)exchange(0, 10, &upstream);
		for (int j = 0; j < 2 * BURST_MAX; j++)
			client_send(j % CLIENT_COUNT, 1, "x", 1);
		rounds();
		world_close();
	}
}

static void leaves_addresses_to_the_next_one(void **state)
{
	(void)state;
	each_setting(again_case);
}

/* As a reload does that gives all services other addresses. */
static void replaces_as_many_services_as_there_may_be(void **state)
{
	enum { COUNT = SOCKET_ENDPOINT_COUNT_MAX / 2 };
	static struct socket_endpoint endpoints[2 * COUNT + 1];
	static const enum socket_calls all_calls[] = { SOCKET_MMSG, SOCKET_IO_URING };
	char error[256] = "";
	int files;

	(void)state;
	assert_int_equal(COUNT, FAMILY_COUNT * SERVICE_COUNT_MAX);
	if (socket_files_raise(8192) < 8192)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		endpoints[i] = endpoint_of(1, IDLE_MS);
		endpoints[i].port_be = htons((uint16_t)(20000 + i));
	}
	for (size_t i = 0; i < ARRAY_LEN(all_calls); i++) {
		const struct setting setting = { "many services", all_calls[i], false, false };

		world_open(&setting, 1, FLOW_MAX);
		files = files_open();
		for (size_t step = 0; step < 3; step++) {
			size_t from = step == 2 ? COUNT : 0, count = step == 1 ? 2 * COUNT : COUNT;

			if (socket_group_listen(world.group, endpoints + from, count, error,
						sizeof(error)))
				fail_msg("%s", error);
			assert_int_equal(files_open(), files + (int)count);
			rounds();
		}
		assert_int_equal(socket_group_listen(world.group, endpoints, 2 * COUNT + 1, error,
						     sizeof(error)),
				 -EINVAL);
		assert_non_null(strstr(error, "4097 addresses: ringway takes 4096"));
		world_close();
	}
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		const char *name;
		uint32_t worker_count, flow_max;
		int err;
		const char *text;
	} cases[] = {
		{ "no worker", 0, 1, -EINVAL, "take 1 to" },
		{ "too many workers", WORKER_COUNT_MAX + 1, 1, -EINVAL, "take 1 to" },
		{ "no flow", 1, 0, -EINVAL, "0 flows" },
		{ "too many flows", 1, SOCKET_FLOW_COUNT_MAX + 1, -EINVAL, "flows: take" },
	};
	struct socket_endpoint endpoint = { 0 };
	struct socket_group *group = NULL;
	char error[256] = "";
	int taken;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct socket_group_config config = { .worker_count = cases[i].worker_count,
							    .flow_max = cases[i].flow_max };

		print_message("case: %s\n", cases[i].name);
		assert_int_equal(socket_group_open(&config, &group, error, sizeof(error)),
				 cases[i].err);
		assert_non_null(strstr(error, cases[i].text));
		assert_null(group);
	}
	world_open(&settings[0], 1, FLOW_MAX);
	endpoint.port_be = htons(SERVICE_PORT);
	assert_int_equal(socket_group_listen(world.group, &endpoint, 1, error, sizeof(error)),
			 -EINVAL);
	assert_non_null(strstr(error, "an address of its own"));
	endpoint = endpoint_of(1, IDLE_MS);
	taken = socket_at(0, 1, SERVICE_PORT);
	assert_int_equal(socket_group_listen(world.group, &endpoint, 1, error, sizeof(error)),
			 -EADDRINUSE);
	assert_non_null(strstr(error, "10.0.0.1:443: Address already in use; another process"));
	(void)close(taken);
	world_close();
}

/* --- Frames --- */

/* What owner discovery does: the datagram goes out twice. */
static void copies_case(const struct setting *setting)
{
	struct station *station = &world.stations[0];
	struct packet packets[BURST_MAX], spare;
	struct forward_ctx ctx = { .stats = &station->forward };
	struct sockaddr_storage upstream;
	size_t received;
	int backend;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	backend = exchange(0, 10, &upstream);
	client_send(0, 1, "twice", 5);
	assert_int_equal(engine->take(station->io, &spare, 1), 1);
	assert_true(spare.len >= 2000);
	do {
		received = engine->rx(station->io, packets, BURST_MAX);
	} while (!received);
	assert_int_equal(received, 1);
	ctx.route.table = world.table;
	ctx.route.router = world.router;
	ctx.route.worker = &station->router;
	ctx.route.now_ms = clock_ns() / 1000000;
	assert_int_equal(forward_burst(&ctx, packets, 1), 1);
	memcpy(spare.data, packets[0].data, packets[0].len);
	spare.len = packets[0].len;
	spare.kind = packets[0].kind;
	spare.slot = packets[0].slot;
	assert_int_equal(engine->tx(station->io, packets, 1), 1);
	assert_int_equal(engine->tx(station->io, &spare, 1), 1);
	for (int i = 0; i < 2; i++) {
		struct arrival arrival;

		rounds_until(is_readable(world.backends[backend]));
		arrival_take(world.backends[backend], &arrival);
		assert_int_equal(arrival.len, 5);
		assert_memory_equal(arrival.payload, "twice", 5);
		assert_memory_equal(&arrival.from, &upstream, sizeof(upstream));
	}
	rounds_until(engine->sent_all(station->io));
	world_close();
}

static void sends_copies(void **state)
{
	(void)state;
	each_setting(copies_case);
}

/* Not of a service that there is; not a frame of ours; then one that is sent. */
static void leaves_what_it_cannot_send_to_the_caller(void **state)
{
	struct io *io;
	struct packet packets[3];
	struct io_stats stats;

	(void)state;
	world_open(&settings[0], 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	io = world.stations[0].io;
	assert_int_equal(engine->take(io, packets, 3), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct datagram datagram = {
			.src = { 10, 0, 0, i == 0 ? 7 : 1 },
			.dst = { 10, 0, 2, 1 },
			.src_port = SERVICE_PORT,
			.dst_port = 5000,
			.ttl = 64,
			.payload = (const uint8_t *)"x",
			.payload_len = 1,
		};

		packets[i].len = (uint32_t)datagram_build(&datagram, packets[i].data);
		packets[i].kind = FRAME_RETURN;
	}
	packets[1].len = 20;
	assert_int_equal(engine->tx(io, packets, 3), 1);
	assert_int_equal(packets[0].len, packets[2].len);
	engine->release(io, packets + 1, 2);
	engine->stats(io, &stats);
	assert_int_equal(stats.ports[0].tx_invalid, 2);
	assert_int_equal(stats.ports[0].sent, 1);
	assert_int_equal(stats.held, 0);
	world_close();
}

/* A worker that does not come: its receiving thread has 256 frames. */
static void drops_when_the_worker_is_behind(void **state)
{
	struct sockaddr_storage upstream;
	uint32_t number;
	int backend;

	(void)state;
	world_open(&settings[ARRAY_LEN(settings) - 1], 1, FLOW_MAX);
	assert_true(world.setting.is_decoupled);
	listen_on(1, IDLE_MS);
	backend = exchange(0, 10, &upstream);
	for (int i = 0; i < 8; i++)
		rounds(); /* all its frames are posted */
	for (number = 0; number < RING_SIZE + 144; number++)
		client_send(0, 1, &number, sizeof(number));
	wait_until(count_now(SOCKET_COUNT_RING_FULL) == 144);
	numbers_await(world.backends[backend], RING_SIZE);
	world_close();
}

/* --- Sleeping --- */

static void *wake_soon(void *io)
{
	const struct timespec pause = { .tv_nsec = 20000000 };

	(void)nanosleep(&pause, NULL);
	engine->wake(io);
	return NULL;
}

static void assert_wait_ends(struct io *io)
{
	uint64_t start_ns = clock_ns();

	urcu_qsbr_thread_offline();
	assert_true(engine->wait(io, 60000));
	urcu_qsbr_thread_online();
	assert_true(clock_ns() - start_ns < PATIENCE_NS);
}

static void wait_case(const struct setting *setting)
{
	struct sockaddr_storage upstream;
	struct io *io;
	pthread_t thread;

	world_open(setting, 1, FLOW_MAX);
	listen_on(1, IDLE_MS);
	io = world.stations[0].io;
	(void)exchange(0, 10, &upstream);
	rounds_until(engine->sent_all(io));
	while (round_of(&world.stations[0]))
		;
	engine->wake(io);
	assert_wait_ends(io); /* woken before */
	rounds();
	assert_int_equal(pthread_create(&thread, NULL, wake_soon, io), 0);
	assert_wait_ends(io);
	(void)pthread_join(thread, NULL);
	rounds();
	client_send(0, 1, "x", 1);
	assert_wait_ends(io);
	rounds_until(backend_ready() >= 0);
	assert_true(engine->wait(io, 0));
	world_close();
}

static void sleeps_until_there_is_something(void **state)
{
	(void)state;
	each_setting(wait_case);
}

/* --- Threads --- */

static void *reload_often(void *is_over)
{
	for (int i = 0; i < 20; i++)
		listen_on(1 + i % SERVICES_MAX, i % 2 ? IDLE_MS : 1);
	listen_on(1, IDLE_MS);
	__atomic_store_n((bool *)is_over, true, __ATOMIC_RELAXED);
	return NULL;
}

/* Real workers, flows that end all the time, and reloads that take services away which
 * are being sent to; every answer arrives or its question is asked again. */
static void threads_case(const struct setting *setting)
{
	static const struct trace_filter *no_trace;
	struct worker *workers[WORKER_COUNT] = { NULL };
	struct table_ref table;
	uint32_t answered = 0;
	bool is_over = false;
	pthread_t reloader;

	world_open(setting, WORKER_COUNT, FLOW_MAX);
	table.table = world.table;
	listen_on(1, 1);
	urcu_qsbr_thread_offline();
	for (uint32_t i = 0; i < WORKER_COUNT; i++) {
		const struct worker_config config = { .index = i,
						      .cpu = -1,
						      .engine = engine,
						      .io = world.stations[i].io,
						      .table = &table,
						      .router = world.router,
						      .trace = &no_trace };

		assert_int_equal(worker_start(&config, &workers[i]), 0);
	}
	assert_int_equal(pthread_create(&reloader, NULL, reload_often, &is_over), 0);
	for (uint32_t round = 0; answered < 500 || !__atomic_load_n(&is_over, __ATOMIC_RELAXED);
	     round++) {
		struct arrival arrival;
		int backend;

		for (uint8_t service = 1; service <= SERVICES_MAX; service++)
			client_send((int)(round % CLIENT_COUNT), service, &round, sizeof(round));
		while ((backend = backend_ready()) >= 0) {
			arrival_take(world.backends[backend], &arrival);
			(void)sendto(world.backends[backend], arrival.payload, (size_t)arrival.len,
				     0, (struct sockaddr *)&arrival.from, arrival.from_size);
		}
		for (int client = 0; client < CLIENT_COUNT; client++)
			while (is_readable(world.clients[client])) {
				arrival_take(world.clients[client], &arrival);
				answered++;
			}
		assert_true(round < 10000000);
	}
	(void)pthread_join(reloader, NULL);
	for (uint32_t i = 0; i < WORKER_COUNT; i++)
		worker_stop(workers[i]);
	urcu_qsbr_thread_online();
	world_close();
}

static void serves_with_threads_while_reloading(void **state)
{
	(void)state;
	each_setting(threads_case);
}

/* --- Steering --- */

/* One 4-tuple, many Connection IDs: both workers get some, one flow has them all. */
static void one_flow_whichever_worker(void **state)
{
	static const struct setting steered = { "steered", SOCKET_MMSG, false, false };
	struct socket_group_config config = config_of(&steered, WORKER_COUNT, FLOW_MAX);
	struct sockaddr_storage upstream;
	struct socket_endpoint endpoint;
	char error[256] = "";
	uint8_t datagram[32] = { 0x40 };
	struct arrival arrival;
	int backend;

	(void)state;
	if (!is_root)
		skip();
	config.steering = SOCKET_STEER_CONNECTION_ID;
	world_open_as(&steered, &config);
	endpoint = endpoint_of(1, IDLE_MS);
	endpoint.is_quic = true;
	if (socket_group_listen(world.group, &endpoint, 1, error, sizeof(error)))
		fail_msg("%s", error);
	for (uint8_t i = 0; i < 100; i++) {
		datagram[1] = i;
		client_send(0, 1, datagram, sizeof(datagram));
		rounds_until((backend = backend_ready()) >= 0);
		arrival_take(world.backends[backend], &arrival);
		if (!i)
			upstream = arrival.from;
		assert_memory_equal(&arrival.from, &upstream, sizeof(upstream));
	}
	for (uint32_t i = 0; i < WORKER_COUNT; i++) {
		struct io_stats stats;

		engine->stats(world.stations[i].io, &stats);
		assert_in_range(stats.ports[0].received, 20, 80);
	}
	assert_int_equal(count_now(SOCKET_COUNT_FLOWS_OPENED), 1);
	world_close();
}

/* --- The namespace --- */

/* Root of a namespace of its own, where it is not root already. */
static bool namespace_enter(void)
{
	char map[32];

	(void)snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (geteuid()) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
			return false;
		file_write("/proc/self/uid_map", map);
		is_root = false;
	} else if (unshare(CLONE_NEWNET)) {
		return false;
	}
	return !system("ip link set lo up && ip address add 10.0.0.1/16 dev lo && "
		       "for net in 0 1 2; do for host in 1 2 3 4 5; do "
		       "ip address add fd00::$net:$host/128 dev lo nodad; done; done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(carries_bytes_both_ways, world_end),
		cmocka_unit_test_teardown(carries_bursts_in_order, world_end),
		cmocka_unit_test_teardown(drops_what_does_not_fit_a_frame, world_end),
		cmocka_unit_test_teardown(closes_flows_that_are_idle, world_end),
		cmocka_unit_test_teardown(keeps_flows_that_are_not, world_end),
		cmocka_unit_test_teardown(closes_flows_that_end_while_the_kernel_is_busy,
					  world_end),
		cmocka_unit_test_teardown(opens_no_more_flows_than_allowed, world_end),
		cmocka_unit_test_teardown(seeks_ports_seldom_where_none_are_left, world_end),
		cmocka_unit_test_teardown(outlives_a_backend_that_refuses, world_end),
		cmocka_unit_test_teardown(sends_from_the_sources_in_turn, world_end),
		cmocka_unit_test_teardown(listens_where_it_is_told_to, world_end),
		cmocka_unit_test_teardown(leaves_addresses_to_the_next_one, world_end),
		cmocka_unit_test_teardown(replaces_as_many_services_as_there_may_be, world_end),
		cmocka_unit_test_teardown(says_what_is_wrong, world_end),
		cmocka_unit_test_teardown(sends_copies, world_end),
		cmocka_unit_test_teardown(leaves_what_it_cannot_send_to_the_caller, world_end),
		cmocka_unit_test_teardown(drops_when_the_worker_is_behind, world_end),
		cmocka_unit_test_teardown(sleeps_until_there_is_something, world_end),
		cmocka_unit_test_teardown(serves_with_threads_while_reloading, world_end),
		cmocka_unit_test_teardown(one_flow_whichever_worker, world_end),
	};

	if (!namespace_enter()) {
		(void)puts("no network namespace to be had: run as root");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
