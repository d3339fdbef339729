/* SPDX-License-Identifier: GPL-2.0-only */
/* config_fields.c - the keys of the configuration: what each is, and where its
 * value goes. */
#include "config/config_fields.h"

#include <sched.h>
#include <stddef.h>

#include "config/config.h"
#include "config/config_value.h"

#define SIZE_OF(type, member) sizeof(((struct type *)0)->member)

/* Where a field lies in its struct. */
#define AT(type, member) .offset = offsetof(struct type, member), .size = SIZE_OF(type, member)

/* The same for struct config's struct without a name. */
#define LIMIT(member)                                                                       \
	.offset = offsetof(struct config, limits.member) - offsetof(struct config, limits), \
	.size = SIZE_OF(config, limits.member)

static const char *const mode_names[] = {
	[IO_MODE_AUTO] = "auto",
	[IO_MODE_ZERO_COPY] = "zero-copy",
	[IO_MODE_COPY] = "copy",
	[IO_MODE_GENERIC] = "generic",
	NULL,
};

static const char *const engine_names[] = {
	[CONFIG_ENGINE_AF_XDP] = "af_xdp",
	[CONFIG_ENGINE_SOCKET] = "socket",
	[CONFIG_ENGINE_AUTO] = "auto",
	NULL,
};

static const char *const calls_names[] = {
#define X(constant, name, meaning) [SOCKET_##constant] = name,
	SOCKET_CALLS(X)
#undef X
		NULL,
};

static const char *const steering_names[] = {
	[SOCKET_STEER_FOUR_TUPLE] = "four-tuple",
	[SOCKET_STEER_CONNECTION_ID] = "connection-id",
	NULL,
};

static const char *const answer_names[] = { [false] = "no", [true] = "yes", NULL };

static const char *const protocol_names[] = {
	[CONFIG_PROTOCOL_QUIC] = "quic",
	[CONFIG_PROTOCOL_UDP] = "udp",
	NULL,
};

static const char *const service_mode_names[] = {
	[CONFIG_MODE_NAT] = "nat",
	[CONFIG_MODE_L2] = "l2",
	NULL,
};

static const char *const hash_names[] = {
	[CONFIG_HASH_FOUR_TUPLE] = "four-tuple",
	[CONFIG_HASH_CONNECTION_ID] = "connection-id",
	NULL,
};

static const char *const discovery_names[] = {
	[CONFIG_DISCOVERY_UNSET] = "",
	[CONFIG_DISCOVERY_NO] = "no",
	[CONFIG_DISCOVERY_YES] = "yes",
	NULL,
};

static const char *const return_path_names[] = {
	[CONFIG_RETURN_USERSPACE] = "userspace",
	[CONFIG_RETURN_XDP] = "xdp",
	NULL,
};

static const char *const on_remove_names[] = {
	[CONFIG_REMOVE_REHASH] = "rehash",
	[CONFIG_REMOVE_DROP] = "drop",
	NULL,
};

static const char *const probe_names[] = {
	[CONFIG_PROBE_NONE] = "none",
	[CONFIG_PROBE_QUIC] = "quic",
	[CONFIG_PROBE_UDP] = "udp",
	[CONFIG_PROBE_TCP] = "tcp",
	NULL,
};

static const char *const all_down_names[] = {
	[CONFIG_ALL_DOWN_KEEP] = "keep",
	[CONFIG_ALL_DOWN_DROP] = "drop",
	NULL,
};

/* By config_server_id.rotation. */
static const char *const rotation_names[] = {
	[CONFIG_ROTATION_ANY] = "any", "0", "1", "2", "3", "4", "5", "6", NULL,
};

static const struct schema_field interface_fields[] = {
	{
		.key = "name",
		AT(config_interface, name),
		.scalar = &config_value_interface,
		.required = true,
		.meaning = "As `ip link` shows it.",
	},
	{
		.key = "mode",
		AT(config_interface, mode),
		.scalar = &schema_choice,
		.choices = mode_names,
		.fallback = "auto",
		.meaning = "How frames come from the driver: zero-copy needs the driver's support, "
			   "copy works with native XDP, generic with every interface. auto takes "
			   "the best that there is. zero-copy goes with zero-copy and auto only.",
	},
	{
		.key = "clients",
		AT(config_interface, clients),
		.scalar = &schema_choice,
		.choices = answer_names,
		.fallback = "yes",
		.meaning =
			"Are clients reached through it too? Then what claims to come from a "
			"backend must bear the MAC address of that backend's next hop. no: there "
			"are only backends behind it, and they may answer through any router.",
	},
	{ .key = NULL },
};

static const struct schema_field sockets_fields[] = {
	{
		.key = "calls",
		AT(config_sockets, calls),
		.scalar = &schema_choice,
		.choices = calls_names,
		.fallback = "mmsg",
		.meaning =
			"How the kernel is called. epoll: once for each datagram. mmsg: once for "
			"what a socket has. io_uring: seldom; needs Linux 6.0.",
	},
	{
		.key = "steering",
		AT(config_sockets, steering),
		.scalar = &schema_choice,
		.choices = steering_names,
		.fallback = "four-tuple",
		.meaning =
			"Which worker gets a client's datagram: the kernel's choice by addresses "
			"and ports, or the one that its Connection ID names, by a BPF program, "
			"which needs CAP_BPF and CAP_NET_ADMIN. Of short headers that reads as much "
			"as connection_id_length or quic_lb says, else 8 bytes: servers with shorter "
			"IDs need one of them.",
	},
	{
		.key = "decoupled",
		AT(config_sockets, is_decoupled),
		.scalar = &schema_choice,
		.choices = answer_names,
		.fallback = "no",
		.meaning =
			"yes: each worker has a second thread that only receives, so that bursts "
			"wait in its memory and not in the kernel's buffers. It takes a CPU of its "
			"own from `cpus`: the one after its worker's.",
	},
	{
		.key = "workers",
		AT(config_sockets, workers),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = WORKER_COUNT_MAX,
		.fallback = "1",
		.meaning = "Threads that forward, each with a socket of its own for every address "
			   "of a service.",
	},
	{
		.key = "receive_buffer",
		AT(config_sockets, receive_buffer),
		.scalar = &schema_number,
		.minimum = 4096,
		.maximum = SOCKET_RECEIVE_BUFFER_MAX,
		.unit = "bytes",
		.fallback_note = "the kernel's, sysctl net.core.rmem_default",
		.meaning = "Of each service's socket. More than sysctl net.core.rmem_max takes "
			   "CAP_NET_ADMIN.",
	},
	{
		.key = "flows",
		AT(config_sockets, flows),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = SOCKET_FLOW_COUNT_MAX,
		.fallback_note = "65536, or fewer if the process may not have as many files",
		.meaning = "Clients at a time: each has a socket towards its backend, until it has "
			   "been silent for the service's idle_timeout. Beyond, new ones are "
			   "dropped. As many files must be allowed (`ulimit -n`), and some for "
			   "all else: at least a worker's socket for each address of a service.",
	},
	{
		.key = "source_addresses",
		.offset = offsetof(struct config_sockets, sources),
		.size = sizeof(struct socket_source),
		.scalar = &config_value_source,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = SOCKET_SOURCE_COUNT_MAX,
				.count_offset = offsetof(struct config_sockets, source_count),
				.item_size = sizeof(struct socket_source),
			},
		.fallback_note = "the kernel chooses",
		.meaning =
			"This host's addresses to send to backends from, in turn. One has a port "
			"for each of some 28000 flows to a backend (sysctl "
			"net.ipv4.ip_local_port_range).",
	},
	{ .key = NULL },
};

static const struct schema_field limits_fields[] = {
	{
		.key = "frames",
		LIMIT(frames),
		.scalar = &schema_number,
		.minimum = 256,
		.maximum = FRAME_COUNT_MAX,
		.unit = "frames",
		.fallback_note = "the smallest power of two that suffices",
		.meaning =
			"Memory of one worker. Must be at least 3 * ring_size for each interface, "
			"and 64 more.",
	},
	{
		.key = "frame_size",
		LIMIT(frame_size),
		.scalar = &schema_power_of_two,
		.minimum = 2048,
		.maximum = 4096,
		.unit = "bytes",
		.fallback = "2048",
		.meaning = "Room for one frame and what goes before it: 4096 for an MTU above "
			   "1500.",
	},
	{
		.key = "ring_size",
		LIMIT(ring_size),
		.scalar = &schema_power_of_two,
		.minimum = RING_SIZE_MIN,
		.maximum = RING_SIZE_MAX,
		.unit = "entries",
		.fallback = "2048",
		.meaning = "Frames that each queue of an interface holds, either way.",
	},
	{
		.key = "connections",
		LIMIT(connections),
		.scalar = &schema_number,
		.minimum = 0,
		.maximum = 100000000,
		.fallback = "2000000",
		.meaning =
			"Connections to remember: so many 4-tuples, and twice as many Connection "
			"IDs. Ten million take 345 MB. 0: nothing is remembered; Maglev and what "
			"servers put into Connection IDs decide alone.",
	},
	{ .key = NULL },
};

static const struct schema_field server_id_fields[] = {
	{
		.key = "id",
		AT(config_server_id, id),
		.scalar = &config_value_server_id,
		.required = true,
		.meaning = "The id, as long as the configuration's server_id_length.",
	},
	{
		.key = "rotation",
		AT(config_server_id, rotation),
		.scalar = &schema_choice,
		.choices = rotation_names,
		.fallback = "any",
		.meaning = "Of which quic_lb configuration. any: of all with that "
			   "server_id_length.",
	},
	{ .key = NULL },
};

static const struct schema_field backend_fields[] = {
	{
		.key = "name",
		AT(config_backend, name),
		.scalar = &config_value_name,
		.required = true,
		.meaning = "Unique in its service. The choice of a backend depends on it.",
	},
	{
		.key = "addresses",
		AT(config_backend, endpoint),
		.scalar = &config_value_addresses,
		.list = &(const struct schema_list){ .minimum = 1, .maximum = FAMILY_COUNT },
		.required = true,
		.meaning = "Where it is reached, by families that the service has. In l2 mode only "
			   "to find its MAC address.",
	},
	{
		.key = "port",
		AT(config_backend, endpoint.port_be),
		.scalar = &schema_port,
		.minimum = 1,
		.maximum = UINT16_MAX,
		.fallback_note = "the port of the service",
		.meaning = "UDP port. In nat mode an address and port belong to one service; in l2 "
			   "mode it is the service's.",
	},
	{
		.key = "weight",
		AT(config_backend, weight),
		.scalar = &schema_number,
		.minimum = 0,
		.maximum = BACKEND_WEIGHT_MAX,
		.fallback = "1",
		.meaning = "Share of new connections, relative to the other backends. 0 gives it "
			   "no new ones and keeps those it has.",
	},
	{
		.key = "drain",
		AT(config_backend, drain),
		.scalar = &schema_choice,
		.choices = answer_names,
		.fallback = "no",
		.meaning = "yes: as with weight 0, whatever the weight.",
	},
	{
		.key = "server_ids",
		AT(config_backend, server_ids),
		.fields = server_id_fields,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = QUIC_LB_ROTATION_COUNT,
				.count_offset = offsetof(struct config_backend, server_id_count),
				.item_size = sizeof(struct config_server_id),
				.line_offset = offsetof(struct config_server_id, line),
				.has_shorthand = true,
			},
		.meaning = "Its ids in QUIC-LB Connection IDs. No two backends of a service have "
			   "the same. An id alone is one of rotation any.",
	},
	{ .key = NULL },
};

static const struct schema_field health_fields[] = {
	{
		.key = "probe",
		AT(config_health, probe),
		.scalar = &schema_choice,
		.choices = probe_names,
		.fallback = "none",
		.meaning =
			"How to find out whether a backend is up. quic: an Initial of an unknown "
			"version, which a server answers with Version Negotiation. udp: a "
			"datagram, and the answer to it. tcp: a connection to the same port. "
			"none: every backend is taken for up.",
	},
	{
		.key = "interval",
		AT(config_health, interval_ms),
		.scalar = &schema_duration_ms,
		.minimum = 100,
		.maximum = 3600 * 1000,
		.fallback = "1s",
		.meaning = "Time from one probe of a backend to the next.",
	},
	{
		.key = "timeout",
		AT(config_health, timeout_ms),
		.scalar = &schema_duration_ms,
		.minimum = 10,
		.maximum = 60 * 1000,
		.fallback = "500ms",
		.meaning = "How long to wait for the answer: at most the interval.",
	},
	{
		.key = "rise",
		AT(config_health, rise),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = 100,
		.unit = "probes",
		.fallback = "2",
		.meaning = "As many must be answered in a row for a backend to be up again.",
	},
	{
		.key = "fall",
		AT(config_health, fall),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = 100,
		.unit = "probes",
		.fallback = "3",
		.meaning = "As many must fail in a row for a backend to be down.",
	},
	{
		.key = "payload",
		AT(config_health, payload),
		.scalar = &config_value_bytes,
		.fallback_note = "none",
		.meaning = "What a udp probe sends, and only that.",
	},
	{
		.key = "expect",
		AT(config_health, expect),
		.scalar = &config_value_bytes,
		.fallback_note = "any answer, or none",
		.meaning =
			"What the answer to a udp probe must begin with. Without it silence is a good "
			"answer too, and only an ICMP error within the timeout is a bad one: a host "
			"that has gone is silent, and stays up.",
	},
	{
		.key = "all_down",
		AT(config_health, all_down),
		.scalar = &schema_choice,
		.choices = all_down_names,
		.fallback = "keep",
		.meaning = "When all backends of the service are down: keep sends new connections "
			   "to them nevertheless, drop drops them.",
	},
	{ .key = NULL },
};

static const struct schema_field quic_lb_fields[] = {
	{
		.key = "rotation",
		AT(config_quic_lb, rotation),
		.scalar = &schema_number,
		.minimum = 0,
		.maximum = QUIC_LB_ROTATION_COUNT - 1,
		.required = true,
		.meaning = "The codepoint in the first three bits of the Connection ID.",
	},
	{
		.key = "server_id_length",
		AT(config_quic_lb, codec.server_id_len),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = QUIC_LB_ID_LEN_MAX,
		.unit = "bytes",
		.required = true,
		.meaning = "Of the server id. With the nonce at most 19.",
	},
	{
		.key = "nonce_length",
		AT(config_quic_lb, codec.nonce_len),
		.scalar = &schema_number,
		.minimum = 4,
		.maximum = 18,
		.unit = "bytes",
		.required = true,
		.meaning = "Of the nonce.",
	},
	{
		.key = "key",
		AT(config_quic_lb, codec.key),
		.scalar = &config_value_quic_lb_key,
		.fallback_note = "the Connection IDs are not encrypted",
		.meaning = "Of AES-128, the same as the servers have. Secret.",
	},
	{ .key = NULL },
};

static const struct schema_field service_fields[] = {
	{
		.key = "name",
		AT(config_service, name),
		.scalar = &config_value_name,
		.required = true,
		.meaning = "Unique. Stands in counters and messages.",
	},
	{
		.key = "addresses",
		AT(config_service, endpoint),
		.scalar = &config_value_addresses,
		.list = &(const struct schema_list){ .minimum = 1, .maximum = FAMILY_COUNT },
		.required = true,
		.meaning = "What clients send to.",
	},
	{
		.key = "port",
		AT(config_service, endpoint.port_be),
		.scalar = &schema_port,
		.minimum = 1,
		.maximum = UINT16_MAX,
		.required = true,
		.meaning = "UDP port that clients send to.",
	},
	{
		.key = "protocol",
		AT(config_service, protocol),
		.scalar = &schema_choice,
		.choices = protocol_names,
		.fallback = "quic",
		.meaning = "quic keeps a connection by its Connection ID, udp by addresses and "
			   "ports.",
	},
	{
		.key = "mode",
		AT(config_service, mode),
		.scalar = &schema_choice,
		.choices = service_mode_names,
		.fallback = "nat",
		.meaning =
			"How datagrams reach the backend. nat rewrites the destination and keeps "
			"the client's address; the backend's answers must come back through "
			"ringway. l2 changes the MAC addresses only: the backend holds the "
			"service's address, on its loopback say, and answers clients directly.",
	},
	{
		.key = "hash",
		AT(config_service, hash),
		.scalar = &schema_choice,
		.choices = hash_names,
		.fallback = "four-tuple",
		.meaning = "What chooses the backend of a new connection: addresses and ports, or "
			   "the client's first Connection ID. The latter is for servers that keep "
			   "that ID or its beginning, and splits connections of others.",
	},
	{
		.key = "connection_id_length",
		AT(config_service, connection_id_len),
		.scalar = &schema_number,
		.minimum = 0,
		.maximum = QUIC_CID_LEN_MAX,
		.unit = "bytes",
		.fallback = "0",
		.meaning = "Of the Connection IDs that the servers choose. 0: learned from their "
			   "handshakes.",
	},
	{
		.key = "idle_timeout",
		AT(config_service, idle_timeout_s),
		.scalar = &schema_duration,
		.minimum = 1,
		.maximum = 2 * 3600,
		.fallback = "10m",
		.meaning = "How long a connection without datagrams is remembered.",
	},
	{
		.key = "discovery",
		AT(config_service, discovery),
		.scalar = &schema_choice,
		.choices = discovery_names,
		.minimum = CONFIG_DISCOVERY_NO,
		.fallback_note = "yes for quic in nat mode with answers through userspace",
		.meaning = "yes: a datagram of a connection that nobody remembers is shown to all "
			   "backends, of more than 65 to 64 at a time, and the one that answers as "
			   "the owner does gets it. Needs answers that come back through ringway.",
	},
	{
		.key = "return_path",
		AT(config_service, return_path),
		.scalar = &schema_choice,
		.choices = return_path_names,
		.fallback = "userspace",
		.meaning = "xdp: answers of backends leave from the XDP program, without a "
			   "worker; only those that Connection IDs are learned from pass "
			   "through one, and are counted by backend and by service. Nobody can be "
			   "asked then who owns a connection. The "
			   "drivers of clients' interfaces must take frames that XDP redirects "
			   "(checked where the kernel tells: Linux 6.3), and alone count what "
			   "they fail to send; a veth takes them while its peer receives by NAPI "
			   "(`ethtool -K PEER gro on`).",
	},
	{
		.key = "on_remove",
		AT(config_service, on_remove),
		.scalar = &schema_choice,
		.choices = on_remove_names,
		.fallback = "rehash",
		.meaning = "What becomes of the connections of a backend that a reload removes or "
			   "`ringwayctl flush` cuts off: rehash gives them to others, drop drops "
			   "their datagrams.",
	},
	{
		.key = "health",
		AT(config_service, health),
		.fields = health_fields,
		.meaning = "Backends that are down get no new connections.",
	},
	{
		.key = "quic_lb",
		AT(config_service, quic_lb),
		.fields = quic_lb_fields,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = QUIC_LB_ROTATION_COUNT,
				.count_offset = offsetof(struct config_service, quic_lb_count),
				.item_size = sizeof(struct config_quic_lb),
				.line_offset = offsetof(struct config_quic_lb, line),
			},
		.meaning = "How the servers encode their ids into Connection IDs "
			   "(draft-ietf-quic-load-balancers-21).",
	},
	{
		.key = "backends",
		AT(config_service, backends),
		.fields = backend_fields,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = BACKEND_COUNT_MAX,
				.count_offset = offsetof(struct config_service, backend_count),
				.item_size = sizeof(struct config_backend),
				.line_offset = offsetof(struct config_backend, line),
				.is_allocated = true,
			},
		.required = true,
		.meaning = "Who serves it. The most is that of all services together.",
	},
	{ .key = NULL },
};

const struct schema_field config_fields[] = {
	{
		.key = "engine",
		AT(config, engine),
		.scalar = &schema_choice,
		.choices = engine_names,
		.fallback = "af_xdp",
		.meaning =
			"How datagrams come and go. af_xdp: past the kernel's stack, by interfaces "
			"and queues. socket: by the kernel's UDP sockets, wherever XDP is not to "
			"be had; slower, and servers see this host's address instead of the "
			"client's. auto: af_xdp if it starts, else socket.",
	},
	{
		.key = "socket",
		AT(config, sockets),
		.present_offset = offsetof(struct config, has_sockets),
		.fields = sockets_fields,
		.meaning = "Of engine socket, and auto.",
	},
	{
		.key = "interfaces",
		AT(config, interfaces),
		.fields = interface_fields,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = PORT_COUNT_MAX,
				.count_offset = offsetof(struct config, interface_count),
				.item_size = sizeof(struct config_interface),
				.line_offset = offsetof(struct config_interface, line),
				.has_shorthand = true,
			},
		.fallback_note = "none, which only engine socket allows",
		.meaning = "Where datagrams come in and go out. A name alone is an interface in "
			   "mode auto.",
	},
	{
		.key = "queues",
		AT(config, queues),
		.scalar = &schema_number,
		.minimum = 1,
		.maximum = QUEUE_COUNT_MAX,
		.fallback_note = "all",
		.meaning = "Queues to use of each interface: one worker thread for each.",
	},
	{
		.key = "cpus",
		.offset = offsetof(struct config, cpus),
		.size = sizeof(int),
		.scalar = &schema_number,
		.minimum = 0,
		.maximum = CPU_SETSIZE - 1,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = WORKER_COUNT_MAX,
				.count_offset = offsetof(struct config, cpu_count),
				.item_size = sizeof(int),
			},
		.fallback_note = "not pinned",
		.meaning =
			"CPUs to pin workers to: the first worker to the first, and so on, from "
			"the start again when there are more workers. With `decoupled: yes` each "
			"worker takes two in a row: one for itself, one for its receiving thread.",
	},
	{
		.key = "hash_key",
		AT(config, hash_key),
		.scalar = &config_value_hash_key,
		.fallback_note = "random at each start",
		.meaning = "Secret that decides which backend gets a new connection. Give the same "
			   "to all forwarders of a service, so that they agree.",
	},
	{
		.key = "control_socket",
		AT(config, control_socket),
		.scalar = &config_value_path,
		.fallback = CONTROL_SOCKET_PATH_DEFAULT,
		.meaning = "Where ringwayctl reaches the daemon.",
	},
	{
		.key = "limits",
		AT(config, limits),
		.fields = limits_fields,
		.meaning = "Sizes that are fixed at start.",
	},
	{
		.key = "services",
		AT(config, services),
		.fields = service_fields,
		.list =
			&(const struct schema_list){
				.minimum = 1,
				.maximum = SERVICE_COUNT_MAX,
				.count_offset = offsetof(struct config, service_count),
				.item_size = sizeof(struct config_service),
				.line_offset = offsetof(struct config_service, line),
				.is_allocated = true,
			},
		.required = true,
		.meaning = "What is forwarded to whom.",
	},
	{ .key = NULL },
};
