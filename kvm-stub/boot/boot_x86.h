/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of what boot_x86.c loads besides the kernel, and its interface to the two formats.
 *
 *	0x01000  the GDT
 *	0x02000  boot_params (bzImage), or hvm_start_info with its module and memory map (PVH)
 *	0x04000  page tables that map the first 4 GiB to themselves (bzImage)
 *	0x10000  the command line
 *	0x9fc00  end of the low RAM in the memory map; from here to 1 MiB all is reserved, with
 *	0xe0000  the ACPI tables, where a kernel that was not told of them looks, too
 *	1 MiB    the kernel at the earliest; the selftest guest; the initrd as high as can be
 */
#pragma once

#include "kvm-stub/boot/boot_impl.h"

#define GDT_ADDR 0x1000u
#define START_ADDR 0x2000u
#define PAGE_TABLE_ADDR 0x4000u
#define CMDLINE_ADDR 0x10000u
#define CMDLINE_MAX 0x10000u /* with the terminator */
#define LOW_RAM_END 0x9fc00u
#define ACPI_ADDR 0xe0000u
#define ACPI_MAX (RESET_CODE_ADDR - ACPI_ADDR)
#define RESET_CODE_ADDR 0xffff0u /* where a BIOS is entered */
#define HIGH_RAM_START 0x100000u

/* Types of E820, which are those of hvm_memmap_table_entry, too. */
enum map_type { MAP_RAM = 1, MAP_RESERVED = 2 };
struct map_entry {
	uint64_t addr, size;
	enum map_type type;
};
#define MAP_MAX_ENTRIES (2 + RAM_MAX_REGIONS)

struct x86_kernel {
	/* The loader of the format fills these. */
	uint64_t end; /* the kernel occupies RAM below this, from HIGH_RAM_START on at most */
	uint64_t initrd_limit; /* the initrd ends at or below it */
	uint64_t cmdline_max; /* bytes, without the terminator */
	/* boot_x86.c these. */
	uint64_t initrd, initrd_size; /* 0, 0: none */
	unsigned n_map;
	struct map_entry map[MAP_MAX_ENTRIES];
};

/*
 * load: loads the kernel into RAM and fills its part of k and *entry. finish: writes the structure
 * at START_ADDR that describes the rest to the kernel; the caller has checked that there is RAM.
 */
bool bzimage_load(const struct boot_file *f, const struct ram *r, struct x86_kernel *k,
	struct vm_entry *entry, GError **error);
void bzimage_finish(const struct ram *r, const struct x86_kernel *k);
bool pvh_load(const struct boot_file *f, const struct ram *r, struct x86_kernel *k,
	struct vm_entry *entry, GError **error);
void pvh_finish(const struct ram *r, const struct x86_kernel *k);
