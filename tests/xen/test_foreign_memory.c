/* SPDX-License-Identifier: Apache-2.0 */
/* The ioreq page is where no other one is; RAM is found, with holes in it. */
#include "libxen_test.h"

#include "xen/hypervisor/foreign_memory.h"

#define RAM0 UINT64_C(0x40000000)
#define RAM0_MAX UINT64_C(0xc0000000)
#define RAM1 UINT64_C(0x200000000)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void test_ioreq_page(void **state)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
	static const unsigned domids[] = { 1, 2, 3, 255, 256, 0x7fef };

	for (unsigned i = 0; i < G_N_ELEMENTS(domids); i++) {
		for (unsigned server = 0; server < 8; server++) {
			g_autoptr(foreign_memory) f = foreign_memory_open(domids[i], NULL);
			void *page = foreign_memory_map_ioreq(f, server, NULL);

			assert_non_null(page);
			assert_ptr_equal(page, fake.wanted);
			assert_int_equal((uintptr_t)page % 4096, 0);
			assert_int_equal(fake.domid, domids[i]);
			assert_int_equal(fake.server, server);
			assert_true(g_hash_table_add(seen, page));
			assert_int_equal(fake.live, 2);
		}
		assert_int_equal(fake.live, 0);
	}
}

static void test_ioreq_page_refused(void **state)
{
	g_autoptr(foreign_memory) f = foreign_memory_open(FAKE_DOMID, NULL);
	g_autoptr(GError) error = NULL;

	fake.elsewhere = true;
	assert_null(foreign_memory_map_ioreq(f, 0, &error));
	assert_non_null(strstr(error->message, "in use"));
	assert_int_equal(fake.live, 1);
	fake.elsewhere = false;
	g_clear_error(&error);
	assert_null(
		foreign_memory_map_ioreq(f, 8, &error)); /* its address would be another domain's */
	assert_non_null(error);
	g_clear_error(&error);
	fail_at("xenforeignmemory_map_resource", EPERM);
	assert_null(foreign_memory_map_ioreq(f, 0, &error));
	assert_failed(&error, EPERM, "domain 7");
	fake.fail = NULL;
	assert_non_null(foreign_memory_map_ioreq(f, 0, NULL));
	assert_null(foreign_memory_map_ioreq(f, 1, &error)); /* one is all it can unmap */
	assert_non_null(error);
}

static void test_open(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(foreign_memory) f = NULL;

	fail_at("xenforeignmemory_open", EACCES);
	assert_null(foreign_memory_open(FAKE_DOMID, &error));
	assert_failed(&error, EACCES, "domain 7");
	fake.fail = NULL;
	assert_null(foreign_memory_open(0x7ff0, &error)); /* DOMID_SELF */
	assert_failed(&error, EINVAL, "domain 32752");
	f = foreign_memory_open(FAKE_DOMID, NULL);
	assert_true(foreign_memory_restrict(f, NULL));
	assert_int_equal(fake.domid, FAKE_DOMID);
	fail_at("xenforeignmemory_restrict", ENOTTY);
	assert_false(foreign_memory_restrict(f, &error));
	assert_failed(&error, ENOTTY, "domain 7");
}

static void test_banks_by_size(void **state)
{
	g_autoptr(foreign_memory) f = foreign_memory_open(FAKE_DOMID, NULL);
	struct foreign_memory_bank b[FOREIGN_MEMORY_MAX_BANKS];

	assert_int_equal(foreign_memory_banks(f, 256 * MIB, b), 1);
	assert_int_equal(b[0].addr, RAM0);
	assert_int_equal(b[0].size, 256 * MIB);
	assert_int_equal(foreign_memory_banks(f, RAM0_MAX, b), 1);
	assert_int_equal(b[0].size, RAM0_MAX);
	assert_int_equal(foreign_memory_banks(f, RAM0_MAX + 1, b), 2);
	assert_int_equal(b[0].size, RAM0_MAX);
	assert_int_equal(b[1].addr, RAM1);
	assert_int_equal(b[1].size, 4096);
	assert_int_equal(foreign_memory_banks(f, UINT64_MAX, b), 2);
	assert_int_equal(b[1].size, UINT64_C(0xfe00000000));
}

static void test_banks_found(void **state)
{
	g_autoptr(foreign_memory) f = foreign_memory_open(FAKE_DOMID, NULL);
	struct foreign_memory_bank b[FOREIGN_MEMORY_MAX_BANKS];

	assert_int_equal(foreign_memory_banks(f, 0, b), 0);
	fake.ram[0] = 256 * MIB + 3 * 4096;
	assert_int_equal(foreign_memory_banks(f, 0, b), 1);
	assert_int_equal(b[0].addr, RAM0);
	assert_int_equal(b[0].size, fake.ram[0]);
	fake.ram[0] = 4096;
	assert_int_equal(foreign_memory_banks(f, 0, b), 1);
	assert_int_equal(b[0].size, 4096);
	/* A hole in the middle, and one at the beginning. */
	fake.ram[0] = 256 * MIB;
	fake.hole = RAM0 + 100 * MIB;
	fake.hole_size = 50 * MIB;
	assert_int_equal(foreign_memory_banks(f, 0, b), 1);
	assert_int_equal(b[0].size, 256 * MIB);
	fake.hole = RAM0;
	assert_int_equal(foreign_memory_banks(f, 0, b), 1);
	assert_int_equal(b[0].addr, RAM0);
	assert_int_equal(b[0].size, 256 * MIB);
	fake.ram[0] = RAM0_MAX;
	fake.ram[1] = 5 * GIB + 4096;
	assert_int_equal(foreign_memory_banks(f, 0, b), 2);
	assert_int_equal(b[0].size, RAM0_MAX);
	assert_int_equal(b[1].addr, RAM1);
	assert_int_equal(b[1].size, fake.ram[1]);
	assert_true(fake.calls < 50);
	fail_at("xenforeignmemory_map", ENOMEM);
	assert_int_equal(foreign_memory_banks(f, 0, b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ioreq_page),
		TEST(test_ioreq_page_refused),
		TEST(test_open),
		TEST(test_banks_by_size),
		TEST(test_banks_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
