/* SPDX-License-Identifier: GPL-2.0-only */
/* engine_socket.c - the kernel's own UDP sockets: nothing is asked of interfaces, and
 * no capability is needed but for what the kernel reserves. */
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/backends.h"
#include "control/engine.h"
#include "control/start.h"
#include "io/socket_files.h"
#include "util/log.h"
#include "util/number.h"

#define FLOWS_DEFAULT 65536

/* Fewer would serve nobody: where files do not suffice for these, a start is refused. */
#define FLOWS_DEFAULT_LEAST 64

/* Open files of all else: probes, clients of the control socket, this and that. */
#define FILES_OTHER (HEALTH_PROBE_COUNT_MAX + CONTROL_CLIENT_COUNT_MAX + 64)

/* Addresses that a reload may add beyond replacing all, where files are few. */
#define ENDPOINTS_SPARE 16

static int socket_ports(struct daemon *daemon, char *error)
{
	(void)error;
	start_port_invent(daemon);
	daemon->worker_count = daemon->lineup->config->sockets.workers;
	return 0;
}

/* Where the file gives no number, what the process may have must do. */
static uint32_t flows_default(const struct socket_group_config *of_file,
			      const struct config *config)
{
	struct socket_group_config group = *of_file;
	size_t endpoints = 2 * config->service_count * FAMILY_COUNT + ENDPOINTS_SPARE;
	uint64_t needed, limit;

	group.flow_max = FLOWS_DEFAULT;
	needed = socket_files_needed(&group, endpoints);
	limit = socket_files_raise(needed);
	if (limit >= needed)
		return FLOWS_DEFAULT;
	group.flow_max = FLOWS_DEFAULT_LEAST;
	if (needed - limit < FLOWS_DEFAULT - FLOWS_DEFAULT_LEAST)
		group.flow_max = (uint32_t)(FLOWS_DEFAULT - (needed - limit));
	log_warn("%u flows instead of %u: RLIMIT_NOFILE allows this process %llu open files; raise "
		 "LimitNOFILE= in the unit (`ulimit -n` in a shell), or say by `flows` that it is "
		 "enough",
		 group.flow_max, FLOWS_DEFAULT, (unsigned long long)limit);
	return group.flow_max;
}

static int group_open(struct daemon *daemon, char *error)
{
	const struct config_sockets *sockets = &daemon->lineup->config->sockets;
	struct socket_group_config config = {
		.calls = sockets->calls,
		.steering = sockets->steering,
		.is_decoupled = sockets->is_decoupled,
		.worker_count = sockets->workers,
		.receive_buffer = sockets->receive_buffer,
		.flow_max = sockets->flows,
		.files_other = FILES_OTHER,
		.sources = sockets->sources,
		.source_count = sockets->source_count,
	};

	if (!config.flow_max)
		config.flow_max = flows_default(&config, daemon->lineup->config);
	daemon->flow_max = config.flow_max;
	return socket_group_open(&config, &daemon->sockets, error, DAEMON_ERROR_SIZE);
}

/* Of short headers: what the file says, or the shortest of its QUIC-LB configurations: what
 * all IDs have is enough to tell them apart, and what follows an ID changes. */
static uint8_t connection_id_len(const struct config_service *service)
{
	uint8_t shortest = service->connection_id_len;

	for (size_t i = 0; !service->connection_id_len && i < service->quic_lb_count; i++) {
		const struct quic_lb_config *quic_lb = &service->quic_lb[i].codec;
		uint8_t len = (uint8_t)(1 + quic_lb->server_id_len + quic_lb->nonce_len);

		if (!shortest || len < shortest)
			shortest = len;
	}
	return shortest;
}

static struct socket_endpoint endpoint_of(const struct config_service *service, enum family family)
{
	struct socket_endpoint endpoint = {
		.port_be = service->endpoint.port_be,
		.connection_id_len = connection_id_len(service),
		.is_quic = service->protocol == CONFIG_PROTOCOL_QUIC,
		.idle_ms = service->idle_timeout_s * 1000,
	};

	memcpy(endpoint.addr, service->endpoint.addr[family], sizeof(endpoint.addr));
	return endpoint;
}

static bool is_there(const struct socket_endpoint *endpoints, size_t count,
		     const struct socket_endpoint *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (endpoints[i].port_be == wanted->port_be &&
		    !memcmp(endpoints[i].addr, wanted->addr, sizeof(wanted->addr)))
			return true;
	return false;
}

/* Add those addresses of a configuration that are not there yet. Returns the count. */
static size_t endpoints_add(struct socket_endpoint *endpoints, size_t before,
			    const struct config *config)
{
	size_t count = before;

	for (size_t i = 0; i < config->service_count * FAMILY_COUNT; i++) {
		const struct config_service *service = &config->services[i / FAMILY_COUNT];
		struct socket_endpoint endpoint = endpoint_of(service, i % FAMILY_COUNT);

		if (service->endpoint.present[i % FAMILY_COUNT] &&
		    !is_there(endpoints, before, &endpoint))
			endpoints[count++] = endpoint;
	}
	return count;
}

/* 0, or the negative errno of binding to it. */
static int bind_try(const struct config_service *service, enum family family)
{
	const uint8_t *addr = service->endpoint.addr[family];
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6,
				     .sin6_port = service->endpoint.port_be };
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = service->endpoint.port_be };
	bool is_ipv4 = family == FAMILY_IPV4;
	int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	memcpy(&ipv4.sin_addr, addr + 12, sizeof(ipv4.sin_addr)); /* behind match_key's prefix */
	memcpy(&ipv6.sin6_addr, addr, sizeof(ipv6.sin6_addr));
	if (bind(fd, is_ipv4 ? (struct sockaddr *)&ipv4 : (struct sockaddr *)&ipv6,
		 is_ipv4 ? sizeof(ipv4) : sizeof(ipv6)))
		err = -errno;
	(void)close(fd);
	return err;
}

/* Sockets know of addresses only: put the name of the service before the sentence, of
 * the first one whose address is not to be had for this reason. */
static void service_name(const struct config *config, int err, char *error)
{
	char sentence[DAEMON_ERROR_SIZE];

	for (size_t i = 0; i < config->service_count * FAMILY_COUNT; i++) {
		const struct config_service *service = &config->services[i / FAMILY_COUNT];

		if (!service->endpoint.present[i % FAMILY_COUNT] ||
		    bind_try(service, i % FAMILY_COUNT) != err)
			continue;
		memcpy(sentence, error, sizeof(sentence));
		(void)fail(err, error, DAEMON_ERROR_SIZE, "service %s: %.400s", service->name,
			   sentence);
		return;
	}
}

/* Serve the addresses of a configuration, and of a second one, or NULL. */
static int listen_to(struct daemon *daemon, const struct config *config, const struct config *also,
		     char *error)
{
	size_t count = config->service_count + (also ? also->service_count : 0);
	struct socket_endpoint *endpoints = calloc(FAMILY_COUNT * count, sizeof(*endpoints));
	int err;

	if (!endpoints)
		return fail(-ENOMEM, error, DAEMON_ERROR_SIZE, "no memory for sockets");
	count = endpoints_add(endpoints, 0, config);
	if (also)
		count = endpoints_add(endpoints, count, also);
	err = socket_group_listen(daemon->sockets, endpoints, count, error, DAEMON_ERROR_SIZE);
	free(endpoints);
	/* Those of a reload that stay are taken: by this very process. */
	if (err && !(also && err == -EADDRINUSE))
		service_name(config, err, error);
	return err;
}

/* What a reload needs to open sockets for new services as the first ones were. */
static int privileges_drop(const struct config_sockets *sockets, char *error)
{
	static const unsigned int kept[] = { CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_BPF };
	size_t count = 1;

	if (sockets->receive_buffer)
		count = 2;
	if (sockets->steering == SOCKET_STEER_CONNECTION_ID)
		count = 3;
	return start_privileges_drop(kept, count, error);
}

static int socket_start(struct daemon *daemon, const struct daemon_options *unused, char *error)
{
	const struct config *config = daemon->lineup->config;
	struct io_config io = { 0 };
	/* First, as it tells of another ringwayd before that has to share its traffic:
	 * sockets of one user may be many on one address. */
	int err = start_control_socket(daemon, error);

	(void)unused;
	if (!err)
		err = start_router(daemon, error);
	if (!err)
		err = group_open(daemon, error);
	if (!err)
		err = listen_to(daemon, config, NULL, error);
	io.socket_group = daemon->sockets;
	if (!err)
		err = start_ios(daemon, &io, error);
	if (!err)
		err = privileges_drop(&config->sockets, error);
	if (!err)
		err = start_workers(daemon, error);
	return err ? err : start_probes(daemon, error);
}

/* The addresses of both, so that services which stay lose nothing, and those which are
 * new have their sockets before anybody relies on it. */
static int socket_reload_begin(struct daemon *daemon, char *error)
{
	return listen_to(daemon, daemon->next_lineup->config, daemon->lineup->config, error);
}

static void socket_reload_undo(struct daemon *daemon)
{
	char error[DAEMON_ERROR_SIZE];

	if (listen_to(daemon, daemon->lineup->config, NULL, error))
		log_error("cannot close the sockets of new services: %s", error);
}

static void socket_reload_after(struct daemon *daemon, const struct lineup *before,
				const struct lineup *now)
{
	char error[DAEMON_ERROR_SIZE];

	(void)before;
	if (listen_to(daemon, now->config, NULL, error))
		log_error("cannot close the sockets of services that are gone: %s", error);
}

const struct engine engine_socket = {
	.io = &io_socket,
	.ports = socket_ports,
	.start = socket_start,
	.next_hops = backends_invent,
	.reload_begin = socket_reload_begin,
	.reload_undo = socket_reload_undo,
	.reload_after = socket_reload_after,
};
