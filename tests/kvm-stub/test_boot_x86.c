/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of x86: what the guest finds in RAM after a good one was loaded, and what becomes of
 * files that lie about themselves. And Debian's kernel in both formats, if it is in the cache.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kvm-stub/boot/boot_x86.h"
#include "kvm-stub/layout.h"
#include "tests/lib/leak.h"

#define MIB (UINT64_C(1) << 20)
#define SECTS 3u /* setup_sects of our bzImage */
#define KERNEL_AT (16 * MIB)
#define KERNEL_LEN 4096u
#define INIT_SIZE (1 * MIB)

static unsigned fds;
static struct {
	char *dir, *kernel, *initrd;
	struct ram *ram;
	struct boot_config config;
	struct vm_entry entry;
} w;

static int setup(void **state)
{
	fds = count_fds();
	w.dir = g_dir_make_tmp("virtiod-boot-XXXXXX", NULL);
	w.kernel = g_build_filename(w.dir, "kernel", NULL);
	w.initrd = g_build_filename(w.dir, "initrd", NULL);
	w.ram = ram_new(32 * MIB, NULL);
	w.config = (struct boot_config){ .kernel = w.kernel, .cpus = 2, .n_slots = 3 };
	return w.ram ? 0 : -1;
}

static int teardown(void **state)
{
	g_unlink(w.kernel);
	g_unlink(w.initrd);
	g_rmdir(w.dir);
	g_free(w.kernel);
	g_free(w.initrd);
	g_free(w.dir);
	ram_free(w.ram);
	return count_fds() == fds ? 0 : -1;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

static void assert_loads(void)
{
	g_autoptr(GError) error = NULL;

	if (!boot_load(w.ram, &w.config, &w.entry, &error))
		fail_msg("%s", error->message);
}

/* The error names the file and has these words. */
static void assert_refused(const char *path, const char *words)
{
	g_autoptr(GError) error = NULL;

	assert_false(boot_load(w.ram, &w.config, &w.entry, &error));
	if (!strstr(error->message, path) || !strstr(error->message, words))
		fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error->message, path, words);
}

static void *at(uint64_t addr, uint64_t len)
{
	void *p = ram_at(w.ram, addr, len);

	assert_non_null(p);
	return p;
}

/* bzImage */

static struct bz {
	struct setup_header h;
	size_t len;
} bz;

static void bz_write(void)
{
	uint8_t file[(SECTS + 1) * 512 + KERNEL_LEN];

	memset(file, 0xab,
		sizeof(file)); /* whatever is not the header must not get into boot_params */
	memcpy(file + offsetof(struct boot_params, hdr), &bz.h, sizeof(bz.h));
	for (unsigned i = 0; i < KERNEL_LEN; i++)
		file[(SECTS + 1) * 512 + i] = (uint8_t)(i * 7);
	write_file(w.kernel, file, bz.len);
}

static int bz_setup(void **state)
{
	bz = (struct bz){
		.h = {
			.setup_sects = SECTS,
			.syssize = KERNEL_LEN / 16,
			.boot_flag = 0xaa55,
			.jump = 0x6aeb,
			.header = 0x53726448,
			.version = 0x20f,
			.loadflags = LOADED_HIGH,
			.initrd_addr_max = 0x7fffffff,
			.relocatable_kernel = 1,
			.xloadflags = XLF_KERNEL_64,
			.cmdline_size = 2047,
			.pref_address = KERNEL_AT,
			.init_size = INIT_SIZE,
		},
		.len = (SECTS + 1) * 512 + KERNEL_LEN,
	};
	if (setup(state))
		return -1;
	bz_write();
	return 0;
}

static void test_bzimage(void **state)
{
	const struct boot_params *p;
	const uint8_t *kernel;
	uint64_t *gdt;

	w.config.append = "quiet panic=-1";
	assert_loads();
	assert_int_equal(w.entry.mode, VM_ENTRY_X86_64);
	assert_int_equal(w.entry.pc, KERNEL_AT + 0x200);
	kernel = at(KERNEL_AT, KERNEL_LEN);
	for (unsigned i = 0; i < KERNEL_LEN; i++)
		assert_int_equal(kernel[i], (uint8_t)(i * 7));
	p = at(w.entry.arg, sizeof(*p));
	assert_int_equal(p->hdr.header, 0x53726448);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_int_equal(p->hdr.kernel_info_offset, 0);
	assert_string_equal(at(p->hdr.cmd_line_ptr, 16), "quiet panic=-1");
	assert_int_equal(p->hdr.ramdisk_image, 0);
	assert_int_equal(p->hdr.ramdisk_size, 0);
	assert_int_equal(p->sentinel, 0);
	assert_memory_equal(at(p->acpi_rsdp_addr, 8), "RSD PTR ", 8);
	gdt = at(w.entry.gdt, 32);
	assert_int_equal(gdt[2] >> 53 & 3, 1); /* 0x10: L, not D */
	assert_int_equal(gdt[2] >> 40 & 0xff, 0x9b);
	assert_int_equal(gdt[3] >> 40 & 0xff, 0x93);
}

/* What a CPU makes of an address. */
static uint64_t translate(uint64_t cr3, uint64_t addr)
{
	const uint64_t *l4 = at(cr3, 4096), *l3, *l2;
	uint64_t mask = ~UINT64_C(0xfff);

	assert_int_equal(l4[addr >> 39 & 511] & 3, 3);
	l3 = at(l4[addr >> 39 & 511] & mask, 4096);
	assert_int_equal(l3[addr >> 30 & 511] & 3, 3);
	l2 = at(l3[addr >> 30 & 511] & mask, 4096);
	assert_int_equal(l2[addr >> 21 & 511] & 0xfff, 0x83);
	return (l2[addr >> 21 & 511] & mask) | (addr & 0x1fffff);
}

static void test_page_tables(void **state)
{
	const uint64_t addrs[] = { 0, 0x1fffff, 0x200000, KERNEL_AT + 0x200, 0x3fffffff, 0x40000000,
		0xd0000000, 0xffffffff };

	assert_loads();
	for (unsigned i = 0; i < G_N_ELEMENTS(addrs); i++)
		assert_int_equal(translate(w.entry.page_table, addrs[i]), addrs[i]);
}

static void check_map(uint64_t size, unsigned n)
{
	const struct boot_params *p;
	uint64_t total = 0, end = 0;

	ram_free(w.ram);
	w.ram = ram_new(size, NULL);
	assert_non_null(w.ram);
	assert_loads();
	p = at(START_ADDR, sizeof(*p));
	assert_int_equal(p->e820_entries, n);
	for (unsigned i = 0; i < n; i++) {
		assert_true(p->e820_table[i].addr >= end);
		end = p->e820_table[i].addr + p->e820_table[i].size;
		if (p->e820_table[i].type == MAP_RAM) {
			total += p->e820_table[i].size;
			assert_non_null(
				ram_at(w.ram, p->e820_table[i].addr, p->e820_table[i].size));
		}
	}
	assert_int_equal(total, size - (HIGH_RAM_START - LOW_RAM_END));
}

/* Where a BIOS is entered, in memory that no kernel takes for its own: RESET_VALUE to RESET_PORT. */
static void test_reset_code(void **state)
{
	static const uint8_t code[] = { 0xba, 0x02, 0x06, 0xb0, 0x01, 0xee };

	assert_loads();
	assert_memory_equal(at(0xffff0, sizeof(code)), code, sizeof(code));
}

static void test_map(void **state)
{
	check_map(32 * MIB, 3);
	check_map(RAM_HOLE_START, 3);
	check_map(RAM_HOLE_START + 4096, 4);
	check_map(UINT64_C(8) << 30, 4);
}

static void test_initrd(void **state)
{
	g_autofree char *bytes = g_malloc(15 * MIB);
	const struct boot_params *p = at(START_ADDR, sizeof(*p));

	for (unsigned i = 0; i < 15 * MIB; i++)
		bytes[i] = (char)(i * 13 >> 4);
	w.config.initrd = w.initrd;
	write_file(w.initrd, bytes, 5001);
	assert_loads();
	assert_int_equal(p->hdr.ramdisk_size, 5001);
	assert_int_equal(p->hdr.ramdisk_image, 32 * MIB - 8192);
	assert_memory_equal(at(p->hdr.ramdisk_image, 5001), bytes, 5001);

	/* All that is left, and one byte more. */
	write_file(w.initrd, bytes, 15 * MIB);
	assert_loads();
	assert_int_equal(p->hdr.ramdisk_image, KERNEL_AT + INIT_SIZE);
	bz.h.init_size++;
	bz_write();
	assert_refused(w.initrd, "between the kernel's end 0x1100001");
	write_file(w.initrd, "", 0);
	assert_refused(w.initrd, "empty");
	g_unlink(w.initrd);
	assert_refused(w.initrd, "No such file");
}

static void test_initrd_limit(void **state)
{
	const struct boot_params *p = at(START_ADDR, sizeof(*p));

	w.config.initrd = w.initrd;
	write_file(w.initrd, "initrd", 6);
	bz.h.initrd_addr_max = 20 * MIB - 1;
	bz_write();
	assert_loads();
	assert_int_equal(p->hdr.ramdisk_image, 20 * MIB - 4096);
	bz.h.initrd_addr_max = 4;
	bz_write();
	assert_refused(w.initrd, "6 bytes of initrd");
}

static void test_cmdline(void **state)
{
	g_autofree char *text = g_strnfill(2047, 'x');

	assert_loads();
	assert_string_equal(at(CMDLINE_ADDR, 16), "console=ttyS0");
	w.config.append = text;
	assert_loads();
	assert_string_equal(at(CMDLINE_ADDR, 2048), text);
	bz.h.cmdline_size = 2046;
	bz_write();
	assert_refused(w.kernel, "2047 bytes, this kernel takes 2046");
}

/* One lie each. */
static void test_bzimage_hostile(void **state)
{
	const struct bz good = bz;
	const size_t lens[] = { 1, 0x1f1, 0x202, 0x300, 1024, good.len - 1 };

#define LIE(field, value, words)                 \
	do {                                     \
		bz = good;                       \
		bz.field = value;                \
		bz_write();                      \
		assert_refused(w.kernel, words); \
	} while (0)
	for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++)
		LIE(len, lens[i], lens[i] < 1024 ? "neither" : "truncated");
	LIE(h.setup_sects, 255, "truncated");
	LIE(h.setup_sects, SECTS + 1, "truncated");
	LIE(h.setup_sects, 0, "truncated"); /* means 4 */
	LIE(h.boot_flag, 0, "neither");
	LIE(h.header, 0, "neither");
	LIE(h.version, 0x20b, "2.11");
	LIE(h.xloadflags, 0, "xloadflags 0x0");
	LIE(h.loadflags, 0, "loadflags 0x0");
	LIE(h.syssize, 0, "syssize 0");
	LIE(h.syssize, 32, "syssize 32");
	LIE(h.syssize, UINT32_MAX, "no RAM");
	LIE(h.init_size, UINT32_MAX, "no RAM");
	LIE(h.init_size, 16 * MIB + 1, "init_size 16777217");
	LIE(h.pref_address, 0, "pref_address 0x0");
	LIE(h.pref_address, MIB - 1, "below 1 MiB");
	LIE(h.pref_address, UINT64_MAX, "no RAM");
	LIE(h.pref_address, UINT64_MAX - 4096, "no RAM");
#undef LIE
	g_unlink(w.kernel);
	assert_refused(w.kernel, "No such file");
	w.config.kernel = w.dir;
	assert_refused(w.dir, "not a regular file");
}

static void test_above_4g(void **state)
{
	ram_free(w.ram);
	w.ram = ram_new(UINT64_C(8) << 30, NULL);
	bz.h.pref_address = UINT64_C(5) << 30;
	bz_write();
	assert_refused(w.kernel, "4 GiB");
}

static void test_small_ram(void **state)
{
	const uint64_t sizes[] = { 4096, 65536, MIB, 16 * MIB };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;

		ram_free(w.ram);
		w.ram = ram_new(sizes[i], NULL);
		assert_false(boot_load(w.ram, &w.config, &w.entry, &error));
		assert_non_null(strstr(error->message, "no RAM"));
		if (sizes[i] > MIB)
			continue;
		w.config.selftest = true;
		g_clear_error(&error);
		assert_false(boot_load(w.ram, &w.config, &w.entry, &error));
		assert_non_null(strstr(error->message, "selftest"));
		w.config.selftest = false;
	}
}

static void test_selftest(void **state)
{
	ram_free(w.ram);
	w.ram = ram_new(2 * MIB, NULL);
	w.config = (struct boot_config){ .selftest = true, .cpus = 1 };
	assert_loads();
	assert_int_equal(w.entry.mode, VM_ENTRY_X86_32);
	assert_int_equal(w.entry.pc, SELFTEST_ADDR);
	assert_int_equal(*(uint8_t *)at(w.entry.pc, 1), 0xbc); /* mov $…, %esp */
	assert_int_equal(((uint64_t *)at(w.entry.gdt, 32))[2] >> 53 & 3, 2); /* D, not L */
}

/* PVH */

#define NOTE_AT 512u
#define SEGMENT_AT 1024u

static struct elf {
	Elf64_Ehdr e;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr other;
		char other_name[4], other_desc[8];
		Elf64_Nhdr n;
		char name[4];
		uint64_t entry;
	} __attribute__((packed)) notes;
	size_t len;
} elf;

static void elf_write(void)
{
	uint8_t file[SEGMENT_AT + KERNEL_LEN];

	memset(file, 0x5a, sizeof(file));
	memcpy(file, &elf.e, sizeof(elf.e));
	memcpy(file + 64, &elf.load, sizeof(elf.load));
	memcpy(file + 64 + sizeof(elf.load), &elf.note, sizeof(elf.note));
	memcpy(file + NOTE_AT, &elf.notes, sizeof(elf.notes));
	write_file(w.kernel, file, elf.len);
}

static int elf_setup(void **state)
{
	elf = (struct elf){
		.e = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_phoff = 64,
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
		},
		.load = {
			.p_type = PT_LOAD,
			.p_offset = SEGMENT_AT,
			.p_paddr = KERNEL_AT,
			.p_filesz = KERNEL_LEN,
			.p_memsz = INIT_SIZE,
		},
		.note = { .p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = sizeof(elf.notes) },
		.notes = {
			.other = { 4, 6, 18 },
			.other_name = "GNU",
			.n = { 4, 8, 18 },
			.name = "Xen",
			.entry = KERNEL_AT + 0x40,
		},
		.len = SEGMENT_AT + KERNEL_LEN,
	};
	if (setup(state))
		return -1;
	elf_write();
	return 0;
}

/* hvm_start_info, by offsets of its specification. */
static void check_start_info(uint64_t initrd, uint64_t initrd_size)
{
	const uint32_t *info = at(w.entry.arg, 56);
	const uint64_t *info64 = (const uint64_t *)info, *module, *map;

	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], initrd_size ? 1 : 0);
	if (initrd_size) {
		module = at(info64[2], 32);
		assert_int_equal(module[0], initrd);
		assert_int_equal(module[1], initrd_size);
	}
	assert_string_equal(at(info64[3], 14), "console=ttyS0");
	assert_memory_equal(at(info64[4], 8), "RSD PTR ", 8);
	assert_int_equal(info[12], 3);
	map = at(info64[5], 3 * 24);
	assert_int_equal(map[6], MIB);
	assert_int_equal(map[7], w.ram->size - MIB);
	assert_int_equal((uint32_t)map[8], MAP_RAM);
}

static void test_pvh(void **state)
{
	const uint8_t *kernel;

	assert_loads();
	assert_int_equal(w.entry.mode, VM_ENTRY_X86_32);
	assert_int_equal(w.entry.pc, KERNEL_AT + 0x40);
	kernel = at(KERNEL_AT, INIT_SIZE);
	assert_int_equal(kernel[KERNEL_LEN - 1], 0x5a);
	assert_int_equal(kernel[KERNEL_LEN], 0);
	assert_int_equal(((uint64_t *)at(w.entry.gdt, 32))[2] >> 53 & 3, 2);
	check_start_info(0, 0);

	w.config.initrd = w.initrd;
	write_file(w.initrd, "initrd", 6);
	elf.notes.n.n_descsz = 4;
	elf_write();
	assert_loads();
	assert_int_equal(w.entry.pc, KERNEL_AT + 0x40);
	check_start_info(32 * MIB - 4096, 6);
	assert_memory_equal(at(32 * MIB - 4096, 6), "initrd", 6);
}

static void test_pvh_hostile(void **state)
{
	const struct elf good = elf;

#define LIE(field, value, words)                 \
	do {                                     \
		elf = good;                      \
		elf.field = value;               \
		elf_write();                     \
		assert_refused(w.kernel, words); \
	} while (0)
	LIE(len, 4, "truncated");
	LIE(len, 63, "truncated");
	LIE(len, 64 + 56, "truncated");
	LIE(len, SEGMENT_AT, "truncated");
	LIE(len, SEGMENT_AT + KERNEL_LEN - 1, "truncated");
	LIE(e.e_ident[EI_CLASS], ELFCLASS32, "ELF class 1");
	LIE(e.e_ident[EI_DATA], ELFDATA2MSB, "data 2");
	LIE(e.e_machine, EM_AARCH64, "machine 183");
	LIE(e.e_phentsize, 32, "of 32 bytes");
	LIE(e.e_phnum, 0, "0 program headers");
	LIE(e.e_phnum, 65535, "65535 program headers");
	LIE(e.e_phnum, 64, "");
	LIE(e.e_phoff, UINT64_MAX, "truncated");
	LIE(e.e_phoff, UINT64_MAX - 111, "truncated");
	LIE(load.p_offset, UINT64_MAX, "truncated");
	LIE(load.p_offset, SEGMENT_AT + 1, "truncated");
	LIE(load.p_filesz, INIT_SIZE + 1, "p_filesz above p_memsz");
	LIE(load.p_filesz, INIT_SIZE, "truncated");
	LIE(load.p_memsz, UINT64_MAX, "no RAM");
	LIE(load.p_memsz, 16 * MIB + 1, "no RAM");
	LIE(load.p_paddr, 0, "below 1 MiB");
	LIE(load.p_paddr, UINT64_MAX, "no RAM");
	LIE(load.p_paddr, RAM_HOLE_START, "no RAM");
	LIE(load.p_type, PT_NULL, "outside the kernel");
	LIE(note.p_type, PT_NULL, "no PVH entry");
	LIE(note.p_filesz, UINT64_MAX, "bytes of notes");
	LIE(note.p_filesz, 0, "no PVH entry");
	LIE(note.p_filesz, sizeof(elf.notes) - 1, "no PVH entry");
	LIE(note.p_offset, UINT64_MAX, "truncated");
	LIE(notes.other.n_namesz, UINT32_MAX, "no PVH entry");
	LIE(notes.other.n_descsz, UINT32_MAX, "no PVH entry");
	LIE(notes.n.n_namesz, 3, "no PVH entry");
	LIE(notes.n.n_descsz, 2, "no PVH entry");
	LIE(notes.n.n_type, 17, "no PVH entry");
	LIE(notes.name[0], 'x', "no PVH entry");
	LIE(notes.entry, KERNEL_AT + INIT_SIZE, "outside the kernel");
	LIE(notes.entry, 4096, "entry point 0x1000");
#undef LIE
}

/* Debian's kernel */

static char *debian_kernel(void)
{
	const char *cache = g_getenv("VIRTIOD_CACHE");
	g_autofree char *usual = g_build_filename(g_get_user_cache_dir(), "virtiod", NULL);
	g_autofree char *boot =
		g_build_filename(cache ? cache : usual, "linux-cloud-amd64", "boot", NULL);
	g_autoptr(GDir) dir = g_dir_open(boot, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, "vmlinuz-"))
			return g_build_filename(boot, name, NULL);
	return NULL;
}

static void test_debian(void **state)
{
	g_autofree char *bzimage = debian_kernel();
	const char *argv[] = { VMLINUX_PY, bzimage, w.kernel, NULL };
	int status;

	if (!bzimage) {
		print_message("SKIPPED: Debian's kernel is not in the cache (./check gets it)\n");
		skip();
	}
	ram_free(w.ram);
	w.ram = ram_new(256 * MIB, NULL);
	w.config.kernel = bzimage;
	assert_loads();
	assert_int_equal(w.entry.mode, VM_ENTRY_X86_64);
	assert_int_equal(w.entry.pc, KERNEL_AT + 0x200);

	assert_true(
		g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
	if (WEXITSTATUS(status) == 77) {
		print_message("SKIPPED: nothing here unpacks Debian's vmlinux\n");
		skip();
	}
	assert_int_equal(status, 0);
	w.config.kernel = w.kernel;
	assert_true(ram_clear(w.ram, NULL));
	assert_loads();
	assert_int_equal(w.entry.mode, VM_ENTRY_X86_32);
	assert_in_range(w.entry.pc, KERNEL_AT, 256 * MIB);
	check_start_info(0, 0);
}

#define TEST(test, before) cmocka_unit_test_setup_teardown(test, before, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bzimage, bz_setup),
		TEST(test_page_tables, bz_setup),
		TEST(test_reset_code, bz_setup),
		TEST(test_map, bz_setup),
		TEST(test_initrd, bz_setup),
		TEST(test_initrd_limit, bz_setup),
		TEST(test_cmdline, bz_setup),
		TEST(test_bzimage_hostile, bz_setup),
		TEST(test_above_4g, bz_setup),
		TEST(test_small_ram, bz_setup),
		TEST(test_selftest, setup),
		TEST(test_pvh, elf_setup),
		TEST(test_pvh_hostile, elf_setup),
		TEST(test_debian, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
