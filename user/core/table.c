/* SPDX-License-Identifier: GPL-2.0-only */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "drop.h"
#include "ringway/checksum.h"

_Static_assert(SERVICE_COUNT_MAX <= TABLE_NOBODY, "nobody is no service");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "next_hop_write() copies the low bytes");

#define LINE_SIZE 64

/* Memory that is given out piece by piece, each on a line of its own. */
struct area {
	uint8_t *next, *end;
};

static size_t lines_size(size_t size)
{
	return (size + LINE_SIZE - 1) & ~(size_t)(LINE_SIZE - 1);
}

static void *area_take(struct area *area, size_t size)
{
	uint8_t *taken = area->next;

	assert(lines_size(size) <= (size_t)(area->end - taken));
	area->next += lines_size(size);
	return taken;
}

static bool is_present(const struct table_service *service, const struct table_backend *backend,
		       enum family family)
{
	return service->endpoint.present[family] && backend->endpoint.present[family];
}

/* 0 for a family that no backend has. */
static uint32_t maglev_size_of(const struct table_service *service, enum family family)
{
	size_t count = 0;

	for (size_t i = 0; i < service->backend_count; i++)
		count += is_present(service, &service->backends[i], family);
	return count ? maglev_size(count) : 0;
}

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

		if (!is_present(service, backend, family))
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

/* Of the backends that are reached by family. */
static int maglev_add(struct table *table, const struct table_service *spec, enum family family,
		      struct area *area)
{
	struct maglev_member *members = calloc(spec->backend_count + 1, sizeof(*members));
	uint32_t size = maglev_size_of(spec, family);
	uint16_t *slots = area_take(area, size * sizeof(*slots));
	size_t count = 0;
	int err;

	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < spec->backend_count; i++) {
		const struct table_backend *backend = &spec->backends[i];

		if (is_present(spec, backend, family))
			members[count++] = (struct maglev_member){ .id = backend->id,
								   .slot = backend->slot,
								   .weight = backend->weight };
	}
	err = maglev_build(members, count, table->secret.words[0], slots, size,
			   &table->services[spec->slot].maglev[family]);
	free(members);
	return err;
}

static int service_add(struct table *table, const struct table_service *spec, uint8_t edition,
		       uint16_t *backends, struct area *area)
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
				     .drops_gone = spec->drops_gone,
				     .edition = edition };
	for (size_t i = 0; !err && i < spec->backend_count; i++) {
		backends[i] = spec->backends[i].slot;
		err = backend_add(table, spec, &spec->backends[i]);
	}
	for (enum family family = 0; !err && family < FAMILY_COUNT; family++) {
		if (spec->endpoint.present[family])
			err = match_add(table, &spec->endpoint, family, FRAME_SERVICE, spec->slot);
		if (!err)
			err = maglev_add(table, spec, family, area);
	}
	return err;
}

/* How many there are of what. */
struct counts {
	size_t backends, targets, matches;
	uint32_t slot_limit;
};

static int spec_count(const struct table_spec *spec, struct counts *ret_counts)
{
	struct counts counts = { .matches = 64 };

	if (spec->port_count < 1 || spec->port_count > PORT_COUNT_MAX ||
	    spec->service_count > SERVICE_COUNT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < spec->service_count; i++) {
		const struct table_service *service = &spec->services[i];

		if (service->slot >= SERVICE_COUNT_MAX)
			return -EINVAL;
		counts.backends += service->backend_count;
		for (size_t j = 0; j < service->backend_count; j++)
			if (service->backends[j].slot >= counts.slot_limit)
				counts.slot_limit = service->backends[j].slot + 1u;
	}
	if (counts.backends > BACKEND_COUNT_MAX || counts.slot_limit > BACKEND_COUNT_MAX)
		return -EINVAL;
	counts.targets = counts.slot_limit * FAMILY_COUNT;
	while (counts.matches < 2 * FAMILY_COUNT * (counts.backends + spec->service_count))
		counts.matches *= 2;
	*ret_counts = counts;
	return 0;
}

/* What a table of spec takes from its area. */
static size_t table_size(const struct table_spec *spec, const struct counts *counts)
{
	size_t size = lines_size(sizeof(struct table)) +
		      lines_size(counts->targets * sizeof(struct target)) +
		      lines_size(counts->backends * sizeof(uint16_t)) +
		      lines_size(counts->matches * sizeof(struct table_match));

	for (size_t i = 0; i < spec->service_count; i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			size += lines_size(maglev_size_of(&spec->services[i], family) *
					   sizeof(uint16_t));
	return size;
}

/* Without services yet; *ret_area is left for their Maglev tables. */
static struct table *table_new(const struct table_spec *spec, const struct counts *counts,
			       struct area *ret_area)
{
	size_t size = table_size(spec, counts);
	uint8_t *memory = spec->memory_new(size);
	struct area area = { memory, memory + size };
	struct table *table;

	if (!memory)
		return NULL;
	table = area_take(&area, sizeof(*table));
	table->targets = area_take(&area, counts->targets * sizeof(*table->targets));
	table->service_backends =
		area_take(&area, counts->backends * sizeof(*table->service_backends));
	table->matches = area_take(&area, counts->matches * sizeof(*table->matches));
	memset(table->owners, 0xff, sizeof(table->owners)); /* TABLE_NOBODY */
	table->match_mask = (uint32_t)counts->matches - 1;
	table->slot_limit = counts->slot_limit;
	hash_secret_derive(spec->hash_key, &table->secret);
	memcpy(table->ports, spec->ports, spec->port_count * sizeof(table->ports[0]));
	table->port_count = (uint32_t)spec->port_count;
	*ret_area = area;
	return table;
}

int table_build(const struct table_spec *spec, struct table **ret_table)
{
	struct counts counts;
	struct table *table;
	struct area area;
	size_t first = 0;
	int err = spec_count(spec, &counts);

	if (err)
		return err;
	table = table_new(spec, &counts, &area);
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; !err && i < spec->service_count; i++) {
		err = service_add(table, &spec->services[i], spec->edition,
				  table->service_backends + first, &area);
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
	for (size_t i = 0; i < SERVICE_COUNT_MAX; i++)
		quic_lb_free(table->services[i].quic_lb);
	free(table); /* and all that it points into */
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
