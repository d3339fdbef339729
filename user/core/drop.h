/* SPDX-License-Identifier: GPL-2.0-only */
/* drop.h - every reason for which a worker gives up a datagram. */
#ifndef RINGWAY_CORE_DROP_H
#define RINGWAY_CORE_DROP_H

/* X(constant, name, meaning and what to do) */
#define DROP_REASONS(X)                                                                          \
	X(MALFORMED, "malformed", "headers that contradict each other")                          \
	X(NOT_OURS, "not_ours", "no service and no backend has this address and port")           \
	X(RETURN_SPOOFED, "return_spoofed", "a backend's address from the wrong interface")      \
	X(SOURCE_OURS, "source_ours",                                                            \
	  "to a service from a service's or backend's own address and port: a loop, or a lie")   \
	X(SOURCE_MARTIAN, "source_martian",                                                      \
	  "to a service from an address that nobody can be answered at")                         \
	X(NO_BACKEND, "no_backend", "the service has no backend of this address family")         \
	X(NO_NEIGHBOUR, "no_neighbour",                                                          \
	  "the next hop's MAC address is not known; is the backend up and reachable?")           \
	X(BACKEND_GONE, "backend_gone",                                                          \
	  "the connection's backend was removed, and the service says `on_remove: drop`")        \
	X(DISCOVERY_ANSWER, "discovery_answer",                                                  \
	  "a short answer while it is not clear which backend owns the connection")              \
	X(TTL_EXPIRED, "ttl_expired", "the TTL or hop limit ran out here")                       \
	X(NO_CHECKSUM, "no_checksum", "UDP over IPv6 without a checksum (RFC 8200 section 8.1)") \
	X(TOO_BIG, "too_big", "longer than the MTU of the interface to the backend")             \
	X(TX_FULL, "tx_full", "not sent: the transmit ring is full, or its socket refused")

enum drop_reason {
#define X(constant, name, meaning) DROP_##constant,
	DROP_REASONS(X)
#undef X
		DROP_REASON_COUNT,
};

/* Both never NULL for reason < DROP_REASON_COUNT; static storage. */
const char *drop_reason_name(enum drop_reason reason);
const char *drop_reason_meaning(enum drop_reason reason);

#endif
