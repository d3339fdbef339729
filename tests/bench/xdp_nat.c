/* SPDX-License-Identifier: GPL-2.0-only */
/* xdp_nat - loads the in-kernel forwarder on two interfaces, with one backend, and
 * holds it until SIGTERM. */
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "load/path.h"
#include "ringway/wire.h"
#include "util/endpoint.h"
#include "util/options.h"
#include "xdp_nat.h"
#include "xdp_nat.skel.h"

static struct {
	const char *from, *to;
	struct endpoint service, backend;
} arguments;

static bool endpoint_option_parse(const char *text, void *ret_endpoint)
{
	return endpoint_parse(text, ret_endpoint);
}

static const struct option_entry entries[] = {
	{ 0, "from", "INTERFACE", "the clients' side", .value = &arguments.from },
	{ 0, "to", "INTERFACE", "the backend's side", .value = &arguments.to },
	{ 0, "service", "ADDR:PORT", "IPv4", .parse = endpoint_option_parse,
	  .parsed = &arguments.service },
	{ 0, "backend", "ADDR:PORT", "IPv4", .parse = endpoint_option_parse,
	  .parsed = &arguments.backend },
};

static const struct options options = {
	.usage = "xdp-nat --from=INTERFACE --to=INTERFACE --service=ADDR:PORT --backend=ADDR:PORT",
	.summary = "Forward a service's datagrams in XDP until SIGTERM.",
	.entries = entries,
	.count = sizeof(entries) / sizeof(entries[0]),
};

static struct xdp_nat_address address_of(const struct endpoint *endpoint)
{
	struct xdp_nat_address address = { .port_be = wire_be16(endpoint->port) };

	memcpy(&address.addr, endpoint->addr + 12, sizeof(address.addr));
	return address;
}

static int backend_set(const struct xdp_nat *bpf, const struct load_path *path)
{
	struct xdp_nat_backend backend = { .address = address_of(&arguments.backend),
					   .ifindex = path->ifindex };
	__u64 key = (__u64)backend.address.addr << 16 | backend.address.port_be;
	__u32 number = 0;

	memcpy(backend.dst_mac, path->next_hop_mac, 6);
	memcpy(backend.src_mac, path->source_mac, 6);
	if (bpf_map_update_elem(bpf_map__fd(bpf->maps.backends), &number, &backend, BPF_ANY))
		return -1;
	return bpf_map_update_elem(bpf_map__fd(bpf->maps.returns), &key, &number, BPF_ANY);
}

/* The link lives as long as the process. */
static int interface_attach(const struct xdp_nat *bpf, const char *ifname)
{
	LIBBPF_OPTS(bpf_link_create_opts, flags, .flags = XDP_FLAGS_DRV_MODE);

	return bpf_link_create(bpf_program__fd(bpf->progs.xdp_nat), (int)if_nametoindex(ifname),
			       BPF_XDP, &flags) < 0;
}

int main(int argc, char **argv)
{
	int operands, status = options_parse(&options, argc, argv, &operands), received;
	struct load_path path;
	char error[512] = "";
	struct xdp_nat *bpf;
	sigset_t ending;

	if (status >= 0)
		return status;
	if (!arguments.from || !arguments.to || !arguments.service.port || !arguments.backend.port)
		return options_misuse(argv, "it takes two interfaces and two addresses");
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ending, NULL);
	bpf = xdp_nat__open();
	if (!bpf)
		return EXIT_FAILURE;
	bpf->rodata->plan.service = address_of(&arguments.service);
	if (load_path_find(arguments.to, arguments.backend.addr, NULL, NULL, &path, error,
			   sizeof(error)) ||
	    xdp_nat__load(bpf) || backend_set(bpf, &path) ||
	    interface_attach(bpf, arguments.from) || interface_attach(bpf, arguments.to)) {
		(void)fprintf(stderr, "xdp-nat: cannot forward: %s\n", error);
		return EXIT_FAILURE;
	}
	(void)fprintf(stderr, "ready\n");
	(void)sigwait(&ending, &received);
	return EXIT_SUCCESS;
}
