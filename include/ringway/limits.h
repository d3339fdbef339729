/* SPDX-License-Identifier: GPL-2.0-only */
/* limits.h - every maximum, with its unit and its reason. Nothing else. */
#ifndef RINGWAY_LIMITS_H
#define RINGWAY_LIMITS_H

/* Interfaces ringway receives on and sends to. One bit each in masks of 8. */
#define PORT_COUNT_MAX 8

/* Queues of one interface; also workers, as worker i owns queue i of each. */
#define QUEUE_COUNT_MAX	 64
#define WORKER_COUNT_MAX QUEUE_COUNT_MAX

/* Service slots: 16 bits travel with a frame, this bounds the counters. */
#define SERVICE_COUNT_MAX 1024

/* Addresses that the socket engine listens on: one of each family a service, and while a
 * reload is under way those of the services before it, too. */
#define SOCKET_ENDPOINT_COUNT_MAX (2 * 2 * SERVICE_COUNT_MAX)

/* Flows of the socket engine, a file each: Linux gives a process 2^20 by default
 * (fs.nr_open), and services' sockets need some. */
#define SOCKET_FLOW_COUNT_MAX ((1 << 20) - (1 << 16))

/* Addresses that the socket engine sends to backends from, some 28,000 ports each. */
#define SOCKET_SOURCE_COUNT_MAX 256

/* Backend slots over all services: 12 bits of an affinity entry. */
#define BACKEND_COUNT_MAX 4096

/* Highest weight of a backend: Maglev's build time grows with it. */
#define BACKEND_WEIGHT_MAX 1000

/* Bytes that may wait in a service's socket: seconds of the fastest it can serve. */
#define SOCKET_RECEIVE_BUFFER_MAX (256 << 20)

/* Frames handled between two ring operations: larger costs latency and L1. */
#define BURST_MAX 64

/* Entries of a receive or transmit ring, a power of two: a burst must fit, and
 * the 48 MB of frames behind the largest are more than most caches hold. */
#define RING_SIZE_MIN 64
#define RING_SIZE_MAX 8192

/* Frames of one worker: the largest rings on all ports, five times over. */
#define FRAME_COUNT_MAX (1 << 20)

/* 802.1Q inside 802.1ad, and nothing deeper. */
#define VLAN_TAG_COUNT_MAX 2

/* RFC 9000 section 17.2: Connection IDs of versions 1 and 2, in bytes. */
#define QUIC_CID_LEN_MAX 20

/* Names of services and backends, in bytes without the terminator. */
#define NAME_LEN_MAX 63

/* Bytes of a configuration file: 4096 backends need about 600 KB. */
#define CONFIG_SIZE_MAX_BYTES (8 << 20)

/* Clients of the control socket at one time; the next ones wait in its backlog. */
#define CONTROL_CLIENT_COUNT_MAX 16

/* Bytes of a command to the control socket, its newline included. */
#define CONTROL_LINE_SIZE_MAX_BYTES 4096

/* Time a client has, in seconds, from being accepted to having read its answer. */
#define CONTROL_CLIENT_TIME_MAX_S 5

/* Bytes of an answer that ringwayctl takes: 4096 backends need about 2 MB. */
#define CONTROL_ANSWER_SIZE_MAX_BYTES (16 << 20)

/* Neighbour solicitations that XDP may have waiting for the control thread. */
#define NEIGHBOUR_WANTED_COUNT_MAX 256

/* Buckets of a guard: source prefixes that share one are few. A power of two. */
#define GUARD_PREFIX_COUNT 4096

/* New entries that one source prefix, and all together, may make a second on one
 * worker before their clients have shown that they hear the server. */
#define UNPROVEN_PER_PREFIX_PER_S 10000
#define UNPROVEN_PER_S		  1000000

/* Connection IDs learned from the client on one 4-tuple in a minute. */
#define CIDS_PER_TUPLE_PER_MINUTE 8

/* Connection ID lengths that a service's servers may use; the most used first. */
#define CID_LENGTH_COUNT_MAX 4

/* Shorter ones, chosen by servers that know nothing of each other, would meet. */
#define CID_LEARN_LEN_MIN 4

/* Owners sought at one time, over all workers. A power of two. */
#define DISCOVERY_COUNT 4096

/* Datagrams of one question: as many as its owner answers twice, and no more, as it
 * is open for seconds. */
#define DISCOVERY_DATAGRAMS_MAX 32

/* Copies of one datagram, and copies a second for a source prefix and for all, on
 * one worker. A question costs as much as some copies, as it takes a place for
 * DISCOVERY_KEEP_MS: so one prefix takes 250 places, 6 %, or with what it has saved up
 * 750, 18 %. On however many workers, it takes no more than half. */
#define DISCOVERY_COPIES_MAX	   64
#define DISCOVERY_PER_PREFIX_PER_S 1000
#define DISCOVERY_PER_S		   50000
#define DISCOVERY_QUESTION_COPIES  4

/* Addresses whose health is watched: a backend has one of each family. */
#define HEALTH_WATCH_COUNT_MAX (2 * BACKEND_COUNT_MAX)

/* Health probes waiting for an answer, a file descriptor each: together with the
 * largest number of AF_XDP sockets they stay below the usual limit of 1024. */
#define HEALTH_PROBE_COUNT_MAX 256

/* Milliseconds between two probes of a backend. More often, and thousands of backends
 * keep the control thread busy; more seldom than hourly finds nothing out in time. */
#define HEALTH_INTERVAL_MIN_MS 100
#define HEALTH_INTERVAL_MAX_MS 3600000

/* Milliseconds to wait for an answer: the control thread may be that late itself.
 * The most is the interval, as a backend has one probe at a time. */
#define HEALTH_TIMEOUT_MIN_MS 10

/* Probes in a row that make a backend up (rise) or down (fall). */
#define HEALTH_STREAK_MAX 100

/* Bytes of a UDP probe, and of what its answer begins with: a DNS query has room. */
#define HEALTH_PAYLOAD_LEN_MAX 512

/* Dampening: changes of state that are remembered, and intervals that count. */
#define HEALTH_FLAP_CHANGES_MAX	  15
#define HEALTH_FLAP_INTERVALS_MAX 3600

/* Seconds that dampening keeps a backend down at a time: who repairs it does not
 * want to wait longer. */
#define HEALTH_HOLD_MAX_S 600

#endif
