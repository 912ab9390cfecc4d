/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are no kernel for this machine: the error names what they are, and what to load. */
#include "boot_test.h"

#include "kvm-stub/boot/boot_impl.h"

/* The start of a file: this magic there, zeroes elsewhere. */
struct start_of_file {
	unsigned at, len;
	const char *magic, *words;
};

static const struct start_of_file starts[] = {
	{ 0, 4, "\x1f\x8b\x08\0", "gunzip" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "unzstd" },
	{ 0, 6, "\xfd\x37zXZ\0", "unxz" },
	{ 0, 4, "BZh9", "bunzip2" },
	{ 0, 5, "\x5d\0\0\x80\0", "unlzma" },
	{ 0, 4, "\x89LZO", "lzop -d" },
	{ 0, 4, "\x02\x21\x4c\x18", "lz4 -d" },
	{ 0, 4, "\x04\x22\x4d\x18", "lz4 -d" },
	{ 0, 4, "\x27\x05\x19\x56", "uImage" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "FIT" },
	{ 0, 4, "\177ELF", "ELF" },
	{ 56, 4, "ARM\x64", "not arm64" },
	{ 0x202, 4, "HdrS", "not x86" },
	{ 0, 8, "MZ\0\0PE\0\0", "EFI program" },
	{ 0, 28, "MZ\0\0zimg\0\x40\0\0\x39\x30\0\0\0\0\0\0\0\0\0\0gzip",
		"12345 bytes at 16384, compressed by gzip" },
};

static int setup(void **state)
{
	return boot_begin(16 * MIB);
}

#define teardown boot_teardown

/* Writes the start to a file of this size and requires an error with its words. */
static void refused(const struct start_of_file *s, size_t size)
{
	g_autofree char *bytes = g_malloc0(size);
	g_autoptr(GError) error = NULL;
	autobootfile f = BOOT_FILE_NONE;

	memcpy(bytes + s->at, s->magic, s->len);
	boot_write(boot.kernel, bytes, size);
	assert_true(boot_file_open(&f, &boot.config.kernel, NULL));
	assert_false(boot_refuse_format(&f, "a kernel", &error));
	if (!strstr(error->message, boot.kernel) || !strstr(error->message, "not a kernel") ||
		!strstr(error->message, s->words))
		fail_msg("\"%s\" lacks \"%s\"", error->message, s->words);
}

static void test_loader_names_formats(void **state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(starts); i++) {
		refused(&starts[i], 8192);
		refused(&starts[i], starts[i].at + starts[i].len);
	}
}

static void test_loader_unknown_format(void **state)
{
	static const struct start_of_file zeroes = { 0, 1, "", "not a kernel" };

	refused(&zeroes, 4096);
	refused(&zeroes, 1);
}

/* The loader of this architecture gives these errors. */
static void test_loader_gives_the_hint(void **state)
{
	g_autofree char *bytes = g_malloc0(8192);

	memcpy(bytes, "\x28\xb5\x2f\xfd", 4);
	boot_write(boot.kernel, bytes, 8192);
	boot_refuses(boot.kernel, "unzstd");
	boot_write(boot.kernel, bytes, 100);
	boot_refuses(boot.kernel, "unzstd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_loader_names_formats),
		TEST(test_loader_unknown_format),
		TEST(test_loader_gives_the_hint),
	};

	return cmocka_run_group_tests_name("boot format", tests, NULL, NULL);
}
