/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker holds: conflicts, descriptions for a worker, and that failures leave nothing. */
#include "broker_fixture.h"

#include <sys/stat.h>

static void assert_conflict(struct broker_test *w, uint64_t base, uint32_t irq, const char *text)
{
	g_autoptr(GError) error = NULL;

	assert_false(broker_test_add(w, base, irq, false, &error));
	assert_non_null(strstr(error->message, text));
}

static void test_conflicts(void **state)
{
	struct broker_test *w = *state;
	unsigned empty;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_conflict(w, BASE, 34, "overlaps device at 33");
	assert_conflict(w, BASE + 0x1ff, 34, "overlaps");
	assert_conflict(w, BASE - 0x1ff, 34, "overlaps");
	assert_conflict(w, BASE + 0x200, 33, "irq 33: device at 33 has it");
	assert_conflict(w, UINT64_MAX - 0x100, 34, "beyond");
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	assert_conflict(w, BASE + 0x400, 34, "overlaps a refused device");
	assert_false(broker_add_empty(w->broker, BASE, &empty, NULL));
	assert_true(broker_test_add(w, BASE + 0x200, 34, true, NULL));
	assert_int_equal(fake_xen.ranges, 3);
	assert_int_equal(fake_xen.backends, 2);
	/* What is free again can be had again. */
	broker_remove(w->broker, 0);
	assert_int_equal(fake_xen.ranges, 2);
	assert_true(broker_test_add(w, BASE, 33, false, NULL));
}

/* What Xen would take, and no access would reach. */
static void test_base_in_ram(void **state)
{
	struct broker_test *w = *state;
	unsigned empty;

	assert_conflict(w, 0x40000000, 33, "base 0x40000000: in the guest's RAM");
	assert_conflict(w, 0x48000000 - 0x200, 33, "0x40000000 to 0x47ffffff");
	assert_conflict(w, 0x40000000 - 0x1fc, 33, "in the guest's RAM");
	assert_false(broker_add_empty(w->broker, 0x41000000, &empty, NULL));
	assert_true(broker_test_add(w, 0x40000000 - 0x200, 33, false, NULL));
	assert_true(broker_test_add(w, 0x48000000, 34, false, NULL));
}

/* Another process would be a second broker of the same guest. */
static void test_base_served_already(void **state)
{
	struct broker_test *w = *state;
	struct broker *first = g_steal_pointer(&w->broker);
	unsigned empty;

	w->broker = broker_test_make(NULL);
	assert_true(broker_add_empty(first, BASE, &empty, NULL));
	assert_conflict(w, BASE, 33, "base 0x2000000: another virtiod-xen serves a device there");
	assert_conflict(w, BASE + 0x1fc, 33, "another virtiod-xen");
	assert_true(broker_test_add(w, BASE + 0x200, 33, false, NULL));
	assert_int_equal(fake_xen.ranges, 2);
	broker_free(first);
	assert_true(broker_test_add(w, BASE, 34, false, NULL));
	assert_conflict(w, UINT64_C(1) << 48, 35, "beyond");
}

static void test_too_many(void **state)
{
	struct broker_test *w = *state;

	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		assert_true(broker_test_add(w, BASE + 0x200 * i, 33 + i, false, NULL));
	assert_conflict(w, BASE + 0x200 * IPC_MAX_DEVICES, 99, "more than 32 devices");
}

static void test_describe(void **state)
{
	struct broker_test *w = *state;
	struct ipc_command command;
	int fds[IPC_MAX_FDS];
	unsigned n, empty;
	struct stat st;

	assert_true(broker_test_add(w, BASE, 33, false, NULL));
	assert_true(broker_test_add(w, BASE + 0x200, 34, true, NULL));
	assert_true(broker_add_empty(w->broker, BASE + 0x400, &empty, NULL));
	broker_describe_guest(w->broker, &command, fds, &n);
	assert_int_equal(command.type, IPC_GUEST);
	assert_string_equal(command.guest.name, "web");
	assert_int_equal(command.guest.domid, 3);
	assert_int_equal(command.guest.vcpus, FAKE_VCPUS);
	assert_int_equal(command.guest.servers, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(command.guest.server[i].id, i);
		assert_int_equal(command.guest.server[i].port[0], FAKE_PORT + 2 * i);
		assert_int_equal(command.guest.server[i].port[1], FAKE_PORT + 2 * i + 1);
	}
	assert_int_equal(command.guest.banks, 1);
	assert_int_equal(command.guest.bank[0].size, 128 << 20);
	assert_int_equal(n, 3);
	fstat(fds[2], &st);
	assert_int_equal(st.st_size, 2 * sizeof(struct ipc_journal));
	/* A worker cannot take memory away under its successor. */
	assert_int_equal(ftruncate(fds[2], 0), -1);

	assert_true(broker_describe_device(w->broker, 0, &command, fds, &n));
	assert_int_equal(command.type, IPC_ADD);
	assert_int_equal(command.add.device, 0);
	assert_int_equal(command.add.base, BASE);
	assert_int_equal(command.add.window, 0x200);
	assert_int_equal(command.add.irq, 33);
	assert_int_equal(command.add.wait_ms, 1500);
	assert_int_equal(command.add.queue_size, 64);
	assert_int_equal(n, 1);
	assert_int_equal(ftruncate(fds[0], 1 << 20), -1);
	assert_true(broker_describe_device(w->broker, 1, &command, fds, &n));
	assert_int_equal(command.add.grants, 1);
	assert_int_equal(n, 2);
	assert_false(broker_describe_device(w->broker, empty, &command, fds, &n));
	assert_false(broker_describe_device(w->broker, 9, &command, fds, &n));
}

static void test_failures(void **state)
{
	struct broker_test *w = *state;
	unsigned n_fds, i;

	broker_free(w->broker);
	w->broker = NULL;
	n_fds = count_fds();
	for (i = 1; !w->broker; i++) {
		g_autoptr(GError) error = NULL;

		fake_xen.fail_in = i;
		w->broker = broker_test_make(&error);
		assert_true(w->broker ? !error : error && fake_xen_is_empty());
		assert_true(w->broker || count_fds() == n_fds);
	}
	assert_true(i > 8);
	n_fds = count_fds();
	fake_xen.fail_in = 1;
	assert_false(broker_test_add(w, BASE, 33, true, NULL)); /* gntdev */
	fake_xen.fail_in = 2;
	assert_false(broker_test_add(w, BASE, 33, true, NULL)); /* range */
	assert_int_equal(fake_xen.backends, 0);
	assert_int_equal(count_fds(), n_fds);
	fake_xen.fail_in = 0;
	assert_true(broker_test_add(w, BASE, 33, true, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(broker, test_conflicts),
		TEST_WITH(broker, test_base_in_ram),
		TEST_WITH(broker, test_base_served_already),
		TEST_WITH(broker, test_too_many),
		TEST_WITH(broker, test_describe),
		TEST_WITH(broker, test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
