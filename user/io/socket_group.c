/* SPDX-License-Identifier: GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "io/socket_calls.h"
#include "io/socket_files.h"
#include "io/socket_flow.h"
#include "io/socket_group.h"
#include "io/socket_option.h"
#include "io/socket_steer.h"
#include "ringway/wire.h"
#include "util/endpoint.h"
#include "util/number.h"

/* An io_uring lets go of its sockets by deferred work, even when its process is gone. */
#define BIND_RETRY_COUNT_MAX   25
#define BIND_RETRY_NANOSECONDS 10000000

/* Bytes of a Connection ID that are enough to tell connections apart, where it is not
 * known how many there are. */
#define STEER_LEN_DEFAULT 8

/* --- The set of services --- */

static uint32_t addr_hash(const struct socket_group *group, const struct socket_addr *addr)
{
	return (uint32_t)hash_bytes(addr, sizeof(*addr), &group->secret);
}

/* The place of an address in the index, or the empty one where it would be. */
static uint32_t index_find(const struct socket_group *group, const struct socket_set *set,
			   const struct socket_addr *addr)
{
	uint32_t i = addr_hash(group, addr);

	for (;; i++) {
		uint16_t slot = set->index[i % SOCKET_INDEX_SIZE];

		if (!slot || !memcmp(&set->services[slot - 1]->addr, addr, sizeof(*addr)))
			return i % SOCKET_INDEX_SIZE;
	}
}

const struct socket_service *socket_set_find(const struct socket_group *group,
					     const struct socket_set *set,
					     const struct socket_addr *addr)
{
	uint16_t slot = set->index[index_find(group, set, addr)];

	return slot ? set->services[slot - 1] : NULL;
}

static void set_add(const struct socket_group *group, struct socket_set *set,
		    struct socket_service *service)
{
	set->services[service->slot] = service;
	set->index[index_find(group, set, &service->addr)] = (uint16_t)(service->slot + 1);
	if (set->slot_limit <= service->slot)
		set->slot_limit = service->slot + 1u;
}

static size_t set_count(const struct socket_set *set)
{
	size_t count = 0;

	for (uint32_t slot = 0; slot < set->slot_limit; slot++)
		count += set->services[slot] != NULL;
	return count;
}

static void set_free(const struct socket_set *set)
{
	free((void *)set); /* nobody reads it any more */
}

/* --- A service's sockets --- */

static void service_close(struct socket_service *service)
{
	if (!service)
		return;
	socket_steer_close(service->steer);
	for (uint32_t i = 0; i < service->end_count; i++)
		if (service->ends[i].fd >= 0)
			(void)close(service->ends[i].fd);
	free(service);
}

static void service_drops_add(const struct socket_service *service, struct socket_stats *stats)
{
	for (uint32_t i = 0; i < service->end_count; i++) {
		uint64_t dropped = socket_option_dropped(service->ends[i].fd);

		stats->dropped_service += dropped;
		if (dropped && stats->dropper_count < SOCKET_DROPPER_COUNT_MAX) {
			struct socket_dropper *dropper = &stats->droppers[stats->dropper_count++];

			*dropper = (struct socket_dropper){ .port_be = service->addr.port_be,
							    .worker = i,
							    .dropped = dropped };
			memcpy(dropper->addr, service->addr.addr, sizeof(dropper->addr));
		}
	}
}

static int service_failed(int err, const char *step, const struct socket_endpoint *endpoint,
			  char *error, size_t error_size)
{
	static const struct {
		int err;
		const char *hint;
	} hints[] = {
		{ -EADDRINUSE, "another process has it, `ss -ulnp` shows which: stop that" },
		{ -EADDRNOTAVAIL, "give this host that address: `ip address add`" },
		{ -EACCES, "ports below 1024 take root or CAP_NET_BIND_SERVICE" },
		{ -EPERM, "run as root" },
		{ -EMFILE, "raise LimitNOFILE= in the unit (`ulimit -n` in a shell)" },
	};
	char text[ENDPOINT_TEXT_SIZE];
	const char *hint = "see the kernel's log";

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (hints[i].err == err)
			hint = hints[i].hint;
	return fail(err, error, error_size, "cannot %s UDP socket for %s: %s; %s", step,
		    endpoint_format(endpoint->addr, wire_be16(endpoint->port_be), text),
		    strerror(-err), hint);
}

static int end_bind(int fd, const union socket_name *name, socklen_t size)
{
	int err = -EADDRINUSE;

	for (unsigned int i = 0; i < BIND_RETRY_COUNT_MAX && err == -EADDRINUSE; i++) {
		if (i)
			(void)nanosleep(&(struct timespec){ .tv_nsec = BIND_RETRY_NANOSECONDS },
					NULL);
		err = bind(fd, &name->any, size) ? -errno : 0;
	}
	return err;
}

static int end_listen(const struct socket_group *group, struct socket_end *end,
		      const struct socket_addr *addr)
{
	const int on = 1;
	union socket_name name;
	socklen_t size = socket_name_set(&name, end->ip_version, addr);

	end->fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (end->fd < 0)
		return -errno;
	/* Only where workers have to share it: so a second forwarder is refused. */
	if (group->config.worker_count > 1 &&
	    setsockopt(end->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
		return -errno;
	if (end->ip_version == 6 && setsockopt(end->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		return -errno;
	socket_option_receive_buffer(end->fd, group->config.receive_buffer);
	return end_bind(end->fd, &name, size);
}

static int service_steer(const struct socket_group *group, struct socket_service *service,
			 char *error, size_t error_size)
{
	int fds[WORKER_COUNT_MAX];

	if (group->config.steering != SOCKET_STEER_CONNECTION_ID || service->end_count < 2)
		return 0;
	for (uint32_t i = 0; i < service->end_count; i++)
		fds[i] = service->ends[i].fd;
	return socket_steer_open(fds, service->end_count, &service->steer, error, error_size);
}

static void service_tune(struct socket_service *service, const struct socket_endpoint *endpoint)
{
	uint32_t steered_len = 0;

	__atomic_store_n(&service->idle_ms, endpoint->idle_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&service->is_quic, endpoint->is_quic, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < service->end_count; i++)
		socket_option_fragments(service->ends[i].fd, service->ends[i].ip_version,
					endpoint->is_quic);
	if (endpoint->is_quic)
		steered_len = endpoint->connection_id_len ? endpoint->connection_id_len
							  : STEER_LEN_DEFAULT;
	socket_steer_set(service->steer, steered_len);
}

static struct socket_addr endpoint_addr(const struct socket_endpoint *endpoint)
{
	struct socket_addr addr = { .port_be = endpoint->port_be };

	memcpy(addr.addr, endpoint->addr, sizeof(addr.addr));
	return addr;
}

static int service_open(struct socket_group *group, const struct socket_endpoint *endpoint,
			uint16_t slot, struct socket_service **ret_service, char *error,
			size_t error_size)
{
	uint32_t count = group->config.worker_count;
	struct socket_service *service =
		calloc(1, sizeof(*service) + count * sizeof(service->ends[0]));
	int err = 0;

	if (!service)
		return service_failed(-ENOMEM, "open a", endpoint, error, error_size);
	service->addr = endpoint_addr(endpoint);
	service->slot = slot;
	service->serial = ++group->next_serial;
	service->end_count = count;
	for (uint32_t i = 0; i < count; i++)
		socket_end_init(&service->ends[i], NULL, &service->addr, slot);
	for (uint32_t i = 0; i < count && !err; i++)
		err = end_listen(group, &service->ends[i], &service->addr);
	if (err)
		(void)service_failed(err, "open and bind a", endpoint, error, error_size);
	else
		err = service_steer(group, service, error, error_size);
	if (err) {
		service_close(service);
		return err;
	}
	service_tune(service, endpoint);
	*ret_service = service;
	return 0;
}

/* --- Publication --- */

static int service_watch(struct socket_group *group, struct socket_service *service)
{
	for (uint32_t i = 0; i < group->config.worker_count; i++) {
		struct io *io = group->ios[i];
		int err = io ? socket_io_watch(io, &service->ends[i]) : 0;

		if (err)
			return err;
	}
	return 0;
}

int socket_group_attach(struct socket_group *group, uint32_t worker, struct io *io)
{
	const struct socket_set *set = group->set;
	int err = 0;

	for (uint32_t slot = 0; slot < set->slot_limit && !err; slot++)
		if (set->services[slot])
			err = socket_io_watch(io, &set->services[slot]->ends[worker]);
	if (err)
		return err;
	(void)pthread_mutex_lock(&group->mutex);
	group->ios[worker] = io;
	(void)pthread_mutex_unlock(&group->mutex);
	return 0;
}

void socket_group_detach(struct socket_group *group, uint32_t worker)
{
	(void)pthread_mutex_lock(&group->mutex);
	group->ios[worker] = NULL;
	(void)pthread_mutex_unlock(&group->mutex);
}

static bool set_has_service(const struct socket_set *set, const struct socket_service *service)
{
	return set->services[service->slot] == service;
}

/* Close what is in one set and not in the other. */
static void services_close(const struct socket_set *set, const struct socket_set *but)
{
	for (uint32_t slot = 0; slot < set->slot_limit; slot++)
		if (set->services[slot] && !set_has_service(but, set->services[slot]))
			service_close(set->services[slot]);
}

static void service_unwatch(const struct socket_group *group, const struct socket_service *service)
{
	for (uint32_t i = 0; i < group->config.worker_count; i++)
		if (group->ios[i])
			socket_io_unwatch(group->ios[i], &service->ends[i]);
}

/* Likewise, while workers may be reading them. An epoll tells of a socket until that is
 * closed, so before the grace period it is taken out of there: it would be found anew. */
static void services_retire(const struct socket_group *group, const struct socket_set *set,
			    const struct socket_set *but)
{
	for (uint32_t slot = 0; slot < set->slot_limit; slot++)
		if (set->services[slot] && !set_has_service(but, set->services[slot]))
			service_unwatch(group, set->services[slot]);
	urcu_qsbr_synchronize_rcu();
	services_close(set, but);
}

/* Services that stay keep their sockets and slots. */
static void set_keep(const struct socket_group *group, struct socket_set *set,
		     const struct socket_endpoint *endpoints, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct socket_addr addr = endpoint_addr(&endpoints[i]);
		const struct socket_service *service = socket_set_find(group, group->set, &addr);

		if (service)
			set_add(group, set, group->set->services[service->slot]);
	}
}

/* A slot that neither set uses: a flow's of the old one must not be taken for it. */
static int slot_free(const struct socket_set *set, const struct socket_set *old)
{
	for (int slot = 0; slot < SOCKET_ENDPOINT_COUNT_MAX; slot++)
		if (!set->services[slot] && !old->services[slot])
			return slot;
	for (int slot = 0; slot < SOCKET_ENDPOINT_COUNT_MAX; slot++)
		if (!set->services[slot])
			return slot;
	return -1;
}

static int set_extend(struct socket_group *group, struct socket_set *set,
		      const struct socket_endpoint *endpoints, size_t count, char *error,
		      size_t error_size)
{
	for (size_t i = 0; i < count; i++) {
		struct socket_service *service = NULL;
		struct socket_addr addr = endpoint_addr(&endpoints[i]);
		int slot = slot_free(set, group->set), err;

		if (socket_set_find(group, set, &addr))
			continue; /* kept */
		err = service_open(group, &endpoints[i], (uint16_t)slot, &service, error,
				   error_size);
		if (err)
			return err;
		set_add(group, set, service);
		err = service_watch(group, service);
		if (err)
			return service_failed(err, "watch a", &endpoints[i], error, error_size);
	}
	return 0;
}

static int endpoints_check(const struct socket_endpoint *endpoints, size_t count, char *error,
			   size_t error_size)
{
	static const uint8_t ipv4_any[16] = { [10] = 0xff, [11] = 0xff }, ipv6_any[16];
	char text[ENDPOINT_TEXT_SIZE];

	if (count > SOCKET_ENDPOINT_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%zu addresses: ringway takes %u", count,
			    SOCKET_ENDPOINT_COUNT_MAX);
	for (size_t i = 0; i < count; i++)
		if (!memcmp(endpoints[i].addr, ipv4_any, 16) ||
		    !memcmp(endpoints[i].addr, ipv6_any, 16) || !endpoints[i].port_be)
			return fail(-EINVAL, error, error_size,
				    "cannot listen on %s: a service needs an address of its own, "
				    "and a port",
				    endpoint_format(endpoints[i].addr,
						    wire_be16(endpoints[i].port_be), text));
	return 0;
}

int socket_group_listen(struct socket_group *group, const struct socket_endpoint *endpoints,
			size_t count, char *error, size_t error_size)
{
	const struct socket_set *old = group->set;
	struct socket_stats gone = { 0 };
	struct socket_set *set;
	int err = endpoints_check(endpoints, count, error, error_size);

	if (err)
		return err;
	set = calloc(1, sizeof(*set));
	if (!set)
		return fail(-ENOMEM, error, error_size, "out of memory for services' sockets");
	set->serial = ++group->next_serial;
	set_keep(group, set, endpoints, count);
	/* Those that go are still open when those that come are opened. */
	err = socket_files_check(&group->config, set_count(old) + count - set_count(set), error,
				 error_size);
	if (!err)
		err = set_extend(group, set, endpoints, count, error, error_size);
	if (err) {
		services_retire(group, set, old);
		set_free(set);
		return err;
	}
	for (size_t i = 0; i < count; i++) {
		struct socket_addr addr = endpoint_addr(&endpoints[i]);

		service_tune(set->services[socket_set_find(group, set, &addr)->slot],
			     &endpoints[i]);
	}
	(void)pthread_mutex_lock(&group->mutex);
	for (uint32_t slot = 0; slot < old->slot_limit; slot++)
		if (old->services[slot] && !set_has_service(set, old->services[slot]))
			service_drops_add(old->services[slot], &gone);
	group->service_dropped += gone.dropped_service;
	/* Pairs with the acquire in socket_set_of(). */
	(void)__atomic_exchange_n(&group->set, set, __ATOMIC_ACQ_REL);
	(void)pthread_mutex_unlock(&group->mutex);
	for (uint32_t i = 0; i < group->config.worker_count; i++)
		if (group->ios[i])
			io_socket.wake(group->ios[i]); /* those that have to follow themselves */
	services_retire(group, old, set);
	set_free(old);
	return 0;
}

/* --- Open and close --- */

static int config_check(const struct socket_group_config *config, char *error, size_t error_size)
{
	if (config->calls >= SOCKET_CALLS_COUNT)
		return fail(-EINVAL, error, error_size, "no such way to call the kernel");
	if (config->worker_count < 1 || config->worker_count > WORKER_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u workers: take 1 to %u",
			    config->worker_count, WORKER_COUNT_MAX);
	if (config->flow_max < 1 || config->flow_max > SOCKET_FLOW_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%u flows: take 1 to %u", config->flow_max,
			    SOCKET_FLOW_COUNT_MAX);
	if (config->source_count > SOCKET_SOURCE_COUNT_MAX)
		return fail(-EINVAL, error, error_size, "%zu source addresses: take at most %u",
			    config->source_count, SOCKET_SOURCE_COUNT_MAX);
	return 0;
}

static int group_init(struct socket_group *group, const struct socket_group_config *config)
{
	uint8_t key[16];

	group->config = *config;
	(void)pthread_mutex_init(&group->mutex, NULL);
	group->sources = calloc(config->source_count + 1, sizeof(*group->sources));
	group->set = calloc(1, sizeof(*group->set));
	if (!group->sources || !group->set)
		return -ENOMEM;
	if (config->source_count)
		memcpy(group->sources, config->sources,
		       config->source_count * sizeof(*group->sources));
	group->config.sources = group->sources;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -errno;
	hash_secret_derive(key, &group->secret);
	return socket_flows_open(group);
}

int socket_group_open(const struct socket_group_config *config, struct socket_group **ret_group,
		      char *error, size_t error_size)
{
	struct socket_group *group;
	int err = config_check(config, error, error_size);

	if (err)
		return err;
	/* For reloads to come, which may have no privileges to raise it. */
	(void)socket_files_raise(socket_files_needed(config, SOCKET_ENDPOINT_COUNT_MAX));
	group = aligned_alloc(64, (sizeof(*group) + 63) & ~(size_t)63);
	if (!group)
		return fail(-ENOMEM, error, error_size, "out of memory for sockets");
	memset(group, 0, sizeof(*group));
	err = group_init(group, config);
	if (err) {
		socket_group_close(group);
		return fail(err, error, error_size, "cannot make a table of %u flows: %s",
			    config->flow_max, strerror(-err));
	}
	*ret_group = group;
	return 0;
}

void socket_group_stats(const struct socket_group *const_group, struct socket_stats *ret_stats)
{
	struct socket_group *group = (struct socket_group *)const_group; /* for its mutex */

	*ret_stats = (struct socket_stats){
		.flows = __atomic_load_n(&group->flow_count, __ATOMIC_RELAXED),
		.dropped_flow = __atomic_load_n(&group->flow_dropped, __ATOMIC_RELAXED),
	};
	for (int i = 0; i < SOCKET_COUNTER_COUNT; i++)
		ret_stats->counts[i] = __atomic_load_n(&group->counts[i], __ATOMIC_RELAXED);
	(void)pthread_mutex_lock(&group->mutex);
	ret_stats->dropped_service = group->service_dropped;
	for (uint32_t slot = 0; slot < group->set->slot_limit; slot++)
		if (group->set->services[slot])
			service_drops_add(group->set->services[slot], ret_stats);
	(void)pthread_mutex_unlock(&group->mutex);
}

void socket_group_close(struct socket_group *group)
{
	static const struct socket_set none;

	if (!group)
		return;
	socket_flows_close(group);
	if (group->set)
		services_close(group->set, &none);
	(void)pthread_mutex_destroy(&group->mutex);
	set_free(group->set);
	free(group->sources);
	free(group);
}
