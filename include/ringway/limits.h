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

/* Backend slots over all services: 12 bits of an affinity entry. */
#define BACKEND_COUNT_MAX 4096

/* Highest weight of a backend: Maglev's build time grows with it. */
#define BACKEND_WEIGHT_MAX 1000

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

#endif
