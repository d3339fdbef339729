/* SPDX-License-Identifier: GPL-2.0-only */
/* report_test.c - a daemon made of plain structs, and its report word for word.
 *
 * The workers, the engine and the XDP program are this file's. */
#include "control/report.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/engine.h"
#include "util/clock.h"
#include "util/number.h"

#include "json.h" /* last: cmocka's macro fail() would hide ours */

#define UPTIME_S 3600

struct worker {
	struct worker_stats stats;
	struct forward_stats forward;
	struct router_worker router;
};

struct io {
	struct io_stats stats;
};

struct attach {
	int err;
};

static struct worker workers[2];
static struct io ios[2];
static struct attach attach;
static struct config config;
static struct config_backend web_backends[2], dns_backend, ntp_backend;
static struct config_service services[3];
static struct lineup_backend backends[4];
static struct lineup lineup;
static struct router router;
static struct daemon fixture;

const struct worker_stats *worker_stats(const struct worker *worker)
{
	return &worker->stats;
}

const struct forward_stats *worker_forward_stats(const struct worker *worker)
{
	return &worker->forward;
}

const struct router_worker *worker_router(const struct worker *worker)
{
	return &worker->router;
}

/* Slot 0 is up by IPv4, and has been down by IPv6 for 90 s. */
int health_status(const struct health *unused, uint32_t id, struct health_status *ret_status)
{
	uint64_t now_ns = clock_ns();

	(void)unused;
	if (id >= FAMILY_COUNT)
		return -ENOENT;
	*ret_status = (struct health_status){ .is_up = id == FAMILY_IPV4,
					      .since_ns = now_ns - 90500000000u };
	if (id == FAMILY_IPV6) {
		ret_status->held_until_ns = now_ns + 29500000000u;
		strcpy(ret_status->reason, "no answer in 500 ms");
	}
	return 0;
}

int attach_counters(const struct attach *unused, uint64_t *ret_counters)
{
	(void)unused;
	for (uint64_t i = 0; i < INGRESS_COUNTER_COUNT && !attach.err; i++)
		ret_counters[i] = 1000 + i;
	return attach.err;
}

static void engine_stats(const struct io *io, struct io_stats *ret_stats)
{
	*ret_stats = io->stats;
}

static const struct io_engine io_engine = { .name = "af_xdp", .stats = engine_stats };
static const struct engine engine = { .io = &io_engine, .has_interfaces = true };

/* Each counter another number. */
void socket_group_stats(const struct socket_group *unused, struct socket_stats *ret_stats)
{
	(void)unused;
	*ret_stats = (struct socket_stats){ .flows = 1, .dropped_service = 2, .dropped_flow = 3 };
	for (uint64_t i = 0; i < SOCKET_COUNTER_COUNT; i++)
		ret_stats->counts[i] = 10 + i;
}

static void endpoint_set(struct table_endpoint *endpoint, const char *ipv4, const char *ipv6,
			 uint16_t port)
{
	endpoint->port_be = htons(port);
	endpoint->present[FAMILY_IPV4] = ipv4 && address_parse(ipv4, endpoint->addr[FAMILY_IPV4]);
	endpoint->present[FAMILY_IPV6] = ipv6 && address_parse(ipv6, endpoint->addr[FAMILY_IPV6]);
}

static void config_fill(void)
{
	config = (struct config){
		.interfaces = { { .name = "ext" }, { .name = "int" } },
		.interface_count = 2,
		.cpus = { 3 },
		.cpu_count = 1,
		.services = services,
		.service_count = 3,
	};
	services[0] = (struct config_service){
		.name = "web",
		.protocol = CONFIG_PROTOCOL_QUIC,
		.backends = web_backends,
		.backend_count = 2,
	};
	services[1] = (struct config_service){
		.name = "dns",
		.protocol = CONFIG_PROTOCOL_UDP,
		.backends = &dns_backend,
		.backend_count = 1,
	};
	services[2] = (struct config_service){
		.name = "ntp",
		.protocol = CONFIG_PROTOCOL_UDP,
		.backends = &ntp_backend,
		.backend_count = 1,
	};
	web_backends[0] = (struct config_backend){ .name = "a", .weight = 100 };
	web_backends[1] = (struct config_backend){ .name = "b", .weight = 0 };
	dns_backend = (struct config_backend){ .name = "a", .weight = 1 };
	ntp_backend = (struct config_backend){ .name = "a", .weight = 1000 };
	endpoint_set(&services[0].endpoint, "192.0.2.1", "2001:db8::1", 443);
	endpoint_set(&services[1].endpoint, "192.0.2.2", NULL, 53);
	endpoint_set(&web_backends[0].endpoint, "10.0.0.1", "fd00::1", 4433);
	endpoint_set(&web_backends[1].endpoint, "10.0.0.2", NULL, 4433);
	endpoint_set(&services[2].endpoint, NULL, "2001:db8::3", 123);
	endpoint_set(&ntp_backend.endpoint, NULL, "fd00::3", 123);
	endpoint_set(&dns_backend.endpoint, "10.0.1.1", NULL, 5353);
}

static void next_hops_fill(void)
{
	struct next_hop resolved = {
		.state = NEXT_HOP_RESOLVED,
		.ifindex = 12,
		.mac = { 2, 0, 0, 0xab, 0xcd, 0xef },
	};

	/* Slots are in no order. */
	backends[0] = (struct lineup_backend){ &services[0], &web_backends[0], .slot = 0 };
	backends[1] = (struct lineup_backend){ &services[0], &web_backends[1], .slot = 1 };
	backends[2] = (struct lineup_backend){ &services[1], &dns_backend, .slot = 3 };
	backends[3] = (struct lineup_backend){ &services[2], &ntp_backend, .slot = 2 };
	backends[2].is_drained = true;
	backends[3].is_down = true;
	(void)address_parse("10.0.0.254", resolved.gateway);
	backends[0].next_hop[FAMILY_IPV4] = resolved;
	(void)address_parse("fe80::1", resolved.gateway);
	backends[0].next_hop[FAMILY_IPV6] = resolved;
	backends[1].next_hop[FAMILY_IPV4].state = NEXT_HOP_UNRESOLVED;
	backends[1].next_hop[FAMILY_IPV4].ifindex = 1; /* lo: not one of ours */
	(void)address_parse("10.0.0.2", backends[1].next_hop[FAMILY_IPV4].gateway);
	backends[2].next_hop[FAMILY_IPV4].state = NEXT_HOP_LOCAL;
}

/* Each counter another number, so that none can stand in another's place. */
static void worker_fill(struct worker *worker, uint64_t base)
{
	memset(worker, 0, sizeof(*worker));
	worker->stats = (struct worker_stats){
		.received = base + 1,
		.sent = base + 2,
		.rounds = base + 3,
		.empty_rounds = base + 4,
		.busy_ns = base + 5,
		.forward_ns = base + 6,
	};
	worker->forward.forwarded = base + 7;
	worker->forward.checksums_completed = base + 8;
	worker->forward.new_connections = base + 9;
	for (uint64_t i = 0; i < DROP_REASON_COUNT; i++)
		worker->forward.dropped[i] = base + 10 + i;
	for (uint64_t i = 0; i < ROUTE_RULE_COUNT; i++)
		worker->router.decided[i] = base + 30 + i;
	for (uint64_t i = 0; i < ROUTE_COUNTER_COUNT; i++)
		worker->router.counts[i] = base + 40 + i;
	worker->router.tuple_stats = (struct affinity_stats){ base + 50, base + 51, base + 52 };
	worker->router.cid_stats = (struct affinity_stats){ base + 60, base + 61, base + 62 };
	for (uint64_t slot = 0; slot < 4; slot++)
		worker->forward.backends[slot] = (struct backend_traffic){
			.out = { base + 100 * slot + 20, base + 100 * slot + 21 },
			.back = { base + 100 * slot + 22, base + 100 * slot + 23 },
		};
}

static void io_fill(struct io *io, uint64_t base)
{
	io->stats = (struct io_stats){
		.frames = base + 1,
		.free = base + 2,
		.held = base + 3,
		.waits = base + 4,
		.port_count = 2,
	};
	for (uint64_t port = 0; port < 2; port++, base += 100)
		io->stats.ports[port] = (struct io_port_stats){
			.mode = port ? IO_MODE_COPY : IO_MODE_ZERO_COPY,
			.received = base + 10,
			.sent = base + 12,
			.completed = base + 11,
			.posted = base + 13,
			.kicks = base + 14,
			.kick_errors = { base + 15, base + 16, base + 17, base + 18, base + 19 },
			.rx_dropped = base + 20,
			.rx_invalid = base + 21,
			.tx_invalid = base + 22,
			.rx_ring_full = base + 23,
			.rx_fill_empty = base + 24,
		};
}

static int set_up(void **state)
{
	uint64_t started_ns = clock_ns() - UPTIME_S * 1000000000ull;

	config_fill();
	next_hops_fill();
	attach.err = 0;
	router.tuples.line_count = 100;
	router.cids.line_count = 4;
	for (uint64_t i = 0; i < 2; i++) {
		worker_fill(&workers[i], 1000 * i);
		io_fill(&ios[i], 1000 * i);
	}
	lineup = (struct lineup){ .config = &config, .backends = backends, .backend_count = 4 };
	fixture = (struct daemon){
		.lineup = &lineup,
		.generation = 7,
		.engine = &engine,
		.links = { { .ifindex = 11, .driver = "ice", .mtu = 1500 },
			   { .ifindex = 12, .driver = "veth", .mtu = 9000 } },
		.port_count = 2,
		.attach = &attach,
		.hops = (struct next_hops *)&fixture, /* there are some, to the report */
		.router = &router,
		.ios = { &ios[0], &ios[1] },
		.workers = { &workers[0], &workers[1] },
		.worker_count = 2,
		.started = { (time_t)(started_ns / 1000000000u), (long)(started_ns % 1000000000u) },
	};
	*state = &fixture;
	return 0;
}

/* want: JSON with ' for ", the members in the order in which they are printed. */
static void assert_json(json_t *json, const char *want)
{
	char *text, *want_text = json_text(want);

	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, want_text);
	free(want_text);
	free(text);
	json_decref(json);
}

static void stats_has_every_counter_in_its_place(void **state)
{
	json_t *stats = report_stats(*state);
	const json_t *workers_json = json_object_get(stats, "workers");

	assert_int_equal(json_object_size(stats), 5);
	assert_int_equal(json_array_size(workers_json), 2);
	assert_json(
		json_incref(json_array_get(workers_json, 0)),
		"{'index':0,'cpu':3,'received':1,'copies':45,'sent':2,'forwarded':7,"
		"'dropped':{'malformed':10,'not_ours':11,'return_spoofed':12,'source_ours':13,"
		"'source_martian':14,'no_backend':15,'no_neighbour':16,'backend_gone':17,"
		"'discovery_answer':18,'ttl_expired':19,'no_checksum':20,'too_big':21,"
		"'tx_full':22},'decided':{'quic_lb':30,'connection_id':31,'four_tuple':32,'new':33,"
		"'discovery':34,'unknown':35,'gone':36},"
		"'routing':{'rationed':40,'replaced':41,'discoveries':42,'discovered':43,"
		"'discovery_refused':44,'copies':45},"
		"'tuples':{'inserted':50,'evicted':51,'refused':52},"
		"'cids':{'inserted':60,'evicted':61,'refused':62},"
		"'checksums_completed':8,'new_connections':9,'rounds':3,'empty_rounds':4,"
		"'busy_ns':5,'forward_ns':6,'waits':4,"
		"'frames':{'all':1,'free':2,'held':3,'posted':126,'outstanding':2},'ports':["
		"{'interface':'ext','mode':'zero-copy','received':10,'sent':12,'completed':11,"
		"'posted':13,'kicks':14,'kick_errors':{'again':15,'busy':16,'no_buffers':17,"
		"'link_down':18,'other':19},'rx_ring_full':23,'rx_fill_empty':24,'rx_dropped':20,"
		"'rx_invalid':21,'tx_invalid':22},"
		"{'interface':'int','mode':'copy','received':110,'sent':112,'completed':111,"
		"'posted':113,'kicks':114,'kick_errors':{'again':115,'busy':116,'no_buffers':117,"
		"'link_down':118,'other':119},'rx_ring_full':123,'rx_fill_empty':124,"
		"'rx_dropped':120,'rx_invalid':121,'tx_invalid':122}]}");
	assert_json(
		json_incref(json_object_get(stats, "totals")),
		"{'received':1002,'copies':1090,'sent':1004,'forwarded':1014,"
		"'dropped':{'malformed':1020,'not_ours':1022,'return_spoofed':1024,"
		"'source_ours':1026,'source_martian':1028,'no_backend':1030,'no_neighbour':1032,"
		"'backend_gone':1034,'discovery_answer':1036,'ttl_expired':1038,"
		"'no_checksum':1040,'too_big':1042,'tx_full':1044},"
		"'decided':{'quic_lb':1060,'connection_id':1062,'four_tuple':1064,'new':1066,"
		"'discovery':1068,'unknown':1070,'gone':1072},"
		"'routing':{'rationed':1080,'replaced':1082,'discoveries':1084,'discovered':1086,"
		"'discovery_refused':1088,'copies':1090},"
		"'tuples':{'inserted':1100,'evicted':1102,'refused':1104},"
		"'cids':{'inserted':1120,'evicted':1122,'refused':1124}}");
	json_decref(stats);
}

/* A table's entries are known once it has been swept. */
static void stats_has_the_tables(void **state)
{
	struct daemon *daemon = *state;
	json_t *stats;

	daemon->tuples_sweep = (struct connections_sweep){ .live = 200, .is_complete = true };
	daemon->cids_sweep = (struct connections_sweep){ .seen = 7, .next_line = 2 };
	stats = report_stats(daemon);
	assert_json(json_incref(json_object_get(stats, "tables")),
		    "{'tuples':{'places':800,'bytes':6400,'entries':200,'fill':0.25},"
		    "'cids':{'places':32,'bytes':256,'entries':null,'fill':null}}");
	json_decref(stats);
	router.tuples.line_count = 0;
	stats = report_stats(daemon);
	assert_json(json_incref(json_object_get(json_object_get(stats, "tables"), "tuples")),
		    "{'places':0,'bytes':0,'entries':200,'fill':null}");
	json_decref(stats);
}

/* Probed addresses only; who is not probed has no health to tell of. */
static void backends_have_their_health(void **state)
{
	struct daemon *daemon = *state;
	json_t *report;

	daemon->health = (struct health *)&fixture;
	services[0].health.probe = CONFIG_PROBE_QUIC;
	report = report_backends(daemon);
	assert_json(json_incref(json_object_get(json_array_get(report, 0), "health")),
		    "[{'family':'ipv4','state':'up','for_s':90,'held_for_s':0,'reason':null},"
		    "{'family':'ipv6','state':'down','for_s':90,'held_for_s':30,"
		    "'reason':'no answer in 500 ms'}]");
	assert_json(json_incref(json_object_get(json_array_get(report, 1), "health")), "[]");
	assert_json(json_incref(json_object_get(json_array_get(report, 2), "health")), "[]");
	json_decref(report);
}

static void stats_names_what_xdp_did(void **state)
{
	json_t *stats = report_stats(*state);
	const json_t *xdp = json_object_get(stats, "xdp");

#define X(constant, name, meaning) \
	assert_int_equal(json_integer_value(json_object_get(xdp, name)), 1000 + INGRESS_##constant);
	INGRESS_COUNTERS(X)
#undef X
	assert_int_equal(json_object_size(xdp), INGRESS_COUNTER_COUNT);
	json_decref(stats);
}

static void stats_of_an_engine_without_xdp(void **state)
{
	struct daemon *daemon = *state;
	json_t *stats, *worker, *port;

	daemon->attach = NULL;
	ios[0].stats.ports[0].mode = IO_MODE_AUTO;
	config.cpu_count = 0;
	stats = report_stats(daemon);
	assert_int_equal(json_object_size(json_object_get(stats, "xdp")), 0);
	worker = json_array_get(json_object_get(stats, "workers"), 0);
	assert_true(json_is_null(json_object_get(worker, "cpu")));
	port = json_array_get(json_object_get(worker, "ports"), 0);
	assert_true(json_is_null(json_object_get(port, "mode")));
	json_decref(stats);
}

/* One port that is no interface, whatever interfaces the file has for another engine; the
 * kernel finds backends by itself. */
static void engine_of_sockets(void **state)
{
	static const struct io_engine io_of_sockets = { .name = "socket", .stats = engine_stats };
	static const struct engine of_sockets = { .io = &io_of_sockets };
	struct daemon *daemon = *state;
	json_t *stats, *status, *backend, *port;

	daemon->attach = NULL;
	daemon->hops = NULL;
	daemon->engine = &of_sockets;
	daemon->sockets = (struct socket_group *)&fixture;
	daemon->port_count = 1;
	config.sockets = (struct config_sockets){ .calls = SOCKET_IO_URING,
						  .steering = SOCKET_STEER_CONNECTION_ID,
						  .is_decoupled = true };
	daemon->flow_max = 1000;
	stats = report_stats(daemon);
	assert_json(json_incref(json_object_get(stats, "sockets")),
		    "{'flows':1,'flows_opened':10,'flows_expired':11,'flows_refused':12,"
		    "'flow_errors':13,'unreachable':14,'ring_full':15,'truncated':16,"
		    "'dropped_service':2,'dropped_flow':3}");
	port = json_array_get(json_object_get(stats, "workers"), 0);
	port = json_array_get(json_object_get(port, "ports"), 0);
	assert_true(json_is_null(json_object_get(port, "interface")));
	json_decref(stats);
	status = report_status(daemon);
	assert_int_equal(json_array_size(json_object_get(status, "interfaces")), 0);
	assert_int_equal(json_integer_value(json_object_get(status, "backends_resolved")), 4);
	assert_json(json_incref(json_object_get(status, "socket")),
		    "{'calls':'io_uring','steering':'connection-id','decoupled':true,'flows':1,"
		    "'flows_max':1000}");
	json_decref(status);
	backend = report_backends(daemon);
	assert_json(json_incref(json_object_get(json_array_get(backend, 0), "next_hop")), "[]");
	json_decref(backend);
}

/* The socket knows copy and zero-copy only. */
static void port_with_xdp_in_the_stack_is_generic(void **state)
{
	static const char *const modes[] = { "zero-copy", "generic" };
	struct daemon *daemon = *state;

	daemon->generic[1] = true;
	json_t *stats = report_stats(daemon), *status = report_status(daemon);

	for (size_t port = 0; port < 2; port++) {
		json_t *worker = json_array_get(json_object_get(stats, "workers"), 0);
		json_t *interface = json_array_get(json_object_get(status, "interfaces"), port);
		json_t *queue = json_array_get(json_object_get(interface, "queues"), 0);

		worker = json_array_get(json_object_get(worker, "ports"), port);
		assert_string_equal(json_string_value(json_object_get(worker, "mode")),
				    modes[port]);
		assert_string_equal(json_string_value(json_object_get(queue, "mode")), modes[port]);
	}
	json_decref(stats);
	json_decref(status);
}

static void stats_says_when_xdp_cannot_be_read(void **state)
{
	attach.err = -EPERM;
	assert_json(report_stats(*state),
		    "{'error':'cannot read the XDP counters: Operation not permitted'}");
}

/* sent and completed are not read at one instant. */
static void frames_outstanding_are_never_negative(void **state)
{
	json_t *stats, *frames;

	ios[0].stats.ports[0].completed = ios[0].stats.ports[0].sent + 1;
	stats = report_stats(*state);
	frames = json_object_get(json_array_get(json_object_get(stats, "workers"), 0), "frames");
	assert_int_equal(json_integer_value(json_object_get(frames, "outstanding")), 1);
	json_decref(stats);
}

static void backends_are_summed_over_workers(void **state)
{
	assert_json(
		report_backends(*state),
		"[{'service':'web','backend':'a','slot':0,'addresses':['10.0.0.1','fd00::1'],"
		"'port':4433,'weight':100,'state':'up','drained_by':null,'health':[],'next_hop':["
		"{'family':'ipv4','state':'resolved','interface':'int','mac':'02:00:00:ab:cd:ef',"
		"'gateway':'10.0.0.254'},"
		"{'family':'ipv6','state':'resolved','interface':'int','mac':'02:00:00:ab:cd:ef',"
		"'gateway':'fe80::1'}],"
		"'out':{'datagrams':1040,'bytes':1042},'back':{'datagrams':1044,'bytes':1046}},"
		"{'service':'web','backend':'b','slot':1,'addresses':['10.0.0.2'],"
		"'port':4433,'weight':0,'state':'drained','drained_by':'file','health':[],'next_hop':["
		"{'family':'ipv4','state':'unresolved','interface':'lo','mac':null,"
		"'gateway':'10.0.0.2'}],"
		"'out':{'datagrams':1240,'bytes':1242},'back':{'datagrams':1244,'bytes':1246}},"
		"{'service':'dns','backend':'a','slot':3,'addresses':['10.0.1.1'],"
		"'port':5353,'weight':1,'state':'drained','drained_by':'command','health':[],'next_hop':["
		"{'family':'ipv4','state':'local','interface':null,'mac':null,'gateway':null}],"
		"'out':{'datagrams':1640,'bytes':1642},'back':{'datagrams':1644,'bytes':1646}},"
		"{'service':'ntp','backend':'a','slot':2,'addresses':['fd00::3'],"
		"'port':123,'weight':1000,'state':'down','drained_by':null,'health':[],'next_hop':["
		"{'family':'ipv6','state':'no-route','interface':null,'mac':null,'gateway':null}],"
		"'out':{'datagrams':1440,'bytes':1442},'back':{'datagrams':1444,'bytes':1446}}]");
}

static void a_flush_is_by_command(void **state)
{
	static const struct {
		const char *name, *state, *drained_by;
		uint16_t weight;
		bool is_flushed, is_down;
	} cases[] = {
		{ "up", "flushed", "command", 1, true, false },
		{ "down", "flushed", "command", 1, true, true },
		{ "drained by the file", "flushed", "command", 0, true, false },
		{ "not flushed", "drained", "file", 0, false, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *array, *first;

		print_message("case: %s\n", cases[i].name);
		web_backends[0].weight = cases[i].weight;
		backends[0].is_drained = backends[0].is_flushed = cases[i].is_flushed;
		backends[0].is_down = cases[i].is_down;
		array = report_backends(*state);
		first = json_array_get(array, 0);
		assert_string_equal(json_string_value(json_object_get(first, "state")),
				    cases[i].state);
		assert_string_equal(json_string_value(json_object_get(first, "drained_by")),
				    cases[i].drained_by);
		json_decref(array);
	}
}

static void services_are_summed_over_backends(void **state)
{
	assert_json(
		report_services(*state),
		"[{'service':'web','addresses':['192.0.2.1','2001:db8::1'],'port':443,"
		"'protocol':'quic','mode':'nat','backends':2,"
		"'out':{'datagrams':2280,'bytes':2284},'back':{'datagrams':2288,'bytes':2292}},"
		"{'service':'dns','addresses':['192.0.2.2'],'port':53,"
		"'protocol':'udp','mode':'nat','backends':1,"
		"'out':{'datagrams':1640,'bytes':1642},'back':{'datagrams':1644,'bytes':1646}},"
		"{'service':'ntp','addresses':['2001:db8::3'],'port':123,"
		"'protocol':'udp','mode':'nat','backends':1,"
		"'out':{'datagrams':1440,'bytes':1442},'back':{'datagrams':1444,'bytes':1446}}]");
}

static void status_describes_the_daemon(void **state)
{
	json_t *status = report_status(*state);
	json_int_t uptime = json_integer_value(json_object_get(status, "uptime_s"));

	assert_in_range(uptime, UPTIME_S, UPTIME_S + 60);
	assert_int_equal(json_integer_value(json_object_get(status, "pid")), getpid());
	json_object_set_new(status, "uptime_s", json_integer(0));
	json_object_set_new(status, "pid", json_integer(0));
	assert_json(status, "{'version':'" RINGWAY_VERSION "','engine':'af_xdp','uptime_s':0,"
			    "'pid':0,'generation':7,'workers':2,'interfaces':["
			    "{'interface':'ext','ifindex':11,'driver':'ice','mtu':1500,'queues':["
			    "{'queue':0,'worker':0,'cpu':3,'mode':'zero-copy'},"
			    "{'queue':1,'worker':1,'cpu':3,'mode':'zero-copy'}]},"
			    "{'interface':'int','ifindex':12,'driver':'veth','mtu':9000,'queues':["
			    "{'queue':0,'worker':0,'cpu':3,'mode':'copy'},"
			    "{'queue':1,'worker':1,'cpu':3,'mode':'copy'}]}],"
			    "'socket':null,'services':3,'backends':4,'backends_resolved':1}");
}

/* One address of two is not enough. */
static void backend_counts_as_resolved_in_all_families_only(void **state)
{
	json_t *status;

	backends[0].next_hop[FAMILY_IPV6].state = NEXT_HOP_NO_ROUTE;
	status = report_status(*state);
	assert_int_equal(json_integer_value(json_object_get(status, "backends_resolved")), 0);
	json_decref(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(stats_has_every_counter_in_its_place, set_up),
		cmocka_unit_test_setup(stats_has_the_tables, set_up),
		cmocka_unit_test_setup(backends_have_their_health, set_up),
		cmocka_unit_test_setup(stats_names_what_xdp_did, set_up),
		cmocka_unit_test_setup(stats_of_an_engine_without_xdp, set_up),
		cmocka_unit_test_setup(engine_of_sockets, set_up),
		cmocka_unit_test_setup(port_with_xdp_in_the_stack_is_generic, set_up),
		cmocka_unit_test_setup(stats_says_when_xdp_cannot_be_read, set_up),
		cmocka_unit_test_setup(frames_outstanding_are_never_negative, set_up),
		cmocka_unit_test_setup(backends_are_summed_over_workers, set_up),
		cmocka_unit_test_setup(a_flush_is_by_command, set_up),
		cmocka_unit_test_setup(services_are_summed_over_backends, set_up),
		cmocka_unit_test_setup(status_describes_the_daemon, set_up),
		cmocka_unit_test_setup(backend_counts_as_resolved_in_all_families_only, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
