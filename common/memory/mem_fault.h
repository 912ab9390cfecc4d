/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings whose file may be truncated behind them: see guest_mem_catch_sigbus(). */
#pragma once

#include <stddef.h>

/*
 * Watches [base, base + size), whole pages: a fault in it replaces all of it with zeroes and sets
 * both flags (atomic ints), which must live as long as the watch.
 */
void mem_fault_watch(void *base, size_t size, int *region_poisoned, int *table_poisoned);
/* Ends the watch, before the range is unmapped. */
void mem_fault_unwatch(void *base);
