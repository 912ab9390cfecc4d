/* SPDX-License-Identifier: Apache-2.0 */
/* Event channels: what is passed to the library, and how its failures are reported. */
#include "libxen_test.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "xen/hypervisor/evtchn.h"

static void test_ports(void **state)
{
	g_autoptr(evtchn) e = evtchn_open(NULL);
	uint32_t port = 0;

	assert_true(fcntl(evtchn_fd(e), F_GETFL) & O_NONBLOCK);
	assert_true(evtchn_bind(e, FAKE_DOMID, 3, &port, NULL));
	assert_int_equal(port, 103);
	assert_int_equal(fake.domid, FAKE_DOMID);
	assert_true(evtchn_restrict(e, FAKE_DOMID + 1, NULL));
	assert_int_equal(fake.domid, FAKE_DOMID + 1);
	assert_false(evtchn_pending(e, &port));
	fake.pending[0] = 0; /* a port, too */
	fake.pending[1] = 8;
	fake.n_pending = 2;
	assert_true(evtchn_pending(e, &port));
	assert_int_equal(port, 8);
	assert_true(evtchn_pending(e, &port));
	assert_int_equal(port, 0);
	assert_false(evtchn_pending(e, &port));
	evtchn_unmask(e, 8);
	assert_int_equal(fake.port, 8);
	evtchn_notify(e, 8);
	assert_int_equal(fake.port, 1008);
}

/* The fd is taken over, whatever happens. */
static void test_from_fd(void **state)
{
	g_autoptr(GError) error = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct evtchn *e = evtchn_from_fd(fd, &error);

	assert_int_equal(evtchn_fd(e), fd);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	evtchn_free(e);
	fail_at("xenevtchn_fdopen", ENOMEM);
	assert_null(evtchn_from_fd(eventfd(0, EFD_CLOEXEC), &error));
	assert_failed(&error, ENOMEM, "event channels");
}

static void test_failures(void **state)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(evtchn) e = NULL;
	uint32_t port;

	fail_at("xenevtchn_open", EACCES);
	assert_null(evtchn_open(&error));
	assert_failed(&error, EACCES, "event channels");
	fake.fail = NULL;
	e = evtchn_open(NULL);
	fail_at("xenevtchn_bind_interdomain", EINVAL);
	assert_false(evtchn_bind(e, FAKE_DOMID, 33, &port, &error));
	assert_failed(&error, EINVAL, "33 of domain 7");
	fail_at("xenevtchn_restrict", ENOTTY);
	assert_false(evtchn_restrict(e, FAKE_DOMID, &error));
	assert_failed(&error, ENOTTY, "restricted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ports),
		TEST(test_from_fd),
		TEST(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
