/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bzImages: what the guest finds in RAM after a good one is loaded, and files whose headers are
 * wrong. The built-in guest is loaded by the same code.
 */
#include "boot_test.h"

#include <asm/bootparam.h>

#include "kvm-stub/boot/boot_x86.h"
#include "kvm-stub/layout.h"

#define SECTS 3u /* setup_sects of the image below */
#define KERNEL_AT (16 * MIB)
#define KERNEL_LEN 4096u
#define INIT_SIZE (1 * MIB)

static struct bz_image {
	struct setup_header h;
	size_t len;
} bz;

static void bz_write(void)
{
	uint8_t file[(SECTS + 1) * 512 + KERNEL_LEN];

	/* What is not the header must not get into boot_params. */
	memset(file, 0xab, sizeof(file));
	memcpy(file + offsetof(struct boot_params, hdr), &bz.h, sizeof(bz.h));
	for (unsigned i = 0; i < KERNEL_LEN; i++)
		file[(SECTS + 1) * 512 + i] = (uint8_t)(i * 7);
	boot_write(boot.kernel, file, bz.len);
}

static int bz_setup(void **state)
{
	bz = (struct bz_image){
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
	boot_begin(32 * MIB);
	bz_write();
	return 0;
}

static void test_bzimage(void **state)
{
	const struct boot_params *p;
	const uint8_t *kernel;
	uint64_t *gdt;

	boot.config.append = "quiet panic=-1";
	boot_loads();
	assert_int_equal(boot.entry.mode, VM_ENTRY_X86_64);
	assert_int_equal(boot.entry.pc, KERNEL_AT + 0x200);
	kernel = boot_at(KERNEL_AT, KERNEL_LEN);
	for (unsigned i = 0; i < KERNEL_LEN; i++)
		assert_int_equal(kernel[i], (uint8_t)(i * 7));
	p = boot_at(boot.entry.arg, sizeof(*p));
	assert_int_equal(p->hdr.header, 0x53726448);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_int_equal(p->hdr.kernel_info_offset, 0);
	assert_string_equal(boot_at(p->hdr.cmd_line_ptr, 16), "quiet panic=-1");
	assert_int_equal(p->hdr.ramdisk_image, 0);
	assert_int_equal(p->hdr.ramdisk_size, 0);
	assert_int_equal(p->sentinel, 0);
	assert_memory_equal(boot_at(p->acpi_rsdp_addr, 8), "RSD PTR ", 8);
	gdt = boot_at(boot.entry.gdt, 32);
	assert_int_equal(gdt[2] >> 53 & 3, 1); /* 0x10: L, not D */
	assert_int_equal(gdt[2] >> 40 & 0xff, 0x9b);
	assert_int_equal(gdt[3] >> 40 & 0xff, 0x93);
}

/* Returns what a CPU makes of an address. */
static uint64_t translate(uint64_t cr3, uint64_t addr)
{
	const uint64_t *l4 = boot_at(cr3, 4096), *l3, *l2;
	uint64_t mask = ~UINT64_C(0xfff);

	assert_int_equal(l4[addr >> 39 & 511] & 3, 3);
	l3 = boot_at(l4[addr >> 39 & 511] & mask, 4096);
	assert_int_equal(l3[addr >> 30 & 511] & 3, 3);
	l2 = boot_at(l3[addr >> 30 & 511] & mask, 4096);
	assert_int_equal(l2[addr >> 21 & 511] & 0xfff, 0x83);
	return (l2[addr >> 21 & 511] & mask) | (addr & 0x1fffff);
}

static void test_page_tables(void **state)
{
	const uint64_t addrs[] = { 0, 0x1fffff, 0x200000, KERNEL_AT + 0x200, 0x3fffffff, 0x40000000,
		0xd0000000, 0xffffffff };

	boot_loads();
	for (unsigned i = 0; i < G_N_ELEMENTS(addrs); i++)
		assert_int_equal(translate(boot.entry.page_table, addrs[i]), addrs[i]);
}

static void check_map(uint64_t size, unsigned n)
{
	const struct boot_params *p;
	uint64_t total = 0, end = 0;

	boot_new_ram(size);
	boot_loads();
	p = boot_at(START_ADDR, sizeof(*p));
	assert_int_equal(p->e820_entries, n);
	for (unsigned i = 0; i < n; i++) {
		assert_true(p->e820_table[i].addr >= end);
		end = p->e820_table[i].addr + p->e820_table[i].size;
		if (p->e820_table[i].type == MAP_RAM) {
			total += p->e820_table[i].size;
			assert_non_null(
				ram_at(boot.ram, p->e820_table[i].addr, p->e820_table[i].size));
		}
	}
	assert_int_equal(total, size - (HIGH_RAM_START - LOW_RAM_END));
}

/* Where a BIOS is entered, outside the RAM that kernels use: writes RESET_VALUE to RESET_PORT. */
static void test_reset_code(void **state)
{
	static const uint8_t code[] = { 0xba, 0x02, 0x06, 0xb0, 0x01, 0xee };

	boot_loads();
	assert_memory_equal(boot_at(0xffff0, sizeof(code)), code, sizeof(code));
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
	const struct boot_params *p = boot_at(START_ADDR, sizeof(*p));

	for (unsigned i = 0; i < 15 * MIB; i++)
		bytes[i] = (char)(i * 13 >> 4);
	boot.config.initrd.path = boot.initrd;
	boot_write(boot.initrd, bytes, 5001);
	boot_loads();
	assert_int_equal(p->hdr.ramdisk_size, 5001);
	assert_int_equal(p->hdr.ramdisk_image, 32 * MIB - 8192);
	assert_memory_equal(boot_at(p->hdr.ramdisk_image, 5001), bytes, 5001);

	/* All that is left, and one byte more. */
	boot_write(boot.initrd, bytes, 15 * MIB);
	boot_loads();
	assert_int_equal(p->hdr.ramdisk_image, KERNEL_AT + INIT_SIZE);
	bz.h.init_size++;
	bz_write();
	boot_refuses(boot.initrd, "between the kernel's end 0x1100001");
	boot_write(boot.initrd, "", 0);
	boot_refuses(boot.initrd, "empty");
	g_unlink(boot.initrd);
	boot_refuses(boot.initrd, "No such file");
}

static void test_initrd_limit(void **state)
{
	const struct boot_params *p = boot_at(START_ADDR, sizeof(*p));

	boot.config.initrd.path = boot.initrd;
	boot_write(boot.initrd, "initrd", 6);
	bz.h.initrd_addr_max = 20 * MIB - 1;
	bz_write();
	boot_loads();
	assert_int_equal(p->hdr.ramdisk_image, 20 * MIB - 4096);
	bz.h.initrd_addr_max = 4;
	bz_write();
	boot_refuses(boot.initrd, "6 bytes of initrd");
}

static void test_loader_cmdline_limit(void **state)
{
	g_autofree char *text = g_strnfill(2047, 'x');

	boot_loads();
	assert_string_equal(boot_at(CMDLINE_ADDR, 16), "console=ttyS0");
	boot.config.append = text;
	boot_loads();
	assert_string_equal(boot_at(CMDLINE_ADDR, 2048), text);
	bz.h.cmdline_size = 2046;
	bz_write();
	boot_refuses(boot.kernel, "2047 bytes, this kernel takes at most 2046");
}

/* syssize counts 16 bytes; memtest86+ does not fill the last of them. */
static void test_loader_rounded_syssize(void **state)
{
	const uint8_t *kernel;

	bz.len -= 15;
	bz_write();
	boot_loads();
	kernel = boot_at(KERNEL_AT, KERNEL_LEN);
	assert_int_equal(kernel[KERNEL_LEN - 16], (uint8_t)((KERNEL_LEN - 16) * 7));
	assert_int_equal(kernel[KERNEL_LEN - 15], 0);
	bz.len--;
	bz_write();
	boot_refuses(boot.kernel, "truncated");
}

/* One field of a good image replaced, and words of the message. */
#define WRONG(field, value, words)                                                   \
	{                                                                            \
		offsetof(struct bz_image, h.field), sizeof(bz.h.field), value, words \
	}

static void test_bzimage_hostile(void **state)
{
	static const struct {
		size_t offset, size;
		uint64_t value;
		const char *words;
	} wrong[] = {
		WRONG(setup_sects, 255, "truncated"),
		WRONG(setup_sects, SECTS + 1, "truncated"),
		WRONG(setup_sects, 0, "truncated"), /* means 4 */
		WRONG(boot_flag, 0, "not a bzImage"),
		WRONG(header, 0, "not a bzImage"),
		WRONG(version, 0x20b, "2.11"),
		WRONG(xloadflags, 0, "xloadflags 0x0"),
		WRONG(loadflags, 0, "loadflags 0x0"),
		WRONG(syssize, 0, "syssize 0"),
		WRONG(syssize, 32, "syssize 32"),
		WRONG(syssize, UINT32_MAX, "no RAM"),
		WRONG(init_size, UINT32_MAX, "no RAM"),
		WRONG(init_size, 16 * MIB + 1, "init_size 16777217"),
		WRONG(pref_address, 0, "pref_address 0x0"),
		WRONG(pref_address, MIB - 1, "below 1 MiB"),
		WRONG(pref_address, UINT64_MAX, "no RAM"),
		WRONG(pref_address, UINT64_MAX - 4096, "no RAM"),
	};
	const struct bz_image good = bz;
	const size_t lens[] = { 1, 0x1f1, 0x202, 0x300, 1024, good.len - 16 };

	for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++) {
		bz.len = lens[i];
		bz_write();
		boot_refuses(boot.kernel, lens[i] < 1024 ? "not a bzImage" : "truncated");
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		bz = good;
		memcpy((uint8_t *)&bz + wrong[i].offset, &wrong[i].value, wrong[i].size);
		bz_write();
		boot_refuses(boot.kernel, wrong[i].words);
	}
	g_unlink(boot.kernel);
	boot_refuses(boot.kernel, "No such file");
	boot.config.kernel.path = boot.test.dir;
	boot_refuses(boot.test.dir, "not a regular file");
}

static void test_above_4g(void **state)
{
	boot_new_ram(UINT64_C(8) << 30);
	bz.h.pref_address = UINT64_C(5) << 30;
	bz_write();
	boot_refuses(boot.kernel, "4 GiB");
}

static void test_small_ram(void **state)
{
	const uint64_t sizes[] = { 4096, 65536, MIB, 16 * MIB };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autoptr(GError) error = NULL;

		ram_free(boot.ram);
		boot.ram = ram_new(sizes[i], NULL);
		assert_false(boot_load(boot.ram, &boot.config, &boot.entry, &error));
		assert_non_null(strstr(error->message, "no RAM"));
		if (sizes[i] > MIB)
			continue;
		boot.config.selftest = true;
		g_clear_error(&error);
		assert_false(boot_load(boot.ram, &boot.config, &boot.entry, &error));
		assert_non_null(strstr(error->message, "selftest"));
		boot.config.selftest = false;
	}
}

static void test_selftest(void **state)
{
	boot_new_ram(2 * MIB);
	boot.config = (struct boot_config){ .selftest = true, .cpus = 1 };
	boot_loads();
	assert_int_equal(boot.entry.mode, VM_ENTRY_X86_32);
	assert_int_equal(boot.entry.pc, SELFTEST_ADDR);
	assert_int_equal(*(uint8_t *)boot_at(boot.entry.pc, 1), 0xbc); /* mov $…, %esp */
	assert_int_equal(((uint64_t *)boot_at(boot.entry.gdt, 32))[2] >> 53 & 3, 2); /* D, not L */
}

#define bz_teardown boot_teardown

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(bz, test_bzimage),
		TEST_WITH(bz, test_page_tables),
		TEST_WITH(bz, test_reset_code),
		TEST_WITH(bz, test_map),
		TEST_WITH(bz, test_initrd),
		TEST_WITH(bz, test_initrd_limit),
		TEST_WITH(bz, test_loader_cmdline_limit),
		TEST_WITH(bz, test_loader_rounded_syssize),
		TEST_WITH(bz, test_bzimage_hostile),
		TEST_WITH(bz, test_above_4g),
		TEST_WITH(bz, test_small_ram),
		TEST_WITH(bz, test_selftest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
