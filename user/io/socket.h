/* SPDX-License-Identifier: GPL-2.0-only */
/* socket.h - the socket engine: datagrams by the kernel's own UDP sockets, where no
 * XDP is to be had.
 *
 * A two-way proxy for the same core: what arrives on a service's socket becomes a
 * frame (Ethernet, IP, UDP, payload) that core decides on and rewrites; what leaves is
 * sent as a datagram to where the frame then points. A flow is a client at a backend:
 * one connected UDP socket upstream, whose answers come back as frames of the backend
 * to the client. So routing, health, drain, reload and owner discovery know nothing of
 * sockets.
 *
 * Frames are FRAME_UNCLASSIFIED: table_classify() says whose they are. There is one
 * port, 0, and all Ethernet addresses are zero: a table whose port has that address,
 * and whose backends have it for a next hop, lets them pass. Only TABLE_NAT makes
 * sense. TTL and ECN end here, as the two sides are two paths: endpoints of QUIC find
 * that ECN does not pass, and do without (RFC 9000 section 13.4.2); to copy the bits
 * would cost a control message a datagram. The longest datagram is frame_size less
 * some 110 bytes.
 *
 * What all workers share is a struct socket_group: services' sockets, and the flows,
 * which any worker may send on, and of which one reads the answers. A client whose
 * datagrams come to another worker than before keeps its flow. Workers are QSBR readers
 * of liburcu's, offline while they wait. A flow's first datagram is the one that
 * allocates and opens a file on its way; all others find it without a lock. */
#ifndef RINGWAY_IO_SOCKET_H
#define RINGWAY_IO_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the kernel is called. X(constant, name, meaning) */
#define SOCKET_CALLS(X)                                                            \
	X(EPOLL, "epoll", "recvfrom and sendto, a system call a datagram")         \
	X(MMSG, "mmsg", "recvmmsg and sendmmsg, a system call a burst and socket") \
	X(IO_URING, "io_uring", "multishot receive into provided buffers, batched sends")

enum socket_calls {
#define X(constant, name, meaning) SOCKET_##constant,
	SOCKET_CALLS(X)
#undef X
		SOCKET_CALLS_COUNT,
};

/* Which worker's socket gets a client's datagram, of several. */
enum socket_steering {
	SOCKET_STEER_FOUR_TUPLE,    /* the kernel's own choice */
	SOCKET_STEER_CONNECTION_ID, /* xdp/reuseport.bpf.c; needs CAP_BPF, CAP_NET_ADMIN */
};

/* One address of a service. */
struct socket_endpoint {
	uint8_t addr[16]; /* as in match_key; not 0.0.0.0, not :: */
	uint16_t port_be;
	uint8_t connection_id_len; /* 0..QUIC_CID_LEN_MAX, to steer by; 0: unknown, 8 are used */
	bool is_quic;
	uint32_t idle_ms; /* a flow without datagrams for so long is closed */
};

struct socket_source {
	uint8_t addr[16]; /* as in match_key */
};

struct socket_group_config {
	enum socket_calls calls;
	enum socket_steering steering;
	bool is_decoupled;	 /* a thread more a worker, that only receives */
	uint32_t worker_count;	 /* 1..WORKER_COUNT_MAX */
	uint32_t receive_buffer; /* bytes of each service's socket, 0: the kernel's default */
	uint32_t flow_max; /* 1..SOCKET_FLOW_COUNT_MAX: beyond, datagrams of new ones are dropped */
	uint32_t files_other; /* that the process has open at most, besides the engine's */
	const struct socket_source *sources; /* to send from to backends, in turn; copied */
	size_t source_count;		     /* 0: the kernel chooses */
};

struct socket_group;

/* Shared by the ios of all workers: io_config.socket_group. 0 and *ret_group is the
 * caller's (socket_group_close); or a negative errno and a sentence in error[] that
 * says which step failed, why, and what to do. Control. */
int socket_group_open(const struct socket_group_config *config, struct socket_group **ret_group,
		      char *error, size_t error_size);

/* Serve exactly these addresses from now on: opens and binds a socket a worker for each
 * that is new, closes those that are gone; their flows follow within some two seconds.
 * For those that stay, idle_ms, is_quic and connection_id_len change. Before
 * io_socket.open() or while workers run. All or nothing: on failure the old ones go on.
 * -EMFILE: the process may not have as many files as this and flow_max flows take.
 * Waits up to 250 ms for an address that another has. Binding a port below 1024 takes
 * CAP_NET_BIND_SERVICE, at a reload as well. Returns as above. Control, the thread that opens and
 * closes the ios; waits for a grace period. */
int socket_group_listen(struct socket_group *group, const struct socket_endpoint *endpoints,
			size_t count, char *error, size_t error_size);

/* X(constant, name, meaning): what frames' counters do not tell. */
#define SOCKET_COUNTERS(X)                                                           \
	X(FLOWS_OPENED, "flows_opened", "upstream sockets opened")                   \
	X(FLOWS_EXPIRED, "flows_expired", "upstream sockets closed: idle, or gone")  \
	X(FLOWS_REFUSED, "flows_refused", "datagrams of flows beyond socket.flows")  \
	X(FLOW_ERRORS, "flow_errors",                                                \
	  "upstream sockets that could not be opened: no file, or no port, lately")  \
	X(UNREACHABLE, "unreachable", "ICMP errors that backends' sockets reported") \
	X(RING_FULL, "ring_full", "received, but the forwarding thread was behind")  \
	X(TRUNCATED, "truncated", "longer than a frame")

enum socket_counter {
#define X(constant, name, meaning) SOCKET_COUNT_##constant,
	SOCKET_COUNTERS(X)
#undef X
		SOCKET_COUNTER_COUNT,
};

/* A service's socket at which the kernel has dropped. */
struct socket_dropper {
	uint8_t addr[16]; /* as in match_key */
	uint16_t port_be;
	uint32_t worker;
	uint64_t dropped;
};

#define SOCKET_DROPPER_COUNT_MAX 32

struct socket_stats {
	uint64_t flows; /* now open */
	uint64_t counts[SOCKET_COUNTER_COUNT];
	uint64_t dropped_service; /* by the kernel: no room in a service's socket (SO_MEMINFO) */
	uint64_t dropped_flow;	  /* likewise in flows' sockets; seen late of those open */
	size_t dropper_count;	  /* of services' sockets that are open, the first ones */
	struct socket_dropper droppers[SOCKET_DROPPER_COUNT_MAX];
};

/* Any thread; costs a system call a service's socket, none a flow's. */
void socket_group_stats(const struct socket_group *group, struct socket_stats *ret_stats);

/* After the last io is closed. NULL is a no-op. */
void socket_group_close(struct socket_group *group);

#endif
