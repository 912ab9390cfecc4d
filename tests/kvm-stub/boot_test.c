/* SPDX-License-Identifier: Apache-2.0 */
/* See boot_test.h. */
#include "boot_test.h"

struct boot_test boot;

int boot_begin(uint64_t ram_size)
{
	test_begin(&boot.test);
	boot.kernel = test_path(&boot.test, "kernel");
	boot.initrd = test_path(&boot.test, "initrd");
	boot_new_ram(ram_size);
	boot.config = (struct boot_config){ .kernel.path = boot.kernel, .cpus = 2, .n_slots = 3 };
	return 0;
}

int boot_teardown(void **state)
{
	g_clear_pointer(&boot.ram, ram_free);
	test_end(&boot.test);
	return 0;
}

void boot_new_ram(uint64_t size)
{
	g_clear_pointer(&boot.ram, ram_free);
	boot.ram = ram_new(size, NULL);
	assert_non_null(boot.ram);
}

void boot_write(const char *path, const void *bytes, size_t len)
{
	assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
}

void *boot_at(uint64_t addr, uint64_t len)
{
	void *p = ram_at(boot.ram, addr, len);

	assert_non_null(p);
	return p;
}

void boot_loads(void)
{
	g_autoptr(GError) error = NULL;

	if (!boot_load(boot.ram, &boot.config, &boot.entry, &error))
		fail_msg("%s", error->message);
}

void boot_refuses(const char *path, const char *words)
{
	g_autoptr(GError) error = NULL;

	assert_false(boot_load(boot.ram, &boot.config, &boot.entry, &error));
	if (!strstr(error->message, path) || !strstr(error->message, words))
		fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error->message, path, words);
}
