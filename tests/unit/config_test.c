/* SPDX-License-Identifier: GPL-2.0-only */
/* config_test.c - the configuration: what is read, what is refused and how, and
 * that what is printed reads back. Run from the top folder, for the files there. */
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "util/number.h"

/* After number.h: its macro fail() would take the name of fail() there. */
#include <cmocka.h>

/* A file that is complete, with room for one more line of each mapping. */
#define WITH(top, service, backend)                 \
	"interfaces: [eth0]\n" top "services:\n"    \
	"  - name: web\n"                           \
	"    addresses: [192.0.2.1]\n"              \
	"    port: 443\n" service "    backends:\n" \
	"      - name: b1\n"                        \
	"        addresses: [10.0.0.1]\n" backend

/* Text that grows as a stream. */
struct text {
	char *bytes;
	size_t size;
	FILE *stream;
};

static void text_open(struct text *text)
{
	*text = (struct text){ 0 };
	text->stream = open_memstream(&text->bytes, &text->size);
	assert_non_null(text->stream);
}

static void text_close(struct text *text)
{
	assert_int_equal(fclose(text->stream), 0);
	free(text->bytes);
}

/* The configuration in bytes, which must be good. */
static struct config *parse_good(const char *bytes, size_t size)
{
	struct config *config = NULL;
	struct text errors;
	int err;

	text_open(&errors);
	err = config_parse("good", bytes, size, errors.stream, &config);
	(void)fflush(errors.stream);
	if (errors.size > 0)
		print_message("%s", errors.bytes);
	assert_int_equal(err, 0);
	assert_int_equal(errors.size, 0);
	text_close(&errors);
	assert_non_null(config);
	return config;
}

/* Refused with exactly these messages. */
static void assert_refused(const char *bytes, size_t size, const char *messages)
{
	struct config *untouched = (struct config *)&untouched, *config = untouched;
	struct text errors;

	text_open(&errors);
	assert_int_equal(config_parse("f", bytes, size, errors.stream, &config), -EINVAL);
	(void)fflush(errors.stream);
	assert_string_equal(errors.bytes, messages);
	assert_ptr_equal(config, untouched);
	text_close(&errors);
}

static void assert_endpoints_equal(const struct table_endpoint *a, const struct table_endpoint *b)
{
	assert_memory_equal(a->present, b->present, sizeof(a->present));
	assert_memory_equal(a->addr, b->addr, sizeof(a->addr));
	assert_int_equal(a->port_be, b->port_be);
}

static void assert_server_ids_equal(const struct config_backend *a, const struct config_backend *b)
{
	assert_int_equal(a->drain, b->drain);
	assert_int_equal(a->server_id_count, b->server_id_count);
	for (size_t i = 0; i < a->server_id_count; i++) {
		assert_memory_equal(a->server_ids[i].id, b->server_ids[i].id,
				    sizeof(a->server_ids[i].id));
		assert_int_equal(a->server_ids[i].len, b->server_ids[i].len);
		assert_int_equal(a->server_ids[i].rotation, b->server_ids[i].rotation);
	}
}

static void assert_quic_equal(const struct config_service *a, const struct config_service *b)
{
	assert_int_equal(a->hash, b->hash);
	assert_int_equal(a->connection_id_len, b->connection_id_len);
	assert_int_equal(a->discovery, b->discovery);
	assert_int_equal(a->on_remove, b->on_remove);
	assert_memory_equal(&a->health, &b->health, sizeof(a->health));
	assert_int_equal(a->quic_lb_count, b->quic_lb_count);
	for (size_t i = 0; i < a->quic_lb_count; i++) {
		assert_int_equal(a->quic_lb[i].rotation, b->quic_lb[i].rotation);
		assert_memory_equal(&a->quic_lb[i].codec, &b->quic_lb[i].codec,
				    sizeof(a->quic_lb[i].codec));
	}
}

static void assert_services_equal(const struct config_service *a, const struct config_service *b)
{
	assert_string_equal(a->name, b->name);
	assert_endpoints_equal(&a->endpoint, &b->endpoint);
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->idle_timeout_s, b->idle_timeout_s);
	assert_quic_equal(a, b);
	assert_int_equal(a->backend_count, b->backend_count);
	for (size_t i = 0; i < a->backend_count; i++) {
		assert_string_equal(a->backends[i].name, b->backends[i].name);
		assert_endpoints_equal(&a->backends[i].endpoint, &b->backends[i].endpoint);
		assert_int_equal(a->backends[i].weight, b->backends[i].weight);
		assert_server_ids_equal(&a->backends[i], &b->backends[i]);
	}
}

static void assert_sockets_equal(const struct config_sockets *a, const struct config_sockets *b)
{
	assert_int_equal(a->calls, b->calls);
	assert_int_equal(a->steering, b->steering);
	assert_int_equal(a->is_decoupled, b->is_decoupled);
	assert_int_equal(a->workers, b->workers);
	assert_int_equal(a->receive_buffer, b->receive_buffer);
	assert_int_equal(a->flows, b->flows);
	assert_int_equal(a->source_count, b->source_count);
	assert_memory_equal(a->sources, b->sources, sizeof(a->sources));
}

/* Equal in all but the lines. */
static void assert_configs_equal(const struct config *a, const struct config *b)
{
	assert_int_equal(a->interface_count, b->interface_count);
	for (size_t i = 0; i < a->interface_count; i++) {
		assert_string_equal(a->interfaces[i].name, b->interfaces[i].name);
		assert_int_equal(a->interfaces[i].mode, b->interfaces[i].mode);
	}
	assert_int_equal(a->engine, b->engine);
	assert_int_equal(a->has_sockets, b->has_sockets);
	assert_sockets_equal(&a->sockets, &b->sockets);
	assert_int_equal(a->queues, b->queues);
	assert_int_equal(a->cpu_count, b->cpu_count);
	assert_memory_equal(a->cpus, b->cpus, sizeof(a->cpus));
	assert_int_equal(a->has_hash_key, b->has_hash_key);
	assert_memory_equal(a->hash_key, b->hash_key, sizeof(a->hash_key));
	assert_string_equal(a->control_socket, b->control_socket);
	assert_memory_equal(&a->limits, &b->limits, sizeof(a->limits));
	assert_int_equal(a->service_count, b->service_count);
	for (size_t i = 0; i < a->service_count; i++)
		assert_services_equal(&a->services[i], &b->services[i]);
}

/* Printed, read and compared. */
static void assert_round_trip(const struct config *config)
{
	struct config *again;
	struct text printed;

	text_open(&printed);
	config_print(config, printed.stream);
	(void)fflush(printed.stream);
	again = parse_good(printed.bytes, printed.size);
	assert_configs_equal(config, again);
	config_free(again);
	text_close(&printed);
}

static void assert_address(const struct table_endpoint *endpoint, enum family family,
			   const char *text)
{
	uint8_t addr[16];

	assert_true(address_parse(text, addr));
	assert_true(endpoint->present[family]);
	assert_memory_equal(endpoint->addr[family], addr, sizeof(addr));
}

static void fills_defaults(void **state)
{
	const char text[] = WITH("", "", "");
	struct config *config = parse_good(text, strlen(text));
	const struct config_service *service = &config->services[0];

	(void)state;
	assert_int_equal(config->interface_count, 1);
	assert_string_equal(config->interfaces[0].name, "eth0");
	assert_int_equal(config->interfaces[0].mode, IO_MODE_AUTO);
	assert_int_equal(config->interfaces[0].line, 1);
	assert_int_equal(config->engine, CONFIG_ENGINE_AF_XDP);
	assert_int_equal(config->sockets.calls, SOCKET_MMSG);
	assert_int_equal(config->sockets.steering, SOCKET_STEER_FOUR_TUPLE);
	assert_false(config->sockets.is_decoupled);
	assert_int_equal(config->sockets.workers, 1);
	assert_int_equal(config->sockets.receive_buffer, 0);
	assert_int_equal(config->sockets.flows, 0);
	assert_int_equal(config->sockets.source_count, 0);
	assert_int_equal(config->queues, 0);
	assert_int_equal(config->cpu_count, 0);
	assert_false(config->has_hash_key);
	assert_string_equal(config->control_socket, "/run/ringway/ringwayd.sock");
	assert_int_equal(config->limits.frames, 8192);
	assert_int_equal(config->limits.frame_size, 2048);
	assert_int_equal(config->limits.ring_size, 2048);
	assert_int_equal(config->limits.connections, 2000000);
	assert_int_equal(config->service_count, 1);
	assert_int_equal(service->line, 3);
	assert_int_equal(service->protocol, CONFIG_PROTOCOL_QUIC);
	assert_int_equal(service->mode, CONFIG_MODE_NAT);
	assert_int_equal(service->idle_timeout_s, 600);
	assert_int_equal(service->hash, CONFIG_HASH_FOUR_TUPLE);
	assert_int_equal(service->connection_id_len, 0);
	assert_int_equal(service->discovery, CONFIG_DISCOVERY_YES);
	assert_int_equal(service->on_remove, CONFIG_REMOVE_REHASH);
	assert_int_equal(service->health.probe, CONFIG_PROBE_NONE);
	assert_int_equal(service->health.interval_ms, 1000);
	assert_int_equal(service->health.timeout_ms, 500);
	assert_int_equal(service->health.rise, 2);
	assert_int_equal(service->health.fall, 3);
	assert_int_equal(service->health.all_down, CONFIG_ALL_DOWN_KEEP);
	assert_int_equal(service->quic_lb_count, 0);
	assert_int_equal(service->backend_count, 1);
	assert_int_equal(service->backends[0].line, 7);
	assert_int_equal(service->backends[0].weight, 1);
	assert_false(service->backends[0].drain);
	assert_int_equal(service->backends[0].server_id_count, 0);
	assert_int_equal(service->backends[0].endpoint.port_be, htons(443));
	config_free(config);
}

static const char every_key[] = "interfaces:\n"
				"  - eth0\n"
				"  - { mode: auto, name: eth1 }\n"
				"  - { name: eth2, mode: copy }\n"
				"  - { name: eth3, mode: generic }\n"
				"queues: 4\n"
				"cpus: [2, 3]\n"
				"hash_key: 00112233445566778899aabbccddeeff\n"
				"control_socket: /tmp/a \"b\" \\c.sock\n"
				"limits: { frames: 60000, frame_size: 4096, ring_size: 4096 }\n"
				"services:\n"
				"  - name: dns\n"
				"    addresses: [\"2001:db8::1\", 192.0.2.1]\n"
				"    port: 53\n"
				"    protocol: udp\n"
				"    mode: nat\n"
				"    idle_timeout: 90s\n"
				"    backends:\n"
				"      - name: b1\n"
				"        addresses: [10.0.0.1, \"fd00::1\"]\n"
				"        port: 5353\n"
				"        weight: 1000\n";

static void reads_every_key(void **state)
{
	static const uint8_t key[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
					 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	struct config *config = parse_good(every_key, strlen(every_key));
	const struct config_service *service = &config->services[0];

	(void)state;
	assert_int_equal(config->interface_count, 4);
	assert_int_equal(config->interfaces[0].mode, IO_MODE_AUTO);
	assert_string_equal(config->interfaces[1].name, "eth1");
	assert_int_equal(config->interfaces[1].mode, IO_MODE_AUTO);
	assert_int_equal(config->interfaces[1].line, 3);
	assert_int_equal(config->interfaces[2].mode, IO_MODE_COPY);
	assert_int_equal(config->interfaces[3].mode, IO_MODE_GENERIC);
	assert_int_equal(config->queues, 4);
	assert_int_equal(config->cpu_count, 2);
	assert_int_equal(config->cpus[0], 2);
	assert_int_equal(config->cpus[1], 3);
	assert_true(config->has_hash_key);
	assert_memory_equal(config->hash_key, key, sizeof(key));
	assert_string_equal(config->control_socket, "/tmp/a \"b\" \\c.sock");
	assert_int_equal(config->limits.frames, 60000);
	assert_int_equal(config->limits.frame_size, 4096);
	assert_int_equal(config->limits.ring_size, 4096);
	assert_string_equal(service->name, "dns");
	assert_address(&service->endpoint, FAMILY_IPV4, "192.0.2.1");
	assert_address(&service->endpoint, FAMILY_IPV6, "2001:db8::1");
	assert_int_equal(service->endpoint.port_be, htons(53));
	assert_int_equal(service->protocol, CONFIG_PROTOCOL_UDP);
	assert_int_equal(service->idle_timeout_s, 90);
	assert_string_equal(service->backends[0].name, "b1");
	assert_address(&service->backends[0].endpoint, FAMILY_IPV4, "10.0.0.1");
	assert_address(&service->backends[0].endpoint, FAMILY_IPV6, "fd00::1");
	assert_int_equal(service->backends[0].endpoint.port_be, htons(5353));
	assert_int_equal(service->backends[0].weight, 1000);
	assert_round_trip(config);
	config_free(config);
}

static void reads_every_key_of_quic(void **state)
{
	static const char text[] =
		WITH("limits: { connections: 10000000 }\n",
		     "    hash: connection-id\n"
		     "    connection_id_length: 8\n"
		     "    discovery: no\n"
		     "    on_remove: drop\n"
		     "    health: { probe: udp, interval: 1500ms, timeout: 1s, rise: 1,\n"
		     "              fall: 2, payload: 0aFF, expect: \"00\", all_down: drop }\n"
		     "    quic_lb:\n"
		     "      - { rotation: 3, server_id_length: 2, nonce_length: 4,\n"
		     "          key: 8f95f09245765f80256934e50c66207f }\n",
		     "        drain: yes\n"
		     "        server_ids: [c460, { id: c461, rotation: 3 }]\n");
	static const uint8_t key[] = { 0x8f, 0x95, 0xf0, 0x92, 0x45, 0x76, 0x5f, 0x80,
				       0x25, 0x69, 0x34, 0xe5, 0x0c, 0x66, 0x20, 0x7f };
	struct config *config = parse_good(text, strlen(text));
	const struct config_service *service = &config->services[0];
	const struct config_health *health = &service->health;
	const struct config_quic_lb *quic_lb = &service->quic_lb[0];
	const struct config_backend *backend = &service->backends[0];

	(void)state;
	assert_int_equal(config->limits.connections, 10000000);
	assert_int_equal(service->hash, CONFIG_HASH_CONNECTION_ID);
	assert_int_equal(service->connection_id_len, 8);
	assert_int_equal(service->discovery, CONFIG_DISCOVERY_NO);
	assert_int_equal(service->on_remove, CONFIG_REMOVE_DROP);
	assert_int_equal(health->probe, CONFIG_PROBE_UDP);
	assert_int_equal(health->interval_ms, 1500);
	assert_int_equal(health->timeout_ms, 1000);
	assert_int_equal(health->rise, 1);
	assert_int_equal(health->fall, 2);
	assert_int_equal(health->payload.len, 2);
	assert_memory_equal(health->payload.bytes, "\x0a\xff", 2);
	assert_int_equal(health->expect.len, 1);
	assert_int_equal(health->expect.bytes[0], 0);
	assert_int_equal(health->all_down, CONFIG_ALL_DOWN_DROP);
	assert_int_equal(service->quic_lb_count, 1);
	assert_int_equal(quic_lb->rotation, 3);
	assert_int_equal(quic_lb->codec.server_id_len, 2);
	assert_int_equal(quic_lb->codec.nonce_len, 4);
	assert_true(quic_lb->codec.has_key);
	assert_memory_equal(quic_lb->codec.key, key, sizeof(key));
	assert_true(backend->drain);
	assert_int_equal(backend->server_id_count, 2);
	assert_memory_equal(backend->server_ids[0].id, "\xc4\x60", 2);
	assert_int_equal(backend->server_ids[0].len, 2);
	assert_int_equal(backend->server_ids[0].rotation, CONFIG_ROTATION_ANY);
	assert_memory_equal(backend->server_ids[1].id, "\xc4\x61", 2);
	assert_int_equal(backend->server_ids[1].rotation, 1 + 3);
	assert_true(config_server_id_is_of(&backend->server_ids[0], quic_lb));
	assert_true(config_server_id_is_of(&backend->server_ids[1], quic_lb));
	assert_round_trip(config);
	config_free(config);
}

static void reads_every_key_of_sockets(void **state)
{
	static const char text[] = "engine: socket\n"
				   "socket:\n"
				   "  calls: io_uring\n"
				   "  steering: connection-id\n"
				   "  decoupled: yes\n"
				   "  workers: 3\n"
				   "  receive_buffer: 1048576\n"
				   "  flows: 1000\n"
				   "  source_addresses: [10.0.0.9, \"fd00::9\"]\n"
				   "services:\n"
				   "  - name: dns\n"
				   "    addresses: [192.0.2.1]\n"
				   "    port: 53\n"
				   "    backends: [{ name: b1, addresses: [10.0.0.1] }]\n";
	struct config *config = parse_good(text, strlen(text));
	const struct config_sockets *sockets = &config->sockets;
	uint8_t addr[16];

	(void)state;
	assert_int_equal(config->engine, CONFIG_ENGINE_SOCKET);
	assert_int_equal(config->interface_count, 0);
	assert_int_equal(config->limits.frames, 8192);
	assert_int_equal(sockets->calls, SOCKET_IO_URING);
	assert_int_equal(sockets->steering, SOCKET_STEER_CONNECTION_ID);
	assert_true(sockets->is_decoupled);
	assert_int_equal(sockets->workers, 3);
	assert_int_equal(sockets->receive_buffer, 1048576);
	assert_int_equal(sockets->flows, 1000);
	assert_int_equal(sockets->source_count, 2);
	assert_true(address_parse("10.0.0.9", addr));
	assert_memory_equal(sockets->sources[0].addr, addr, sizeof(addr));
	assert_true(address_parse("fd00::9", addr));
	assert_memory_equal(sockets->sources[1].addr, addr, sizeof(addr));
	assert_round_trip(config);
	config_free(config);
}

/* every_key cannot have it: zero-copy is for all interfaces or none. */
static void reads_zero_copy(void **state)
{
	static const char text[] = "interfaces: [{ name: eth0, mode: zero-copy }, eth1]\n"
				   "services:\n"
				   "  - name: dns\n"
				   "    addresses: [192.0.2.1]\n"
				   "    port: 53\n"
				   "    backends: [{ name: b1, addresses: [10.0.0.1] }]\n";
	struct config *config = parse_good(text, strlen(text));

	(void)state;
	assert_int_equal(config->interfaces[0].mode, IO_MODE_ZERO_COPY);
	assert_int_equal(config->interfaces[1].mode, IO_MODE_AUTO);
	config_free(config);
}

/* Frames that suffice are chosen by interfaces and ring_size, and no fewer pass. */
static void sizes_frames(void **state)
{
	static const struct {
		const char *interfaces;
		uint32_t ring_size, frames;
	} cases[] = {
		{ "a", 64, 256 },
		{ "a", 2048, 8192 },
		{ "a, b", 2048, 16384 },
		{ "a, b, c", 2048, 32768 },
		{ "a, b, c, d, e, f, g, h", 8192, 262144 },
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config;

		print_message("case: %s, ring_size %u\n", cases[i].interfaces, cases[i].ring_size);
		(void)snprintf(text, sizeof(text),
			       "%s\nlimits: { ring_size: %u }\ninterfaces: [%s]\n",
			       strchr(WITH("", "", ""), '\n') + 1, cases[i].ring_size,
			       cases[i].interfaces);
		config = parse_good(text, strlen(text));
		assert_int_equal(config->limits.frames, cases[i].frames);
		config_free(config);
	}
}

static void reads_and_prints_durations(void **state)
{
	static const struct {
		const char *text, *printed;
		uint32_t seconds;
	} cases[] = {
		{ "1s", "1s", 1 },	{ "90s", "90s", 90 },	{ "60s", "1m", 60 },
		{ "5m", "5m", 300 },	{ "60m", "1h", 3600 },	{ "90m", "90m", 5400 },
		{ "002h", "2h", 7200 }, { "120m", "2h", 7200 }, { "7199s", "7199s", 7199 },
	};
	char text[512], want[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config;
		struct text printed;

		print_message("case: %s\n", cases[i].text);
		(void)snprintf(text, sizeof(text), WITH("", "    idle_timeout: %s\n", ""),
			       cases[i].text);
		(void)snprintf(want, sizeof(want), "\n    idle_timeout: %s\n", cases[i].printed);
		config = parse_good(text, strlen(text));
		assert_int_equal(config->services[0].idle_timeout_s, cases[i].seconds);
		text_open(&printed);
		config_print(config, printed.stream);
		(void)fflush(printed.stream);
		assert_non_null(strstr(printed.bytes, want));
		text_close(&printed);
		config_free(config);
	}
}

/* Mistakes that are clearer here than in a file; files are in tests/golden. */
static void refuses_with_line_and_reason(void **state)
{
	static const struct {
		const char *name, *text, *messages;
	} cases[] = {
		{ "terminal escapes are not repeated", WITH("\"\\e[2J\\u009b\": 1\n", "", ""),
		  "f:2: unknown key \"?[2J??\": expected one of engine, socket, interfaces, queues, "
		  "cpus, hash_key, control_socket, limits, services\n" },
		{ "a line break in a value stays in its message",
		  WITH("control_socket: \"/a\\nf:1: b\"\n", "", ""),
		  "f:2: control_socket: \"/a?f:1: b\" has characters that cannot be printed: "
		  "expected an absolute path of at most 107 bytes\n" },
		{ "control characters", "a: \x01\n",
		  "f:1: this is not YAML: control characters are not allowed\n" },
		{ "syntax after the first document", WITH("", "", "") "--- [\n",
		  "f:10: this is not YAML: did not find expected node content, while parsing a "
		  "flow node\n" },
		{ "a mistaken port is not taken for an absent one",
		  WITH("", "", "        port: 0\n") "      - { name: b2, addresses: [10.0.0.1] }\n",
		  "f:9: port: \"0\" is out of range: expected a number from 1 to 65535\n" },
		{ "a backend before the service that has its address",
		  WITH("", "", "") "  - name: video\n"
				   "    addresses: [10.0.0.1]\n"
				   "    port: 443\n"
				   "    backends: [{ name: b1, addresses: [10.0.0.2] }]\n",
		  "f:7: backend \"b1\" of service \"web\": 10.0.0.1 port 443 is already that of "
		  "service \"video\" on line 9: in nat mode a backend's address and port belong "
		  "to one service: use another port, or a second address\n" },
		{ "no family in common is one mistake, not two",
		  "interfaces: [eth0]\n"
		  "services:\n"
		  "  - { name: s, port: 1, addresses: [192.0.2.1], backends: [\n"
		  "      { name: b, addresses: [\"fd00::1\"] } ] }\n",
		  "f:4: backend \"b\" has an IPv6 address but service \"s\" has none, so nothing "
		  "would be sent there: expected it to be removed, or an IPv6 address for the "
		  "service\n" },
		{ "a service's mistaken address does not accuse its backends",
		  "interfaces: [eth0]\n"
		  "services:\n"
		  "  - { name: s, port: 1, addresses: [192.0.2.1, \"::\"], backends: [\n"
		  "      { name: b, addresses: [\"fd00::1\"] } ] }\n",
		  "f:3: addresses: \"::\" is unspecified: expected a unicast address, at most "
		  "one of IPv4 and one of IPv6\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("case: %s\n", cases[i].name);
		assert_refused(cases[i].text, strlen(cases[i].text), cases[i].messages);
	}
}

/* The files at a pattern; at least least of them. */
static void files_find(const char *pattern, size_t least, glob_t *ret_files)
{
	assert_int_equal(glob(pattern, 0, NULL, ret_files), 0);
	assert_true(ret_files->gl_pathc >= least);
}

static void samples_are_good_and_round_trip(void **state)
{
	static const char *const patterns[] = { "configs/*.yaml", "tests/golden/good/*.yaml" };

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		glob_t files;

		files_find(patterns[i], 3, &files);
		for (size_t j = 0; j < files.gl_pathc; j++) {
			struct config *config = NULL;

			print_message("case: %s\n", files.gl_pathv[j]);
			assert_int_equal(config_load(files.gl_pathv[j], stderr, &config), 0);
			assert_round_trip(config);
			config_free(config);
		}
		globfree(&files);
	}
}

/* Every beginning of a good file is refused or good, and nothing is lost. */
static void prefixes_do_no_harm(void **state)
{
	size_t good_count = 0;

	(void)state;
	for (size_t size = 0; size <= strlen(every_key); size++) {
		struct config *config = NULL;
		struct text errors;

		text_open(&errors);
		if (config_parse("f", every_key, size, errors.stream, &config) == 0)
			good_count++;
		(void)fflush(errors.stream);
		assert_int_equal(config == NULL, errors.size > 0);
		config_free(config);
		text_close(&errors);
	}
	assert_true(good_count > 0);
}

/* service_count services on ports of their own, with backends each. */
static void large_write(FILE *out, unsigned int service_count, unsigned int backend_count)
{
	(void)fputs("interfaces: [eth0]\nservices:\n", out);
	for (unsigned int i = 0; i < service_count; i++) {
		(void)fprintf(out,
			      "  - name: s%u\n    addresses: [192.0.2.1, \"2001:db8::1\"]\n"
			      "    port: %u\n    backends:\n",
			      i, 1000 + i);
		for (unsigned int j = 0; j < backend_count; j++)
			(void)fprintf(out,
				      "      - name: b%u\n"
				      "        addresses: [10.1.%u.%u, \"fd00::%x\"]\n"
				      "        port: %u\n        weight: %u\n",
				      j, j / 256, j % 256, j + 1, 2000 + i, j % 1001);
	}
}

static void large_files_load_at_once(void **state)
{
	static const struct {
		unsigned int service_count, backend_count; /* of each */
	} cases[] = {
		{ 100, 10 },
		{ 1, BACKEND_COUNT_MAX },
		{ SERVICE_COUNT_MAX, BACKEND_COUNT_MAX / SERVICE_COUNT_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config;
		struct text text;
		clock_t start;

		text_open(&text);
		large_write(text.stream, cases[i].service_count, cases[i].backend_count);
		(void)fflush(text.stream);
		start = clock();
		config = parse_good(text.bytes, text.size);
		print_message("%u services with %u backends each: %ld ms of CPU time\n",
			      cases[i].service_count, cases[i].backend_count,
			      (clock() - start) * 1000 / CLOCKS_PER_SEC);
		assert_true(clock() - start < CLOCKS_PER_SEC);
		assert_int_equal(config->service_count, cases[i].service_count);
		assert_int_equal(config->services[0].backend_count, cases[i].backend_count);
		assert_round_trip(config);
		config_free(config);
		text_close(&text);
	}
}

static void refuses_too_many(void **state)
{
	static const struct {
		unsigned int service_count, backend_count;
		const char *message;
	} cases[] = {
		{ SERVICE_COUNT_MAX + 1, 1,
		  "f:8195: services: the list goes on after 1024: expected no more\n" },
		{ 1, BACKEND_COUNT_MAX + 1,
		  "f:16391: backends: the list goes on after 4096: expected no more\n" },
		{ 2, BACKEND_COUNT_MAX / 2 + 1,
		  "f:16395: all services together have 4098 backends: expected at most 4096, "
		  "which this one exceeds\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text;

		text_open(&text);
		large_write(text.stream, cases[i].service_count, cases[i].backend_count);
		(void)fflush(text.stream);
		assert_refused(text.bytes, text.size, cases[i].message);
		text_close(&text);
	}
}

/* Files made to keep a parser busy: count times the unit, in so much CPU time. */
static void hostile_files_are_given_up(void **state)
{
	static const struct {
		const char *name, *head, *unit, *reason;
	} cases[] = {
		{ "brackets", "", "[", "brackets are nested too deep" },
		{ "braces", "", "{a: ", "brackets are nested too deep" },
		{ "dashes", "", "- ", "there are too many values" },
		{ "values", "", "- 1\n", "there are too many values" },
		{ "anchors", "", "- &%u 1\n", "there are too many anchors" },
		{ "aliases", "- &a 1\n", "- *a\n", "there are too many aliases" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = NULL;
		struct text text, errors;
		clock_t start;

		print_message("case: %s\n", cases[i].name);
		text_open(&text);
		text_open(&errors);
		(void)fputs(cases[i].head, text.stream);
		for (unsigned int j = 0; j < 1000 * 1000; j++)
			if (strchr(cases[i].unit, '%'))
				(void)fprintf(text.stream, "- &%u 1\n", j);
			else
				(void)fputs(cases[i].unit, text.stream);
		(void)fflush(text.stream);
		start = clock();
		assert_int_equal(config_parse("f", text.bytes,
					      text.size < CONFIG_SIZE_MAX_BYTES
						      ? text.size
						      : CONFIG_SIZE_MAX_BYTES,
					      errors.stream, &config),
				 -EINVAL);
		assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
		(void)fflush(errors.stream);
		assert_non_null(strstr(errors.bytes, cases[i].reason));
		text_close(&text);
		text_close(&errors);
	}
}

/* 1024 services that are one alias, of 4096 backends that are another. */
static void aliases_do_not_multiply(void **state)
{
	struct config *config = NULL;
	struct text text, errors;
	clock_t start;

	(void)state;
	text_open(&text);
	text_open(&errors);
	(void)fputs("interfaces: [eth0]\nservices:\n  - &s\n    name: s\n"
		    "    addresses: [192.0.2.1]\n    port: 443\n    backends:\n"
		    "      - &b { name: b, addresses: [10.0.0.1] }\n",
		    text.stream);
	for (unsigned int i = 1; i < BACKEND_COUNT_MAX; i++)
		(void)fputs("      - *b\n", text.stream);
	for (unsigned int i = 1; i < SERVICE_COUNT_MAX; i++)
		(void)fputs("  - *s\n", text.stream);
	(void)fflush(text.stream);
	start = clock();
	assert_int_equal(config_parse("f", text.bytes, text.size, errors.stream, &config), -EINVAL);
	assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
	(void)fflush(errors.stream);
	assert_non_null(strstr(errors.bytes, "aliases counted at each use"));
	text_close(&text);
	text_close(&errors);
}

static void size_limit_is_exact(void **state)
{
	const char start[] = WITH("", "", "");
	char *text = malloc(CONFIG_SIZE_MAX_BYTES + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '#', CONFIG_SIZE_MAX_BYTES + 1);
	memcpy(text, start, strlen(start));
	config_free(parse_good(text, CONFIG_SIZE_MAX_BYTES));
	assert_refused(text, CONFIG_SIZE_MAX_BYTES + 1,
		       "f:1: the file is too long: expected at most 8388608 bytes\n");
	free(text);
}

static void says_why_a_file_cannot_be_read(void **state)
{
	static const struct {
		const char *path, *message;
		int err;
	} cases[] = {
		{ "tests/golden/no-such.yaml",
		  "tests/golden/no-such.yaml:1: cannot read the file: No such file or directory: "
		  "expected a readable one\n",
		  -ENOENT },
		{ "tests/golden",
		  "tests/golden:1: cannot read the file: Is a directory: expected a readable "
		  "one\n",
		  -EISDIR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = NULL;
		struct text errors;

		text_open(&errors);
		assert_int_equal(config_load(cases[i].path, errors.stream, &config), cases[i].err);
		(void)fflush(errors.stream);
		assert_string_equal(errors.bytes, cases[i].message);
		assert_null(config);
		text_close(&errors);
	}
}

/* Every key with its type and its default; no key of every_key[] is left out. */
static void help_tells_all(void **state)
{
	static const char *const lines[] = {
		"engine: af_xdp, socket or auto; default af_xdp\n",
		"  calls: epoll, mmsg or io_uring; default mmsg\n",
		"  steering: four-tuple or connection-id; default four-tuple\n",
		"  decoupled: no or yes; default no\n",
		"  workers: a number from 1 to 64; default 1\n",
		"  receive_buffer: a number from 4096 to 268435456 bytes; default the kernel's",
		"  flows: a number from 1 to 983040; default 65536, or fewer if",
		"  source_addresses: a list of 1 to 256, each a unicast address; default the kernel",
		"interfaces: a list of 1 to 8 mappings or names alone; default none, which only ",
		"  name: an interface's name of at most 15 characters; required\n",
		"  mode: auto, zero-copy, copy or generic; default auto\n",
		"queues: a number from 1 to 64; default all\n",
		"cpus: a list of 1 to 64, each a number from 0 to 1023; default not pinned\n",
		"hash_key: 32 hexadecimal digits; default ",
		"control_socket: an absolute path of at most 107 bytes; default /run/ringway/",
		"limits: a mapping\n",
		"  frames: a number from 256 to 1048576 frames; default the smallest power of ",
		"  frame_size: a power of two from 2048 to 4096 bytes; default 2048\n",
		"  ring_size: a power of two from 64 to 8192 entries; default 2048\n",
		"services: a list of 1 to 1024 mappings; required\n",
		"  addresses: a list of 1 to 2, each a unicast address, at most one of IPv4 ",
		"  port: a number from 1 to 65535; required\n",
		"  protocol: quic or udp; default quic\n",
		"  connections: a number from 0 to 100000000; default 2000000\n",
		"  mode: nat or l2; default nat\n",
		"  hash: four-tuple or connection-id; default four-tuple\n",
		"  connection_id_length: a number from 0 to 20 bytes; default 0\n",
		"  idle_timeout: a duration in s, m or h from 1s to 2h; default 10m\n",
		"  discovery: no or yes; default yes for quic in nat mode with answers through ",
		"  return_path: userspace or xdp; default userspace\n",
		"  on_remove: rehash or drop; default rehash\n",
		"  health: a mapping\n",
		"    probe: none, quic, udp or tcp; default none\n",
		"    timeout: a duration in ms, s, m or h from 10ms to 1m; default 500ms\n",
		"  quic_lb: a list of 1 to 7 mappings\n",
		"    server_ids: a list of 1 to 7 mappings or ids alone\n",
		"      rotation: any, 0, 1, 2, 3, 4, 5 or 6; default any\n",
		"  backends: a list of 1 to 4096 mappings; required\n",
		"    name: a name of at most 63 letters, digits, '.', '_' and '-'; required\n",
		"    port: a number from 1 to 65535; default the port of the service\n",
		"    weight: a number from 0 to 1000; default 1\n",
	};
	struct text plain, scdoc;

	(void)state;
	text_open(&plain);
	text_open(&scdoc);
	config_help(plain.stream, false);
	config_help(scdoc.stream, true);
	(void)fflush(plain.stream);
	(void)fflush(scdoc.stream);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		print_message("case: line %zu\n", i);
		assert_non_null(strstr(plain.bytes, lines[i]));
	}
	assert_non_null(strstr(scdoc.bytes, "\n*hash\\_key*: 32 hexadecimal digits; default "));
	assert_non_null(strstr(scdoc.bytes, "\n\t\t*weight*: a number from 0 to 1000; default 1\n"
					    "\t\t\tShare of new connections"));
	text_close(&plain);
	text_close(&scdoc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_defaults),
		cmocka_unit_test(reads_every_key),
		cmocka_unit_test(reads_every_key_of_quic),
		cmocka_unit_test(reads_every_key_of_sockets),
		cmocka_unit_test(reads_zero_copy),
		cmocka_unit_test(sizes_frames),
		cmocka_unit_test(reads_and_prints_durations),
		cmocka_unit_test(refuses_with_line_and_reason),
		cmocka_unit_test(samples_are_good_and_round_trip),
		cmocka_unit_test(prefixes_do_no_harm),
		cmocka_unit_test(large_files_load_at_once),
		cmocka_unit_test(refuses_too_many),
		cmocka_unit_test(hostile_files_are_given_up),
		cmocka_unit_test(aliases_do_not_multiply),
		cmocka_unit_test(size_limit_is_exact),
		cmocka_unit_test(says_why_a_file_cannot_be_read),
		cmocka_unit_test(help_tells_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
