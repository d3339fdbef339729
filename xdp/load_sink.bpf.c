/* SPDX-License-Identifier: GPL-2.0-only */
/* load_sink.bpf.c - counts and checks load datagrams, then drops them, sends them
 * back or answers them; or only counts them. Whatever does not end with our trailer
 * passes. */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "ringway/checksum.h"
#include "ringway/load_abi.h"
#include "ringway/load_histogram.h"
#include "ringway/match.h"

char LICENSE[] SEC("license") = "GPL";

const volatile struct load_sink_plan plan;

/* By number: 1 if a datagram of that connection came. */
__u8 connections[LOAD_CONNECTION_COUNT_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOAD_SINK_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LOAD_DESTINATION_COUNT_MAX);
	__type(key, struct match_key);
	__type(value, struct load_destination);
} destinations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LOAD_STREAM_COUNT_MAX);
	__type(key, __u32);
	__type(value, struct load_stream);
} streams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct load_histogram);
} latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct load_span);
} span SEC(".maps");

/* What a new stream is copied from: too large for the stack. Bytes without a type, as
 * nothing may be copied from a value that has a lock. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct load_stream));
} empty_stream SEC(".maps");

/* UDP header included. Longer ones never come from the source; the verifier wants
 * some bound, a power of two. */
#define DATAGRAM_LEN_MAX 2048

#define CHUNK_LEN 512 /* the most that bpf_csum_diff() takes on any kernel */

/* A UDP payload, and zeros as far as the next word: the verifier cannot follow a pointer
 * through a packet of any length, and on the stack there is no room. */
struct payload {
	union {
		__u8 bytes[DATAGRAM_LEN_MAX + 8];
		__u64 words_be[DATAGRAM_LEN_MAX / 8 + 1];
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct payload);
} payloads SEC(".maps");

static void counter_add(enum load_sink_counter counter, __u64 amount)
{
	__u32 index = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &index);

	if (value)
		*value += amount;
}

static __always_inline struct load_trailer *trailer_find(const struct udp_view *view,
							 const void *end)
{
	struct load_trailer *trailer;
	__u32 len = view->udp_len;

	if (len < sizeof(struct wire_udp) + sizeof(*trailer))
		return 0;
	barrier_var(len); /* one comparison for both bounds teaches the verifier neither */
	if (len > DATAGRAM_LEN_MAX)
		return 0;
	trailer = (void *)view->udp + len - sizeof(*trailer);
	return (void *)(trailer + 1) > end ? 0 : trailer;
}

static __always_inline bool trailer_read(const struct udp_view *view, const void *end,
					 struct load_trailer *ret_trailer)
{
	const struct load_trailer *trailer = trailer_find(view, end);

	if (!trailer)
		return false;
	__builtin_memcpy(ret_trailer, trailer, sizeof(*ret_trailer));
	return ret_trailer->magic_be == wire_be32(LOAD_MAGIC);
}

/* len: 1 to DATAGRAM_LEN_MAX. NULL if the frame does not have it, which was seen to. */
static __always_inline struct payload *payload_copy(struct xdp_md *ctx, const struct udp_view *view,
						    __u32 len)
{
	__u32 offset = (void *)(view->udp + 1) - (void *)view->eth, index = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &index);
	__u32 size = ((len - 1) & (DATAGRAM_LEN_MAX - 1)) + 1; /* for the verifier */

	if (!payload || bpf_xdp_load_bytes(ctx, offset, payload->bytes, size))
		return 0;
	for (int i = 0; i < 8; i++)
		payload->bytes[size + i] = 0;
	return payload;
}

static __always_inline __u32 payload_sum(struct payload *payload, __u32 len)
{
	__s64 sum = 0;

	for (__u32 pos = 0; pos < DATAGRAM_LEN_MAX; pos += CHUNK_LEN) {
		__u32 size = len > pos ? len - pos : 0;

		size = size < CHUNK_LEN ? (size + 3) & (CHUNK_LEN - 4) : CHUNK_LEN;
		sum = bpf_csum_diff(0, 0, (void *)&payload->bytes[pos], size, (__u32)sum);
	}
	return (__u32)sum;
}

/* load_hash() of the first len bytes. */
static __always_inline __u64 payload_hash(const struct payload *payload, __u32 len, __u64 sequence)
{
	__u64 hash = len + load_hash_word(sequence, LOAD_HASH_SEQUENCE_PLACE);
	__u32 words = (len / 8) & (DATAGRAM_LEN_MAX / 8 - 1), tail = len & 7;

	for (__u32 i = 0; i < DATAGRAM_LEN_MAX / 8 && i < words; i++)
		hash += load_hash_word(load_be64(payload->words_be[i]), i);
	if (tail)
		hash += load_hash_word(load_be64(payload->words_be[words]) & ~(~0ull >> 8 * tail),
				       words);
	return hash;
}

static __always_inline bool ip_checksum_is_good(const struct udp_view *view)
{
	if (view->ipv4 &&
	    checksum_fold(checksum_words(view->ipv4, sizeof(*view->ipv4))) != 0xffff) {
		counter_add(LOAD_SINK_BAD_IP_CHECKSUM, 1);
		return false;
	}
	return true;
}

static __always_inline bool udp_checksum_is_good(const struct udp_view *view,
						 struct payload *payload, __u32 len)
{
	__u16 pseudo = checksum_udp_pseudo(view);
	__u32 sum;

	if (view->ipv4 && !view->udp->checksum_be) {
		counter_add(LOAD_SINK_NO_CHECKSUM, 1);
		return true;
	}
	sum = checksum_words(view->udp, sizeof(*view->udp)) +
	      checksum_fold(payload_sum(payload, len));
	if (view->udp->checksum_be && checksum_fold(sum + pseudo) == 0xffff)
		return true;
	if (view->udp->checksum_be == pseudo) {
		/* As the card would have: an answer leaves without one. */
		view->udp->checksum_be = checksum_udp_nonzero((__u16)~checksum_fold(sum));
		counter_add(LOAD_SINK_PARTIAL_CHECKSUM, 1);
		return true;
	}
	counter_add(LOAD_SINK_BAD_CHECKSUM, 1);
	return false;
}

/* Counts what is wrong with it; false if anything is. */
static __always_inline bool datagram_is_good(struct xdp_md *ctx, const struct udp_view *view,
					     const struct load_trailer *trailer, __u32 len)
{
	struct payload *payload = payload_copy(ctx, view, len);

	if (!payload || !ip_checksum_is_good(view) || !udp_checksum_is_good(view, payload, len))
		return false;
	if (payload_hash(payload, len - sizeof(*trailer), load_be64(trailer->sequence_be)) !=
	    load_be64(trailer->hash_be)) {
		counter_add(LOAD_SINK_BAD_HASH, 1);
		return false;
	}
	return true;
}

static __always_inline bool destination_count(const struct udp_view *view, __u64 bytes)
{
	static const struct load_destination none;
	struct load_destination *destination;
	struct match_key key;

	match_key_service(view, &key);
	destination = bpf_map_lookup_elem(&destinations, &key);
	if (!destination) {
		/* Another CPU may be first: then that entry is found. */
		(void)bpf_map_update_elem(&destinations, &key, &none, BPF_NOEXIST);
		destination = bpf_map_lookup_elem(&destinations, &key);
		if (!destination)
			return false;
	}
	__sync_fetch_and_add(&destination->datagrams, 1);
	__sync_fetch_and_add(&destination->bytes, bytes);
	return true;
}

static struct load_stream *stream_get(__u32 number)
{
	struct load_stream *stream = bpf_map_lookup_elem(&streams, &number);
	const void *empty;
	__u32 index = 0;

	if (stream)
		return stream;
	empty = bpf_map_lookup_elem(&empty_stream, &index);
	if (!empty)
		return 0;
	(void)bpf_map_update_elem(&streams, &number, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&streams, &number);
}

static bool stream_track(__u32 number, __u64 sequence)
{
	struct load_stream *stream = stream_get(number);
	__u64 *seen;

	if (!stream)
		return false;
	seen = &stream->seen[sequence % LOAD_WINDOW];
	bpf_spin_lock(&stream->lock);
	load_stream_note(stream, seen, sequence);
	bpf_spin_unlock(&stream->lock);
	return true;
}

static void span_note(__u64 now_ns)
{
	__u32 index = 0;
	struct load_span *of_cpu = bpf_map_lookup_elem(&span, &index);

	if (!of_cpu)
		return;
	if (!of_cpu->first_ns)
		of_cpu->first_ns = now_ns;
	of_cpu->last_ns = now_ns;
}

static void latency_note(__u64 sent_ns, __u64 now_ns)
{
	struct load_histogram *histogram;
	__u32 index = 0;

	if (!sent_ns) {
		counter_add(LOAD_SINK_UNSTAMPED, 1);
		return;
	}
	if (sent_ns > now_ns) {
		counter_add(LOAD_SINK_STAMPED_LATER, 1);
		return;
	}
	histogram = bpf_map_lookup_elem(&latency, &index);
	if (histogram)
		load_histogram_add(histogram, now_ns - sent_ns);
}

/* Both checksums stay right: they are sums of the same words. */
static __always_inline void turn_round(const struct udp_view *view)
{
	__u16 port_be = view->udp->src_be;
	__u8 mac[6], addr[16];

	__builtin_memcpy(mac, view->eth->src, sizeof(mac));
	__builtin_memcpy(view->eth->src, view->eth->dst, sizeof(mac));
	__builtin_memcpy(view->eth->dst, mac, sizeof(mac));
	if (view->ipv4) {
		__builtin_memcpy(addr, view->ipv4->src, 4);
		__builtin_memcpy(view->ipv4->src, view->ipv4->dst, 4);
		__builtin_memcpy(view->ipv4->dst, addr, 4);
	} else {
		__builtin_memcpy(addr, view->ipv6->src, 16);
		__builtin_memcpy(view->ipv6->src, view->ipv6->dst, 16);
		__builtin_memcpy(view->ipv6->dst, addr, 16);
	}
	view->udp->src_be = view->udp->dst_be;
	view->udp->dst_be = port_be;
}

static void connection_note(__u32 stream, __u64 sequence)
{
	__u64 number;

	if (!plan.connections || (plan.stream && plan.stream != stream))
		return;
	number = sequence % plan.connections;
	if (number < LOAD_CONNECTION_COUNT_MAX)
		connections[number] = 1;
}

/* As far as the header reaches. */
struct answer_words {
	__u64 words_be[3];
};
_Static_assert(sizeof(struct load_handshake) <= sizeof(struct answer_words), "it fits");

/* The words as the hash takes them, zeros where the trailer begins. */
static __always_inline __u64 answer_hash(const struct answer_words *words, __u32 len)
{
	__u64 hash = 0;

	for (__u32 i = 0; i < 3; i++) {
		__u64 word = load_be64(words->words_be[i]);

		if (len < 8 * i + 8)
			word &= ~(~0ull >> 8 * (len & 7));
		hash += load_hash_word(word, i);
	}
	return hash;
}

/* The first Handshake of a server that names its Connection ID by inverting the
 * client's. Needs no more room than the Initial, so the rest stays where it is. */
static __always_inline bool handshake_write(const struct udp_view *view, const void *end)
{
	struct load_initial *place = (void *)(view->udp + 1);
	struct load_trailer *trailer = trailer_find(view, end);
	struct load_handshake handshake = { .first = LOAD_FIRST_HANDSHAKE,
					    .scid_len = LOAD_ANSWER_CID_LEN };
	struct answer_words before, after;
	__u32 len = view->udp_len - sizeof(*view->udp) - sizeof(*trailer);
	__u64 hash_be[2];
	__u32 delta, hash_delta;

	if (!trailer || len < sizeof(*place) || (void *)place + sizeof(before.words_be) > end)
		return false;
	if (place->first != LOAD_FIRST_INITIAL || place->dcid_len != LOAD_ANSWER_CID_LEN ||
	    place->scid_len || place->token_len)
		return false;
	__builtin_memcpy(handshake.version, place->version, sizeof(place->version));
	for (int i = 0; i < LOAD_ANSWER_CID_LEN; i++)
		handshake.scid[i] = place->dcid[i] ^ LOAD_CID_MASK_CLIENT;
	handshake.length_be = wire_be16(wire_be16(place->length_be) + 1);

	__builtin_memcpy(before.words_be, place, sizeof(before.words_be));
	after = before;
	__builtin_memcpy(after.words_be, &handshake, sizeof(handshake));
	__builtin_memcpy(place, &handshake, sizeof(handshake));
	hash_be[0] = trailer->hash_be;
	hash_be[1] = load_be64(load_be64(hash_be[0]) + answer_hash(&after, len) -
			       answer_hash(&before, len));
	trailer->hash_be = hash_be[1];
	delta = (__u32)bpf_csum_diff((void *)&before, sizeof(before), (void *)&after, sizeof(after),
				     0);
	hash_delta = checksum_fold(
		(__u32)bpf_csum_diff((void *)&hash_be[0], 8, (void *)&hash_be[1], 8, 0));
	delta = checksum_fold(delta) +
		(len & 1 ? __builtin_bswap16((__u16)hash_delta) : hash_delta);
	if (view->udp->checksum_be)
		view->udp->checksum_be = checksum_udp_nonzero(
			checksum_update(view->udp->checksum_be, checksum_fold(delta)));
	return true;
}

static __always_inline int answer(const struct udp_view *view, const void *end)
{
	if (plan.handshake) {
		if (!handshake_write(view, end))
			return XDP_DROP;
		counter_add(LOAD_SINK_ANSWERED, 1);
	} else if (plan.echo) {
		counter_add(LOAD_SINK_ECHOED, 1);
	} else {
		return XDP_DROP;
	}
	turn_round(view);
	return XDP_TX;
}

static __always_inline int count_only(const struct udp_view *view, const void *end)
{
	const struct load_trailer *trailer = trailer_find(view, end);

	if (!trailer || trailer->magic_be != wire_be32(LOAD_MAGIC))
		return XDP_PASS;
	counter_add(LOAD_SINK_RECEIVED, 1);
	counter_add(LOAD_SINK_BYTES, view->udp_len - sizeof(struct wire_udp));
	return XDP_DROP;
}

static __always_inline int count_and_check(struct xdp_md *ctx, const struct udp_view *view)
{
	__u64 now_ns = bpf_ktime_get_ns(); /* before the checks, which take time */
	struct load_trailer trailer;
	bool tracked;
	__u32 bytes;

	if (!trailer_read(view, (void *)(long)ctx->data_end, &trailer))
		return XDP_PASS;

	bytes = view->udp_len - sizeof(struct wire_udp);
	span_note(now_ns);
	counter_add(LOAD_SINK_RECEIVED, 1);
	counter_add(LOAD_SINK_BYTES, bytes);
	tracked = destination_count(view, bytes);
	if (datagram_is_good(ctx, view, &trailer, bytes)) {
		__u32 stream = wire_be32(trailer.stream_be);
		__u64 sequence = load_be64(trailer.sequence_be);

		tracked &= stream_track(stream, sequence);
		connection_note(stream, sequence);
		latency_note(load_be64(trailer.sent_ns_be), now_ns);
	}
	if (!tracked)
		counter_add(LOAD_SINK_UNTRACKED, 1);
	return answer(view, (void *)(long)ctx->data_end);
}

/* The plan does not change once this is loaded, so the verifier takes out the branch that
 * is not taken: who only counts does not carry the checks along. */
static __always_inline int count_datagram(struct xdp_md *ctx, const struct udp_view *view)
{
	if (plan.port_be && view->udp->dst_be != plan.port_be)
		return XDP_PASS;
	if (plan.count_only)
		return count_only(view, (void *)(long)ctx->data_end);
	return count_and_check(ctx, view);
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct cursor cur = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct udp_view view;

	if (parse_udp(&cur, &view) != PARSE_OK)
		return XDP_PASS;
	/* Once a family: the verifier does not know that a pointer into the packet is never
	 * NULL, so it would follow `ipv6` where there is `ipv4`. */
	if (view.ipv4) {
		view.ipv6 = 0;
		return count_datagram(ctx, &view);
	}
	if (view.ipv6) {
		view.ipv4 = 0;
		return count_datagram(ctx, &view);
	}
	return XDP_PASS;
}
