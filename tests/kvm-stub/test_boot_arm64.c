/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of arm64, and the device tree: read with libfdt, and by dtc, which warns of what looks
 * odd. Not a line of it needs an arm64 machine.
 */
#include "boot_test.h"

#include <libfdt.h>

#include "kvm-stub/boot/boot.h"
#include "kvm-stub/boot/device_tree.h"
#include "kvm-stub/layout.h"

#define FILE_LEN 4096u
#define IMAGE_SIZE (3 * MIB)

static struct arm64_image {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	uint32_t magic, pe_offset;
	uint8_t rest[FILE_LEN - 64];
	size_t len;
} image;

static void write_image(void)
{
	assert_true(
		g_file_set_contents(boot.kernel, (const char *)&image, (gssize)image.len, NULL));
}

static int setup(void **state)
{
	boot_begin(16 * MIB);
	boot.config.gic_version = 3;
	image = (struct arm64_image){ .image_size = IMAGE_SIZE, .flags = 0xa, .magic = 0x644d5241 };
	image.len = FILE_LEN;
	for (unsigned i = 0; i < sizeof(image.rest); i++)
		image.rest[i] = (uint8_t)(i * 5);
	write_image();
	return 0;
}

#define teardown boot_teardown

/* Loads the kernel; returns the device tree. */
static const void *load(void)
{
	const void *tree;

	boot_loads();
	tree = boot_at(boot.entry.arg, 65536);
	assert_int_equal(boot.entry.arg % (2 * MIB), 0);
	assert_int_equal(fdt_check_full(tree, 65536), 0);
	return tree;
}

static void assert_cells(
	const void *tree, const char *node, const char *name, const uint32_t *want, unsigned n)
{
	int len = 0;
	const fdt32_t *cell = fdt_getprop(tree, fdt_path_offset(tree, node), name, &len);

	if (!cell || len != (int)(n * 4))
		fail_msg("%s: %s has %d bytes, not %u", node, name, len, n * 4);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fdt32_to_cpu(cell[i]), want[i]);
}

#define CELLS(tree, node, name, ...)                                      \
	assert_cells(tree, node, name, (const uint32_t[]){ __VA_ARGS__ }, \
		G_N_ELEMENTS(((const uint32_t[]){ __VA_ARGS__ })))

static void assert_string(const void *tree, const char *node, const char *name, const char *want)
{
	const char *value = fdt_getprop(tree, fdt_path_offset(tree, node), name, NULL);

	assert_non_null(value);
	assert_string_equal(value, want);
}

static void test_kernel(void **state)
{
	const uint8_t *kernel;

	image.text_offset = 0x80000;
	write_image();
	load();
	assert_int_equal(boot.entry.mode, VM_ENTRY_ARM64);
	assert_int_equal(boot.entry.pc, RAM_BASE + 0x80000);
	assert_int_equal(boot.entry.arg, RAM_BASE + 4 * MIB);
	kernel = ram_at(boot.ram, boot.entry.pc, FILE_LEN);
	assert_memory_equal(kernel, &image, FILE_LEN);
}

static void test_tree(void **state)
{
	const void *tree = load();
	int len = 0;

	CELLS(tree, "/memory@40000000", "reg", 0, RAM_BASE, 0, 16 * MIB);
	assert_string(tree, "/cpus/cpu@1", "enable-method", "psci");
	CELLS(tree, "/cpus/cpu@1", "reg", 1);
	assert_true(fdt_path_offset(tree, "/cpus/cpu@2") < 0);
	assert_int_equal(
		fdt_node_check_compatible(tree, fdt_path_offset(tree, "/psci"), "arm,psci-1.0"), 0);
	assert_int_equal(
		fdt_node_check_compatible(tree, fdt_path_offset(tree, "/psci"), "arm,psci-0.2"), 0);
	assert_string(tree, "/psci", "method", "hvc");
	assert_string(tree, "/interrupt-controller@8000000", "compatible", "arm,gic-v3");
	CELLS(tree, "/interrupt-controller@8000000", "reg", 0, GIC_DIST_BASE, 0, GIC_DIST_SIZE, 0,
		GIC_REDIST_BASE, 0, 2 * GIC_REDIST_STRIDE);
	CELLS(tree, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
	assert_string(tree, "/serial@9000000", "compatible", "ns16550a");
	CELLS(tree, "/serial@9000000", "interrupts", 0, SERIAL_IRQ, 4);
	CELLS(tree, "/serial@9000000", "reg-shift", 0);
	assert_string(tree, "/pvpanic@9020000", "compatible", "qemu,pvpanic-mmio");
	CELLS(tree, "/pvpanic@9020000", "reg", 0, PANIC_ADDR, 0, PANIC_SIZE);
	CELLS(tree, "/virtio_mmio@a002000", "reg", 0, VIRTIO_BASE + 0x2000, 0, VIRTIO_STRIDE);
	CELLS(tree, "/virtio_mmio@a002000", "interrupts", 0, VIRTIO_FIRST_IRQ + 2, 1);
	assert_true(fdt_path_offset(tree, "/virtio_mmio@a003000") < 0);
	assert_string(tree, "/chosen", "bootargs", "console=ttyS0");
	assert_string(tree, "/chosen", "stdout-path", "/serial@9000000");
	fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "kaslr-seed", &len);
	assert_int_equal(len, 8);
	assert_null(
		fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "linux,initrd-start", NULL));
}

static void test_gicv2(void **state)
{
	const void *tree;

	boot.config.gic_version = 2;
	tree = load();
	assert_string(tree, "/interrupt-controller@8000000", "compatible", "arm,cortex-a15-gic");
	CELLS(tree, "/interrupt-controller@8000000", "reg", 0, GIC_DIST_BASE, 0, GIC_DIST_SIZE, 0,
		GIC_CPU_BASE, 0, GIC_CPU_SIZE);
	CELLS(tree, "/timer", "interrupts", 1, 13, 0x304, 1, 14, 0x304, 1, 11, 0x304, 1, 10, 0x304);
}

static void test_many_cpus(void **state)
{
	const void *tree;

	boot.config.cpus = 40;
	boot.config.n_slots = MAX_SLOTS;
	tree = load();
	CELLS(tree, "/cpus/cpu@207", "reg", 0x207); /* the last: cluster 2, number 7 */
	CELLS(tree, "/virtio_mmio@a01f000", "interrupts", 0, VIRTIO_FIRST_IRQ + 31, 1);
}

static void test_initrd(void **state)
{
	const uint32_t at = RAM_BASE + 6 * MIB;
	g_autofree char *bytes = g_malloc0(10 * MIB + 1);
	const void *tree;

	boot.config.initrd.path = boot.initrd;
	assert_true(g_file_set_contents(boot.initrd, "initrd", 6, NULL));
	tree = load();
	CELLS(tree, "/chosen", "linux,initrd-start", 0, at);
	CELLS(tree, "/chosen", "linux,initrd-end", 0, at + 6);
	assert_memory_equal(ram_at(boot.ram, at, 6), "initrd", 6);
	assert_true(g_file_set_contents(boot.initrd, bytes, 10 * MIB, NULL));
	load();
	assert_true(g_file_set_contents(boot.initrd, bytes, 10 * MIB + 1, NULL));
	boot_refuses(boot.initrd, "no RAM for the initrd");
}

/* Linux would cut it. */
static void test_loader_cmdline_limit(void **state)
{
	g_autofree char *text = g_strnfill(2048, 'x');

	boot.config.append = text;
	boot_refuses(boot.kernel, "2048 bytes, this kernel takes at most 2047");
	text[2047] = 0;
	assert_string(load(), "/chosen", "bootargs", text);
}

/* A guest without it starts in 1970. */
static void test_loader_guest_has_a_clock(void **state)
{
	const void *tree = load();
	int rtc = fdt_path_offset(tree, "/rtc@9030000");
	const fdt32_t *clock = fdt_getprop(tree, rtc, "clocks", NULL);

	assert_int_equal(fdt_node_check_compatible(tree, rtc, "arm,pl031"), 0);
	assert_int_equal(fdt_node_check_compatible(tree, rtc, "arm,primecell"), 0);
	CELLS(tree, "/rtc@9030000", "reg", 0, RTC_ADDR, 0, RTC_SIZE);
	assert_string(tree, "/rtc@9030000", "clock-names", "apb_pclk");
	assert_non_null(clock);
	assert_int_equal(
		fdt_node_check_compatible(tree,
			fdt_node_offset_by_phandle(tree, fdt32_to_cpu(*clock)), "fixed-clock"),
		0);
}

/* One field of a good image replaced, and words of the message. */
#define WRONG(field, value, words)                                                     \
	{                                                                              \
		offsetof(struct arm64_image, field), sizeof(image.field), value, words \
	}

static void test_hostile(void **state)
{
	static const struct {
		size_t offset, size;
		uint64_t value;
		const char *words;
	} wrong[] = {
		WRONG(len, 0, "empty"),
		WRONG(len, 63, "truncated"),
		WRONG(magic, 0, "not an arm64 Image"),
		WRONG(flags, 1, "big-endian"),
		WRONG(image_size, 0, "image_size is 0"),
		WRONG(image_size, UINT64_MAX, "no RAM"),
		WRONG(image_size, 16 * MIB + 1, "no RAM"),
		WRONG(text_offset, 2 * MIB, "text_offset 0x200000"),
		WRONG(text_offset, UINT64_MAX, "text_offset"),
	};
	const struct arm64_image good = image;

	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
		image = good;
		memcpy((uint8_t *)&image + wrong[i].offset, &wrong[i].value, wrong[i].size);
		write_image();
		boot_refuses(boot.kernel, wrong[i].words);
	}
	/* It just fits, but nothing else does. */
	image = good;
	image.image_size = 16 * MIB;
	write_image();
	boot_refuses("", "no RAM for the device tree");
	assert_true(g_file_set_contents(boot.kernel,
		"\x1f\x8b\x08 and so on, for at least 64 bytes, "
		"which is what a header has of them",
		-1, NULL));
	boot_refuses(boot.kernel, "gunzip");
}

static void test_no_room(void **state)
{
	struct device_tree_machine m = {
		.cpus = 2, .n_slots = 2, .gic_version = 3, .cmdline = "quiet"
	};
	g_autofree uint8_t *tree = g_malloc(65536);
	size_t size = device_tree_build(tree, 65536, &m, NULL);

	assert_in_range(size, 500, 65536);
	for (size_t room = 0; room < size; room++) {
		g_autoptr(GError) error = NULL;
		g_autofree uint8_t *to = g_malloc(room); /* a sanitizer sees what is too much */

		assert_int_equal(device_tree_build(to, room, &m, &error), 0);
		assert_non_null(strstr(error->message, "2 vCPUs and 2 devices"));
	}
}

static void test_dtc(void **state)
{
	g_autofree char *tool = g_find_program_in_path("dtc");
	const char *argv[] = { "dtc", "-I", "dtb", "-O", "dts", "-o", "/dev/null", boot.kernel,
		NULL };
	g_autofree char *said = NULL;
	const void *tree = load();
	int status;

	if (!tool) {
		print_message("SKIPPED: no dtc here (Debian: device-tree-compiler)\n");
		skip();
	}
	assert_true(g_file_set_contents(boot.kernel, tree, fdt_totalsize(tree), NULL));
	assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
		&said, &status, NULL));
	assert_int_equal(status, 0);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kernel),
		TEST(test_tree),
		TEST(test_gicv2),
		TEST(test_many_cpus),
		TEST(test_initrd),
		TEST(test_loader_cmdline_limit),
		TEST(test_loader_guest_has_a_clock),
		TEST(test_hostile),
		TEST(test_no_room),
		TEST(test_dtc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
