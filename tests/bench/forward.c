/* SPDX-License-Identifier: GPL-2.0-only */
/* forward - what forward_burst() costs a datagram, on frames in memory.
 *
 * A pool of frames larger than the second-level cache is filled anew before each
 * pass, as a network card would fill it; only forward_burst() is timed. Prints a
 * JSON row with every pass; its value is their tenth percentile, since what else
 * the machine does may double the time of a pass and never shortens it. And a row of
 * what the tables take, where something is remembered. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/datagram.h"
#include "../unit/test.h"
#include "core/forward.h"
#include "core/key.h"
#include "dataplane/router_memory.h"
#include "util/clock.h"
#include "util/huge_memory.h"
#include "util/options.h"
#include "util/thread.h"

#define CHUNK_SIZE 2048
#define HEADROOM   256
#define POOL_COUNT 4096
#define CID_LEN	   8

#define DISTURBANCE_MAX_KIB 4096

/* Long after the start, when no question of the start's is open. */
#define NOW_MS 100000

/* Connection IDs of QUIC-LB servers: connections share them, as each takes libcrypto
 * microseconds to make. */
#define LB_CID_COUNT 65536

/* Their first bits name the configuration. */
enum { LB_CLEAR = 1, LB_ENCRYPTED = 2 };

#define SIZE_MIN	 64
#define SIZE_MAX_BYTES	 1472
#define INITIAL_SIZE_MIN 1200 /* RFC 9000 section 14.1 */

/* From here on, connections are those of Initials, and nobody knows them. */
#define FRESH_FIRST (1ull << 40)

/* Whose connections those of KNOWN_CID_GONE are: nobody's. */
#define GONE_SLOT (BACKEND_COUNT_MAX - 1)

/* By what a connection is known. */
enum known_by {
	KNOWN_NOT, /* nothing is remembered */
	KNOWN_TO_NONE,
	KNOWN_TUPLE,
	KNOWN_CID,
	KNOWN_CID_OF_CLIENT, /* as no server has named it */
	KNOWN_CID_GONE,	     /* its backend was removed */
	KNOWN_LB,
};

static const struct known {
	const char *name;
	enum known_by by;
	enum route_rule rule; /* that decides, but for Initials */
	bool is_plain, is_encrypted;

	/* Of a client, one after the other, as they change what is known of the connection;
	 * 0: any, in any order. */
	uint8_t datagrams;
} knowns[] = {
	{ .name = "nothing", .by = KNOWN_NOT, .rule = ROUTE_UNKNOWN },
	{ .name = "tuple", .by = KNOWN_TUPLE, .rule = ROUTE_TUPLE, .is_plain = true },
	{ .name = "quic-tuple", .by = KNOWN_TUPLE, .rule = ROUTE_TUPLE, .datagrams = 1 },
	{ .name = "cid", .by = KNOWN_CID, .rule = ROUTE_CID },
	{ .name = "cid-of-client", .by = KNOWN_CID_OF_CLIENT, .rule = ROUTE_CID },
	{ .name = "quic-lb", .by = KNOWN_LB, .rule = ROUTE_QUIC_LB },
	{ .name = "quic-lb-encrypted",
	  .by = KNOWN_LB,
	  .rule = ROUTE_QUIC_LB,
	  .is_encrypted = true },
	{ .name = "gone", .by = KNOWN_CID_GONE, .rule = ROUTE_GONE, .datagrams = 1 },
	{ .name = "sought", .by = KNOWN_TO_NONE, .rule = ROUTE_DISCOVERY, .datagrams = 1 },
	{ .name = "sought-again", .by = KNOWN_TO_NONE, .rule = ROUTE_DISCOVERY, .datagrams = 2 },
};

static struct {
	uint64_t connections, backends, services, passes, disturbance_kib;
	uint64_t size, burst, initials_percent, encrypted_percent, workers;
	const char *known_name;
	bool is_return, is_ipv6, is_l2, is_seeking, is_live;
} arguments = { .connections = 1000000,
		.backends = 100,
		.services = 1,
		.passes = 200,
		.size = SIZE_MIN,
		.burst = BURST_MAX,
		.workers = 1,
		.known_name = "nothing" };

static const struct known *known;
static struct quic_lb_config lb_configs[QUIC_LB_ROTATION_COUNT];
static uint8_t lb_cids[LB_CID_COUNT][QUIC_CID_LEN_MAX];

static const struct option_entry entries[] = {
	{ 0, "connections", "COUNT", "default 1000000", .number = &arguments.connections,
	  .minimum = 1, .maximum = UINT32_MAX },
	{ 0, "backends", "COUNT", "of a service; default 100", .number = &arguments.backends,
	  .minimum = 1, .maximum = BACKEND_COUNT_MAX },
	{ 0, "services", "COUNT", "default 1", .number = &arguments.services, .minimum = 1,
	  .maximum = SERVICE_COUNT_MAX },
	{ 0, "passes", "COUNT", "of 4096 datagrams; default 200", .number = &arguments.passes,
	  .minimum = 1, .maximum = 1000000 },
	{ 0, "known", "WHAT",
	  "of connections: nothing (default), tuple (plain UDP), cid, cid-of-client, quic-lb, "
	  "quic-lb-encrypted; these want a connection a datagram: quic-tuple (then the ID is "
	  "learned), gone (a cid, then given to another backend), sought (backends are asked), "
	  "sought-again (two datagrams)",
	  .value = &arguments.known_name },
	{ 0, "disturb", "KIB",
	  "memory read between two bursts, as the kernel does that sends; default 0",
	  .number = &arguments.disturbance_kib, .minimum = 0, .maximum = DISTURBANCE_MAX_KIB },
	{ 0, "size", "BYTES", "of the UDP payload; default 64", .number = &arguments.size,
	  .minimum = SIZE_MIN, .maximum = SIZE_MAX_BYTES },
	{ 0, "burst", "COUNT", "datagrams a call; default 64", .number = &arguments.burst,
	  .minimum = 1, .maximum = BURST_MAX },
	{ 0, "initials", "PERCENT", "of the datagrams open a connection, or answer that; default 0",
	  .number = &arguments.initials_percent, .minimum = 0, .maximum = 100 },
	{ 0, "encrypted", "PERCENT", "of the Connection IDs of --known=quic-lb; default 0",
	  .number = &arguments.encrypted_percent, .minimum = 0, .maximum = 100 },
	{ 0, "workers", "COUNT", "threads, each on a CPU, with the tables in common; default 1",
	  .number = &arguments.workers, .minimum = 1, .maximum = WORKER_COUNT_MAX },
	{ 0, "live", NULL,
	  "remember all of a live connection: a 4-tuple and two Connection IDs; default: what is "
	  "known of it",
	  .flag = &arguments.is_live },
	{ 0, "return", NULL, "from backends to clients", .flag = &arguments.is_return },
	{ 0, "seeking", NULL, "while the owner of some other connection is sought",
	  .flag = &arguments.is_seeking },
	{ 0, "l2", NULL, "backends in mode l2", .flag = &arguments.is_l2 },
	{ 0, "ipv6", NULL, "IPv6 instead of IPv4", .flag = &arguments.is_ipv6 },
};

static const struct options options = {
	.usage = "forward [OPTION]...",
	.summary = "Time forward_burst() on frames in memory.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

/* 10.S.H.L, or fd00::S:H:L: service S, or backend HL of it. */
static void address(uint8_t mapped[16], size_t service, size_t host)
{
	uint8_t ipv6[16] = { 0xfd, [13] = (uint8_t)service, (uint8_t)(host >> 8), (uint8_t)host };
	const uint8_t ipv4[4] = { 10, ipv6[13], ipv6[14], ipv6[15] };

	match_addr_set(mapped, arguments.is_ipv6 ? NULL : ipv4, ipv6);
}

static struct table_endpoint endpoint(size_t service, size_t host, uint16_t port)
{
	enum family family = arguments.is_ipv6 ? FAMILY_IPV6 : FAMILY_IPV4;
	struct table_endpoint endpoint = { .port_be = wire_be16(port) };

	endpoint.present[family] = true;
	address(endpoint.addr[family], service, host);
	return endpoint;
}

static uint8_t lb_rotation(size_t connection)
{
	return connection % 100 < arguments.encrypted_percent ? LB_ENCRYPTED : LB_CLEAR;
}

/* Connection c is of backend c % backend_count, by either configuration. */
static struct quic_lb *lb_make(size_t backend_count, uint16_t first_slot)
{
	struct quic_lb_server *servers = calloc(2 * backend_count, sizeof(*servers));
	struct quic_lb *lb;

	for (size_t i = 0; i < 2 * backend_count; i++) {
		size_t b = i / 2;

		servers[i] = (struct quic_lb_server){ .rotation = i % 2 ? LB_ENCRYPTED : LB_CLEAR,
						      .id = { (uint8_t)(b >> 8), (uint8_t)b },
						      .slot = (uint16_t)(first_slot + b) };
	}
	if (quic_lb_build(lb_configs, servers, 2 * backend_count, &lb))
		abort();
	free(servers);
	return lb;
}

static void lb_prepare(void)
{
	uint64_t random = 1;

	for (uint8_t rotation = LB_CLEAR; rotation <= LB_ENCRYPTED; rotation++)
		lb_configs[rotation] = (struct quic_lb_config){ .present = true,
								.has_key = rotation == LB_ENCRYPTED,
								.server_id_len = 2,
								.nonce_len = CID_LEN - 3,
								.key = "forward_bench" };
	for (size_t i = 0; i < LB_CID_COUNT && i < arguments.connections; i++) {
		uint8_t rotation = lb_rotation(i);
		size_t b = i % arguments.backends;
		uint8_t id[2] = { (uint8_t)(b >> 8), (uint8_t)b };
		uint64_t nonce = random_next(&random);

		if (quic_lb_encode(&lb_configs[rotation], rotation, id, (uint8_t *)&nonce, 0,
				   lb_cids[i]) != CID_LEN)
			abort();
	}
}

static struct table *table_make(size_t service_count, size_t backend_count)
{
	struct table_service *services = calloc(service_count, sizeof(*services));
	struct table_backend *backends = calloc(backend_count * service_count, sizeof(*backends));
	const struct table_port port = { .mac = { 2 }, .mtu = 1500 };
	const struct table_spec spec = { .ports = &port,
					 .port_count = 1,
					 .services = services,
					 .service_count = service_count,
					 .hash_key = "forward_bench",
					 .memory_new = huge_memory_new };
	struct table *table = NULL;

	for (size_t s = 0; s < service_count; s++) {
		struct table_backend *own = &backends[s * backend_count];

		services[s] =
			(struct table_service){ .slot = (uint16_t)s,
						.endpoint = endpoint(s, 0, 443),
						.mode = arguments.is_l2 ? TABLE_L2 : TABLE_NAT,
						.is_quic = !known->is_plain,
						.discovers = known->rule == ROUTE_DISCOVERY,
						.connection_id_len = CID_LEN,
						.idle_ticks = 100,
						.backends = own,
						.backend_count = backend_count };
		if (known->by == KNOWN_LB)
			services[s].quic_lb = lb_make(backend_count, (uint16_t)(s * backend_count));
		for (size_t b = 0; b < backend_count; b++)
			own[b] = (struct table_backend){
				.slot = (uint16_t)(s * backend_count + b),
				.endpoint = endpoint(s, b + 1, 4433),
				.id = b,
				.weight = 1,
			};
	}
	if (table_build(&spec, &table)) {
		(void)fprintf(stderr, "forward: no such table\n");
		exit(EXIT_FAILURE);
	}
	for (size_t slot = 0; slot < service_count * backend_count; slot++) {
		table_next_hop_set(table, (uint16_t)slot, FAMILY_IPV4, 0, port.mac);
		table_next_hop_set(table, (uint16_t)slot, FAMILY_IPV6, 0, port.mac);
	}
	free(services);
	free(backends);
	return table;
}

static void cid_put(uint8_t *cid, uint64_t connection)
{
	if (known->by == KNOWN_LB)
		memcpy(cid, lb_cids[connection % LB_CID_COUNT], CID_LEN);
	else
		memcpy(cid, &connection, CID_LEN);
}

/* A short header, or an Initial that opens a connection, or answers that and names a
 * Connection ID, all with 8 bytes of it. Returns the length. */
static uint16_t payload_make(uint8_t *payload, uint64_t connection)
{
	if (connection < FRESH_FIRST) {
		payload[0] = 0x40;
		cid_put(payload + 1, connection);
		return (uint16_t)arguments.size;
	}
	memcpy(payload, "\xc0\x00\x00\x00\x01\x08", 6);
	memcpy(payload + 6, &connection, CID_LEN);
	payload[6 + CID_LEN] = CID_LEN;
	memcpy(payload + 7 + CID_LEN, &connection, CID_LEN);
	return (uint16_t)(arguments.size > INITIAL_SIZE_MIN ? arguments.size : INITIAL_SIZE_MIN);
}

static struct packet frame_make(uint8_t *chunk, uint64_t number, size_t service_count,
				size_t backend_count)
{
	/* What is answered is opened already. */
	uint64_t connection = arguments.is_return ? number % arguments.connections : number;
	size_t service = connection % service_count, host = 0;
	uint8_t payload[SIZE_MAX_BYTES] = { 0 }, mapped[16];
	struct datagram d = { .is_ipv6 = arguments.is_ipv6, .ttl = 64, .payload = payload };
	struct packet packet = { .data = chunk + HEADROOM, .kind = FRAME_SERVICE };
	uint8_t *client = arguments.is_return ? d.dst : d.src;
	uint8_t *server = arguments.is_return ? d.src : d.dst;

	d.payload_len = payload_make(payload, number);
	if (arguments.is_return)
		host = 1 + connection % backend_count;
	address(mapped, service, host);
	memcpy(server, mapped + (d.is_ipv6 ? 0 : 12), d.is_ipv6 ? 16 : 4);
	memcpy(client, "\xc6\x12\x00\x00", 4);
	client[1] += connection >= FRESH_FIRST;
	client[2] = (uint8_t)(connection >> 24);
	client[3] = (uint8_t)(connection >> 16);
	d.src_port = arguments.is_return ? 4433 : (uint16_t)connection;
	d.dst_port = arguments.is_return ? (uint16_t)connection : 443;
	packet.slot = (uint16_t)service;
	if (arguments.is_return) {
		packet.kind = FRAME_RETURN;
		packet.slot = (uint16_t)(service * backend_count + host - 1);
	}
	packet.len = (uint32_t)datagram_build(&d, packet.data);
	return packet;
}

static void connection_insert(struct router *router, uint64_t connection, size_t service_count,
			      size_t backend_count)
{
	struct affinity_stats affinity_stats = { 0 };
	uint8_t chunk[CHUNK_SIZE];
	struct packet packet = frame_make(chunk, connection, service_count, backend_count);
	struct cursor cursor = { packet.data, packet.data + packet.len };
	uint16_t slot = (uint16_t)(packet.slot * backend_count + connection % backend_count);
	struct affinity_key place;
	struct udp_view view;
	uint64_t key;

	if (parse_udp(&cursor, &view) != PARSE_OK)
		abort();
	if (known->by == KNOWN_TUPLE) {
		place = affinity_key(&router->tuples, key_tuple(&view, &router->secret) | 1);
	} else {
		key = key_cid(packet.slot, (uint8_t *)(view.udp + 1) + 1, CID_LEN, &router->secret);
		place = key_cid_place(&router->cids, key,
				      arguments.is_l2 || known->by == KNOWN_CID_OF_CLIENT
					      ? KEY_CID_OF_CLIENT
					      : KEY_CID_OF_SERVER);
	}
	(void)affinity_insert_at(&place, known->by == KNOWN_CID_GONE ? GONE_SLOT : slot, true,
				 affinity_ticks(NOW_MS), 100, &affinity_stats);
}

static bool is_remembered(void)
{
	return known->by != KNOWN_NOT && known->by != KNOWN_TO_NONE && known->by != KNOWN_LB;
}

/* What else a live connection takes of the tables: of its 4-tuple and its two Connection
 * IDs, those that decide nothing here. Keys are hashes, and so are these. */
static void connections_fill(struct router *router)
{
	struct affinity *tables[] = { &router->cids,
				      known->by == KNOWN_TUPLE ? &router->cids : &router->tuples };
	uint64_t count = 2 * arguments.connections, random = 2;
	struct affinity_stats stats = { 0 };

	for (uint64_t i = 0; i < count; i++)
		(void)affinity_insert(tables[i % 2], random_next(&random), 0, true,
				      affinity_ticks(NOW_MS), 100, &stats);
	if (stats.refused > count / 1000000) {
		(void)fprintf(stderr, "forward: the tables do not hold the connections\n");
		exit(EXIT_FAILURE);
	}
}

/* Every connection into the table that is to decide, on some backend. */
static struct router *router_make(size_t service_count, size_t backend_count)
{
	uint64_t count = arguments.connections;
	bool is_return = arguments.is_return;
	struct router *router;

	if (router_new(known->by == KNOWN_NOT ? 0 : count, &router))
		exit(EXIT_FAILURE);
	/* Not random, so that two runs do the same. */
	hash_secret_derive((const uint8_t *)"forward_bench_16", &router->secret);
	arguments.is_return = false; /* entries are of the clients' datagrams */
	for (uint64_t i = 0; is_remembered() && i < count; i++)
		connection_insert(router, i, service_count, backend_count);
	if (arguments.is_seeking)
		router->discovery.newest_ms = NOW_MS;
	if (arguments.is_live && is_remembered())
		connections_fill(router);
	arguments.is_return = is_return;
	return router;
}

/* What lies in the caches goes, up to some of the second level. */
static void caches_disturb(void)
{
	static volatile uint8_t memory[DISTURBANCE_MAX_KIB << 10];

	/* Written: pages that were not are all one page of zeros. */
	for (size_t i = 0; i < arguments.disturbance_kib << 10; i += 64)
		memory[i]++;
}

static const struct known *known_find(const char *name)
{
	for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++)
		if (strcmp(knowns[i].name, name) == 0)
			return &knowns[i];
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Takes the reference to runs. */
static void row_print(const char *metric, const char *unit, double value, json_t *runs)
{
	json_t *row = json_object();
	char subject[96];

	(void)snprintf(subject, sizeof(subject),
		       "forward_burst %s %s, known %s, %" PRIu64 " connections, %" PRIu64
		       " x %" PRIu64,
		       arguments.is_ipv6 ? "IPv6" : "IPv4",
		       arguments.is_return ? "return"
		       : arguments.is_l2   ? "l2"
					   : "service",
		       known->name, arguments.connections, arguments.services, arguments.backends);
	json_object_set_new(row, "subject", json_string(subject));
	json_object_set_new(row, "metric", json_string(metric));
	json_object_set_new(row, "unit", json_string(unit));
	json_object_set_new(row, "value", json_real(value));
	json_object_set_new(row, "runs", runs);
	(void)json_dumpf(row, stdout, JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(row);
}

static void report(double *runs, size_t count)
{
	json_t *values = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(values, json_real(runs[i]));
	qsort(runs, count, sizeof(*runs), compare);
	row_print("time a datagram, 10th percentile", "ns", runs[count / 10], values);
}

/* Of this process, in bytes. */
static double memory_resident(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!statm || fscanf(statm, "%*u %lu", &pages) != 1)
		perror("forward: /proc/self/statm");
	if (statm)
		(void)fclose(statm);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Of both tables. */
static void memory_report(double bytes)
{
	double each = bytes / (double)arguments.connections;

	row_print("memory of the tables a connection", "bytes", each, json_pack("[f]", each));
}

/* What looking at the clock adds to a time that it takes. The shortest of many, as one
 * that was disturbed would be taken off every burst. */
static uint64_t clock_cost_ns(void)
{
	enum { TRIES = 100, LOOKS = 100 };
	uint64_t shortest_ns = UINT64_MAX;

	for (int try = 0; try < TRIES; try++) {
		uint64_t start_ns = clock_ns(), took_ns;

		for (int i = 0; i < LOOKS; i++)
			(void)clock_ns();
		took_ns = clock_ns() - start_ns;
		shortest_ns = took_ns < shortest_ns ? took_ns : shortest_ns;
	}
	return shortest_ns / LOOKS;
}

/* A thread, and all that it has to itself. */
struct bencher {
	pthread_t thread;
	struct router_worker worker;
	struct forward_stats stats;
	struct forward_ctx ctx;
	struct packet pool[POOL_COUNT], spares[BURST_MAX];
	uint8_t *chunks;
	uint64_t random, made, cost_ns;
	double *runs; /* of all passes: time a datagram, in ns */
} __attribute__((aligned(64)));

static uint64_t connection_next(struct bencher *bencher)
{
	uint64_t number;

	if (known->datagrams && !arguments.is_return)
		return bencher->made++ / known->datagrams % arguments.connections;
	number = random_next(&bencher->random);
	if (arguments.initials_percent &&
	    random_next(&bencher->random) % 100 < arguments.initials_percent)
		return FRESH_FIRST | (uint32_t)number;
	return number % arguments.connections;
}

/* Engines ask for headers when they receive. */
static void headers_prefetch(const struct packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(packets[i].data);
}

static double pass_run(struct bencher *bencher)
{
	struct packet *pool = bencher->pool;
	uint64_t spent_ns = 0;

	for (size_t i = 0; i < POOL_COUNT; i++)
		pool[i] = frame_make(bencher->chunks + i * CHUNK_SIZE, connection_next(bencher),
				     arguments.services, arguments.backends);
	for (size_t i = 0; i < POOL_COUNT; i += arguments.burst) {
		size_t left = POOL_COUNT - i;
		size_t count = left < arguments.burst ? left : arguments.burst;
		uint64_t start_ns, took_ns;

		caches_disturb();
		start_ns = clock_ns();
		headers_prefetch(pool + i, count);
		(void)forward_burst(&bencher->ctx, pool + i, count);
		took_ns = clock_ns() - start_ns;
		spent_ns += took_ns > bencher->cost_ns ? took_ns - bencher->cost_ns : 0;
		if (known->rule == ROUTE_DISCOVERY) /* every burst may ask */
			bencher->ctx.route.now_ms += DISCOVERY_PAUSE_MS;
	}
	return (double)spent_ns / POOL_COUNT;
}

static void *bencher_run(void *arg)
{
	struct bencher *bencher = arg;

	for (size_t pass = 0; pass < arguments.passes; pass++)
		bencher->runs[pass] = pass_run(bencher);
	return NULL;
}

static void bencher_init(struct bencher *bencher, struct table *table, struct router *router,
			 uint64_t index, double *runs)
{
	router_worker_init(&bencher->worker, quic_lb_scratch_new(), NOW_MS);
	bencher->ctx.stats = &bencher->stats;
	bencher->ctx.route.worker = &bencher->worker;
	bencher->ctx.route.router = router;
	bencher->ctx.route.table = table;
	bencher->ctx.route.now_ms = NOW_MS;
	bencher->chunks = huge_memory_new((POOL_COUNT + BURST_MAX) * CHUNK_SIZE); /* as a UMEM is */
	for (size_t i = 0; i < BURST_MAX; i++)
		bencher->spares[i].data = bencher->chunks + (POOL_COUNT + i) * CHUNK_SIZE;
	bencher->ctx.spares = bencher->spares;
	bencher->ctx.spare_count = BURST_MAX;
	bencher->ctx.spare_size = CHUNK_SIZE;
	bencher->random = 1 + index;
	bencher->made = index * arguments.passes * POOL_COUNT;
	bencher->cost_ns = clock_cost_ns();
	bencher->runs = runs;
}

/* One stays where it is, as callers may have pinned it. */
static void benchers_run(struct bencher *benchers, size_t count)
{
	if (count == 1) {
		(void)bencher_run(&benchers[0]);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (thread_start("bencher", (int)i, bencher_run, &benchers[i], &benchers[i].thread))
			abort();
	for (size_t i = 0; i < count; i++)
		(void)pthread_join(benchers[i].thread, NULL);
}

/* All were forwarded, and by the rule that is measured: but for one in a hundred, where
 * chance has two datagrams meet. */
static bool bencher_succeeded(const struct bencher *bencher)
{
	const struct router_worker *worker = &bencher->worker;
	uint64_t count = arguments.passes * POOL_COUNT;
	uint64_t decided = worker->decided[known->rule] + worker->decided[ROUTE_NEW];

	return bencher->stats.forwarded == count + worker->counts[ROUTE_COUNT_COPIES] &&
	       (arguments.is_return || decided >= count - count / 100);
}

static void benchers_report(const struct bencher *benchers, size_t count, double *runs)
{
	for (size_t i = 0; i < count; i++)
		if (!bencher_succeeded(&benchers[i])) {
			(void)fprintf(stderr, "forward: datagrams were dropped, or not decided by "
					      "what is known: the figures mean nothing\n");
			exit(EXIT_FAILURE);
		}
	report(runs, count * arguments.passes);
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);
	struct bencher *benchers;
	struct router *router;
	struct table *table;
	double *runs, resident;

	if (status >= 0)
		return status;
	known = known_find(arguments.known_name);
	if (!known)
		return options_misuse(argv, "--known takes one of the names that --help has");
	if (arguments.is_return && arguments.is_l2)
		return options_misuse(argv, "answers do not come by in mode l2");
	if (!arguments.is_return && known->datagrams && arguments.initials_percent)
		return options_misuse(argv, "--initials are among connections in any order");
	if (known->is_encrypted)
		arguments.encrypted_percent = 100;
	if (known->by == KNOWN_LB)
		lb_prepare();
	table = table_make(arguments.services, arguments.backends);
	resident = memory_resident();
	router = router_make(arguments.services, arguments.backends);
	resident = memory_resident() - resident;
	runs = calloc(arguments.workers * arguments.passes, sizeof(*runs));
	benchers = huge_memory_new(arguments.workers * sizeof(*benchers));
	for (uint64_t i = 0; i < arguments.workers; i++)
		bencher_init(&benchers[i], table, router, i, runs + i * arguments.passes);
	benchers_run(benchers, arguments.workers);
	benchers_report(benchers, arguments.workers, runs);
	if (known->by != KNOWN_NOT)
		memory_report(resident);
	for (uint64_t i = 0; i < arguments.workers; i++) {
		quic_lb_scratch_free(benchers[i].worker.quic_lb);
		free(benchers[i].chunks);
	}
	free(benchers);
	free(runs);
	table_free(table);
	router_free(router);
	return EXIT_SUCCESS;
}
