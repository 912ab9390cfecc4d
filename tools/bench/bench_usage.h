/* SPDX-License-Identifier: Apache-2.0 */
/* What a process has used, as far as the kernel tells us. */
#pragma once

#include <stdint.h>

#define BENCH_UNKNOWN (-1)

struct bench_usage {
	int64_t cpu_ns; /* of all its threads, dead ones and the kernel's io-wq among them */
	int64_t rss_kib, pss_kib, private_dirty_kib;
};

/*
 * Opens what bench_usage_memory() reads of this process, for the time when nothing can be opened:
 * of others nothing is known then.
 */
void bench_usage_keep(int pid);
int64_t bench_usage_cpu(int pid);
/* Returns what it has used since bench_usage_cpu() returned `before`. */
int64_t bench_usage_since(int pid, int64_t before);
/* All but the CPU. What cannot be read (a sandboxed or foreign process) is BENCH_UNKNOWN. */
void bench_usage_memory(int pid, struct bench_usage *u);
