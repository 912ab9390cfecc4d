/* SPDX-License-Identifier: Apache-2.0 */
/* Loads Linux's bzImage by the 64-bit boot protocol (Documentation/arch/x86/boot.rst). */
#include "kvm-stub/boot/boot_x86.h"

#include <asm/bootparam.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define SECTOR 512u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55u
#define PROTOCOL_MIN 0x20cu /* the first with xloadflags */
#define ENTRY_64 0x200u /* startup_64, from the start of the protected-mode kernel */
#define LOADER_UNDEFINED 0xffu
#define PARAGRAPH 16u /* the unit of syssize */
#define WANTED "a bzImage or ELF file"

static bool check_header(const struct boot_file *f, const struct setup_header *h, GError **error)
{
	if (h->boot_flag != BOOT_FLAG || h->header != HEADER_MAGIC)
		return boot_refuse_format(f, WANTED, error);
	if (h->version < PROTOCOL_MIN)
		return boot_refuse(f, error, "boot protocol %u.%02u is too old: 2.12 is wanted",
			h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64) || !(h->loadflags & LOADED_HIGH))
		return boot_refuse(f, error,
			"no 64-bit entry point (xloadflags 0x%x, loadflags 0x%x)", h->xloadflags,
			h->loadflags);
	if (h->pref_address < HIGH_RAM_START)
		return boot_refuse(f, error, "pref_address 0x%" PRIx64 " is below 1 MiB",
			(uint64_t)h->pref_address);
	return true;
}

/* Copies the setup header into a boot_params that is otherwise zero. */
static bool read_header(const struct boot_file *f, struct setup_header *h, GError **error)
{
	const size_t at = offsetof(struct boot_params, hdr);
	const size_t end_at = offsetof(struct setup_header, jump) + 1;
	size_t len;

	memset(h, 0, sizeof(*h));
	if (f->size < 2 * SECTOR)
		return boot_refuse_format(f, WANTED, error);
	if (!boot_file_read(f, at, h, sizeof(*h), error) || !check_header(f, h, error))
		return false;
	/* The header ends where its jump instruction leads. */
	len = offsetof(struct setup_header, header) + ((const uint8_t *)h)[end_at];
	if (len < sizeof(*h))
		memset((char *)h + len, 0, sizeof(*h) - len);
	return true;
}

/* Returns how much of [start, start + len) to read: syssize is rounded up, the file need not be. */
static uint64_t in_file(const struct boot_file *f, uint64_t start, uint64_t len)
{
	uint64_t missing = start + len > f->size ? start + len - f->size : 0;

	return missing < PARAGRAPH ? len - missing : len;
}

bool bzimage_load(const struct boot_file *f, const struct ram *r, struct x86_kernel *k,
	struct vm_entry *entry, GError **error)
{
	struct boot_params *p = boot_ram_at(r, START_ADDR, sizeof(*p), "boot_params", error);
	struct setup_header h;
	uint64_t start, len, room;

	if (!p || !read_header(f, &h, error))
		return false;
	start = (h.setup_sects ? h.setup_sects + 1u : 5u) * SECTOR;
	len = (uint64_t)h.syssize * PARAGRAPH;
	if (len <= ENTRY_64)
		return boot_refuse(f, error, "syssize %u: no kernel in it", h.syssize);
	room = MAX(len, h.init_size);
	/* One range holds the kernel and the memory that it unpacks itself into. */
	if (!boot_ram_at(r, h.pref_address, room, "kernel", error)) {
		g_prefix_error(error, "%s: init_size %u, pref_address 0x%" PRIx64 ": ", f->path,
			h.init_size, (uint64_t)h.pref_address);
		return false;
	}
	if (!boot_file_load(f, start, in_file(f, start, len), r, h.pref_address, "kernel", error))
		return false;

	h.type_of_loader = LOADER_UNDEFINED;
	h.code32_start = (uint32_t)h.pref_address;
	p->hdr = h;
	k->end = h.pref_address + room;
	k->initrd_limit = (uint64_t)h.initrd_addr_max + 1;
	k->cmdline_max = h.cmdline_size;
	entry->mode = VM_ENTRY_X86_64;
	entry->pc = h.pref_address + ENTRY_64;
	return true;
}

void bzimage_finish(const struct ram *r, const struct x86_kernel *k)
{
	struct boot_params *p = ram_at(r, START_ADDR, sizeof(*p));

	p->acpi_rsdp_addr = ACPI_ADDR;
	p->hdr.cmd_line_ptr = CMDLINE_ADDR;
	/* Below 4 GiB, as initrd_addr_max has 32 bits. */
	p->hdr.ramdisk_image = (uint32_t)k->initrd;
	p->hdr.ramdisk_size = (uint32_t)k->initrd_size;
	p->e820_entries = (uint8_t)k->n_map;
	for (unsigned i = 0; i < k->n_map; i++)
		p->e820_table[i] =
			(struct boot_e820_entry){ k->map[i].addr, k->map[i].size, k->map[i].type };
}
