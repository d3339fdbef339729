/* SPDX-License-Identifier: GPL-2.0-only */
/* next_hop.c - where an address is reached, followed as the kernel changes it.
 *
 * Events only say what to look at again; what is there now is asked for. So an
 * event that comes late, twice or not at all cannot leave a wrong answer behind,
 * and nothing is kept of the thousands of neighbours that nobody watches. */
#include "host/next_hop.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "host/netlink.h"
#include "ringway/limits.h"
#include "util/log.h"
#include "util/number.h"

enum {
	EVENT_SIZE_BYTES = 16 << 10,
	EVENT_BACKLOG_BYTES = 1 << 20, /* a full table from a routing daemon overflows anything */
	EVENT_COUNT_MAX = 4096,	       /* of one next_hops_read(): other work waits meanwhile */

	/* Forwarded frames bypass the stack, so to the kernel every next hop looks idle. It
	 * forgets idle neighbours after 60 s (gc_stale_time). */
	REFRESH_TICKS = 30,

	WARN_TICKS = 60, /* between two complaints: they may concern every neighbour */
};

/* Compared as bytes. */
struct neighbour_key {
	uint32_t ifindex;
	uint8_t addr[16];
};
_Static_assert(sizeof(struct neighbour_key) == 20, "no padding");

/* One for all watched addresses behind it: 1000 backends may share a router. */
struct neighbour {
	struct neighbour_key key; /* first: what the tree compares */
	bool is_resolved;
	uint8_t mac[6];
	uint64_t used_tick; /* when the kernel was last told that it is in use */
	LIST_HEAD(, watch) watches;
	LIST_ENTRY(neighbour) entry;
};

struct watch {
	uint32_t id;
	uint8_t addr[16];
	bool is_local;
	struct neighbour *neighbour; /* NULL: local, or no route */
	struct next_hop hop;	     /* as last reported */
	LIST_ENTRY(watch) of_neighbour;
	LIST_ENTRY(watch) entry;
};

struct next_hops {
	next_hop_fn *changed;
	void *arg;
	struct netlink *netlink;
	struct mnl_socket *events;
	void *neighbour_tree; /* tsearch(3) */
	LIST_HEAD(, neighbour) neighbours;
	LIST_HEAD(, watch) watches;
	uint64_t tick;
	bool routes_changed;
	bool events_lost;
	uint64_t warn_tick; /* from when a failure to ask may be logged again */

	struct neighbour_key solicited[NEIGHBOUR_WANTED_COUNT_MAX]; /* since the last tick */
	size_t solicited_count;
};

static int key_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct neighbour_key));
}

static void neighbour_use(struct next_hops *hops, struct neighbour *neighbour)
{
	char text[ADDRESS_TEXT_SIZE];
	int err;

	neighbour->used_tick = hops->tick;
	err = netlink_neighbour_use(hops->netlink, neighbour->key.ifindex, neighbour->key.addr);
	if (!err || hops->tick < hops->warn_tick)
		return;
	hops->warn_tick = hops->tick + WARN_TICKS;
	log_warn("cannot ask for neighbour %s on interface %u: %s; trying every second%s",
		 address_format(neighbour->key.addr, text), neighbour->key.ifindex, strerror(-err),
		 err == -ENOBUFS ? "; see sysctl net.ipv4.neigh.default.gc_thresh3" : "");
}

/* Not the kernel's word on the object, but on the question: it could not be put, or
 * answered, this time. What was known stays, and is looked up again. */
static bool is_transient(int err)
{
	switch (err) {
	case -EAGAIN: /* no answer in time */
	case -EBUSY:
	case -EINTR:
	case -ENOBUFS:
	case -ENOMEM: return true;
	default: return false;
	}
}

/* What the kernel knows of it now; asks on the wire if that is nothing, once a tick. */
static void neighbour_look_up(struct next_hops *hops, struct neighbour *neighbour)
{
	uint8_t mac[6];
	int err =
		netlink_neighbour(hops->netlink, neighbour->key.ifindex, neighbour->key.addr, mac);

	if (is_transient(err)) {
		hops->events_lost = true;
		return;
	}
	neighbour->is_resolved = !err;
	if (!err)
		memcpy(neighbour->mac, mac, sizeof(mac));
	if (!neighbour->is_resolved && neighbour->used_tick != hops->tick)
		neighbour_use(hops, neighbour);
}

static struct neighbour *neighbour_find(const struct next_hops *hops,
					const struct neighbour_key *key)
{
	void *node = tfind(key, &hops->neighbour_tree, key_compare);

	return node ? *(struct neighbour **)node : NULL;
}

/* NULL: out of memory. */
static struct neighbour *neighbour_add(struct next_hops *hops, const struct neighbour_key *key)
{
	struct neighbour *neighbour = calloc(1, sizeof(*neighbour));

	if (!neighbour)
		return NULL;
	neighbour->key = *key;
	if (!tsearch(neighbour, &hops->neighbour_tree, key_compare)) {
		free(neighbour);
		return NULL;
	}
	LIST_INIT(&neighbour->watches);
	LIST_INSERT_HEAD(&hops->neighbours, neighbour, entry);
	neighbour_look_up(hops, neighbour);
	return neighbour;
}

static void neighbour_free(struct next_hops *hops, struct neighbour *neighbour)
{
	(void)tdelete(&neighbour->key, &hops->neighbour_tree, key_compare);
	LIST_REMOVE(neighbour, entry);
	free(neighbour);
}

/* Frees the old neighbour when this was its last watch. */
static void watch_move(struct next_hops *hops, struct watch *watch, struct neighbour *neighbour)
{
	struct neighbour *old = watch->neighbour;

	if (old == neighbour)
		return;
	watch->neighbour = neighbour;
	if (old) {
		LIST_REMOVE(watch, of_neighbour);
		if (LIST_EMPTY(&old->watches))
			neighbour_free(hops, old);
	}
	if (neighbour)
		LIST_INSERT_HEAD(&neighbour->watches, watch, of_neighbour);
}

/* A transient error leaves the watch where it was. */
static int watch_look_up(struct next_hops *hops, struct watch *watch)
{
	struct netlink_route route = { 0 };
	struct neighbour *neighbour = NULL;
	int err = netlink_route(hops->netlink, watch->addr, &route);

	if (is_transient(err))
		return err;
	if (!err && !route.is_local) {
		struct neighbour_key key = { .ifindex = route.ifindex };

		memcpy(key.addr, route.gateway, sizeof(key.addr));
		neighbour = neighbour_find(hops, &key);
		if (!neighbour)
			neighbour = neighbour_add(hops, &key);
		if (!neighbour)
			return -ENOMEM;
	}
	watch->is_local = route.is_local;
	watch_move(hops, watch, neighbour);
	return 0;
}

static struct next_hop watch_hop(const struct watch *watch)
{
	struct next_hop hop = { .state = watch->is_local ? NEXT_HOP_LOCAL : NEXT_HOP_NO_ROUTE };
	const struct neighbour *neighbour = watch->neighbour;

	if (!neighbour)
		return hop;
	hop.state = NEXT_HOP_UNRESOLVED;
	hop.ifindex = neighbour->key.ifindex;
	memcpy(hop.gateway, neighbour->key.addr, sizeof(hop.gateway));
	if (neighbour->is_resolved) {
		hop.state = NEXT_HOP_RESOLVED;
		memcpy(hop.mac, neighbour->mac, sizeof(hop.mac));
	}
	return hop;
}

static bool hop_equals(const struct next_hop *a, const struct next_hop *b)
{
	return a->state == b->state && a->ifindex == b->ifindex &&
	       !memcmp(a->gateway, b->gateway, sizeof(a->gateway)) &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac));
}

static void watch_report(struct next_hops *hops, struct watch *watch)
{
	struct next_hop hop = watch_hop(watch);

	if (hop_equals(&hop, &watch->hop))
		return;
	watch->hop = hop;
	hops->changed(hops->arg, watch->id, &watch->hop);
}

static void neighbour_update(struct next_hops *hops, struct neighbour *neighbour)
{
	struct watch *watch;

	neighbour_look_up(hops, neighbour);
	LIST_FOREACH(watch, &neighbour->watches, of_neighbour)
	watch_report(hops, watch);
}

static void update_all_routes(struct next_hops *hops)
{
	struct watch *watch;

	hops->routes_changed = false;
	LIST_FOREACH(watch, &hops->watches, entry)
	{
		if (watch_look_up(hops, watch))
			hops->events_lost = true; /* again at the next tick */
		watch_report(hops, watch);
	}
}

static int events_open(struct mnl_socket **ret_events)
{
	static const unsigned int groups[] = {
		RTNLGRP_LINK,	   RTNLGRP_NEIGH,     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
	};
	const int backlog = EVENT_BACKLOG_BYTES;
	struct mnl_socket *events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (!events)
		return -errno;
	*ret_events = events;
	/* Without CAP_NET_ADMIN the backlog stays small, and events are lost sooner. */
	(void)setsockopt(mnl_socket_get_fd(events), SOL_SOCKET, SO_RCVBUFFORCE, &backlog,
			 sizeof(backlog));
	if (mnl_socket_bind(events, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		unsigned int group = groups[i];

		if (mnl_socket_setsockopt(events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			return -errno;
	}
	return 0;
}

int next_hops_open(next_hop_fn *changed, void *arg, struct next_hops **ret_hops, char *error,
		   size_t error_size)
{
	struct next_hops *hops = calloc(1, sizeof(*hops));
	int err;

	if (!hops)
		return fail(-ENOMEM, error, error_size, "next hops: %s", strerror(ENOMEM));
	hops->changed = changed;
	hops->arg = arg;
	hops->tick = 1; /* a new neighbour was used at tick 0: never */
	err = netlink_open(NETLINK_ROUTE, &hops->netlink);
	if (!err)
		err = events_open(&hops->events);
	if (err) {
		next_hops_close(hops);
		return fail(err, error, error_size,
			    "cannot open a netlink socket to follow routes and neighbours: %s",
			    strerror(-err));
	}
	*ret_hops = hops;
	return 0;
}

int next_hops_watch(struct next_hops *hops, uint32_t id, const uint8_t addr[16])
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return -ENOMEM;
	watch->id = id;
	memcpy(watch->addr, addr, sizeof(watch->addr));
	err = watch_look_up(hops, watch);
	if (err) {
		free(watch);
		return err;
	}
	LIST_INSERT_HEAD(&hops->watches, watch, entry);
	watch->hop = watch_hop(watch);
	hops->changed(hops->arg, watch->id, &watch->hop);
	return 0;
}

static void watch_free(struct next_hops *hops, struct watch *watch)
{
	watch_move(hops, watch, NULL);
	LIST_REMOVE(watch, entry);
	free(watch);
}

void next_hops_unwatch(struct next_hops *hops, uint32_t id)
{
	struct watch *watch;

	LIST_FOREACH(watch, &hops->watches, entry)
	{
		if (watch->id == id) {
			watch_free(hops, watch);
			return;
		}
	}
}

int next_hops_solicit(struct next_hops *hops, uint32_t ifindex, const uint8_t addr[16])
{
	struct neighbour_key key = { .ifindex = ifindex };

	memcpy(key.addr, addr, sizeof(key.addr));
	for (size_t i = 0; i < hops->solicited_count; i++)
		if (!key_compare(&key, &hops->solicited[i]))
			return 0;
	if (hops->solicited_count == NEIGHBOUR_WANTED_COUNT_MAX)
		return -EBUSY;
	hops->solicited[hops->solicited_count++] = key;
	return netlink_neighbour_use(hops->netlink, ifindex, addr);
}

int next_hops_fd(const struct next_hops *hops)
{
	return mnl_socket_get_fd(hops->events);
}

static void read_neighbour_event(struct next_hops *hops, const struct nlmsghdr *message)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	struct neighbour_key key = { .ifindex = (uint32_t)header->ndm_ifindex };
	struct neighbour *neighbour;
	const struct nlattr *attr;

	if (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)
		return; /* a bridge's forwarding table */
	mnl_attr_for_each(attr, message, sizeof(*header))
	{
		if (mnl_attr_get_type(attr) == NDA_DST)
			(void)netlink_get_address(mnl_attr_get_payload(attr),
						  mnl_attr_get_payload_len(attr), key.addr);
	}
	neighbour = neighbour_find(hops, &key);
	if (neighbour)
		neighbour_update(hops, neighbour);
}

static int read_event(const struct nlmsghdr *message, void *arg)
{
	struct next_hops *hops = arg;

	switch (message->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: read_neighbour_event(hops, message); break;
	default: hops->routes_changed = true;
	}
	return MNL_CB_OK;
}

void next_hops_read(struct next_hops *hops)
{
	char buffer[EVENT_SIZE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (int i = 0; i < EVENT_COUNT_MAX; i++) {
		ssize_t len = mnl_socket_recvfrom(hops->events, buffer, sizeof(buffer));

		if (len < 0 && errno == EAGAIN)
			break;
		if (len < 0)
			hops->events_lost = true; /* ENOBUFS: what is still queued follows */
		else
			(void)mnl_cb_run(buffer, (size_t)len, 0, 0, read_event, hops);
	}
	if (hops->routes_changed)
		update_all_routes(hops);
}

void next_hops_tick(struct next_hops *hops)
{
	struct neighbour *neighbour;
	/* Every so often, too, should an event or an answer have been misunderstood. */
	bool is_all_due = hops->events_lost || hops->tick % REFRESH_TICKS == 0;

	hops->tick++;
	hops->solicited_count = 0;
	if (is_all_due) {
		hops->events_lost = false;
		update_all_routes(hops);
	}
	LIST_FOREACH(neighbour, &hops->neighbours, entry)
	{
		if (is_all_due || !neighbour->is_resolved)
			neighbour_update(hops, neighbour);
		else if (hops->tick - neighbour->used_tick >= REFRESH_TICKS)
			neighbour_use(hops, neighbour);
	}
}

void next_hops_close(struct next_hops *hops)
{
	if (!hops)
		return;
	while (!LIST_EMPTY(&hops->watches))
		watch_free(hops, LIST_FIRST(&hops->watches));
	if (hops->events)
		(void)mnl_socket_close(hops->events);
	netlink_close(hops->netlink);
	free(hops);
}
