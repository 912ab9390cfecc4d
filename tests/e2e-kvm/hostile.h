/* SPDX-License-Identifier: Apache-2.0 */
/* Where the guest of hostile.c finds its disks: hostile_bare.c, or arch_xen.c of tests/e2e-xen. */
#pragma once

#include <stdint.h>

/* Returns the address of the registers in this slot; 0: there are no more slots. */
uint64_t hostile_slot(unsigned slot);
