/* SPDX-License-Identifier: GPL-2.0-only */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

#include "drop.h"
#include "ringway/checksum.h"

_Static_assert(SERVICE_COUNT_MAX <= TABLE_NOBODY, "nobody is no service");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "next_hop_write() copies the low bytes");

static uint64_t next_hop_pack(uint8_t port, const uint8_t *mac)
{
	uint64_t word = 0;

	if (!mac)
		return 0;
	memcpy(&word, mac, 6);
	return word | (uint64_t)port << 48 | NEXT_HOP_KNOWN;
}

/* Linear probing; the table is at most half full. */
static struct table_match *match_find(const struct table *table, const struct match_key *key)
{
	uint32_t i = (uint32_t)hash_bytes(key, sizeof(*key), &table->secret);

	for (;; i++) {
		struct table_match *match = &table->matches[i & table->match_mask];

		if (match->kind == FRAME_UNCLASSIFIED || !memcmp(&match->key, key, sizeof(*key)))
			return match;
	}
}

static int match_add(struct table *table, const struct table_endpoint *endpoint, enum family family,
		     enum frame_kind kind, uint16_t slot)
{
	struct match_key key = { .port_be = endpoint->port_be, .protocol = WIRE_PROTOCOL_UDP };
	struct table_match *match;

	memcpy(key.addr, endpoint->addr[family], sizeof(key.addr));
	match = match_find(table, &key);
	if (match->kind != FRAME_UNCLASSIFIED)
		return -EINVAL;
	*match = (struct table_match){ .key = key, .kind = kind, .slot = slot };
	return 0;
}

uint32_t table_endpoint_sum(const struct table_endpoint *endpoint, enum family family)
{
	const uint8_t *addr = endpoint->addr[family];

	return family == FAMILY_IPV4 ? checksum_words(addr + 12, 4) : checksum_words(addr, 16);
}

static void target_init(struct target *target, const struct table_service *service,
			const struct table_backend *backend, enum family family)
{
	uint32_t service_sum = table_endpoint_sum(&service->endpoint, family);
	uint32_t backend_sum = table_endpoint_sum(&backend->endpoint, family);

	memcpy(target->service_addr, service->endpoint.addr[family], 16);
	memcpy(target->backend_addr, backend->endpoint.addr[family], 16);
	target->service_port_be = service->endpoint.port_be;
	if (service->mode == TABLE_NAT)
		target->backend_port_be = backend->endpoint.port_be;
	target->delta_ipv4_out =
		checksum_add(checksum_delta(service_sum, backend_sum), CHECKSUM_TTL_DELTA);
	target->delta_ipv4_back =
		checksum_add(checksum_delta(backend_sum, service_sum), CHECKSUM_TTL_DELTA);
	service_sum += service->endpoint.port_be;
	backend_sum += backend->endpoint.port_be;
	target->delta_out = checksum_delta(service_sum, backend_sum);
	target->delta_back = checksum_delta(backend_sum, service_sum);
	target->service_slot = service->slot;
	target->accepts_new = backend->weight > 0;
	target->mode = service->mode;
	target->present = true;
}

static int backend_add(struct table *table, const struct table_service *service,
		       const struct table_backend *backend)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct target *target = table_target(table, backend->slot, family);
		int err;

		if (!backend->endpoint.present[family] || !service->endpoint.present[family])
			continue;
		if (target->present)
			return -EINVAL;
		target_init(target, service, backend, family);
		table->owners[backend->slot * FAMILY_COUNT + family] = service->slot;
		if (service->mode != TABLE_NAT)
			continue;
		err = match_add(table, &backend->endpoint, family, FRAME_RETURN, backend->slot);
		if (err)
			return err;
	}
	return 0;
}

static int maglev_add(struct table *table, const struct table_service *spec, enum family family,
		      uint64_t key)
{
	struct maglev_member *members = calloc(spec->backend_count + 1, sizeof(*members));
	struct maglev *maglev;
	size_t count = 0;
	int err;

	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < spec->backend_count; i++) {
		const struct table_backend *backend = &spec->backends[i];

		if (table_target(table, backend->slot, family)->present)
			members[count++] = (struct maglev_member){ .id = backend->id,
								   .slot = backend->slot,
								   .weight = backend->weight };
	}
	err = maglev_build(members, count, key, 0, &maglev);
	free(members);
	if (!err)
		table->services[spec->slot].maglev[family] = maglev;
	return err;
}

static int service_add(struct table *table, const struct table_service *spec, uint64_t key,
		       uint16_t *backends)
{
	struct service *service = &table->services[spec->slot];
	int err = 0;

	if (service->backends)
		return -EINVAL;
	*service = (struct service){ .backends = backends,
				     .backend_count = (uint16_t)spec->backend_count,
				     .idle_ticks = spec->idle_ticks,
				     .connection_id_len = spec->connection_id_len,
				     .is_quic = spec->is_quic,
				     .is_nat = spec->mode == TABLE_NAT,
				     .client_keeps = spec->mode != TABLE_NAT || !spec->is_quic ||
						     spec->is_return_in_xdp,
				     .hash_connection_id = spec->hash_connection_id,
				     .discovers = spec->discovers && spec->mode == TABLE_NAT,
				     .drops_gone = spec->drops_gone };
	for (size_t i = 0; !err && i < spec->backend_count; i++) {
		backends[i] = spec->backends[i].slot;
		err = backend_add(table, spec, &spec->backends[i]);
	}
	for (enum family family = 0; !err && family < FAMILY_COUNT; family++) {
		if (spec->endpoint.present[family])
			err = match_add(table, &spec->endpoint, family, FRAME_SERVICE, spec->slot);
		if (!err)
			err = maglev_add(table, spec, family, key);
	}
	return err;
}

/* Counts backends, and finds the limit of their slots. */
static int spec_check(const struct table_spec *spec, size_t *ret_backend_count,
		      uint32_t *ret_slot_limit)
{
	size_t backend_count = 0;
	uint32_t slot_limit = 0;

	if (spec->port_count < 1 || spec->port_count > PORT_COUNT_MAX ||
	    spec->service_count > SERVICE_COUNT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < spec->service_count; i++) {
		const struct table_service *service = &spec->services[i];

		if (service->slot >= SERVICE_COUNT_MAX)
			return -EINVAL;
		backend_count += service->backend_count;
		for (size_t j = 0; j < service->backend_count; j++)
			if (service->backends[j].slot >= slot_limit)
				slot_limit = service->backends[j].slot + 1u;
	}
	if (backend_count > BACKEND_COUNT_MAX || slot_limit > BACKEND_COUNT_MAX)
		return -EINVAL;
	*ret_backend_count = backend_count;
	*ret_slot_limit = slot_limit;
	return 0;
}

static int table_alloc(struct table *table, size_t backend_count, size_t service_count)
{
	size_t match_count = 64, keys = FAMILY_COUNT * (backend_count + service_count);
	size_t target_count = (table->slot_limit + 1) * FAMILY_COUNT;
	size_t targets_size = target_count * sizeof(*table->targets);

	while (match_count < 2 * keys)
		match_count *= 2;
	table->match_mask = (uint32_t)match_count - 1;
	table->matches = calloc(match_count, sizeof(*table->matches));
	table->targets = aligned_alloc(sizeof(*table->targets), targets_size);
	table->owners = malloc(target_count * sizeof(*table->owners));
	table->service_backends = calloc(backend_count + 1, sizeof(*table->service_backends));
	if (!table->matches || !table->targets || !table->owners || !table->service_backends)
		return -ENOMEM;
	memset(table->targets, 0, targets_size);
	memset(table->owners, 0xff, target_count * sizeof(*table->owners)); /* TABLE_NOBODY */
	return 0;
}

static struct table *table_new(const struct table_spec *spec)
{
	struct table *table = aligned_alloc(_Alignof(struct table), sizeof(*table));

	if (!table)
		return NULL;
	memset(table, 0, sizeof(*table));
	hash_secret_derive(spec->hash_key, &table->secret);
	memcpy(table->ports, spec->ports, spec->port_count * sizeof(table->ports[0]));
	table->port_count = (uint32_t)spec->port_count;
	return table;
}

int table_build(const struct table_spec *spec, struct table **ret_table)
{
	size_t backend_count, first = 0;
	uint32_t slot_limit;
	struct table *table;
	uint64_t key;
	int err = spec_check(spec, &backend_count, &slot_limit);

	if (err)
		return err;
	table = table_new(spec);
	if (!table)
		return -ENOMEM;
	table->slot_limit = slot_limit;
	memcpy(&key, table->secret.bytes, sizeof(key));
	err = table_alloc(table, backend_count, spec->service_count);
	for (size_t i = 0; !err && i < spec->service_count; i++) {
		err = service_add(table, &spec->services[i], key, table->service_backends + first);
		first += spec->services[i].backend_count;
	}
	if (err) {
		table_free(table);
		return err;
	}
	for (size_t i = 0; i < spec->service_count; i++) {
		const struct table_service *service = &spec->services[i];

		table->services[service->slot].quic_lb = service->quic_lb;
		if (table->idle_ticks_max < service->idle_ticks)
			table->idle_ticks_max = service->idle_ticks;
	}
	*ret_table = table;
	return 0;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < SERVICE_COUNT_MAX; i++) {
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			free((void *)table->services[i].maglev[family]);
		quic_lb_free(table->services[i].quic_lb);
	}
	free(table->service_backends);
	free(table->matches);
	free(table->targets);
	free(table->owners);
	free(table);
}

void table_next_hop_set(struct table *table, uint16_t backend_slot, enum family family,
			uint8_t port, const uint8_t *mac)
{
	__atomic_store_n(&table_target(table, backend_slot, family)->next_hop,
			 next_hop_pack(port, mac), __ATOMIC_RELAXED);
}

void table_client_next_hop_set(struct table *table, uint8_t port, const uint8_t *mac)
{
	table->client_next_hop = next_hop_pack(port, mac);
}

/* Where XDP ran but could not attach metadata, the frame bears the MAC address of
 * the port it is to leave by; two ports with one address cannot be told apart, and
 * the wrong one is worse than none. Elsewhere all clients have one next hop. */
static int return_resolve(const struct table *table, struct packet *packet, struct wire_eth *eth)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < table->port_count; i++) {
		if (memcmp(eth->src, table->ports[i].mac, 6) == 0) {
			packet->tx_port = (uint8_t)i;
			found++;
		}
	}
	if (found == 1)
		return 0;
	if (!table->client_next_hop)
		return -1 - DROP_NO_NEIGHBOUR;
	packet->tx_port = next_hop_port(table->client_next_hop);
	next_hop_write(&table->ports[packet->tx_port], table->client_next_hop, eth);
	return 0;
}

static int return_classify(const struct table *table, struct packet *packet,
			   const struct udp_view *view, bool is_resolved)
{
	uint64_t next_hop =
		target_next_hop(table_target(table, packet->slot, udp_view_family(view)));

	/* While it is not resolved, XDP alone knows by which port the backend is reached. */
	if (next_hop && next_hop_port(next_hop) != packet->rx_port)
		return -1 - DROP_RETURN_SPOOFED;
	return is_resolved ? 0 : return_resolve(table, packet, view->eth);
}

static int service_classify(const struct table *table, const struct udp_view *view)
{
	struct match_key key;

	if (match_source_is_martian(view))
		return -1 - DROP_SOURCE_MARTIAN;
	match_key_return(view, &key);
	return match_find(table, &key)->kind == FRAME_UNCLASSIFIED ? 0 : -1 - DROP_SOURCE_OURS;
}

int table_classify(const struct table *table, struct packet *packet, const struct udp_view *view)
{
	const struct table_match *match;
	struct match_key key;
	bool is_resolved;

	match_key_service(view, &key);
	match = match_find(table, &key);
	if (match->kind != FRAME_SERVICE) {
		match_key_return(view, &key);
		match = match_find(table, &key);
		if (match->kind != FRAME_RETURN)
			return -1 - DROP_NOT_OURS;
	}
	packet->slot = match->slot;
	if (match->kind == FRAME_SERVICE) {
		packet->kind = FRAME_SERVICE;
		return service_classify(table, view);
	}
	is_resolved = packet->kind == FRAME_RETURN && packet->tx_port < table->port_count;
	packet->kind = FRAME_RETURN;
	return return_classify(table, packet, view, is_resolved);
}
