/* SPDX-License-Identifier: GPL-2.0-only */
/* hot.h - what the compiler cannot know of functions: which of them every datagram
 * runs, and which hardly any. Where it guesses, a fifth of all instructions are
 * calls. */
#ifndef RINGWAY_CORE_HOT_H
#define RINGWAY_CORE_HOT_H

#define HOT_INLINE static inline __attribute__((always_inline))
#define COLD	   static __attribute__((noinline, cold))

#endif
