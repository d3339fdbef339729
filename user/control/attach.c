/* SPDX-License-Identifier: GPL-2.0-only */
/* attach.c - the XDP program: its maps, and its place on the interfaces. */
#include "control/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ingress.skel.h"
#include "util/number.h"
#include "util/per_cpu.h"

#define KERNEL_OLDEST "5.15"

/* Of the whole daemon: it will need them all, not only the one that is missing here. */
#define RIGHTS                                                                        \
	"run as root, or with the capabilities CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, " \
	"CAP_NET_RAW and CAP_IPC_LOCK"

/* Links of the whole system that a search for the owner of one may look at. */
#define LINK_COUNT_MAX 4096

struct attach {
	struct ingress *skeleton;
	struct ring_buffer *wanted;
	int links[PORT_COUNT_MAX]; /* -1: not attached */

	/* During attach_wanted_drain(). */
	attach_wanted_fn *wanted_fn;
	void *wanted_arg;
	uint32_t wanted_left;
};

/* What libbpf complained of first since it was last cleared: the cause, as the
 * lines that follow only say which steps failed in consequence. */
static _Thread_local char libbpf_text[256];

static int libbpf_keep(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char prefix[] = "libbpf: ";
	size_t skip;

	if (level != LIBBPF_WARN || libbpf_text[0])
		return 0;
	(void)vsnprintf(libbpf_text, sizeof(libbpf_text), format, args);
	libbpf_text[strcspn(libbpf_text, "\n")] = 0;
	skip = strncmp(libbpf_text, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
	memmove(libbpf_text, libbpf_text + skip, strlen(libbpf_text + skip) + 1);
	return 0;
}

/* Without it the verifier refuses what the program does, with EACCES, as it refuses a
 * program that it does not understand. */
static bool may_compare_pointers(void)
{
	if (capng_get_caps_process())
		return true;
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_PERFMON) ||
	       capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
}

static int load_failed(int err, char *error, size_t error_size)
{
	const char *said = libbpf_text[0] ? libbpf_text : "nothing more is known";
	struct utsname host;

	/* libbpf would speak of RLIMIT_MEMLOCK then. */
	if (err == -EPERM)
		return fail(err, error, error_size, "cannot load the XDP program: %s; " RIGHTS,
			    strerror(-err));
	if (err == -EACCES && !may_compare_pointers())
		return fail(err, error, error_size,
			    "cannot load the XDP program: CAP_PERFMON is missing; " RIGHTS);
	if (uname(&host))
		strcpy(host.release, "unknown");
	return fail(err, error, error_size,
		    "cannot load the XDP program into kernel %s: %s (%s); Linux " KERNEL_OLDEST
		    " or later is needed",
		    host.release, strerror(-err), said);
}

static int wanted_record(void *arg, void *record, size_t size)
{
	struct attach *attach = arg;

	if (size >= sizeof(struct neighbour_wanted))
		attach->wanted_fn(attach->wanted_arg, record);
	return --attach->wanted_left ? 0 : -ECANCELED;
}

int attach_open(struct attach **ret_attach, char *error, size_t error_size)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	int err;

	if (!attach)
		return fail(-ENOMEM, error, error_size, "cannot load the XDP program: %s",
			    strerror(ENOMEM));
	for (uint32_t port = 0; port < PORT_COUNT_MAX; port++)
		attach->links[port] = -1;

	libbpf_set_print(libbpf_keep);
	libbpf_text[0] = 0;
	errno = EINVAL;
	attach->skeleton = ingress__open();
	err = attach->skeleton ? ingress__load(attach->skeleton) : -errno;
	if (err) {
		load_failed(err, error, error_size);
		goto fail;
	}
	errno = ENOMEM;
	attach->wanted = ring_buffer__new(bpf_map__fd(attach->skeleton->maps.wanted), wanted_record,
					  attach, NULL);
	if (!attach->wanted) {
		err = fail(-errno, error, error_size,
			   "cannot map the ring of wanted neighbours: %s", strerror(errno));
		goto fail;
	}
	*ret_attach = attach;
	return 0;
fail:
	attach_close(attach);
	return err;
}

/* The id of the link that holds this program on ifindex, or 0. An ifindex alone may
 * be that of another network namespace. */
static uint32_t link_id_find(uint32_t ifindex, uint32_t program)
{
	uint32_t id = 0;

	for (int i = 0; i < LINK_COUNT_MAX && !bpf_link_get_next_id(id, &id); i++) {
		struct bpf_link_info info = { 0 };
		uint32_t size = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);
		bool found;

		if (fd < 0)
			continue;
		found = !bpf_obj_get_info_by_fd(fd, &info, &size) &&
			info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == ifindex &&
			info.prog_id == program;
		(void)close(fd);
		if (found)
			return id;
	}
	return 0;
}

/* "?" if it is gone by now. */
static void program_name(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	strcpy(name, "?");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	(void)close(fd);
}

/* Somebody's program is there already, or something else is in the way. */
static int port_occupied(int err, uint32_t ifindex, const char *ifname, char *error,
			 size_t error_size)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[BPF_OBJ_NAME_LEN];
	uint32_t link, program;

	if (bpf_xdp_query((int)ifindex, 0, &query))
		memset(&query, 0, sizeof(query));
	program = query.prog_id	      ? query.prog_id
		  : query.drv_prog_id ? query.drv_prog_id
				      : query.skb_prog_id;
	if (!program)
		return fail(err, error, error_size,
			    "cannot attach XDP to %s: %s; is it part of a bond or bridge that has "
			    "an XDP program?",
			    ifname, strerror(-err));
	program_name(program, name);
	link = link_id_find(ifindex, program);
	if (link)
		return fail(err, error, error_size,
			    "cannot attach XDP to %s: it has program %u (%s) already, held by "
			    "another process through link %u; stop that process, or "
			    "`bpftool link detach id %u`",
			    ifname, program, name, link, link);
	return fail(err, error, error_size,
		    "cannot attach XDP to %s: it has program %u (%s) already; remove it with "
		    "`ip link set dev %s %s off`, or, if that says it is busy, stop the process "
		    "that holds it: `bpftool link` has its number",
		    ifname, program, name, ifname,
		    query.attach_mode == XDP_ATTACHED_SKB ? "xdpgeneric" : "xdp");
}

static int port_failed(int err, uint32_t ifindex, const char *ifname, bool generic, char *error,
		       size_t error_size)
{
	switch (err) {
	case -EBUSY:
	case -EEXIST: return port_occupied(err, ifindex, ifname, error, error_size);
	case -EPERM:
		return fail(err, error, error_size, "cannot attach XDP to %s: %s; " RIGHTS, ifname,
			    strerror(-err));
	case -EOPNOTSUPP:
		return fail(err, error, error_size,
			    "cannot attach XDP to %s: its driver has no %s XDP%s", ifname,
			    generic ? "generic" : "native",
			    generic ? "" : "; `mode: generic` works with every driver, but slowly");
	case -ENOSPC: /* veth */
		return fail(err, error, error_size,
			    "cannot attach XDP to %s: its veth peer has more transmit queues than "
			    "it has receive queues; give both ends as many: `ethtool -L %s rx N`",
			    ifname, ifname);
	case -ERANGE: /* veth, among others */
		return fail(err, error, error_size,
			    "cannot attach XDP to %s: the MTU of it or its veth peer is too large "
			    "for native XDP; set both to 1500: `ip link set dev %s mtu 1500`",
			    ifname, ifname);
	default:
		return fail(err, error, error_size,
			    "cannot attach XDP to %s in %s mode: %s; the kernel's log (dmesg) may "
			    "say why",
			    ifname, generic ? "generic" : "native", strerror(-err));
	}
}

int attach_port(struct attach *attach, uint32_t port, uint32_t ifindex, const char *ifname,
		const uint8_t mac[6], bool generic, char *error, size_t error_size)
{
	struct bpf_map *ports = attach->skeleton->maps.ports;
	struct port_rule rule = { .port = port };
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int err, link;

	if (port >= PORT_COUNT_MAX || attach->links[port] >= 0)
		return fail(-EINVAL, error, error_size,
			    "cannot attach XDP to %s: port %u is taken, or not below %d", ifname,
			    port, PORT_COUNT_MAX);
	/* First, so that the program never runs on an interface it does not know. */
	memcpy(rule.mac, mac, sizeof(rule.mac));
	err = bpf_map__update_elem(ports, &ifindex, sizeof(ifindex), &rule, sizeof(rule), BPF_ANY);
	if (err)
		return fail(err, error, error_size, "cannot note %s as a port: %s", ifname,
			    strerror(-err));
	link = bpf_link_create(attach_program_fd(attach), (int)ifindex, BPF_XDP, &options);
	if (link < 0) {
		(void)bpf_map__delete_elem(ports, &ifindex, sizeof(ifindex), 0);
		return port_failed(link, ifindex, ifname, generic, error, error_size);
	}
	attach->links[port] = link;
	return 0;
}

/* Never taken back: a port too many costs a look-up. */
static int port_note(struct attach *attach, uint16_t port_be)
{
	struct bpf_map *map = attach->skeleton->maps.our_ports;
	uint32_t word = OUR_PORTS_WORD(port_be);
	uint64_t bits;
	int err = bpf_map__lookup_elem(map, &word, sizeof(word), &bits, sizeof(bits), 0);

	if (err)
		return err;
	bits |= 1ull << OUR_PORTS_BIT_NUM(port_be);
	return bpf_map__update_elem(map, &word, sizeof(word), &bits, sizeof(bits), BPF_ANY);
}

int attach_service_set(struct attach *attach, const struct match_key *key,
		       const struct service_rule *rule)
{
	int err = port_note(attach, key->port_be);

	if (err)
		return err;
	return bpf_map__update_elem(attach->skeleton->maps.services, key, sizeof(*key), rule,
				    sizeof(*rule), BPF_ANY);
}

/* How many rules are of this address, which XDP asks for only: 0 removes it. */
static int backend_addr_count_set(struct attach *attach, const uint8_t addr[16], uint32_t count)
{
	const struct bpf_map *map = attach->skeleton->maps.backend_addrs;

	if (!count)
		return bpf_map__delete_elem(map, addr, 16, 0);
	return bpf_map__update_elem(map, addr, 16, &count, sizeof(count), BPF_ANY);
}

static uint32_t backend_addr_count(const struct attach *attach, const uint8_t addr[16])
{
	uint32_t count;

	if (bpf_map__lookup_elem(attach->skeleton->maps.backend_addrs, addr, 16, &count,
				 sizeof(count), 0))
		return 0;
	return count;
}

/* One that is there already is replaced, and its address has been counted. */
int attach_return_set(struct attach *attach, const struct match_key *key,
		      const struct return_rule *rule)
{
	const struct bpf_map *map = attach->skeleton->maps.backends;
	uint32_t count = backend_addr_count(attach, key->addr);
	int err = port_note(attach, key->port_be);

	if (err)
		return err;
	if (!bpf_map__update_elem(map, key, sizeof(*key), rule, sizeof(*rule), BPF_EXIST))
		return 0;
	/* The address first, so that no part of an answer slips by. */
	err = backend_addr_count_set(attach, key->addr, count + 1);
	if (err)
		return err;
	err = bpf_map__update_elem(map, key, sizeof(*key), rule, sizeof(*rule), BPF_NOEXIST);
	if (err)
		(void)backend_addr_count_set(attach, key->addr, count);
	return err;
}

int attach_service_delete(struct attach *attach, const struct match_key *key)
{
	int err = bpf_map__delete_elem(attach->skeleton->maps.services, key, sizeof(*key), 0);

	return err == -ENOENT ? 0 : err;
}

int attach_return_delete(struct attach *attach, const struct match_key *key)
{
	int err = bpf_map__delete_elem(attach->skeleton->maps.backends, key, sizeof(*key), 0);

	if (err)
		return err == -ENOENT ? 0 : err;
	return backend_addr_count_set(attach, key->addr, backend_addr_count(attach, key->addr) - 1);
}

int attach_socket_set(struct attach *attach, uint32_t port, uint32_t queue, int socket)
{
	uint32_t index = XSK_INDEX(port, queue);

	if (port >= PORT_COUNT_MAX || queue >= QUEUE_COUNT_MAX)
		return -EINVAL;
	return bpf_map__update_elem(attach->skeleton->maps.xsks, &index, sizeof(index), &socket,
				    sizeof(socket), BPF_ANY);
}

int attach_counters(const struct attach *attach, uint64_t *ret_counters)
{
	return per_cpu_sum(bpf_map__fd(attach->skeleton->maps.counters), INGRESS_COUNTER_COUNT,
			   ret_counters);
}

int attach_wanted_fd(const struct attach *attach)
{
	return ring_buffer__epoll_fd(attach->wanted);
}

void attach_wanted_drain(struct attach *attach, attach_wanted_fn *wanted, void *arg)
{
	attach->wanted_fn = wanted;
	attach->wanted_arg = arg;
	attach->wanted_left = NEIGHBOUR_WANTED_COUNT_MAX;
	/* The error, if any, is our own: enough for now. */
	(void)ring_buffer__consume(attach->wanted);
}

int attach_program_fd(const struct attach *attach)
{
	return bpf_program__fd(attach->skeleton->progs.ingress);
}

void attach_close(struct attach *attach)
{
	if (!attach)
		return;
	for (uint32_t port = 0; port < PORT_COUNT_MAX; port++)
		if (attach->links[port] >= 0)
			(void)close(attach->links[port]);
	ring_buffer__free(attach->wanted); /* NULL is a no-op, here and below */
	ingress__destroy(attach->skeleton);
	free(attach);
}
