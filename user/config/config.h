/* SPDX-License-Identifier: GPL-2.0-only */
/* config.h - the configuration file as a struct.
 *
 * Reads and judges; no side effects, no look at the machine. One schema table in
 * config.c makes the parser, `ringwayd --help-config` and the manual page; what
 * one value must be to another is in config_check*.c. */
#ifndef RINGWAY_CONFIG_CONFIG_H
#define RINGWAY_CONFIG_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/quic_lb.h"
#include "core/table.h"
#include "io/io.h"
#include "io/socket.h"
#include "ringway/limits.h"

#define CONTROL_SOCKET_PATH_DEFAULT "/run/ringway/ringwayd.sock"

enum config_engine {
	CONFIG_ENGINE_AF_XDP,
	CONFIG_ENGINE_SOCKET,
	CONFIG_ENGINE_AUTO, /* the former where it can be had, else the latter */
};

enum config_protocol {
	CONFIG_PROTOCOL_QUIC,
	CONFIG_PROTOCOL_UDP,
};

enum config_service_mode {
	CONFIG_MODE_NAT,
	CONFIG_MODE_L2,
};

enum config_hash {
	CONFIG_HASH_FOUR_TUPLE,
	CONFIG_HASH_CONNECTION_ID,
};

enum config_discovery {
	CONFIG_DISCOVERY_UNSET, /* never in a complete configuration */
	CONFIG_DISCOVERY_NO,
	CONFIG_DISCOVERY_YES,
};

enum config_return_path {
	CONFIG_RETURN_USERSPACE,
	CONFIG_RETURN_XDP,
};

enum config_on_remove {
	CONFIG_REMOVE_REHASH,
	CONFIG_REMOVE_DROP,
};

enum config_probe {
	CONFIG_PROBE_NONE,
	CONFIG_PROBE_QUIC,
	CONFIG_PROBE_UDP,
	CONFIG_PROBE_TCP,
};

enum config_all_down {
	CONFIG_ALL_DOWN_KEEP,
	CONFIG_ALL_DOWN_DROP,
};

/* Bytes that the file gives as hex digits; their text fits into a schema's. */
struct config_bytes {
	uint8_t bytes[120];
	uint8_t len; /* 0: not given */
};

struct config_health {
	enum config_probe probe;
	uint32_t interval_ms, timeout_ms; /* timeout <= interval */
	uint16_t rise, fall;
	struct config_bytes payload; /* CONFIG_PROBE_UDP, and only that, has one */
	struct config_bytes expect;  /* what its answer begins with */
	enum config_all_down all_down;
};

struct config_quic_lb {
	uint8_t rotation; /* no two alike in a service */
	struct quic_lb_config codec;
	unsigned int line;
};

#define CONFIG_ROTATION_ANY 0

struct config_server_id {
	uint8_t id[QUIC_LB_ID_LEN_MAX];
	uint8_t len;
	uint8_t rotation; /* 1 + the rotation, or CONFIG_ROTATION_ANY */
	unsigned int line;
};

struct config_interface {
	char name[IFNAMSIZ];
	enum io_mode mode; /* IO_MODE_AUTO unless the file says otherwise */
	bool clients;	   /* clients are reached through it too, not backends alone */
	unsigned int line;
};

struct config_backend {
	char name[NAME_LEN_MAX + 1]; /* unique in its service */
	struct table_endpoint endpoint;
	uint16_t weight; /* 0..BACKEND_WEIGHT_MAX */
	bool drain;	 /* takes nothing new, whatever the weight */
	struct config_server_id server_ids[QUIC_LB_ROTATION_COUNT];
	size_t server_id_count;
	unsigned int line;
};

struct config_service {
	char name[NAME_LEN_MAX + 1]; /* unique */
	struct table_endpoint endpoint;
	enum config_protocol protocol;
	enum config_service_mode mode;
	enum config_hash hash;
	uint8_t connection_id_len; /* 0: learned */
	uint32_t idle_timeout_s;
	enum config_discovery discovery;
	enum config_return_path return_path;
	enum config_on_remove on_remove;
	struct config_health health;
	struct config_quic_lb quic_lb[QUIC_LB_ROTATION_COUNT];
	size_t quic_lb_count;
	struct config_backend *backends;
	size_t backend_count; /* at least 1 */
	unsigned int line;
};

struct config_sockets {
	enum socket_calls calls;
	enum socket_steering steering;
	bool is_decoupled;
	uint32_t workers;	 /* 1..WORKER_COUNT_MAX */
	uint32_t receive_buffer; /* bytes; 0: the kernel's default */
	uint32_t flows;		 /* 0: what files allow */
	struct socket_source sources[SOCKET_SOURCE_COUNT_MAX];
	size_t source_count; /* 0: the kernel chooses */
};

struct config {
	struct config_interface interfaces[PORT_COUNT_MAX];
	size_t interface_count; /* none with CONFIG_ENGINE_SOCKET, else at least 1 */

	enum config_engine engine;
	struct config_sockets sockets; /* of the socket engine; defaults unless has_sockets */
	bool has_sockets;

	uint32_t queues;	    /* to use of each interface; 0: all there are */
	int cpus[WORKER_COUNT_MAX]; /* of workers in turn, with their receivers; none: not pinned */
	size_t cpu_count;

	uint8_t hash_key[16];
	bool has_hash_key;
	char control_socket[108]; /* path */

	struct {
		uint32_t frames;      /* of a worker */
		uint32_t frame_size;  /* bytes */
		uint32_t ring_size;   /* entries */
		uint32_t connections; /* of each affinity table */
	} limits;

	struct config_service *services;
	size_t service_count; /* at least 1 */
};

/* Is this an id under that configuration? */
static inline bool config_server_id_is_of(const struct config_server_id *id,
					  const struct config_quic_lb *quic_lb)
{
	return id->len == quic_lb->codec.server_id_len &&
	       (id->rotation == CONFIG_ROTATION_ANY || id->rotation == 1 + quic_lb->rotation);
}

/* Read path. 0 and *ret_config is the caller's (config_free), complete and
 * consistent. Otherwise -EINVAL (or the errno of reading), *ret_config untouched,
 * and every mistake in the file as one line to errors, in the order of the lines:
 * `path:line: what, and what would be right`. Control. */
int config_load(const char *path, FILE *errors, struct config **ret_config);

/* The same for text that is in memory already; path only names it in messages. */
int config_parse(const char *path, const char *text, size_t size, FILE *errors,
		 struct config **ret_config);

/* NULL is a no-op. */
void config_free(struct config *config);

/* The configuration as YAML that config_load() reads back to an equal struct. */
void config_print(const struct config *config, FILE *out);

/* Every key with type, bounds, default, unit and meaning: plain text, or the
 * scdoc source of that section of ringway.yaml(5). */
void config_help(FILE *out, bool scdoc);

#endif
