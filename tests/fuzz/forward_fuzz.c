/* SPDX-License-Identifier: GPL-2.0-only */
/* Any bytes through forward_burst(): kept or dropped, counted once, never outside
 * the frame. The first byte chooses kind and slot. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/forward.h"
#include "util/huge_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct table *table_make(void)
{
	/* As in tests/vectors/frames.py: 192.0.2.1 and 2001:db8::1, 10.0.0.1 and fd00::1. */
	const struct table_endpoint service = { { true, true },
						{ { [10] = 0xff, 0xff, 192, 0, 2, 1 },
						  { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
						wire_be16(443) };
	const struct table_backend backend = {
		.endpoint = { { true, true },
			      { { [10] = 0xff, 0xff, 10, 0, 0, 1 }, { 0xfd, [15] = 1 } },
			      wire_be16(4433) },
		.weight = 1,
	};
	const struct table_service services[] = { { .endpoint = service,
						    .is_quic = true,
						    .discovers = true,
						    .idle_ticks = 100,
						    .backends = &backend,
						    .backend_count = 1 } };
	const struct table_port port = { .mac = { 2 }, .mtu = 1500 };
	const struct table_spec spec = { .ports = &port,
					 .port_count = 1,
					 .services = services,
					 .service_count = 1,
					 .hash_key = "fuzz",
					 .memory_new = huge_memory_new };
	struct table *table = NULL;

	if (table_build(&spec, &table))
		abort();
	table_next_hop_set(table, 0, FAMILY_IPV4, 0, port.mac);
	table_next_hop_set(table, 0, FAMILY_IPV6, 0, port.mac);
	table_client_next_hop_set(table, 0, port.mac);
	return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t memory[64][8] __attribute__((aligned(64)));
	static struct forward_stats stats;
	static struct router_worker worker;
	static struct router router;
	static struct table *table;
	struct packet packet = { 0 };
	struct forward_ctx ctx = { .stats = &stats };
	uint64_t before = stats.forwarded, after = 0;
	uint8_t *frame;

	if (size < 1)
		return 0;
	if (!table) {
		table = table_make();
		affinity_init(&router.tuples, memory, sizeof(memory) / 2);
		affinity_init(&router.cids, memory[32], sizeof(memory) / 2);
		router_worker_init(&worker, NULL, 0);
	}
	ctx.route = (struct route_ctx){
		.table = table, .router = &router, .worker = &worker, .now_ms = stats.forwarded
	};
	frame = malloc(size);
	memcpy(frame, data + 1, size - 1);
	packet = (struct packet){ .data = frame,
				  .len = (uint32_t)size - 1,
				  .kind = data[0] % 3,
				  .slot = data[0] >> 6,
				  .tx_port = data[0] >> 4 & 3 };
	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		before += stats.dropped[i];
	(void)forward_burst(&ctx, &packet, 1);
	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		after += stats.dropped[i];
	assert(after + stats.forwarded == before + 1);
	free(frame);
	return 0;
}
