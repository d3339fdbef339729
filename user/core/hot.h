/* SPDX-License-Identifier: GPL-2.0-only */
/* hot.h - what the compiler cannot know of functions: which of them every datagram
 * runs, and which hardly any. Where it guesses, a fifth of all instructions are
 * calls. */
#ifndef RINGWAY_CORE_HOT_H
#define RINGWAY_CORE_HOT_H

/* Of every datagram, or of most. */
#define HOT_INLINE static inline __attribute__((always_inline))

/* Of few, so that its registers are not saved for all; not `cold`, as who floods us can
 * make it run for each of his. */
#define RARE static __attribute__((noinline))

/* A condition that few datagrams meet: what follows it lies out of the way. */
#define unlikely(condition) __builtin_expect(condition, 0)

#endif
