/* SPDX-License-Identifier: GPL-2.0-only */
#include "route.h"

#include "cid_length.h"
#include "counter.h"
#include "hot.h"
#include "key.h"

/* Bytes after a short header's Connection ID: RFC 9000 section 5.4.2 has packet
 * number, sample and tag. What is shorter is not QUIC. */
#define SHORT_HEADER_REST 20

/* `hash: connection-id`: servers that copy a prefix of the client's choice copy at
 * least what every client's choice has (RFC 9000 section 7.2). */
#define CID_PREFIX_LEN 8

static const struct {
	const char *name, *meaning;
} rules[ROUTE_RULE_COUNT] = {
#define X(constant, name, meaning) [ROUTE_##constant] = { name, meaning },
	ROUTE_RULES(X)
#undef X
};

static const char *const counter_names[ROUTE_COUNTER_COUNT] = {
#define X(constant, name, meaning) [ROUTE_COUNT_##constant] = name,
	ROUTE_COUNTERS(X)
#undef X
};

const char *route_rule_name(enum route_rule rule)
{
	return rules[rule].name;
}

const char *route_rule_meaning(enum route_rule rule)
{
	return rules[rule].meaning;
}

const char *route_counter_name(enum route_counter counter)
{
	return counter_names[counter];
}

void router_worker_init(struct router_worker *worker, struct quic_lb_scratch *quic_lb,
			uint64_t now_ms)
{
	memset(worker, 0, sizeof(*worker));
	worker->quic_lb = quic_lb;
	guard_init(&worker->unproven, UNPROVEN_PER_PREFIX_PER_S, UNPROVEN_PER_S, now_ms);
	guard_init(&worker->copies, DISCOVERY_PER_PREFIX_PER_S, DISCOVERY_PER_S, now_ms);
}

static void count(const struct route_ctx *ctx, enum route_counter counter, uint64_t amount)
{
	counter_add(&ctx->worker->counts[counter], amount);
}

HOT_INLINE const struct service *service_of(const struct route_ctx *ctx, const struct route *route)
{
	return &ctx->table->services[route->service_slot];
}

HOT_INLINE bool remembers(const struct route_ctx *ctx)
{
	return ctx->router->tuples.line_count;
}

HOT_INLINE struct target *target_of(const struct route_ctx *ctx, const struct route *route,
				    int slot)
{
	return table_target(ctx->table, (uint16_t)slot, udp_view_family(&route->view));
}

/* A slot from the tables: may still be of a backend that was removed, or that has
 * moved to another service. */
HOT_INLINE bool slot_lives(const struct route_ctx *ctx, const struct route *route, uint16_t slot)
{
	return table_owner(ctx->table, slot, udp_view_family(&route->view)) == route->service_slot;
}

HOT_INLINE bool opens_connection(const struct route *route)
{
	return route->type == QUIC_INITIAL || route->type == QUIC_0RTT;
}

/* May wait for its owner: nothing that could open a connection. A cleared fixed bit
 * says nothing: clients that grease it do so all the time (RFC 9287). */
HOT_INLINE bool is_plain_short(const struct route *route)
{
	uint32_t rest = route->view.udp_len - sizeof(struct wire_udp) - 1;

	return route->is_quic && route->type == QUIC_SHORT &&
	       rest >= (route->has_cid ? route->cid_len : 1u) + SHORT_HEADER_REST;
}

/* --- keys ------------------------------------------------------------------ */

HOT_INLINE uint64_t cid_key_of(const struct route_ctx *ctx, const struct route *route, uint8_t len)
{
	return key_cid(route->service_slot, route->dcid, len, &ctx->router->secret);
}

/* Where route->cid_key is, of whom clients may have its Connection ID. */
HOT_INLINE struct affinity_key
cid_place_of(const struct route_ctx *ctx, const struct service *service, const struct route *route)
{
	return key_cid_place(&ctx->router->cids, route->cid_key,
			     service->is_nat ? KEY_CID_OF_SERVER : KEY_CID_OF_CLIENT);
}

/* A long header says how long its Connection ID is; for a short one it is known
 * of the service's servers. */
HOT_INLINE uint8_t cid_len_of(const struct route_ctx *ctx, const struct service *service,
			      const struct route *route)
{
	uint8_t len = service->connection_id_len;

	if (route->type != QUIC_SHORT)
		return route->dcid_len <= QUIC_CID_LEN_MAX ? (uint8_t)route->dcid_len : 0;
	if (!len)
		len = cid_length_at(&ctx->router->cid_lengths[route->service_slot], 0);
	return len <= route->dcid_len ? len : 0;
}

HOT_INLINE void tuple_key_set(const struct route_ctx *ctx, struct route *route, uint64_t key)
{
	route->tuple_key = key | 1;
	route->place = affinity_prefetch(&ctx->router->tuples, route->tuple_key);
}

HOT_INLINE void tuple_begin(const struct route_ctx *ctx, struct route *route)
{
	tuple_key_set(ctx, route, key_tuple(&route->view, &ctx->router->secret));
	route->step = ROUTE_STEP_SETTLE;
}

HOT_INLINE void cid_begin(const struct route_ctx *ctx, const struct service *service,
			  struct route *route)
{
	route->cid_key = cid_key_of(ctx, route, route->cid_len);
	route->place = cid_place_of(ctx, service, route);
	affinity_prefetch_at(&route->place);
	route->step = ROUTE_STEP_FIND;
}

HOT_INLINE bool quic_begin(const struct route *route, struct quic_header *ret_header)
{
	return !quic_parse((const uint8_t *)(route->view.udp + 1),
			   (uint16_t)(route->view.udp_len - sizeof(struct wire_udp)), ret_header);
}

HOT_INLINE void maglev_begin(const struct route_ctx *ctx, struct route *route)
{
	const struct service *service = service_of(ctx, route);
	const struct maglev *maglev = &service->maglev[udp_view_family(&route->view)];
	uint64_t hash;

	if (!maglev->size)
		return;
	if (service->hash_connection_id && route->is_quic && route->dcid_len >= CID_PREFIX_LEN)
		hash = hash_bytes(route->dcid, CID_PREFIX_LEN, &ctx->table->secret);
	else
		hash = key_tuple(&route->view, &ctx->table->secret);
	route->entry = maglev_entry(maglev, hash);
	__builtin_prefetch(route->entry);
}

/* The packet is for the backend; asks for what rewriting needs of it. */
HOT_INLINE void target_set(const struct route_ctx *ctx, struct packet *packet, struct route *route,
			   uint16_t slot)
{
	packet->slot = slot;
	route->target = target_of(ctx, route, slot);
	__builtin_prefetch(route->target);
}

HOT_INLINE void decide(const struct route_ctx *ctx, struct packet *packet, struct route *route,
		       uint16_t slot, enum route_rule rule)
{
	route->slot = (int16_t)slot;
	route->rule = rule;
	route->step = ROUTE_STEP_END;
	counter_add(&ctx->worker->decided[rule], 1);
	target_set(ctx, packet, route, slot);
}

/* (5) or (4) */
static void stranger_decide(const struct route_ctx *ctx, struct route *route)
{
	const struct service *service = service_of(ctx, route);

	route->step = ROUTE_STEP_CHOOSE;
	if (route->is_gone)
		route->rule = ROUTE_GONE;
	else if (!is_plain_short(route) || service->hash_connection_id)
		route->rule = ROUTE_NEW;
	else
		route->rule =
			service->discovers && remembers(ctx) ? ROUTE_DISCOVERY : ROUTE_UNKNOWN;
	if (route->rule != ROUTE_DISCOVERY)
		route->slot = -1;
	if (route->slot < 0)
		maglev_begin(ctx, route);
}

/* What decides unless the Connection ID names a server. */
HOT_INLINE void memory_begin(const struct route_ctx *ctx, const struct service *service,
			     struct route *route)
{
	if (route->has_cid)
		cid_begin(ctx, service, route);
	else if (remembers(ctx))
		tuple_begin(ctx, route);
	else
		stranger_decide(ctx, route);
}

/* All that is not written later in any case. */
HOT_INLINE void route_clear(struct route *route, uint16_t service_slot, int16_t slot)
{
	route->entry = NULL;
	route->slot = slot;
	route->rule = ROUTE_NEW;
	route->service_slot = service_slot;
	route->cid_len = 0;
	route->is_quic = false;
	route->has_cid = false;
	route->is_gone = false;
	route->is_proof = false;
	route->asks_all = false;
	route->type = QUIC_SHORT;
}

/* True: the Connection ID may name a server. */
HOT_INLINE bool route_begin(const struct route_ctx *ctx, uint16_t service_slot, struct route *route)
{
	const struct service *service = &ctx->table->services[service_slot];
	struct quic_header quic;

	route_clear(route, service_slot, -1);
	if (service->is_quic && quic_begin(route, &quic)) {
		route->is_quic = true;
		route->type = (uint8_t)quic.type;
		route->dcid = quic.dcid;
		route->dcid_len = quic.dcid_len;
		if (remembers(ctx)) {
			route->cid_len = cid_len_of(ctx, service, route);
			route->has_cid = route->cid_len >= CID_LEARN_LEN_MIN;
		}
		if (service->quic_lb)
			return true;
	}
	memory_begin(ctx, service, route);
	return false;
}

/* --- tables ---------------------------------------------------------------- */

HOT_INLINE bool place_find(const struct route_ctx *ctx, const struct route *route,
			   const struct affinity_key *place, struct affinity_entry *ret_entry)
{
	return affinity_find_at(place, ctx->now_ticks, service_of(ctx, route)->idle_ticks,
				ret_entry);
}

HOT_INLINE bool tuple_find(const struct route_ctx *ctx, const struct route *route,
			   struct affinity_entry *ret_entry)
{
	return place_find(ctx, route, &route->place, ret_entry);
}

/* May a stranger at client's address have one more entry? */
static bool unproven_take(const struct route_ctx *ctx, const struct udp_view *view, bool is_back)
{
	bool is_ipv6 = view->ip_version == 6;
	const uint8_t *client = is_ipv6 ? (is_back ? view->ipv6->dst : view->ipv6->src)
					: (is_back ? view->ipv4->dst : view->ipv4->src);

	if (ctx->is_dry)
		return false;
	if (guard_take(&ctx->worker->unproven, client, is_ipv6, 1, ctx->now_ms))
		return true;
	count(ctx, ROUTE_COUNT_RATIONED, 1);
	return false;
}

RARE void entry_refresh(const struct route_ctx *ctx, struct affinity_entry entry, bool is_proof)
{
	affinity_touch(&entry, is_proof, ctx->now_ticks);
}

HOT_INLINE void entry_touch(const struct route_ctx *ctx, const struct affinity_entry *entry,
			    bool is_proof)
{
	if ((entry->age_ticks || (is_proof && !entry->proven)) && !ctx->is_dry)
		entry_refresh(ctx, *entry, is_proof);
}

RARE bool entry_replace(const struct route_ctx *ctx, const struct affinity_entry *entry,
			uint16_t slot)
{
	return !ctx->is_dry && affinity_replace(entry, slot, ctx->now_ticks);
}

static void tuple_insert(const struct route_ctx *ctx, const struct route *route, uint16_t slot,
			 bool is_back)
{
	if (unproven_take(ctx, &route->view, is_back))
		(void)affinity_insert_at(&route->place, slot, false, ctx->now_ticks,
					 ctx->table->idle_ticks_max, &ctx->worker->tuple_stats);
}

static void cid_insert(const struct route_ctx *ctx, const struct affinity_key *place, uint16_t slot)
{
	(void)affinity_insert_at(place, slot, false, ctx->now_ticks, ctx->table->idle_ticks_max,
				 &ctx->worker->cid_stats);
}

/* At most CIDS_PER_TUPLE_PER_MINUTE: a client may not fill the table alone. */
static bool pace_take(const struct route_ctx *ctx, const struct route *route)
{
	struct route_pace *pace =
		&ctx->worker->paces[route->tuple_key >> 32 & (ROUTE_PACE_COUNT - 1)];
	uint16_t minute = (uint16_t)(ctx->now_ms / 60000);

	if (pace->tag != (uint32_t)route->tuple_key || pace->minute != minute)
		*pace = (struct route_pace){ .tag = (uint32_t)route->tuple_key, .minute = minute };
	if (pace->count == CIDS_PER_TUPLE_PER_MINUTE)
		return false;
	pace->count++;
	return true;
}

/* The client uses an unknown Connection ID on a 4-tuple that is known. */
static void cid_learn(const struct route_ctx *ctx, const struct route *route, uint16_t slot)
{
	struct affinity_entry known;
	struct affinity_key place;

	if (!route->has_cid)
		return;
	place = key_cid_place(&ctx->router->cids, route->cid_key, KEY_CID_OF_CLIENT);
	if (place_find(ctx, route, &place, &known) || !pace_take(ctx, route) ||
	    !unproven_take(ctx, &route->view, false))
		return;
	cid_insert(ctx, &place, slot);
}

/* --- a client's datagram ---------------------------------------------------- */

/* The connection is known, but not its backend: drop, or treat it as new. */
RARE int gone_decide(const struct route_ctx *ctx, struct route *route)
{
	if (service_of(ctx, route)->drops_gone)
		return DROP_BACKEND_GONE;
	route->is_gone = true;
	return ROUTE_FORWARD;
}

/* By its client. Where answers do not come by, nothing shows that it hears its server. That
 * it is still there in another tick must do: what a flood makes up is used once. */
HOT_INLINE void entry_use(const struct route_ctx *ctx, const struct route *route,
			  const struct affinity_entry *entry, bool is_proof)
{
	bool has_lasted = entry->age_ticks && service_of(ctx, route)->client_keeps;

	entry_touch(ctx, entry, is_proof || has_lasted);
}

/* With answers on the way through here, they keep the 4-tuple's time; without, its
 * client does. is_proof: the client uses what a server has named. */
HOT_INLINE void tuple_touch(const struct route_ctx *ctx, const struct route *route,
			    const struct affinity_entry *tuple, bool is_proof)
{
	if (service_of(ctx, route)->client_keeps || !route->is_quic)
		entry_use(ctx, route, tuple, is_proof);
	else if (is_proof && !tuple->proven && !ctx->is_dry)
		affinity_touch(tuple, true, (ctx->now_ticks - tuple->age_ticks) & 0xfff);
}

static void tuple_keep(const struct route_ctx *ctx, const struct route *route)
{
	struct affinity_entry tuple;

	if (!tuple_find(ctx, route, &tuple))
		tuple_insert(ctx, route, (uint16_t)route->slot, false);
	else if (tuple.slot == route->slot)
		tuple_touch(ctx, route, &tuple, route->is_proof);
}

/* Other lengths that this service's servers use, then what clients have taught. */
RARE bool cid_find_otherwise(const struct route_ctx *ctx, const struct route *route,
			     const struct affinity_key *place, struct affinity_entry *ret_entry,
			     bool *ret_is_proof)
{
	const struct service *service = service_of(ctx, route);
	const uint64_t *lengths = &ctx->router->cid_lengths[route->service_slot];
	struct affinity_key other;

	*ret_is_proof = true;
	for (unsigned int i = 1;
	     route->type == QUIC_SHORT && !service->connection_id_len && i < CID_LENGTH_COUNT_MAX;
	     i++) {
		uint8_t len = cid_length_at(lengths, i);

		if (!len || len > route->dcid_len)
			continue;
		other = key_cid_place(&ctx->router->cids, cid_key_of(ctx, route, len),
				      KEY_CID_OF_SERVER);
		if (place_find(ctx, route, &other, ret_entry))
			return true;
	}
	*ret_is_proof = false;
	other = affinity_key_twin(place);
	return place_find(ctx, route, &other, ret_entry);
}

/* place: of route->cid_key. */
HOT_INLINE bool cid_find(const struct route_ctx *ctx, const struct route *route,
			 const struct affinity_key *place, struct affinity_entry *ret_entry,
			 bool *ret_is_proof)
{
	bool is_nat = service_of(ctx, route)->is_nat;
	struct affinity_entry other; /* so that *ret_entry may stay in registers */

	*ret_is_proof = is_nat;
	if (place_find(ctx, route, place, ret_entry))
		return true;
	if (!is_nat || !cid_find_otherwise(ctx, route, place, &other, ret_is_proof))
		return false;
	*ret_entry = other;
	return true;
}

/* Once a tick will do: meanwhile answers keep the 4-tuple. */
RARE void cid_use(const struct route_ctx *ctx, struct route *route, struct affinity_entry entry)
{
	entry_use(ctx, route, &entry, route->is_proof);
	tuple_begin(ctx, route);
	route->step = ROUTE_STEP_KEEP;
}

/* (2) */
HOT_INLINE int route_find(const struct route_ctx *ctx, struct packet *packet, struct route *route)
{
	struct affinity_entry entry;

	if (!cid_find(ctx, route, &route->place, &entry, &route->is_proof)) {
		tuple_begin(ctx, route);
		return ROUTE_FORWARD;
	}
	if (!slot_lives(ctx, route, entry.slot)) {
		tuple_begin(ctx, route);
		return gone_decide(ctx, route);
	}
	decide(ctx, packet, route, entry.slot, ROUTE_CID);
	if (!affinity_is_settled(&entry, ctx->now_ticks))
		cid_use(ctx, route, entry);
	return ROUTE_FORWARD;
}

/* Where no answers come by, the server's Connection ID is unknown in a handshake's second
 * Initial. A 4-tuple that has not lasted is one in which that is to be expected. */
static bool is_handshake(const struct route_ctx *ctx, const struct route *route,
			 const struct affinity_entry *tuple)
{
	return !service_of(ctx, route)->is_nat && !tuple->proven && tuple->age_ticks <= 1;
}

/* Does a known 4-tuple decide for this datagram, whose Connection ID is unknown? */
static bool tuple_binds(const struct route_ctx *ctx, const struct route *route,
			const struct affinity_entry *tuple)
{
	if (!route->is_quic)
		return true;
	if (opens_connection(route) && !target_of(ctx, route, tuple->slot)->accepts_new)
		return is_handshake(ctx, route, tuple);
	return !is_plain_short(route) || !service_of(ctx, route)->discovers ||
	       tuple->age_ticks <= ROUTE_OWNER_TICKS;
}

/* (3); a 4-tuple that does not decide leaves in route->slot whom to ask first. */
static int tuple_decide(const struct route_ctx *ctx, struct packet *packet, struct route *route)
{
	struct affinity_entry tuple;

	if (!tuple_find(ctx, route, &tuple))
		return ROUTE_FORWARD;
	if (!slot_lives(ctx, route, tuple.slot))
		return opens_connection(route) ? ROUTE_FORWARD : gone_decide(ctx, route);
	if (!tuple_binds(ctx, route, &tuple)) {
		if (is_plain_short(route))
			route->slot = (int16_t)tuple.slot;
		return ROUTE_FORWARD;
	}
	tuple_touch(ctx, route, &tuple, false);
	if (route->is_quic)
		cid_learn(ctx, route, tuple.slot);
	decide(ctx, packet, route, tuple.slot, ROUTE_TUPLE);
	return ROUTE_FORWARD;
}

HOT_INLINE int route_settle(const struct route_ctx *ctx, struct packet *packet, struct route *route)
{
	int reason = ROUTE_FORWARD;

	if (route->step == ROUTE_STEP_KEEP) {
		tuple_keep(ctx, route);
		return ROUTE_FORWARD;
	}
	if (!route->is_gone)
		reason = tuple_decide(ctx, packet, route);
	if (route->step != ROUTE_STEP_END)
		stranger_decide(ctx, route);
	return reason;
}

/* A server made the Connection ID that is not there any more: no table has it. */
RARE void named_gone(const struct route_ctx *ctx, struct route *route)
{
	route->has_cid = false;
	route->verdict = (int16_t)gone_decide(ctx, route);
	if (remembers(ctx))
		tuple_begin(ctx, route);
	else
		stranger_decide(ctx, route);
}

/* (1): a crafted Connection ID must not choose the backend of a new connection. */
static void route_named(const struct route_ctx *ctx, struct packet *packet, struct route *route,
			int32_t lb_slot)
{
	bool lives = lb_slot >= 0 && slot_lives(ctx, route, (uint16_t)lb_slot);

	if (lives && (!opens_connection(route) || target_of(ctx, route, lb_slot)->accepts_new))
		decide(ctx, packet, route, (uint16_t)lb_slot, ROUTE_QUIC_LB);
	else if (lb_slot >= 0 && !lives && !opens_connection(route))
		named_gone(ctx, route);
	else
		memory_begin(ctx, service_of(ctx, route), route);
}

static const uint8_t *client_of(const struct route *route)
{
	return route->view.ip_version == 6 ? route->view.ipv6->src : route->view.ipv4->src;
}

/* May asking cost the client's prefix so many copies more? */
static bool asking_take(const struct route_ctx *ctx, const struct route *route, uint32_t copies)
{
	return guard_take(&ctx->worker->copies, client_of(route), route->view.ip_version == 6,
			  copies, ctx->now_ms);
}

/* Copies for all others of the service. */
static bool copies_take(const struct route_ctx *ctx, const struct route *route)
{
	uint32_t copies = service_of(ctx, route)->backend_count - 1u;

	return asking_take(ctx, route,
			   copies > DISCOVERY_COPIES_MAX ? DISCOVERY_COPIES_MAX : copies);
}

static bool discovery_begin(const struct route_ctx *ctx, const struct route *route, uint16_t len)
{
	uint16_t prefix = (uint16_t)guard_prefix(client_of(route), route->view.ip_version == 6);

	if (!asking_take(ctx, route, DISCOVERY_QUESTION_COPIES) ||
	    !discovery_start(&ctx->router->discovery, route->tuple_key, prefix, len, ctx->now_ms,
			     (uint16_t)route->slot))
		return false;
	count(ctx, ROUTE_COUNT_DISCOVERIES, 1);
	return true;
}

RARE void discovery_decide(const struct route_ctx *ctx, struct route *route)
{
	uint16_t slot = (uint16_t)route->slot;
	uint16_t len = (uint16_t)(route->view.udp_len - sizeof(struct wire_udp));
	bool is_asked = true;

	switch (discovery_ask(&ctx->router->discovery, route->tuple_key, len, ctx->now_ms, &slot)) {
	case DISCOVERY_NEW: is_asked = discovery_begin(ctx, route, len); break;
	case DISCOVERY_REFUSED: is_asked = false; break;
	case DISCOVERY_ALL: route->asks_all = copies_take(ctx, route); break;
	}
	if (!is_asked) {
		count(ctx, ROUTE_COUNT_DISCOVERY_REFUSED, 1);
		route->rule = ROUTE_UNKNOWN;
	} else if (slot_lives(ctx, route, slot)) {
		route->slot = (int16_t)slot;
	}
}

/* The backend that now gets a connection which had another. */
RARE void gone_learn(const struct route_ctx *ctx, const struct route *route)
{
	struct affinity_key cid = cid_place_of(ctx, service_of(ctx, route), route);
	struct affinity_entry entry;
	bool is_proof;

	if (route->has_cid && cid_find(ctx, route, &cid, &entry, &is_proof) &&
	    entry.slot != route->slot)
		(void)entry_replace(ctx, &entry, (uint16_t)route->slot);
	if (tuple_find(ctx, route, &entry) && !slot_lives(ctx, route, entry.slot))
		(void)entry_replace(ctx, &entry, (uint16_t)route->slot);
}

/* Who opens a connection on a 4-tuple that names another backend: one that is gone, or
 * takes no new ones. Answers will say whose the 4-tuple is. Without them it goes with the
 * newcomer, of whose server's Connection IDs nothing else will tell; those of an older
 * connection are known, where the service says how long they are. */
RARE void newcomer_learn(const struct route_ctx *ctx, const struct route *route,
			 struct affinity_entry tuple)
{
	if (!slot_lives(ctx, route, tuple.slot) ||
	    (!service_of(ctx, route)->is_nat && !target_of(ctx, route, tuple.slot)->accepts_new))
		(void)entry_replace(ctx, &tuple, (uint16_t)route->slot);
}

static void stranger_learn(const struct route_ctx *ctx, const struct route *route)
{
	struct affinity_entry known;

	if (route->rule == ROUTE_GONE)
		gone_learn(ctx, route);
	else if (route->rule != ROUTE_NEW || (route->is_quic && route->type == QUIC_SHORT))
		return;
	else if (tuple_find(ctx, route, &known))
		newcomer_learn(ctx, route, known);
	else
		tuple_insert(ctx, route, (uint16_t)route->slot, false);
}

/* Maglev's choice, or whom to ask. What is new is learned. */
static int route_choose(const struct route_ctx *ctx, struct packet *packet, struct route *route)
{
	if (route->slot < 0 && route->entry)
		route->slot = (int16_t)*route->entry;
	if (route->slot < 0)
		return DROP_NO_BACKEND;
	if (route->rule == ROUTE_DISCOVERY && !ctx->is_dry)
		discovery_decide(ctx, route);
	else if (route->entry && remembers(ctx))
		stranger_learn(ctx, route);
	decide(ctx, packet, route, (uint16_t)route->slot, route->rule);
	return ROUTE_FORWARD;
}

/* --- a backend's answer ------------------------------------------------------ */

HOT_INLINE void route_back_begin(const struct route_ctx *ctx, uint16_t slot, struct route *route)
{
	struct target *target = table_target(ctx->table, slot, udp_view_family(&route->view));
	struct quic_header quic;

	route_clear(route, target->service_slot, (int16_t)slot);
	route->target = target;
	route->step = remembers(ctx) ? ROUTE_STEP_LEARN : ROUTE_STEP_END;
	if (!remembers(ctx))
		return;
	tuple_key_set(ctx, route, key_tuple_back(&route->view, target, &ctx->router->secret));
	if (!service_of(ctx, route)->is_quic || !quic_begin(route, &quic))
		return;
	route->is_quic = true;
	route->type = (uint8_t)quic.type;
	if (quic.type == QUIC_SHORT || quic.type == QUIC_VERSION_NEGOTIATION ||
	    quic.scid_len < CID_LEARN_LEN_MIN || quic.scid_len > QUIC_CID_LEN_MAX)
		return;
	route->has_cid = true;
	route->cid_len = (uint8_t)quic.scid_len;
	route->cid_key =
		key_cid(route->service_slot, quic.scid, route->cid_len, &ctx->router->secret);
	(void)affinity_prefetch(&ctx->router->cids, route->cid_key);
}

/* An entry that another backend has not used lately goes to who answers now. */
RARE void entry_take_over(const struct route_ctx *ctx, struct affinity_entry entry, uint16_t slot)
{
	if (entry.age_ticks > ROUTE_OWNER_TICKS && entry_replace(ctx, &entry, slot))
		count(ctx, ROUTE_COUNT_REPLACED, 1);
}

/* The source of a long header is the Connection ID that the client is to use. */
RARE void server_cid_learn(const struct route_ctx *ctx, const struct route *route, uint16_t slot)
{
	struct affinity_key place =
		key_cid_place(&ctx->router->cids, route->cid_key, KEY_CID_OF_SERVER);
	struct affinity_entry entry;

	cid_length_count(&ctx->router->cid_lengths[route->service_slot], route->cid_len);
	if (!place_find(ctx, route, &place, &entry)) {
		if (unproven_take(ctx, &route->view, true))
			cid_insert(ctx, &place, slot);
	} else if (entry.slot == slot) {
		entry_touch(ctx, &entry, false);
	} else {
		entry_take_over(ctx, entry, slot);
	}
}

/* may_replace: a short header says little about who owns the 4-tuple. */
HOT_INLINE void tuple_learn(const struct route_ctx *ctx, const struct route *route, uint16_t slot,
			    bool may_replace)
{
	struct affinity_entry tuple;

	if (!tuple_find(ctx, route, &tuple))
		tuple_insert(ctx, route, slot, true);
	else if (tuple.slot == slot)
		entry_touch(ctx, &tuple, false);
	else if (may_replace || !slot_lives(ctx, route, tuple.slot))
		entry_take_over(ctx, tuple, slot);
}

/* The backend has shown that it owns the connection: its 4-tuple is its own. */
RARE void owner_learn(const struct route_ctx *ctx, const struct route *route, uint16_t slot)
{
	struct affinity_entry tuple;

	count(ctx, ROUTE_COUNT_DISCOVERED, 1);
	if (!tuple_find(ctx, route, &tuple))
		(void)affinity_insert(&ctx->router->tuples, route->tuple_key, slot, true,
				      ctx->now_ticks, ctx->table->idle_ticks_max,
				      &ctx->worker->tuple_stats);
	else if (tuple.slot == slot)
		affinity_touch(&tuple, true, ctx->now_ticks);
	else
		(void)affinity_replace(&tuple, slot, ctx->now_ticks);
}

RARE int sought_answer_learn(const struct route_ctx *ctx, const struct route *route, uint16_t slot)
{
	const uint8_t *answer = (const uint8_t *)(route->view.udp + 1);
	uint16_t len = (uint16_t)(route->view.udp_len - sizeof(struct wire_udp));

	switch (discovery_answer(&ctx->router->discovery, route->tuple_key, slot, answer, len,
				 ctx->now_ms)) {
	case DISCOVERY_UNCLEAR: return DROP_DISCOVERY_ANSWER;
	case DISCOVERY_OWNER: owner_learn(ctx, route, slot); break;
	case DISCOVERY_NOT_SOUGHT: tuple_learn(ctx, route, slot, false); break;
	}
	return ROUTE_FORWARD;
}

HOT_INLINE int route_back_end(const struct route_ctx *ctx, const struct route *route)
{
	uint16_t slot = (uint16_t)route->slot;
	bool is_short = route->is_quic && route->type == QUIC_SHORT;

	if (is_short && discovery_is_open(&ctx->router->discovery, ctx->now_ms))
		return sought_answer_learn(ctx, route, slot);
	if (route->has_cid)
		server_cid_learn(ctx, route, slot);
	tuple_learn(ctx, route, slot, !is_short);
	return ROUTE_FORWARD;
}

/* --- a burst, in stages ----------------------------------------------------- */

/* Connection IDs that may name servers, and whose they are. */
struct questions {
	struct quic_lb_query queries[BURST_MAX];
	uint8_t routes[BURST_MAX];
	size_t count;
};

/* Routes that have a stage more before them. */
struct undecided {
	uint8_t routes[BURST_MAX];
	size_t count;
};

static size_t routes_begin(const struct route_ctx *ctx, const struct packet *packets,
			   struct route *routes, size_t count, struct questions *questions)
{
	size_t initials = 0;

	questions->count = 0;
	for (struct route *route = routes; route != routes + count; route++, packets++) {
		if (route->verdict != ROUTE_FORWARD) {
			route->step = ROUTE_STEP_NONE;
			continue;
		}
		if (packets->kind == FRAME_RETURN) {
			route_back_begin(ctx, packets->slot, route);
			continue;
		}
		if (route_begin(ctx, packets->slot, route)) {
			questions->queries[questions->count] = (struct quic_lb_query){
				.lb = service_of(ctx, route)->quic_lb,
				.cid = route->dcid,
				.len = route->dcid_len,
			};
			questions->routes[questions->count++] = (uint8_t)(route - routes);
		}
		if (unlikely(route->type == QUIC_INITIAL))
			initials++;
	}
	return initials;
}

/* The Connection IDs that name servers, all at once. */
static void routes_name(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
			struct questions *questions)
{
	if (!questions->count)
		return;
	quic_lb_decode(ctx->worker->quic_lb, questions->queries, questions->count);
	for (size_t i = 0; i < questions->count; i++) {
		uint8_t at = questions->routes[i];

		route_named(ctx, &packets[at], &routes[at], questions->queries[i].slot);
	}
}

/* What is known by the Connection ID; what an answer teaches. */
static void routes_find(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
			size_t count, struct undecided *undecided)
{
	undecided->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct route *route = &routes[i];

		if (route->step == ROUTE_STEP_FIND)
			route->verdict = (int16_t)route_find(ctx, &packets[i], route);
		else if (route->step == ROUTE_STEP_LEARN)
			route->verdict = (int16_t)route_back_end(ctx, route);
		if (route->step > ROUTE_STEP_END)
			undecided->routes[undecided->count++] = (uint8_t)i;
	}
}

/* What is known by the 4-tuple. Leaves those that nothing is known of. */
static void routes_settle(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
			  struct undecided *undecided)
{
	size_t left = 0;

	for (size_t i = 0; i < undecided->count; i++) {
		uint8_t at = undecided->routes[i];
		struct route *route = &routes[at];

		if (route->step != ROUTE_STEP_CHOOSE && route->verdict == ROUTE_FORWARD)
			route->verdict = (int16_t)route_settle(ctx, &packets[at], route);
		if (route->step == ROUTE_STEP_CHOOSE && route->verdict == ROUTE_FORWARD)
			undecided->routes[left++] = at;
	}
	undecided->count = left;
}

static void routes_choose(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
			  const struct undecided *undecided)
{
	for (size_t i = 0; i < undecided->count; i++) {
		uint8_t at = undecided->routes[i];

		routes[at].verdict = (int16_t)route_choose(ctx, &packets[at], &routes[at]);
	}
}

size_t routes_decide(const struct route_ctx *ctx, struct packet *packets, struct route *routes,
		     size_t count)
{
	struct questions questions;
	struct undecided undecided;
	size_t initials = routes_begin(ctx, packets, routes, count, &questions);

	routes_name(ctx, packets, routes, &questions);
	routes_find(ctx, packets, routes, count, &undecided);
	routes_settle(ctx, packets, routes, &undecided);
	routes_choose(ctx, packets, routes, &undecided);
	return initials;
}
