/* SPDX-License-Identifier: GPL-2.0-only */
/* load_abi.h - what ringway-load's programs, its userspace and its frames share.
 *
 * Nothing of it concerns the forwarder. A load datagram ends with a struct
 * load_trailer, whatever precedes it, so a reader finds it without knowing the
 * kind of the datagram; its Connection ID follows from a number (load_cid_word),
 * so a reader can recompute it. */
#ifndef RINGWAY_LOAD_ABI_H
#define RINGWAY_LOAD_ABI_H

#include <linux/bpf.h>
#include <linux/types.h>

#include "ringway/wire.h"

#define LOAD_MAGIC 0x52574c44u /* "RWLD" */

/* The last bytes of the UDP payload, on any boundary. */
struct load_trailer {
	__u64 sent_ns_be; /* CLOCK_MONOTONIC when it was made; 0: not stamped */
	__u64 hash_be;	  /* load_hash() of what precedes the trailer, and of the sequence */
	__u32 magic_be;
	__u32 stream_be;   /* one run of one source */
	__u64 sequence_be; /* of the stream, from 0, without gaps */
} __attribute__((packed));
_Static_assert(sizeof(struct load_trailer) == 32, "wire format");
_Static_assert(__builtin_offsetof(struct load_trailer, magic_be) == 16, "wire format");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define load_be64(x) __builtin_bswap64(x)
#else
#define load_be64(x) (x)
#endif

/* The hash is a sum modulo 2^64: of the length in bytes, of a share for each word that
 * precedes the trailer, numbered from 0, and of one for the sequence, at a place of its
 * own. A word is eight bytes in network order, the last one filled up with zeros. The sum may
 * be taken in any order, so a source adds what varies to what it summed up before.
 *
 * A share depends on word and place, and no two words have the same at one place: a
 * change in one word always shows, any other as good as always. */
#define LOAD_HASH_SEQUENCE_PLACE 0xffffffffu

static inline __u64 load_hash_word(__u64 word, __u32 place)
{
	__u64 x = word ^ place * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 32) * 0xbf58476d1ce4e5b9ull;
	return x ^ x >> 32;
}

/* The shares of words on an 8-byte boundary, the first of which is word `place`. */
static inline __u64 load_hash_words(const __u64 *words_be, __u32 count, __u32 place)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < count; i++)
		sum += load_hash_word(load_be64(words_be[i]), place + i);
	return sum;
}

/* Of len bytes on any boundary. */
static inline __u64 load_hash(const void *bytes, __u32 len, __u64 sequence)
{
	__u64 sum = len + load_hash_word(sequence, LOAD_HASH_SEQUENCE_PLACE);

	for (__u32 i = 0; i < len; i += 8) {
		__u64 word_be = 0;

		if (len - i >= 8)
			__builtin_memcpy(&word_be, (const __u8 *)bytes + i, 8);
		for (__u32 j = i; len - i < 8 && j < len; j++)
			((__u8 *)&word_be)[j - i] = ((const __u8 *)bytes)[j];
		sum += load_hash_word(load_be64(word_be), i / 8);
	}
	return sum;
}

/* The Connection ID with number n is the first bytes of words 0, 1 and 2 of n, each
 * in network order. Every step can be undone, so two numbers never give the same
 * eight bytes. (The finalizer of SplitMix64.) */
#define LOAD_CID_WORD_COUNT 3

static inline __u64 load_cid_word(__u64 number, __u32 word)
{
	__u64 x = number * LOAD_CID_WORD_COUNT + word + 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* What a client invents, the destination of an Initial, has every bit of its number's
 * Connection ID inverted: it is never what a server names. */
#define LOAD_CID_MASK_CLIENT 0xff

/* QUIC version 1 up to the filler, with Connection IDs of LOAD_ANSWER_CID_LEN bytes:
 * an Initial as the source sends it, and the Handshake that answers it. Equally long. */
#define LOAD_ANSWER_CID_LEN 8

struct load_initial {
	__u8 first;
	__u8 version[4];
	__u8 dcid_len;
	__u8 dcid[LOAD_ANSWER_CID_LEN];
	__u8 scid_len;
	__u8 token_len;
	__u16 length_be;
} WIRE;

struct load_handshake {
	__u8 first;
	__u8 version[4];
	__u8 dcid_len;
	__u8 scid_len;
	__u8 scid[LOAD_ANSWER_CID_LEN];
	__u16 length_be;
	__u8 filler;
} __attribute__((packed));
_Static_assert(sizeof(struct load_initial) == 18, "wire format");
_Static_assert(sizeof(struct load_handshake) == 18, "wire format");

#define LOAD_FIRST_INITIAL   0xc0
#define LOAD_FIRST_HANDSHAKE 0xe0

/* What the source may send at once after it was held up: one batch of the kernel's
 * test run. The receiver has its turn after each, and a veth ring holds 256. */
#define LOAD_BURST_FRAMES 64

/* What it takes to load either program; the verifier wants CAP_PERFMON of both. */
#define LOAD_BPF_RIGHTS "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"

struct load_head4 {
	struct wire_eth eth;
	struct wire_ipv4 ipv4;
	struct wire_udp udp;
} WIRE;
_Static_assert(sizeof(struct load_head4) == 42, "wire format");

struct load_head6 {
	struct wire_eth eth;
	struct wire_ipv6 ipv6;
	struct wire_udp udp;
} WIRE;
_Static_assert(sizeof(struct load_head6) == 62, "wire format");

/* So many words at the start of the payload are written anew into every frame: they
 * hold the longest header of ours with the longest Connection ID. */
#define LOAD_HEAD_WORD_COUNT 4
_Static_assert(LOAD_HEAD_WORD_COUNT * 8 == sizeof(struct load_trailer), "every payload has room");

/* Past the trailer of the longest payload. */
#define LOAD_PAYLOAD_MAX 2048

/* The datagrams of one header and length. */
struct load_form {
	__u64 words[LOAD_HEAD_WORD_COUNT];  /* the first, in host order, the Connection ID 0 */
	__u64 filler[LOAD_HEAD_WORD_COUNT]; /* at filler_offset, where the other form had its
					       trailer */
	__u64 hash;			    /* of all but words and sequence */
	__u16 frame_len;
	__u16 trailer_offset; /* this and the next two: in the UDP payload */
	__u16 filler_offset;
	__u16 cid_offset; /* 1 to 7 */
	__u16 ip_len_be;  /* as the IP header has it: of IPv6, without itself */
	__u16 udp_len_be;
	__u16 ip_sum; /* folded sums of what stays the same */
	__u16 udp_sum;
	__u8 cid_len;
	__u8 cid_mask;	 /* over every byte of the Connection ID */
	__u8 hash_words; /* of words: so many enter the hash */
	__u8 pad[5];
};
_Static_assert(sizeof(struct load_form) == 96, "load_form is BPF map ABI");

enum load_form_index {
	LOAD_FORM_MAIN,
	LOAD_FORM_INITIAL, /* of new connections, in a mix; at least as long */
	LOAD_FORM_COUNT,
};

/* A connection that changes its 4-tuple has so many of them, in turn. */
#define LOAD_PATH_COUNT 4

/* What is sent, constant for a run. Frame n of the run has sequence n. Which flow and
 * Connection ID that is follows from the plan alone (all divisions round down):
 *
 *   t = n / train;  flow = t mod flow_count;  Connection ID first_cid + t mod cid_count
 *
 * In a mix, i = n * initials / 100 Initials came before. Frame n is one more if
 * (n + 1) * initials / 100 > i; it opens a new connection:
 *
 *   flow = LOAD_PATH_COUNT * flow_count + i mod flow_count
 *   Connection ID first_cid + cid_count + i
 *
 * Otherwise it belongs to connection c, after m migrations of all, g of them its own:
 *
 *   c = (n - i) / train mod cid_count
 *   m = n * migrations / rate
 *   g = (m + cid_count - 1 - c) / cid_count
 *   flow = g mod LOAD_PATH_COUNT * flow_count + c mod flow_count
 *   Connection ID first_cid + c
 *
 * so that connections migrate in turn, `migrations` in the time in which `rate` frames go.
 *
 * Flow f has the source port first_port + f mod port_count, and the source address
 * first_address + f / port_count * address_step.
 *
 * Headers are written anew into every frame: the kernel reuses its pages as the
 * receiver left them. */
struct load_plan {
	__u64 count;	   /* frames to send */
	__u64 interval_ps; /* between frames; 0: no pacing */
	__u64 first_cid;   /* number of the first Connection ID */
	__u32 ifindex;
	__u32 stream;
	__u32 flow_count;
	__u32 cid_count;
	__u32 train;	     /* frames in a row of one flow and Connection ID, at least 1 */
	__u32 initials;	     /* per cent */
	__u32 migrations;    /* of `rate` frames; 0: none */
	__u32 rate;	     /* at least 1 */
	__u32 port_count;    /* source ports of an address; flows beyond take the next one */
	__u32 first_address; /* its last four bytes, host order */
	__u32 address_step;  /* from one address to the next */
	__u16 first_port;    /* host order */
	__u8 is_mix;
	__u8 is_ipv6;
	union {
		struct load_head4 v4;
		struct load_head6 v6;
	} head; /* what varies is 0: lengths, checksums, source port, the source's last four bytes
		 */
	__u8 pad[2];
	struct load_form forms[LOAD_FORM_COUNT];
};
_Static_assert(sizeof(struct load_plan) == 328, "load_plan is BPF map ABI");
_Static_assert(__builtin_offsetof(struct load_plan, forms) == 136, "load_plan is BPF map ABI");

/* Times are of CLOCK_MONOTONIC. */
struct load_progress {
	__u64 start_ns; /* set by userspace; pacing counts from here */
	__u64 due_ps;	/* after start_ns: when the next frame may go */
	__u64 sent;	/* frames given to the interface, which may still refuse them */
	__u64 skipped;	/* runs without a frame, for pacing or because all is sent */
	__u64 first_ns, last_ns;
};
_Static_assert(sizeof(struct load_progress) == 48, "load_progress is BPF map ABI");

/* What load_sink does, constant for a run. */
struct load_sink_plan {
	__u32 stream;	   /* whose connections are noted; 0: every stream's */
	__u32 connections; /* 0: none are noted */
	__u16 port_be;	   /* 0: every port */
	__u8 echo;
	__u8 handshake;
	__u8 count_only; /* datagrams and bytes: neither checked nor answered */
	__u8 pad[3];
};
_Static_assert(sizeof(struct load_sink_plan) == 16, "load_sink_plan is BPF map ABI");

/* Connections are noted by number, which is the sequence modulo how many there are. */
#define LOAD_CONNECTION_COUNT_MAX (1 << 20)

/* Of datagrams with a trailer; all others pass. X(constant, name, meaning) */
#define LOAD_SINK_COUNTERS(X)                                                                \
	X(RECEIVED, "received", "datagrams")                                                 \
	X(BYTES, "bytes", "of UDP payload")                                                  \
	X(ECHOED, "echoed", "turned round and sent back")                                    \
	X(ANSWERED, "answered", "Initials, answered with a Handshake")                       \
	X(NO_CHECKSUM, "no_checksum", "IPv4 with the UDP checksum 0, taken for good")        \
	X(PARTIAL_CHECKSUM, "partial_checksum",                                              \
	  "UDP checksum left to a card that there was not, taken for good")                  \
	X(BAD_CHECKSUM, "bad_checksum", "wrong UDP checksum; their sequence is not trusted") \
	X(BAD_IP_CHECKSUM, "bad_ip_checksum", "wrong IPv4 header checksum, likewise")        \
	X(BAD_HASH, "bad_hash", "wrong payload under a right checksum, likewise")            \
	X(UNSTAMPED, "unstamped", "good, but without the time of their making")              \
	X(STAMPED_LATER, "stamped_later", "good, but made after they came: another clock")   \
	X(OVERRUN, "overrun", "lost in the full buffer of the sink's own socket")            \
	X(UNTRACKED, "untracked", "of one destination or stream more than there is room for")

enum load_sink_counter {
#define X(constant, name, meaning) LOAD_SINK_##constant,
	LOAD_SINK_COUNTERS(X)
#undef X
		LOAD_SINK_COUNTER_COUNT,
};

/* Destinations are keyed by struct match_key of abi.h. */
#define LOAD_DESTINATION_COUNT_MAX 65536

struct load_destination {
	__u64 datagrams;
	__u64 bytes; /* of UDP payload */
};
_Static_assert(sizeof(struct load_destination) == 16, "load_destination is BPF map ABI");

#define LOAD_STREAM_COUNT_MAX 16

/* A repetition is recognised until a sequence this much later, or a multiple of it,
 * has come. A power of two: 128 KiB a stream. */
#define LOAD_WINDOW 16384

/* One stream's sequence numbers, of good datagrams only. In the kernel under the lock,
 * so exact whatever CPUs the datagrams arrive on. new + duplicates + too_late = datagrams. */
struct load_stream {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 new;	 /* sequences seen for the first time */
	__u64 reordered; /* of those: a higher one had come before */
	__u64 duplicates;
	__u64 too_late; /* new or not: LOAD_WINDOW forgot */
	__u64 highest;
	__u64 seen[LOAD_WINDOW]; /* by sequence mod LOAD_WINDOW: the latest one plus 1 */
};
_Static_assert(sizeof(struct load_stream) == 48 + 8 * LOAD_WINDOW, "load_stream is BPF map ABI");

/* Seen is the stream's for that sequence: what needs the verifier's trust is done before
 * the lock is taken. */
static inline void load_stream_note(struct load_stream *stream, __u64 *seen, __u64 sequence)
{
	if (*seen == sequence + 1) {
		stream->duplicates++;
	} else if (*seen > sequence + 1) {
		stream->too_late++;
	} else {
		*seen = sequence + 1;
		stream->new ++;
		if (sequence < stream->highest)
			stream->reordered++;
		else
			stream->highest = sequence;
	}
}

/* When the first and the last datagram with a trailer came, of CLOCK_MONOTONIC; zeros:
 * none did. Of one CPU; the earliest first and the latest last are those of all. */
struct load_span {
	__u64 first_ns, last_ns;
};
_Static_assert(sizeof(struct load_span) == 16, "load_span is BPF map ABI");

#endif
