/* SPDX-License-Identifier: GPL-2.0-only */
/* load_histogram.h - latencies counted in buckets as wide as a 64th of what they hold.
 *
 * Values below 64 ns have a bucket each. From there on every power of two is divided
 * into 64 buckets of equal width, up to 2^40 ns (18 minutes), which is what the last
 * bucket also takes the rest for. A percentile is the upper end of its bucket, so it
 * is never less than the true one and at most 1/64 (1.6 %) more; the least and the
 * largest are exact. One writer a histogram, in the kernel a CPU; they are merged for
 * reading. Pure; recording costs some 15 instructions. */
#ifndef RINGWAY_LOAD_HISTOGRAM_H
#define RINGWAY_LOAD_HISTOGRAM_H

#include <linux/types.h>

#define LOAD_HISTOGRAM_SUB_BITS 6
#define LOAD_HISTOGRAM_SUBS	(1u << LOAD_HISTOGRAM_SUB_BITS)
#define LOAD_HISTOGRAM_BITS	40 /* values below 2 to the power of that have their place */
#define LOAD_HISTOGRAM_BUCKETS \
	((LOAD_HISTOGRAM_BITS - LOAD_HISTOGRAM_SUB_BITS + 1u) * LOAD_HISTOGRAM_SUBS)

/* All zeros: empty. */
struct load_histogram {
	__u64 count;
	__u64 sum_ns;
	__u64 max_ns;
	__u64 min_inverted; /* every bit of the least inverted, so that 0 is the largest */
	__u64 buckets[LOAD_HISTOGRAM_BUCKETS];
};
_Static_assert(sizeof(struct load_histogram) == 32 + 8 * 2240, "load_histogram is BPF map ABI");

/* Of a value that is not 0, from 0. Without the builtin: BPF has no instruction for it. */
static inline __u32 load_log2(__u64 value)
{
	__u32 log = 0;

	for (__u32 step = 32; step; step >>= 1)
		if (value >> step) {
			value >>= step;
			log += step;
		}
	return log;
}

static inline __u32 load_histogram_bucket(__u64 value_ns)
{
	__u32 shift;

	if (value_ns < LOAD_HISTOGRAM_SUBS)
		return (__u32)value_ns;
	if (value_ns >> LOAD_HISTOGRAM_BITS)
		return LOAD_HISTOGRAM_BUCKETS - 1;
	shift = load_log2(value_ns) - LOAD_HISTOGRAM_SUB_BITS;
	/* The shifted value is of 64..127: that 64 leads on from the row before. */
	return shift * LOAD_HISTOGRAM_SUBS + (__u32)(value_ns >> shift);
}

/* The largest value that belongs into a bucket; of the last, the largest with a place. */
static inline __u64 load_histogram_bucket_end(__u32 bucket)
{
	__u32 shift = bucket < LOAD_HISTOGRAM_SUBS ? 0 : bucket / LOAD_HISTOGRAM_SUBS - 1;

	return ((__u64)(bucket - shift * LOAD_HISTOGRAM_SUBS + 1) << shift) - 1;
}

static inline void load_histogram_add(struct load_histogram *histogram, __u64 value_ns)
{
	__u32 bucket = load_histogram_bucket(value_ns);

	histogram->count++;
	histogram->sum_ns += value_ns;
	if (value_ns > histogram->max_ns)
		histogram->max_ns = value_ns;
	if (~value_ns > histogram->min_inverted)
		histogram->min_inverted = ~value_ns;
	if (bucket < LOAD_HISTOGRAM_BUCKETS) /* always; the verifier wants to see it */
		histogram->buckets[bucket]++;
}

/* Add what another one counted. */
static inline void load_histogram_merge(struct load_histogram *into,
					const struct load_histogram *from)
{
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	if (from->min_inverted > into->min_inverted)
		into->min_inverted = from->min_inverted;
	for (__u32 i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

/* The least of the values, 0 if there are none. */
static inline __u64 load_histogram_min(const struct load_histogram *histogram)
{
	return histogram->count ? ~histogram->min_inverted : 0;
}

/* What `per_mille` of a thousand values do not exceed: the value of that rank (rounded
 * up, at least the first) in ascending order, rounded up to the end of its bucket, but
 * never more than the largest. 0 if there are none. */
static inline __u64 load_histogram_percentile(const struct load_histogram *histogram,
					      __u32 per_mille)
{
	__u64 count = histogram->count, seen = 0;
	__u64 rank = count / 1000 * per_mille + (count % 1000 * per_mille + 999) / 1000;
	__u32 bucket = 0;

	rank = rank ? rank : 1;
	for (; bucket < LOAD_HISTOGRAM_BUCKETS - 1; bucket++) {
		seen += histogram->buckets[bucket];
		if (seen >= rank)
			break;
	}
	if (bucket == LOAD_HISTOGRAM_BUCKETS - 1 ||
	    load_histogram_bucket_end(bucket) > histogram->max_ns)
		return histogram->max_ns;
	return load_histogram_bucket_end(bucket);
}

#endif
