/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads ELF kernels with a PVH entry, which a note names (Xen's "x86/HVM direct boot ABI",
 * docs/misc/pvh.pandoc): vmlinux and some small kernels have one. It is entered in 32-bit mode.
 */
#include "kvm-stub/boot/boot_x86.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/util.h"

#define MAX_SEGMENTS 64u
#define MAX_NOTES UINT64_C(65536)
#define NOTE_PHYS32_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

#define START_MAGIC 0x336ec578u /* "xEn3", the E's top bit set */

/* xen/include/public/arch-x86/hvm/start_info.h describes these three. */
struct start_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline, rsdp;
	uint64_t map; /* from version 1 on */
	uint32_t n_map, reserved;
};

struct start_module {
	uint64_t addr, size, cmdline, reserved;
};

struct start_map {
	uint64_t addr, size;
	uint32_t type, reserved;
};

/* The contents of START_ADDR. */
struct start {
	struct start_info info;
	struct start_module module;
	struct start_map map[MAP_MAX_ENTRIES];
};

static bool check_header(const struct boot_file *f, const Elf64_Ehdr *e, GError **error)
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_ident[EI_DATA] != ELFDATA2LSB)
		return boot_refuse(f, error, "ELF class %u, data %u: not 64-bit little-endian",
			e->e_ident[EI_CLASS], e->e_ident[EI_DATA]);
	if (e->e_machine != EM_X86_64)
		return boot_refuse(f, error, "ELF machine %u is not x86-64", e->e_machine);
	if (e->e_phentsize != sizeof(Elf64_Phdr) || e->e_phnum == 0 || e->e_phnum > MAX_SEGMENTS)
		return boot_refuse(
			f, error, "%u program headers of %u bytes", e->e_phnum, e->e_phentsize);
	return true;
}

static bool load_segment(const struct boot_file *f, const Elf64_Phdr *p, const struct ram *r,
	struct x86_kernel *k, GError **error)
{
	if (p->p_filesz > p->p_memsz)
		return boot_refuse(f, error, "segment at 0x%" PRIx64 ": p_filesz above p_memsz",
			(uint64_t)p->p_paddr);
	if (p->p_memsz == 0)
		return true;
	if (p->p_paddr < HIGH_RAM_START)
		return boot_refuse(
			f, error, "segment at 0x%" PRIx64 ": below 1 MiB", (uint64_t)p->p_paddr);
	if (!boot_ram_at(r, p->p_paddr, p->p_memsz, "segment", error)) {
		g_prefix_error(error, "%s: ", f->path);
		return false;
	}
	/* RAM is zero, and so is the part of the segment that is not in the file. */
	if (!boot_file_load(f, p->p_offset, p->p_filesz, r, p->p_paddr, "segment", error))
		return false;
	k->end = MAX(k->end, p->p_paddr + p->p_memsz);
	return true;
}

/* Returns the entry point in the notes, or 0. Notes are aligned to 4, whatever p_align is. */
static uint64_t find_entry(const uint8_t *notes, uint64_t len)
{
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t name = at + sizeof(n), desc, value = 0;

		memcpy(&n, notes + at, sizeof(n));
		desc = name + align_up(n.n_namesz, 4);
		if (desc > len || n.n_descsz > len - desc)
			return 0;
		if (n.n_type == NOTE_PHYS32_ENTRY && n.n_namesz == 4 &&
			!memcmp(notes + name, "Xen", 4) && (n.n_descsz == 4 || n.n_descsz == 8)) {
			memcpy(&value, notes + desc, n.n_descsz);
			return GUINT64_FROM_LE(value);
		}
		at = MIN(desc + align_up(n.n_descsz, 4), len);
	}
	return 0;
}

static bool read_notes(const struct boot_file *f, const Elf64_Phdr *p, uint64_t *pc, GError **error)
{
	g_autofree uint8_t *notes = NULL;
	uint64_t found;

	if (p->p_filesz > MAX_NOTES)
		return boot_refuse(f, error, "%" PRIu64 " bytes of notes", (uint64_t)p->p_filesz);
	notes = g_malloc(p->p_filesz);
	if (!boot_file_read(f, p->p_offset, notes, p->p_filesz, error))
		return false;
	found = find_entry(notes, p->p_filesz);
	if (found)
		*pc = found;
	return true;
}

bool pvh_load(const struct boot_file *f, const struct ram *r, struct x86_kernel *k,
	struct vm_entry *entry, GError **error)
{
	Elf64_Phdr segment[MAX_SEGMENTS];
	Elf64_Ehdr e;

	if (!boot_ram_at(r, START_ADDR, sizeof(struct start), "start info", error) ||
		!boot_file_read(f, 0, &e, sizeof(e), error) || !check_header(f, &e, error) ||
		!boot_file_read(f, e.e_phoff, segment, e.e_phnum * sizeof(*segment), error))
		return false;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (segment[i].p_type == PT_LOAD && !load_segment(f, &segment[i], r, k, error))
			return false;
		if (segment[i].p_type == PT_NOTE && !read_notes(f, &segment[i], &entry->pc, error))
			return false;
	}
	if (!entry->pc)
		return boot_refuse(
			f, error, "no PVH entry point (a note XEN_ELFNOTE_PHYS32_ENTRY)");
	if (entry->pc < HIGH_RAM_START || entry->pc >= k->end)
		return boot_refuse(
			f, error, "PVH entry point 0x%" PRIx64 " is outside the kernel", entry->pc);
	/* The ABI has no field for it, and Linux reads past a line that is longer. */
	k->cmdline_max = LINUX_CMDLINE_MAX;
	entry->mode = VM_ENTRY_X86_32;
	return true;
}

void pvh_finish(const struct ram *r, const struct x86_kernel *k)
{
	struct start *s = ram_at(r, START_ADDR, sizeof(*s));

	s->info = (struct start_info){
		.magic = START_MAGIC,
		.version = 1,
		.n_modules = k->initrd_size ? 1 : 0,
		.modules = k->initrd_size ? START_ADDR + offsetof(struct start, module) : 0,
		.cmdline = CMDLINE_ADDR,
		.rsdp = ACPI_ADDR,
		.map = START_ADDR + offsetof(struct start, map),
		.n_map = k->n_map,
	};
	s->module = (struct start_module){ .addr = k->initrd, .size = k->initrd_size };
	for (unsigned i = 0; i < k->n_map; i++)
		s->map[i] = (struct start_map){ k->map[i].addr, k->map[i].size, k->map[i].type, 0 };
}
