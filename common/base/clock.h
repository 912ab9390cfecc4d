/* SPDX-License-Identifier: Apache-2.0 */
/* Time and waiting of loops that poll. Where microseconds do, g_get_monotonic_time(). */
#pragma once

#include <stdint.h>
#include <time.h>

/* Returns the monotonic time in nanoseconds. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Tells the CPU that this thread spins: saves power, and lets the sibling thread run. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ volatile("yield" : : : "memory");
#else
	__asm__ volatile("" : : : "memory");
#endif
}
