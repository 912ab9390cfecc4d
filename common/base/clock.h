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

/* Returns a time of g_get_monotonic_time() as pthread_cond_clockwait() takes it. */
static inline struct timespec clock_timespec(int64_t us)
{
	return (struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
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
