/* SPDX-License-Identifier: GPL-2.0-only */
#include "io/socket_flow.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/socket_calls.h"
#include "io/socket_option.h"
#include "util/privileges.h"

/* How often all flows are looked at, and how many at most at one time. */
#define SWEEP_MS	1000
#define SWEEP_COUNT_MAX 1024

/* How often each flow's drops are asked for, and for how many at most at one time, as each
 * is a system call. */
#define ASK_MS	      5000
#define ASK_COUNT_MAX 1600

/* Sources that are tried for one flow: where none of these has a port left, the others
 * hardly will. */
#define SOURCE_TRIES_MAX 4

/* The kernel searches all ports to find that none is free: 5 ms and more, with those of
 * some thousand flows. So strangers beyond the last port do not make it search again
 * sooner than this. */
#define NO_PORT_PAUSE_MS 1000

static int flow_matches(struct cds_lfht_node *node, const void *key)
{
	const struct socket_flow *flow = caa_container_of(node, struct socket_flow, node);

	/* The table publishes nodes itself. This pairs with the release in flow_publish()
	 * for ThreadSanitizer, which does not see into liburcu. */
	(void)__atomic_load_n(&flow->is_published, __ATOMIC_ACQUIRE);
	return !memcmp(&flow->key, key, sizeof(flow->key));
}

static unsigned long key_hash(const struct socket_group *group, const struct socket_flow_key *key)
{
	return hash_bytes(key, sizeof(*key), &group->secret);
}

struct socket_flow *socket_flow_find(struct socket_group *group, const struct socket_flow_key *key)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(group->flows, key_hash(group, key), flow_matches, key, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct socket_flow, node) : NULL;
}

/* --- Opening --- */

static int flow_connect(const struct socket_flow *flow, const struct socket_source *source)
{
	uint8_t version = flow->end.ip_version;
	union socket_name name;
	socklen_t size;

	if (source) {
		struct socket_addr addr = { 0 };

		memcpy(addr.addr, source->addr, sizeof(addr.addr));
		size = socket_name_set(&name, version, &addr);
		if (bind(flow->end.fd, &name.any, size))
			return -errno;
	}
	size = socket_name_set(&name, version, &flow->key.backend);
	return connect(flow->end.fd, &name.any, size) ? -errno : 0;
}

static bool source_is_of(const struct socket_source *source, uint8_t ip_version)
{
	return socket_addr_is_ipv4(source->addr) == (ip_version == 4);
}

/* The next source of the flow's family, each in turn; NULL: the kernel chooses. */
static const struct socket_source *source_next(struct socket_group *group, uint8_t ip_version)
{
	const struct socket_source *end = group->sources + group->config.source_count;
	const struct socket_source *source = group->sources;
	uint32_t count = 0, turn;

	for (; source < end; source++)
		count += source_is_of(source, ip_version);
	if (!count)
		return NULL;
	turn = __atomic_fetch_add(&group->next_source[ip_version == 4], 1, __ATOMIC_RELAXED);
	turn %= count;
	for (source = group->sources; !source_is_of(source, ip_version) || turn--; source++)
		;
	return source;
}

static bool is_no_port(int err)
{
	return err == -EADDRINUSE || err == -EAGAIN; /* of bind, of connect */
}

/* Has lately no port been found? Another worker's clock may be a little ahead. */
static bool ports_are_gone(struct socket_no_port *no_port, uint32_t now_ms)
{
	uint32_t since_ms = __atomic_load_n(&no_port->since_ms, __ATOMIC_RELAXED);

	if (!__atomic_load_n(&no_port->is_so, __ATOMIC_RELAXED))
		return false;
	if ((int32_t)(now_ms - since_ms) < NO_PORT_PAUSE_MS)
		return true;
	__atomic_store_n(&no_port->is_so, false, __ATOMIC_RELAXED);
	return false;
}

static void ports_have_gone(struct socket_no_port *no_port)
{
	__atomic_store_n(&no_port->since_ms, socket_clock_coarse_ms(), __ATOMIC_RELAXED);
	__atomic_store_n(&no_port->is_so, true, __ATOMIC_RELAXED);
}

static int flow_socket_open(struct socket_group *group, struct socket_flow *flow, bool is_quic)
{
	int err = -EADDRNOTAVAIL;

	for (unsigned int i = 0; i < SOURCE_TRIES_MAX; i++) {
		const struct socket_source *source = source_next(group, flow->end.ip_version);

		flow->end.fd = socket(flow->end.ip_version == 4 ? AF_INET : AF_INET6,
				      SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (flow->end.fd < 0)
			return -errno;
		socket_option_fragments(flow->end.fd, flow->end.ip_version, is_quic);
		err = flow_connect(flow, source);
		if (!err)
			return 0;
		(void)close(flow->end.fd);
		flow->end.fd = -1;
		if (!source)
			break;
	}
	return err;
}

static void flow_free(struct socket_flow *flow)
{
	if (flow->end.fd >= 0)
		(void)close(flow->end.fd);
	(void)__atomic_fetch_sub(&flow->group->flow_count, 1, __ATOMIC_RELAXED);
	free(flow);
}

static int flows_reserve(struct socket_flows *flows)
{
	uint32_t capacity = flows->capacity ? 2 * flows->capacity : 64;
	struct socket_flow **grown;

	if (flows->count < flows->capacity)
		return 0;
	grown = reallocarray(flows->flows, capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	flows->flows = grown;
	flows->capacity = capacity;
	return 0;
}

static struct socket_flow *flow_new(struct socket_group *group, const struct socket_flow_key *key,
				    const struct socket_service *service, uint32_t now_ms)
{
	struct socket_flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	socket_end_init(&flow->end, &key->backend, &key->client, service->slot);
	flow->key = *key;
	flow->slot = service->slot;
	flow->serial = service->serial;
	flow->touched_ms = now_ms;
	flow->group = group;
	cds_lfht_node_init(&flow->node);
	return flow;
}

/* With its socket, and room for it among the worker's own. */
static int flow_make(struct socket_group *group, struct socket_flows *flows,
		     const struct socket_flow_key *key, const struct socket_service *service,
		     uint32_t now_ms, struct socket_flow **ret_flow)
{
	bool is_ipv4 = socket_addr_is_ipv4(key->backend.addr);
	struct socket_no_port *no_port = &group->no_port[is_ipv4 ? 0 : 1];
	struct socket_flow *flow;
	int err;

	if (ports_are_gone(no_port, now_ms))
		return -EADDRINUSE;
	flow = flows_reserve(flows) ? NULL : flow_new(group, key, service, now_ms);
	if (!flow)
		return -ENOMEM;
	err = flow_socket_open(group, flow, __atomic_load_n(&service->is_quic, __ATOMIC_RELAXED));
	if (err) {
		free(flow);
		if (is_no_port(err))
			ports_have_gone(no_port);
		return err;
	}
	*ret_flow = flow;
	return 0;
}

/* Into the table and among the worker's own, or nothing: the flow that was there. */
static struct socket_flow *flow_publish(struct socket_group *group, struct socket_flows *flows,
					struct socket_flow *flow)
{
	struct cds_lfht_node *node;

	__atomic_store_n(&flow->is_published, true, __ATOMIC_RELEASE); /* see flow_matches() */
	node = cds_lfht_add_unique(group->flows, key_hash(group, &flow->key), flow_matches,
				   &flow->key, &flow->node);
	if (node != &flow->node)
		return caa_container_of(node, struct socket_flow, node);
	flow->index = flows->count;
	flows->flows[flows->count++] = flow;
	socket_count(group, SOCKET_COUNT_FLOWS_OPENED, 1);
	return flow;
}

int socket_flow_open(struct socket_group *group, struct socket_flows *flows,
		     const struct socket_flow_key *key, uint16_t slot, uint32_t now_ms,
		     struct socket_flow **ret_flow, bool *ret_is_own)
{
	const struct socket_service *service = socket_set_slot(socket_set_of(group), slot);
	struct socket_flow *flow;
	int err;

	if (!service)
		return -ENOENT; /* gone since the datagram came in */
	if (__atomic_add_fetch(&group->flow_count, 1, __ATOMIC_RELAXED) > group->config.flow_max) {
		(void)__atomic_fetch_sub(&group->flow_count, 1, __ATOMIC_RELAXED);
		socket_count(group, SOCKET_COUNT_FLOWS_REFUSED, 1);
		return -ENOBUFS;
	}
	err = flow_make(group, flows, key, service, now_ms, &flow);
	if (err) {
		(void)__atomic_fetch_sub(&group->flow_count, 1, __ATOMIC_RELAXED);
		socket_count(group, SOCKET_COUNT_FLOW_ERRORS, 1);
		return err;
	}
	*ret_flow = flow_publish(group, flows, flow);
	*ret_is_own = *ret_flow == flow;
	if (!*ret_is_own)
		flow_free(flow);
	return 0;
}

/* --- Closing --- */

/* What the kernel had no room for in the flow's socket, since last asked. */
static void flow_drops_count(struct socket_flow *flow)
{
	uint32_t dropped = socket_option_dropped(flow->end.fd);

	(void)__atomic_fetch_add(&flow->group->flow_dropped, dropped - flow->dropped,
				 __ATOMIC_RELAXED);
	flow->dropped = dropped;
}

static bool flow_is_over(const struct socket_flow *flow, const struct socket_set *set,
			 uint32_t now_ms)
{
	const struct socket_service *service = socket_set_slot(set, flow->slot);
	uint32_t idle_ms = now_ms - __atomic_load_n(&flow->touched_ms, __ATOMIC_RELAXED);

	/* Another worker's clock may be a little ahead of ours. */
	return !service || service->serial != flow->serial ||
	       ((int32_t)idle_ms >= 0 &&
		idle_ms > __atomic_load_n(&service->idle_ms, __ATOMIC_RELAXED));
}

void socket_flows_remove(struct socket_group *group, struct socket_flows *flows,
			 struct socket_flow *flow)
{
	struct socket_flow *last = flows->flows[--flows->count];

	(void)cds_lfht_del(group->flows, &flow->node);
	flows->flows[flow->index] = last;
	last->index = flow->index;
	flow_drops_count(flow);
	socket_count(group, SOCKET_COUNT_FLOWS_EXPIRED, 1);
}

/* Each in turn. */
static void flows_ask(struct socket_flows *flows, uint32_t elapsed_ms)
{
	uint64_t asks = (uint64_t)flows->count * elapsed_ms / ASK_MS + 1;

	if (asks > ASK_COUNT_MAX)
		asks = ASK_COUNT_MAX;
	for (uint64_t i = 0; i < asks && i < flows->count; i++) {
		flows->asked = flows->asked + 1 < flows->count ? flows->asked + 1 : 0;
		flow_drops_count(flows->flows[flows->asked]);
	}
}

uint32_t socket_flows_budget(struct socket_flows *flows, uint32_t now_ms)
{
	uint32_t elapsed_ms = now_ms - flows->swept_ms;
	uint64_t budget;

	if (!elapsed_ms || !flows->count)
		return 0;
	flows->swept_ms = now_ms;
	budget = (uint64_t)flows->count * elapsed_ms / SWEEP_MS + 1;
	if (budget > flows->count)
		budget = flows->count;
	flows_ask(flows, elapsed_ms);
	return budget < SWEEP_COUNT_MAX ? (uint32_t)budget : SWEEP_COUNT_MAX;
}

struct socket_flow *socket_flows_idle(struct socket_group *group, struct socket_flows *flows,
				      uint32_t now_ms, uint32_t *budget)
{
	const struct socket_set *set = socket_set_of(group);

	while (*budget && flows->count) {
		struct socket_flow *flow;

		--*budget;
		if (flows->hand >= flows->count)
			flows->hand = 0;
		flow = flows->flows[flows->hand];
		if (!flow_is_over(flow, set, now_ms)) {
			flows->hand++;
			continue;
		}
		socket_flows_remove(group, flows, flow);
		return flow;
	}
	return NULL;
}

static void flow_reclaim(struct rcu_head *rcu)
{
	flow_free(caa_container_of(rcu, struct socket_flow, rcu));
}

void socket_flow_retire(struct socket_flow *flow)
{
	urcu_qsbr_call_rcu(&flow->rcu, flow_reclaim);
}

/* --- The table --- */

/* Runs in the thread that closes flows. That was started before others dropped theirs. */
static void closer_privileges_drop(struct rcu_head *rcu)
{
	(void)rcu;
	(void)privileges_drop(NULL, 0);
}

int socket_flows_open(struct socket_group *group)
{
	unsigned long buckets = 64;

	/* One flow a bucket; it never grows, so nothing of it runs in the background. */
	while (buckets < group->config.flow_max)
		buckets *= 2;
	group->flows = cds_lfht_new_flavor(buckets, buckets, buckets, 0, &urcu_qsbr_flavor, NULL);
	/* The thread that closes flows: started here, it is on no worker's CPU. */
	if (!group->flows || !urcu_qsbr_get_default_call_rcu_data())
		return -ENOMEM;
	urcu_qsbr_call_rcu(&group->closer, closer_privileges_drop);
	return 0;
}

void socket_flows_close(struct socket_group *group)
{
	struct cds_lfht_node *node;
	struct cds_lfht_iter iter;

	if (!group->flows)
		return;
	urcu_qsbr_barrier();
	cds_lfht_first(group->flows, &iter);
	while ((node = cds_lfht_iter_get_node(&iter))) {
		(void)cds_lfht_del(group->flows, node);
		cds_lfht_next(group->flows, &iter); /* has it at hand already */
		flow_free(caa_container_of(node, struct socket_flow, node));
	}
	(void)cds_lfht_destroy(group->flows, NULL);
	group->flows = NULL;
}
