/* SPDX-License-Identifier: Apache-2.0 */
/* x86: hardware-reduced ACPI tables (RSDP, XSDT, FADT, MADT, DSDT). */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "kvm-stub/ram.h"

/*
 * Builds the tables at addr (below 1 MiB, 16-byte aligned, limit bytes), the RSDP first. The DSDT
 * has \_S5, the serial port, the panic port, and for each slot an LNRO0005 with its window and
 * interrupt. Returns the bytes used, or 0 with an error if there is not enough room.
 */
uint64_t acpi_build(const struct ram *r, uint64_t addr, uint64_t limit, unsigned cpus,
	unsigned n_slots, GError **error);
