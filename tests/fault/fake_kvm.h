/* SPDX-License-Identifier: Apache-2.0 */
/* The guest that fake_kvm.c runs, and the machine as it sees it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Drives each device, then powers off; the first time it is started, it restarts. */
void fake_guest(void);

/* Returns what was read; addr: of MMIO, or a port. */
uint32_t guest_mmio(uint64_t addr, bool write, uint32_t value);
void guest_out(uint16_t port, uint8_t value);
/* The guest's memory at this address, of which there is enough. */
void *guest_memory(uint64_t addr);
/* Waits for an interrupt of this input, or for a while. */
void guest_wait(unsigned irq);
