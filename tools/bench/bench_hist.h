/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of times in nanoseconds: 64 buckets for each power of two, so a value is known to
 * within 1.6 %, up to 18 minutes. Fixed size, all zeroes when empty.
 */
#pragma once

#include <stdint.h>

#define BENCH_HIST_SUB_BITS 6
#define BENCH_HIST_TOP_BIT 40 /* what is not below 2 to the power of it counts as just below */
#define BENCH_HIST_BUCKETS ((BENCH_HIST_TOP_BIT - BENCH_HIST_SUB_BITS + 1) << BENCH_HIST_SUB_BITS)

struct bench_hist {
	uint64_t count, sum, max;
	uint64_t min; /* if count is not 0 */
	uint64_t bucket[BENCH_HIST_BUCKETS];
};

void bench_hist_add(struct bench_hist *h, uint64_t ns);
/* Adds all of from to h. */
void bench_hist_merge(struct bench_hist *h, const struct bench_hist *from);
/* The value that this part of all values (0.99) does not exceed; 0 if there are none. */
uint64_t bench_hist_percentile(const struct bench_hist *h, double part);
double bench_hist_mean(const struct bench_hist *h);
