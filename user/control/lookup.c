/* SPDX-License-Identifier: GPL-2.0-only */
#include "control/lookup.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "util/clock.h"
#include "util/json_build.h"
#include "util/number.h"

/* An Initial is as long (RFC 9000 section 14.1); long enough for any short header. */
#define PAYLOAD_LEN 1200
#define FRAME_SIZE \
	(sizeof(struct wire_eth) + sizeof(struct wire_ipv6) + sizeof(struct wire_udp) + PAYLOAD_LEN)

struct lookup {
	struct router_worker worker;
	uint8_t frame[FRAME_SIZE] __attribute__((aligned(2)));
};

struct lookup *lookup_new(void)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	router_worker_init(&lookup->worker, quic_lb_scratch_new(), 0);
	if (lookup->worker.quic_lb)
		return lookup;
	lookup_free(lookup);
	return NULL;
}

void lookup_free(struct lookup *lookup)
{
	if (!lookup)
		return;
	quic_lb_scratch_free(lookup->worker.quic_lb);
	free(lookup);
}

/* --- the datagram ------------------------------------------------------------ */

static void *ipv4_put(uint8_t *at, const uint8_t *src, const uint8_t *dst, uint16_t len)
{
	struct wire_ipv4 *ip = (struct wire_ipv4 *)at;

	ip->version_ihl = 0x45;
	ip->len_be = htons((uint16_t)(sizeof(*ip) + len));
	ip->ttl = 64;
	ip->protocol = WIRE_PROTOCOL_UDP;
	memcpy(ip->src, src + 12, sizeof(ip->src)); /* behind the prefix of match_key */
	memcpy(ip->dst, dst + 12, sizeof(ip->dst));
	return ip + 1;
}

static void *ipv6_put(uint8_t *at, const uint8_t *src, const uint8_t *dst, uint16_t len)
{
	struct wire_ipv6 *ip = (struct wire_ipv6 *)at;

	ip->version_class_flow[0] = 0x60;
	ip->payload_len_be = htons(len);
	ip->next_header = WIRE_PROTOCOL_UDP;
	ip->hop_limit = 64;
	memcpy(ip->src, src, sizeof(ip->src));
	memcpy(ip->dst, dst, sizeof(ip->dst));
	return ip + 1;
}

static void quic_put(uint8_t *at, const struct lookup_query *query)
{
	if (!query->version) {
		*at++ = 0x40;
	} else {
		/* RFC 9000 section 17.2.2, RFC 9369 section 3.2 */
		*at++ = query->version == QUIC_VERSION_2 ? 0xd0 : 0xc0;
		for (int shift = 24; shift >= 0; shift -= 8)
			*at++ = (uint8_t)(query->version >> shift);
		*at++ = query->cid_len;
	}
	memcpy(at, query->cid, query->cid_len);
}

static enum family client_family(const struct lookup_query *query)
{
	return address_is_ipv4(query->client.addr) ? FAMILY_IPV4 : FAMILY_IPV6;
}

/* Checksums are left out: nobody reads them here. */
static void frame_build(struct lookup *lookup, const struct lookup_query *query,
			struct udp_view *ret_view)
{
	const uint8_t *src = query->client.addr, *dst = query->service->addr[client_family(query)];
	struct cursor cursor = { lookup->frame, lookup->frame + FRAME_SIZE };
	struct wire_eth *eth = (struct wire_eth *)lookup->frame;
	uint8_t *ip = (uint8_t *)(eth + 1);
	uint16_t len = sizeof(struct wire_udp) + PAYLOAD_LEN;
	bool is_ipv4 = client_family(query) == FAMILY_IPV4;
	struct wire_udp *udp;

	memset(lookup->frame, 0, FRAME_SIZE);
	eth->type_be = htons(is_ipv4 ? WIRE_ETHERTYPE_IPV4 : WIRE_ETHERTYPE_IPV6);
	udp = is_ipv4 ? ipv4_put(ip, src, dst, len) : ipv6_put(ip, src, dst, len);
	udp->src_be = htons(query->client.port);
	udp->dst_be = query->service->port_be;
	udp->len_be = htons(len);
	quic_put((uint8_t *)(udp + 1), query);
	(void)parse_udp(&cursor, ret_view); /* it is as we have just made it */
}

void lookup_decide(struct lookup *lookup, const struct table *table, struct router *router,
		   uint64_t now_ms, const struct lookup_query *query,
		   struct lookup_result *ret_result)
{
	const struct route_ctx ctx = { .table = table,
				       .router = router,
				       .worker = &lookup->worker,
				       .now_ms = now_ms,
				       .now_ticks = affinity_ticks(now_ms),
				       .is_dry = true };
	struct packet packet = { .kind = FRAME_SERVICE, .slot = query->service_slot };
	struct route route = { .verdict = ROUTE_FORWARD };
	int drop;

	frame_build(lookup, query, &route.view);
	(void)routes_decide(&ctx, &packet, &route, 1);
	drop = route.verdict;
	if (drop < 0 && !target_next_hop(route.target))
		drop = DROP_NO_NEIGHBOUR;
	*ret_result = (struct lookup_result){
		.slot = route.slot, .rule = route.rule, .drop = drop, .cid_len = route.cid_len
	};
}

/* --- the question ------------------------------------------------------------- */

/* From where no client's datagram ever comes, so that no 4-tuple is known. */
static void client_invent(const struct table_endpoint *service, struct endpoint *ret_client)
{
	(void)address_parse(service->present[FAMILY_IPV4] ? "0.0.0.1" : "::1", ret_client->addr);
	ret_client->port = 1;
}

static int client_read(const struct config_service *service, const char *text,
		       struct lookup_query *query, char *error, size_t error_size)
{
	enum family family;

	if (!text) {
		client_invent(&service->endpoint, &query->client);
		return 0;
	}
	if (!endpoint_parse(text, &query->client) || !query->client.port)
		return fail(-1, error, error_size,
			    "\"%.64s\" is no address with a port: give 198.51.100.2:4000 or "
			    "[2001:db8::2]:4000",
			    text);
	family = client_family(query);
	if (!service->endpoint.present[family])
		return fail(-1, error, error_size,
			    "service %s has no %s address, so no client at %s reaches it",
			    service->name, family == FAMILY_IPV4 ? "IPv4" : "IPv6", text);
	return 0;
}

/* cid: QUIC_CID_LEN_MAX bytes. */
static int cid_read(const char *text, uint8_t *cid, struct lookup_query *query, char *error,
		    size_t error_size)
{
	size_t len = strlen(text) / 2;

	if (len < 1 || len > QUIC_CID_LEN_MAX || !number_hex_parse(text, cid, len))
		return fail(
			-1, error, error_size,
			"\"%.64s\" is no Connection ID: give 1 to %d bytes, two hex digits each",
			text, QUIC_CID_LEN_MAX);
	query->cid = cid;
	query->cid_len = (uint8_t)len;
	return 0;
}

/* The first two by their names, any by its number in the packet. */
static int version_read(const char *text, uint32_t *ret_version, char *error, size_t error_size)
{
	uint8_t bytes[4];
	uint64_t name;

	if (number_parse(text, 1, 2, &name)) {
		*ret_version = name == 1 ? QUIC_VERSION_1 : QUIC_VERSION_2;
		return 0;
	}
	if (strncmp(text, "0x", 2) != 0 || !number_hex_parse(text + 2, bytes, sizeof(bytes)))
		return fail(-1, error, error_size,
			    "\"%.64s\" is no version: give 1, 2, or 0x and eight hex digits", text);
	*ret_version = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
		       (uint32_t)bytes[2] << 8 | bytes[3];
	if (!*ret_version)
		return fail(-1, error, error_size,
			    "version 0 is Version Negotiation, which no client sends");
	return 0;
}

static int quic_read(const struct config_service *service, const struct command_words *words,
		     uint8_t *cid, struct lookup_query *query, char *error, size_t error_size)
{
	const char *cid_text = words->options[COMMAND_OPTION_CID];
	const char *version = words->options[COMMAND_OPTION_VERSION];
	int err;

	if (service->protocol != CONFIG_PROTOCOL_QUIC)
		return cid_text || version
			       ? fail(-1, error, error_size,
				      "service %s is plain UDP: only --from counts", service->name)
			       : 0;
	if (!cid_text)
		return fail(-1, error, error_size, "give the Connection ID: --cid HEX");
	err = cid_read(cid_text, cid, query, error, error_size);
	return err || !version ? err : version_read(version, &query->version, error, error_size);
}

/* --- the answer --------------------------------------------------------------- */

static void result_put(json_t **object, const struct lineup *lineup,
		       const struct lookup_result *result)
{
	const struct lineup_backend *backend =
		result->slot < 0 ? NULL : lineup_find(lineup, (uint16_t)result->slot);
	bool is_dropped = result->drop >= 0;

	json_build_put(object, "backend",
		       backend ? json_string(backend->config->name) : json_null());
	json_build_put(object, "slot", backend ? json_integer(result->slot) : json_null());
	json_build_put(object, "rule",
		       backend ? json_string(route_rule_name(result->rule)) : json_null());
	json_build_put(object, "meaning",
		       backend ? json_string(route_rule_meaning(result->rule)) : json_null());
	json_build_put(object, "would_drop",
		       is_dropped ? json_string(drop_reason_name(result->drop)) : json_null());
	json_build_put(object, "drop_meaning",
		       is_dropped ? json_string(drop_reason_meaning(result->drop)) : json_null());
}

static const struct lineup_backend *service_find(const struct lineup *lineup, const char *name)
{
	for (size_t i = 0; i < lineup->backend_count; i++)
		if (strcmp(lineup->backends[i].service->name, name) == 0)
			return &lineup->backends[i];
	return NULL;
}

json_t *lookup_answer(struct daemon *daemon, const struct command_words *words)
{
	const struct lineup_backend *first = service_find(daemon->lineup, words->argument);
	const char *from = words->options[COMMAND_OPTION_FROM];
	struct lookup_query query = { .cid = (const uint8_t *)"" };
	uint8_t cid[QUIC_CID_LEN_MAX];
	struct lookup_result result;
	char error[256];
	json_t *object;

	if (!first)
		return json_build_refusal(
			"there is no such service: `ringwayctl services` shows them");
	if (client_read(first->service, from, &query, error, sizeof(error)) ||
	    quic_read(first->service, words, cid, &query, error, sizeof(error)))
		return json_build_refusal(error);
	if (!daemon->lookup)
		daemon->lookup = lookup_new();
	if (!daemon->lookup)
		return json_build_refusal("out of memory");
	query.service = &first->service->endpoint;
	query.service_slot = first->service_slot;
	lookup_decide(daemon->lookup, daemon->table.table, daemon->router, clock_ns() / 1000000,
		      &query, &result);
	object = json_object();
	json_build_put(&object, "service", json_string(first->service->name));
	json_build_put(&object, "from", from ? json_string(from) : json_null());
	json_build_number(&object, "connection_id_length", result.cid_len);
	result_put(&object, daemon->lineup, &result);
	return object;
}
