/* SPDX-License-Identifier: GPL-2.0-only */
/* attach.h - the XDP program: its maps, and its place on the interfaces.
 *
 * One program for all ports. Held by a bpf_link each: when the process dies, the
 * kernel detaches, and traffic falls to the stack. One thread, but attach_counters
 * is for any. Silences libbpf's own messages for the whole process. */
#ifndef RINGWAY_CONTROL_ATTACH_H
#define RINGWAY_CONTROL_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringway/abi.h"

struct attach;

/* Load the program and its maps, nothing attached yet. 0, or a negative errno
 * with *ret_attach untouched and a sentence in error[]: which step failed, why,
 * what to do. Control. */
int attach_open(struct attach **ret_attach, char *error, size_t error_size);

/* Attach to one port, whose MAC address is mac, native, or generic if `generic`.
 * -EOPNOTSUPP when the driver has no native XDP: try generic then. error[] as above. */
int attach_port(struct attach *attach, uint32_t port, uint32_t ifindex, const char *ifname,
		const uint8_t mac[6], bool generic, char *error, size_t error_size);

/* Fill the matching tables and the XSKMAP. 0 or a negative errno. */
int attach_service_set(struct attach *attach, const struct match_key *key,
		       const struct service_rule *rule);
int attach_return_set(struct attach *attach, const struct match_key *key,
		      const struct return_rule *rule);
int attach_socket_set(struct attach *attach, uint32_t port, uint32_t queue, int socket);

/* Likewise; one that is not there is fine. */
int attach_service_delete(struct attach *attach, const struct match_key *key);
int attach_return_delete(struct attach *attach, const struct match_key *key);

/* Sums over all CPUs, INGRESS_COUNTER_COUNT of them. */
int attach_counters(const struct attach *attach, uint64_t *ret_counters);

/* Readable when XDP wants neighbours; attach_wanted_drain calls back for each that
 * is there, at most NEIGHBOUR_WANTED_COUNT_MAX a call. */
int attach_wanted_fd(const struct attach *attach);
typedef void attach_wanted_fn(void *arg, const struct neighbour_wanted *wanted);
void attach_wanted_drain(struct attach *attach, attach_wanted_fn *wanted, void *arg);

/* The program, to run it on frames of one's own (BPF_PROG_TEST_RUN). */
int attach_program_fd(const struct attach *attach);

/* Detaches. Accepts NULL. */
void attach_close(struct attach *attach);

#endif
