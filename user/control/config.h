/* SPDX-License-Identifier: GPL-2.0-only */
/* config.h - the configuration file as a struct.
 *
 * Reads and judges; no side effects, no look at the machine. One schema table in
 * config.c makes the parser, `ringwayd --help-config` and the manual page; what
 * one value must be to another is in config_check.c. */
#ifndef RINGWAY_CONTROL_CONFIG_H
#define RINGWAY_CONTROL_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/table.h"
#include "io/io.h"
#include "ringway/limits.h"

enum config_protocol {
	CONFIG_PROTOCOL_QUIC,
	CONFIG_PROTOCOL_UDP,
};

enum config_service_mode {
	CONFIG_MODE_NAT,
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
	unsigned int line;
};

struct config_service {
	char name[NAME_LEN_MAX + 1]; /* unique */
	struct table_endpoint endpoint;
	enum config_protocol protocol;
	enum config_service_mode mode;
	uint32_t idle_timeout_s;
	struct config_backend *backends;
	size_t backend_count; /* at least 1 */
	unsigned int line;
};

struct config {
	struct config_interface interfaces[PORT_COUNT_MAX];
	size_t interface_count; /* at least 1 */

	uint32_t queues;	    /* to use of each interface; 0: all there are */
	int cpus[WORKER_COUNT_MAX]; /* worker i runs on cpus[i % cpu_count]; none: not pinned */
	size_t cpu_count;

	uint8_t hash_key[16];
	bool has_hash_key;
	char control_socket[108]; /* path */

	struct {
		uint32_t frames;     /* of a worker */
		uint32_t frame_size; /* bytes */
		uint32_t ring_size;  /* entries */
	} limits;

	struct config_service *services;
	size_t service_count; /* at least 1 */
};

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
