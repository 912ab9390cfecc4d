/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the first vCPU starts: boot/ fills it, vm/ reads it. The other vCPUs wait for an INIT-SIPI
 * or PSCI call of the first.
 */
#pragma once

#include <stdint.h>

enum vm_entry_mode {
	VM_ENTRY_X86_64, /* long mode, flat, identity-mapped: the 64-bit boot protocol */
	VM_ENTRY_X86_32, /* protected mode, flat, paging off: PVH, and bare metal */
	VM_ENTRY_ARM64,
};

struct vm_entry {
	enum vm_entry_mode mode;
	uint64_t pc;
	uint64_t arg; /* rsi: boot_params; ebx: start info; x0: device tree */
	uint64_t stack; /* 0: none */
	uint64_t page_table; /* X86_64: cr3 */
	uint64_t gdt; /* x86: address of the table with the selectors 0x10 and 0x18 */
};
