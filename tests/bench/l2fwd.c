/* SPDX-License-Identifier: GPL-2.0-only */
/* l2fwd - the ceiling: what comes in by one interface leaves by the other with
 * its MAC addresses changed, and nothing else. The same engine, batch and kicks
 * as ringwayd; XDP does no more than it must. */
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "core/packet.h"
#include "io/io.h"
#include "l2fwd.skel.h"
#include "ringway/wire.h"
#include "util/clock.h"
#include "util/options.h"

static struct {
	const char *from, *to;
} arguments;

static const struct option_entry entries[] = {
	{ 0, "from", "INTERFACE", "one port", .value = &arguments.from },
	{ 0, "to", "INTERFACE", "the other", .value = &arguments.to },
};

static const struct options options = {
	.usage = "l2fwd --from=INTERFACE --to=INTERFACE",
	.summary = "Pass frames between two interfaces until SIGTERM, changing MAC addresses.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

static volatile sig_atomic_t stop;

static void stop_set(int signal)
{
	(void)signal;
	stop = 1;
}

static void macs_swap(struct packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_prefetch(packets[i].data);
	for (size_t i = 0; i < count; i++) {
		struct wire_eth *eth = (struct wire_eth *)packets[i].data;
		uint8_t dst[6];

		memcpy(dst, eth->dst, 6);
		memcpy(eth->dst, eth->src, 6);
		memcpy(eth->src, dst, 6);
		packets[i].tx_port = !packets[i].rx_port;
	}
}

static void forward(struct io *io)
{
	uint64_t datagrams = 0, tx_full = 0, swap_ns = 0, busy_ns = 0;
	struct packet packets[BURST_MAX];
	struct io_stats stats;

	while (!stop) {
		uint64_t start_ns = clock_ns(), rx_ns;
		size_t received = io_af_xdp.rx(io, packets, BURST_MAX), sent;

		if (!received)
			continue;
		rx_ns = clock_ns();
		macs_swap(packets, received);
		swap_ns += clock_ns() - rx_ns;
		sent = io_af_xdp.tx(io, packets, received);
		io_af_xdp.release(io, packets + sent, received - sent);
		busy_ns += clock_ns() - start_ns;
		datagrams += received;
		tx_full += received - sent;
	}
	io_af_xdp.stats(io, &stats);
	printf("{\"received\": %" PRIu64 ", \"forward_ns\": %" PRIu64 ", \"busy_ns\": %" PRIu64
	       ", \"tx_full\": %" PRIu64 ", \"rx_ring_full\": %" PRIu64 "}\n",
	       datagrams, swap_ns, busy_ns, tx_full,
	       stats.ports[0].rx_ring_full + stats.ports[1].rx_ring_full);
}

static int port_attach(struct l2fwd *bpf, const struct io *io, uint32_t port, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, flags, .flags = XDP_FLAGS_DRV_MODE);
	int program = bpf_program__fd(bpf->progs.l2fwd);
	int map = bpf_map__fd(bpf->maps.sockets);
	uint32_t queue = 0;
	int socket = io_af_xdp.socket(io, port);

	/* The link lives as long as the process. */
	if (bpf_map_update_elem(map, &queue, &socket, BPF_ANY))
		return -1;
	return bpf_link_create(program, (int)ifindex, BPF_XDP, &flags) < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands);
	struct io_port_config ports[2];
	struct io_config config = { .ports = ports,
				    .port_count = 2,
				    .mode = IO_MODE_COPY,
				    .frame_count = 16384,
				    .frame_size = 2048,
				    .ring_size = 2048 };
	char error[512] = "";
	struct io *io;

	if (status >= 0)
		return status;
	if (!arguments.from || !arguments.to)
		return options_misuse(argv, "it takes two interfaces");
	ports[0] = (struct io_port_config){ arguments.from, if_nametoindex(arguments.from) };
	ports[1] = (struct io_port_config){ arguments.to, if_nametoindex(arguments.to) };
	if (io_af_xdp.open(&config, &io, error, sizeof(error))) {
		(void)fprintf(stderr, "l2fwd: %s\n", error);
		return EXIT_FAILURE;
	}
	for (uint32_t port = 0; port < 2; port++) {
		struct l2fwd *bpf = l2fwd__open_and_load();

		if (!bpf || port_attach(bpf, io, port, ports[port].ifindex)) {
			(void)fprintf(stderr, "l2fwd: cannot attach to %s\n", ports[port].ifname);
			return EXIT_FAILURE;
		}
	}
	(void)signal(SIGTERM, stop_set);
	(void)signal(SIGINT, stop_set);
	(void)fprintf(stderr, "ready: 1 worker\n");
	forward(io);
	io_af_xdp.close(io);
	return EXIT_SUCCESS;
}
