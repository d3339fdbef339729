/* SPDX-License-Identifier: GPL-2.0-only */
/* config.c - the keys of the configuration, and reading and writing by them. */
#include "control/config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_check.h"
#include "control/config_value.h"
#include "control/control_socket.h"
#include "control/schema.h"

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

static const char *const answer_names[] = { [false] = "no", [true] = "yes", NULL };

static const char *const protocol_names[] = {
	[CONFIG_PROTOCOL_QUIC] = "quic",
	[CONFIG_PROTOCOL_UDP] = "udp",
	NULL,
};

static const char *const service_mode_names[] = {
	[CONFIG_MODE_NAT] = "nat",
	NULL,
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
		.meaning = "Where it is reached, by families that the service has.",
	},
	{
		.key = "port",
		AT(config_backend, endpoint.port_be),
		.scalar = &schema_port,
		.minimum = 1,
		.maximum = UINT16_MAX,
		.fallback_note = "the port of the service",
		.meaning = "UDP port. In nat mode an address and port belong to one service.",
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
			"ringway.",
	},
	{
		.key = "idle_timeout",
		AT(config_service, idle_timeout_s),
		.scalar = &schema_duration,
		.minimum = 1,
		.maximum = 24 * 3600,
		.fallback = "30s",
		.meaning = "How long a connection without datagrams is remembered.",
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

static const struct schema_field config_fields[] = {
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
		.required = true,
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
		.meaning = "CPUs to pin workers to: the first worker to the first, and so on, from "
			   "the start again when there are more workers.",
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

int config_parse(const char *path, const char *text, size_t size, FILE *errors,
		 struct config **ret_config)
{
	struct schema_reader *reader = NULL;
	struct config *config = calloc(1, sizeof(*config));
	int err = -ENOMEM;

	if (!config)
		goto fail;
	if (size > CONFIG_SIZE_MAX_BYTES) {
		(void)fprintf(errors, "%s:1: the file is too long: expected at most %d bytes\n",
			      path, CONFIG_SIZE_MAX_BYTES);
		err = -EINVAL;
		goto fail;
	}
	err = schema_open(text, size, &reader);
	if (err)
		goto fail;
	schema_read(reader, config_fields, config);
	err = config_check(config, reader);
	if (err)
		goto fail;
	err = schema_report(reader, path, errors);
	if (err)
		goto fail;
	schema_close(reader);
	*ret_config = config;
	return 0;
fail:
	if (err == -ENOMEM)
		(void)fprintf(errors, "%s:1: there is not enough memory to read the file\n", path);
	schema_close(reader);
	config_free(config);
	return err;
}

/* All of a file, or one byte more than may be: enough to tell that it is too long. */
static int file_read(const char *path, char *text, size_t text_size, size_t *ret_size)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	errno = 0;
	*ret_size = fread(text, 1, text_size, file);
	if (ferror(file))
		err = errno ? -errno : -EIO;
	(void)fclose(file);
	return err;
}

int config_load(const char *path, FILE *errors, struct config **ret_config)
{
	const size_t text_size = CONFIG_SIZE_MAX_BYTES + 1;
	char *text = malloc(text_size);
	size_t size = 0;
	int err = -ENOMEM;

	if (text)
		err = file_read(path, text, text_size, &size);
	if (err)
		(void)fprintf(errors, "%s:1: cannot read the file: %s: expected a readable one\n",
			      path, strerror(-err));
	else
		err = config_parse(path, text, size, errors, ret_config);
	free(text);
	return err;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->service_count; i++)
		free(config->services[i].backends);
	free(config->services);
	free(config);
}

void config_print(const struct config *config, FILE *out)
{
	schema_write(config_fields, config, out);
}

void config_help(FILE *out, bool scdoc)
{
	schema_help(config_fields, out, scdoc);
}
