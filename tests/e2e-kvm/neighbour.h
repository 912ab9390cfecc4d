/* SPDX-License-Identifier: Apache-2.0 */
/* The guest of neighbour.c, and the machine as it sees it: neighbour_bare.c or neighbour_fake.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Does not return. */
void __attribute__((noreturn)) neighbour_main(void);

/* Returns what was read. */
uint32_t neighbour_mmio(uint64_t addr, bool write, uint32_t value);
/* The guest's memory at this address; that from 8 MiB on is unused, and zeroes. */
void *neighbour_memory(uint64_t addr);
/* Waits for an interrupt of this input, or for a while, or not. */
void neighbour_wait(unsigned irq);
void neighbour_print(char c);
