/* SPDX-License-Identifier: Apache-2.0 */
/* x86: low memory, memory map, command line and initrd, common to all kernel formats. */
#include "kvm-stub/boot/boot_x86.h"

#include <inttypes.h>
#include <string.h>

#include "kvm-stub/boot/acpi.h"
#include "kvm-stub/layout.h"

#define PAGE_PRESENT 1u
#define PAGE_WRITE 2u
#define PAGE_LARGE 0x80u
#define TABLE_ENTRIES 512u

/*
 * Writes the segments of both boot protocols and of vm_entry: 0x10 code, 0x18 data; flat, ring 0,
 * accessed.
 */
static bool put_gdt(const struct ram *r, bool long_mode, GError **error)
{
	const uint64_t gdt[] = {
		0,
		0,
		/* L and D/B exclude each other */
		long_mode ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff),
		UINT64_C(0x00cf93000000ffff),
	};
	void *to = boot_ram_at(r, GDT_ADDR, sizeof(gdt), "GDT", error);

	if (to)
		memcpy(to, gdt, sizeof(gdt));
	return to;
}

/* Maps the first 4 GiB in pages of 2 MiB: one table of level 4, one of level 3, four of level 2. */
static bool put_page_tables(const struct ram *r, GError **error)
{
	const uint64_t flags = PAGE_PRESENT | PAGE_WRITE;
	uint64_t *table = boot_ram_at(r, PAGE_TABLE_ADDR, 6 * 4096, "page tables", error);

	if (!table)
		return false;
	table[0] = (PAGE_TABLE_ADDR + 4096) | flags;
	for (unsigned i = 0; i < 4; i++)
		table[TABLE_ENTRIES + i] = (PAGE_TABLE_ADDR + (2 + i) * 4096) | flags;
	for (uint64_t i = 0; i < 4 * TABLE_ENTRIES; i++)
		table[2 * TABLE_ENTRIES + i] = i << 21 | flags | PAGE_LARGE;
	return true;
}

/*
 * Writes the code that a BIOS would have at its entry point: it resets the machine. Linux restarts
 * through it on a hardware-reduced machine, where it first expects EFI.
 */
static bool put_reset_code(const struct ram *r, GError **error)
{
	static const uint8_t code[] = {
		0xba, RESET_PORT & 0xff, RESET_PORT >> 8, /* mov $RESET_PORT, %dx */
		0xb0, RESET_VALUE, /* mov $RESET_VALUE, %al */
		0xee, /* out %al, %dx */
		0xf4, 0xeb, 0xfd, /* hlt in a loop */
	};
	void *to = boot_ram_at(r, RESET_CODE_ADDR, sizeof(code), "reset code", error);

	if (to)
		memcpy(to, code, sizeof(code));
	return to;
}

static bool put_cmdline(const struct ram *r, const struct boot_config *config,
	const struct boot_file *f, uint64_t max, GError **error)
{
	const char *text = boot_cmdline(config, f, MIN(max, CMDLINE_MAX - 1), error);
	void *to;

	if (!text)
		return false;
	to = boot_ram_at(r, CMDLINE_ADDR, strlen(text) + 1, "command line", error);
	if (to)
		memcpy(to, text, strlen(text) + 1);
	return to;
}

/* Returns the end of RAM below 4 GiB. */
static uint64_t low_end(const struct ram *r)
{
	return r->region[0].guest_addr + r->region[0].size;
}

/* Loads the initrd as high as possible, page-aligned, above the kernel. */
static bool put_initrd(
	const struct ram *r, const struct boot_source *source, struct x86_kernel *k, GError **error)
{
	autobootfile f = BOOT_FILE_NONE;
	uint64_t top = MIN(low_end(r), k->initrd_limit);

	if (!boot_file_open(&f, source, error))
		return false;
	k->initrd = f.size < top ? (top - f.size) & ~UINT64_C(4095) : 0;
	if (k->initrd < k->end)
		return boot_refuse(&f, error,
			"no RAM for %" PRIu64 " bytes of initrd between the kernel's end 0x%" PRIx64
			" and 0x%" PRIx64,
			f.size, k->end, top);
	k->initrd_size = f.size;
	return boot_file_load(&f, 0, f.size, r, k->initrd, "initrd", error);
}

static void make_map(const struct ram *r, struct x86_kernel *k)
{
	k->map[0] = (struct map_entry){ 0, LOW_RAM_END, MAP_RAM };
	k->map[1] = (struct map_entry){ LOW_RAM_END, HIGH_RAM_START - LOW_RAM_END, MAP_RESERVED };
	k->map[2] = (struct map_entry){ HIGH_RAM_START, low_end(r) - HIGH_RAM_START, MAP_RAM };
	k->n_map = 3;
	for (unsigned i = 1; i < r->n_regions; i++)
		k->map[k->n_map++] =
			(struct map_entry){ r->region[i].guest_addr, r->region[i].size, MAP_RAM };
}

/* Tells by the magic: a file without ELF magic must be a bzImage. */
static bool is_elf(const struct boot_file *f)
{
	char magic[4];

	return boot_file_read(f, 0, magic, sizeof(magic), NULL) && !memcmp(magic, "\177ELF", 4);
}

bool boot_arch_kernel(const struct ram *r, const struct boot_config *config, struct vm_entry *entry,
	GError **error)
{
	struct x86_kernel k = { .initrd_limit = UINT64_MAX, .cmdline_max = UINT64_MAX };
	autobootfile f = BOOT_FILE_NONE;
	bool elf;

	if (!boot_file_open(&f, &config->kernel, error))
		return false;
	elf = is_elf(&f);
	if (!(elf ? pvh_load : bzimage_load)(&f, r, &k, entry, error))
		return false;
	if (k.end > low_end(r))
		return boot_refuse(&f, error, "wants to be loaded at 4 GiB or above");
	make_map(r, &k);
	if (!put_cmdline(r, config, &f, k.cmdline_max, error) || !put_gdt(r, !elf, error) ||
		(config->initrd.path && !put_initrd(r, &config->initrd, &k, error)) ||
		!acpi_build(r, ACPI_ADDR, ACPI_MAX, config->cpus, config->n_slots, error) ||
		!put_reset_code(r, error))
		return false;
	entry->gdt = GDT_ADDR;
	entry->arg = START_ADDR;
	if (elf) {
		pvh_finish(r, &k);
		return true;
	}
	entry->page_table = PAGE_TABLE_ADDR;
	bzimage_finish(r, &k);
	return put_page_tables(r, error);
}

bool boot_arch_selftest(const struct ram *r, struct vm_entry *entry, GError **error)
{
	*entry = (struct vm_entry){ .mode = VM_ENTRY_X86_32, .pc = SELFTEST_ADDR, .gdt = GDT_ADDR };
	return put_gdt(r, false, error);
}
