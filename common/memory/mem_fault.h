/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings whose file may be truncated behind them: see guest_mem_catch_sigbus(). */
#pragma once

#include <stddef.h>

/*
 * From now on a fault in [base, base + size), whole pages, replaces it all with zeroes and sets
 * both flags (atomic ints), which live as long as the watch.
 */
void mem_fault_watch(void *base, size_t size, int *region_poisoned, int *table_poisoned);
/* Before the range is unmapped. */
void mem_fault_unwatch(void *base);
