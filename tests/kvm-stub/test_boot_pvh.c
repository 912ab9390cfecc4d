/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels with a PVH entry: what the guest finds in RAM after a good one is loaded, and files
 * whose headers are wrong; Debian's kernel in both formats of x86, if it is in the cache.
 */
#include "boot_test.h"

#include <elf.h>
#include <sys/wait.h>

#include "kvm-stub/boot/boot_x86.h"
#include "kvm-stub/layout.h"

#define KERNEL_AT (16 * MIB)
#define KERNEL_LEN 4096u
#define INIT_SIZE (1 * MIB)

#define NOTE_AT 512u
#define SEGMENT_AT 1024u

static struct elf_image {
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
	boot_write(boot.kernel, file, elf.len);
}

static int elf_setup(void **state)
{
	elf = (struct elf_image){
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
	boot_begin(32 * MIB);
	elf_write();
	return 0;
}

/* Checks hvm_start_info, by offsets of its specification. */
static void check_start_info(uint64_t initrd, uint64_t initrd_size)
{
	const uint32_t *info = boot_at(boot.entry.arg, 56);
	const uint64_t *info64 = (const uint64_t *)info, *module, *map;

	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], initrd_size ? 1 : 0);
	if (initrd_size) {
		module = boot_at(info64[2], 32);
		assert_int_equal(module[0], initrd);
		assert_int_equal(module[1], initrd_size);
	}
	assert_string_equal(boot_at(info64[3], 14), "console=ttyS0");
	assert_memory_equal(boot_at(info64[4], 8), "RSD PTR ", 8);
	assert_int_equal(info[12], 3);
	map = boot_at(info64[5], 3 * 24);
	assert_int_equal(map[6], MIB);
	assert_int_equal(map[7], boot.ram->size - MIB);
	assert_int_equal((uint32_t)map[8], MAP_RAM);
}

static void test_pvh(void **state)
{
	const uint8_t *kernel;

	boot_loads();
	assert_int_equal(boot.entry.mode, VM_ENTRY_X86_32);
	assert_int_equal(boot.entry.pc, KERNEL_AT + 0x40);
	kernel = boot_at(KERNEL_AT, INIT_SIZE);
	assert_int_equal(kernel[KERNEL_LEN - 1], 0x5a);
	assert_int_equal(kernel[KERNEL_LEN], 0);
	assert_int_equal(((uint64_t *)boot_at(boot.entry.gdt, 32))[2] >> 53 & 3, 2);
	check_start_info(0, 0);

	boot.config.initrd.path = boot.initrd;
	boot_write(boot.initrd, "initrd", 6);
	elf.notes.n.n_descsz = 4;
	elf_write();
	boot_loads();
	assert_int_equal(boot.entry.pc, KERNEL_AT + 0x40);
	check_start_info(32 * MIB - 4096, 6);
	assert_memory_equal(boot_at(32 * MIB - 4096, 6), "initrd", 6);
}

/* Linux copies COMMAND_LINE_SIZE bytes, and reads on if none of them is 0. */
static void test_loader_cmdline_limit(void **state)
{
	g_autofree char *text = g_strnfill(2048, 'x');
	const uint64_t *info;

	boot.config.append = text;
	boot_refuses(boot.kernel, "2048 bytes, this kernel takes at most 2047");
	text[2047] = 0;
	boot_loads();
	info = boot_at(boot.entry.arg, 32);
	assert_string_equal(boot_at(info[3], 2048), text);
}

/* One field of a good file replaced, and words of the message. */
#define WRONG(field, value, words)                                                 \
	{                                                                          \
		offsetof(struct elf_image, field), sizeof(elf.field), value, words \
	}

static void test_pvh_hostile(void **state)
{
	static const struct {
		size_t offset, size;
		uint64_t value;
		const char *words;
	} wrong[] = {
		WRONG(len, 4, "truncated"),
		WRONG(len, 63, "truncated"),
		WRONG(len, 64 + 56, "truncated"),
		WRONG(len, SEGMENT_AT, "truncated"),
		WRONG(len, SEGMENT_AT + KERNEL_LEN - 1, "truncated"),
		WRONG(e.e_ident[EI_CLASS], ELFCLASS32, "ELF class 1"),
		WRONG(e.e_ident[EI_DATA], ELFDATA2MSB, "data 2"),
		WRONG(e.e_machine, EM_AARCH64, "machine 183"),
		WRONG(e.e_phentsize, 32, "of 32 bytes"),
		WRONG(e.e_phnum, 0, "0 program headers"),
		WRONG(e.e_phnum, 65535, "65535 program headers"),
		WRONG(e.e_phnum, 64, ""),
		WRONG(e.e_phoff, UINT64_MAX, "truncated"),
		WRONG(e.e_phoff, UINT64_MAX - 111, "truncated"),
		WRONG(load.p_offset, UINT64_MAX, "truncated"),
		WRONG(load.p_offset, SEGMENT_AT + 1, "truncated"),
		WRONG(load.p_filesz, INIT_SIZE + 1, "p_filesz above p_memsz"),
		WRONG(load.p_filesz, INIT_SIZE, "truncated"),
		WRONG(load.p_memsz, UINT64_MAX, "no RAM"),
		WRONG(load.p_memsz, 16 * MIB + 1, "no RAM"),
		WRONG(load.p_paddr, 0, "below 1 MiB"),
		WRONG(load.p_paddr, UINT64_MAX, "no RAM"),
		WRONG(load.p_paddr, RAM_HOLE_START, "no RAM"),
		WRONG(load.p_type, PT_NULL, "outside the kernel"),
		WRONG(note.p_type, PT_NULL, "no PVH entry"),
		WRONG(note.p_filesz, UINT64_MAX, "bytes of notes"),
		WRONG(note.p_filesz, 0, "no PVH entry"),
		WRONG(note.p_filesz, sizeof(elf.notes) - 1, "no PVH entry"),
		WRONG(note.p_offset, UINT64_MAX, "truncated"),
		WRONG(notes.other.n_namesz, UINT32_MAX, "no PVH entry"),
		WRONG(notes.other.n_descsz, UINT32_MAX, "no PVH entry"),
		WRONG(notes.n.n_namesz, 3, "no PVH entry"),
		WRONG(notes.n.n_descsz, 2, "no PVH entry"),
		WRONG(notes.n.n_type, 17, "no PVH entry"),
		WRONG(notes.name[0], 'x', "no PVH entry"),
		WRONG(notes.entry, KERNEL_AT + INIT_SIZE, "outside the kernel"),
		WRONG(notes.entry, 4096, "entry point 0x1000"),
	};
	const struct elf_image good = elf;

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		elf = good;
		memcpy((uint8_t *)&elf + wrong[i].offset, &wrong[i].value, wrong[i].size);
		elf_write();
		boot_refuses(boot.kernel, wrong[i].words);
	}
}

static char *debian_kernel(void)
{
	const char *cache = g_getenv("VIRTIOD_CACHE");
	g_autofree char *usual = g_build_filename(g_get_user_cache_dir(), "virtiod", NULL);
	g_autofree char *folder =
		g_build_filename(cache ? cache : usual, "linux-cloud-amd64", "boot", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, "vmlinuz-"))
			return g_build_filename(folder, name, NULL);
	return NULL;
}

static void test_debian(void **state)
{
	g_autofree char *bzimage = debian_kernel();
	const char *argv[] = { VMLINUX_PY, bzimage, boot.kernel, NULL };
	int status;

	if (!bzimage) {
		print_message("SKIPPED: Debian's kernel is not in the cache (./check gets it)\n");
		skip();
	}
	boot_new_ram(256 * MIB);
	boot.config.kernel.path = bzimage;
	boot_loads();
	assert_int_equal(boot.entry.mode, VM_ENTRY_X86_64);
	assert_int_equal(boot.entry.pc, KERNEL_AT + 0x200);

	assert_true(
		g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
	if (WEXITSTATUS(status) == 77) {
		print_message("SKIPPED: nothing here unpacks Debian's vmlinux\n");
		skip();
	}
	assert_int_equal(status, 0);
	boot.config.kernel.path = boot.kernel;
	assert_true(ram_clear(boot.ram, NULL));
	boot_loads();
	assert_int_equal(boot.entry.mode, VM_ENTRY_X86_32);
	assert_in_range(boot.entry.pc, KERNEL_AT, 256 * MIB);
	check_start_info(0, 0);
}

#define elf_teardown boot_teardown

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(elf, test_pvh),
		TEST_WITH(elf, test_loader_cmdline_limit),
		TEST_WITH(elf, test_pvh_hostile),
		TEST_WITH(elf, test_debian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
