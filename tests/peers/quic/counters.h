/* SPDX-License-Identifier: GPL-2.0-only */
/* counters.h - what the server counts, by the names that its JSON has. */
#ifndef PEERS_QUIC_COUNTERS_H
#define PEERS_QUIC_COUNTERS_H

#include <stdint.h>

#define QUIC_COUNTERS(X)           \
	X(connections_accepted)    \
	X(connections_established) \
	X(connections_finished)    \
	X(connections_timed_out)   \
	X(connections_failed)      \
	X(connections_refused)     \
	X(connections_peak)        \
	X(requests)                \
	X(paths_validated)         \
	X(paths_failed)            \
	X(datagrams_in)            \
	X(datagrams_out)           \
	X(bytes_in)                \
	X(bytes_out)               \
	X(send_failures)           \
	X(malformed)               \
	X(unknown_connection_ids)  \
	X(resets_sent)             \
	X(retries_sent)            \
	X(tokens_refused)          \
	X(version_negotiations_sent)

struct quic_counters {
#define X(name) uint64_t name;
	QUIC_COUNTERS(X)
#undef X
};

#endif
