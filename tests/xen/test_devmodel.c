/* SPDX-License-Identifier: Apache-2.0 */
/* Device model operations: what is passed to the library, and how its failures are reported. */
#include "libxen_test.h"

#include "xen/hypervisor/devmodel.h"

static void test_calls(void **state)
{
	g_autoptr(devmodel) m = devmodel_open(FAKE_DOMID, NULL);
	unsigned vcpus = 0;
	uint16_t server = 0;

	assert_true(devmodel_vcpus(m, &vcpus, NULL));
	assert_int_equal(vcpus, 2);
	fake.state = 9;
	assert_true(devmodel_create_server(m, &server, NULL));
	assert_int_equal(server, 5);
	assert_int_equal(fake.state, 0); /* no buffered page */
	assert_true(devmodel_enable_server(m, server, NULL));
	assert_int_equal(fake.server, 5);
	assert_int_equal(fake.state, 1);
	assert_true(devmodel_map_range(m, 5, 0x2000200, 0x200, NULL));
	assert_int_equal(fake.start, 0x2000200);
	assert_int_equal(fake.end, 0x20003ff);
	devmodel_unmap_range(m, 6, 0x2000400, 0x200);
	assert_int_equal(fake.server, 6);
	assert_int_equal(fake.start, 0x2000400);
	assert_int_equal(fake.end, 0x20005ff);
	devmodel_destroy_server(m, 4);
	assert_int_equal(fake.server, 4);
	assert_int_equal(fake.domid, FAKE_DOMID);
}

static void test_failures(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(devmodel) m = NULL;
	unsigned vcpus;
	uint16_t server;

	fail_at("xendevicemodel_open", EACCES);
	assert_null(devmodel_open(FAKE_DOMID, &error));
	assert_failed(&error, EACCES, "domain 7");
	fake.fail = NULL;
	m = devmodel_open(FAKE_DOMID, NULL);
	fail_at("xendevicemodel_nr_vcpus", ESRCH);
	assert_false(devmodel_vcpus(m, &vcpus, &error));
	assert_failed(&error, ESRCH, "domain 7");
	fail_at("xendevicemodel_create_ioreq_server", ENOSPC);
	assert_false(devmodel_create_server(m, &server, &error));
	assert_failed(&error, ENOSPC, "domain 7");
	fail_at("xendevicemodel_set_ioreq_server_state", ENOENT);
	assert_false(devmodel_enable_server(m, 5, &error));
	assert_failed(&error, ENOENT, "domain 7");
	fail_at("xendevicemodel_map_io_range_to_ioreq_server", EEXIST);
	assert_false(devmodel_map_range(m, 5, 0x2000200, 0x200, &error));
	assert_failed(&error, EEXIST, "0x2000200");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_calls),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
