/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that die at any moment, and workers that a guest has taken over. */
#include "tests/lib/test.h"

#include <signal.h>

#include "supervisor_world.h"

/* Begins with a guest with two devices; the first worker behaves that way. */
static void begin(struct supervisor_test *w, const char *mode)
{
	if (mode)
		world_set_mode(w, mode);
	if (mode && g_str_has_prefix(mode, "deaf "))
		w->options.leave_ms = XEN_GUEST_LEAVE_MS;
	world_start(w);
	world_add_domain(3, "web");
	world_add_node(3, 0);
	world_add_node(3, 1);
	WAIT_IN_LOOP(world_state_is(3, 0, "2") && world_state_is(3, 1, "2"));
}

static void end(struct supervisor_test *w)
{
	world_set(3, 0, "state", "5");
	world_set(3, 1, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 0, "6") && world_state_is(3, 1, "6"));
	assert_true(fake_xen_is_empty());
}

/*
 * The successor gets what the dead one had: connections, eventfds, what the kernel knows of them.
 */
static void test_killed(void **state)
{
	struct supervisor_test *w = *state;

	begin(w, NULL);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(kill(world_worker(w), SIGKILL), 0);
		WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2 * i + 2);
	}
	assert_int_equal(world_recorded(w, "START "), 4);
	assert_int_equal(world_recorded(w, "GUEST web 3 fds 3"), 4);
	assert_int_equal(world_recorded(w, "kept 0 with 3 assign 0 0"), 2);
	assert_int_equal(world_recorded(w, "kept 1 with 2 assign 0 0"), 6);
	assert_int_equal(fake_xen.assigns, 4);
	assert_int_equal(fake_xen.ranges, 2);
	assert_int_equal(fake_xen.servers, 1);
	assert_int_equal(world_logged(w, "was ended by signal 9"), 3);
	end(w);
}

/* The toolstack's user learns of it; the device stays until it is removed. */
static void test_gives_up(void **state)
{
	struct supervisor_test *w = *state;

	begin(w, "give up");
	WAIT_IN_LOOP(fake_xenstore_get("backend/virtio/3/0/error"));
	assert_true(
		g_str_has_prefix(fake_xenstore_get("backend/virtio/3/0/error"), "no back-end: "));
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	assert_null(fake_xenstore_get("backend/virtio/3/1/error"));
	assert_int_equal(fake_xen.ranges, 2);
	end(w);
	assert_int_equal(world_recorded(w, "START "), 1);
}

static void test_dies_early(void **state)
{
	begin(*state, "die GUEST");
	WAIT_IN_LOOP(world_recorded(*state, "ADD ") == 2);
	assert_int_equal(world_recorded(*state, "START "), 2);
	end(*state);
}

static void test_dies_at_add(void **state)
{
	begin(*state, "die ADD");
	WAIT_IN_LOOP(world_recorded(*state, "ADD ") == 2);
	assert_int_equal(world_recorded(*state, "START "), 2);
	end(*state);
}

/*
 * Expects that, dead or deaf, the device has left within libxl's patience, and the other one is
 * served on.
 */
static void assert_leaves(struct supervisor_test *w, const char *mode)
{
	int64_t start;

	begin(w, mode);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	start = g_get_monotonic_time();
	world_set(3, 0, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
	assert_true(g_get_monotonic_time() - start < 10 * G_USEC_PER_SEC);
	assert_int_equal(fake_xen.ranges, 1);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 3);
	assert_int_equal(world_recorded(w, "ADD 1"), 2);
	end(w);
}

static void test_dies_at_remove(void **state)
{
	assert_leaves(*state, "die REMOVE");
}

static void test_deaf_to_remove(void **state)
{
	assert_leaves(*state, "deaf REMOVE");
	assert_int_equal(world_logged(*state, "it did not release a device in time"), 1);
}

static void test_dies_at_quit(void **state)
{
	begin(*state, "die QUIT");
	WAIT_IN_LOOP(world_recorded(*state, "ADD ") == 2);
	end(*state);
	/* No other worker follows it. */
	assert_int_equal(world_recorded(*state, "START "), 1);
}

static void test_deaf_to_quit(void **state)
{
	begin(*state, "deaf QUIT");
	WAIT_IN_LOOP(world_recorded(*state, "ADD ") == 2);
	end(*state);
	assert_int_equal(world_recorded(*state, "START "), 1);
}

/* Devices that come and go while there is no worker just now. */
static void test_between_workers(void **state)
{
	struct supervisor_test *w = *state;
	int64_t start;

	begin(w, NULL);
	/* The second one to die young is not replaced at once. */
	for (unsigned i = 1; i < 6; i++) {
		WAIT_IN_LOOP(world_recorded(w, "ADD ") >= 2 * i);
		kill(world_worker(w), SIGKILL);
	}
	start = g_get_monotonic_time();
	WAIT_IN_LOOP(world_logged(w, "was ended") == 5);
	world_set(3, 0, "state", "5");
	world_add_node(3, 2);
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
	assert_true(world_recorded(w, "START ") == 5 ||
		g_get_monotonic_time() - start > 100 * G_TIME_SPAN_MILLISECOND);
	WAIT_IN_LOOP(world_recorded(w, "ADD 2") == 1);
	assert_int_equal(world_recorded(w, "ADD 1"), 6);
	/* The last ones go in such a moment. */
	kill(world_worker(w), SIGKILL);
	WAIT_IN_LOOP(world_logged(w, "was ended") == 6);
	fake_xenstore_remove("backend/virtio");
	WAIT_IN_LOOP(fake_xen_is_empty());
}

static void assert_ended(struct supervisor_test *w, const char *mode, const char *why)
{
	begin(w, mode);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	assert_int_equal(world_recorded(w, "START "), 2);
	assert_int_equal(world_logged(w, why), 1);
	end(w);
}

static void test_bad_order(void **state)
{
	assert_ended(*state, "event", "is killed: it sent an invalid event");
}

static void test_bad_removed(void **state)
{
	assert_ended(
		*state, "removed", "is killed: it sent REMOVED for a device that is not leaving");
}

static void test_bad_request(void **state)
{
	assert_ended(*state, "request", "is killed: it sent an invalid request");
}

static void test_short_record(void **state)
{
	assert_ended(*state, "short", "is killed: ");
}

static void test_closed_socket(void **state)
{
	assert_ended(*state, "close", "was ended by signal 9");
}

/* The commands do not fit into the socket any more. */
static void test_does_not_read(void **state)
{
	struct supervisor_test *w = *state;

	begin(w, "sleep");
	WAIT_IN_LOOP(world_recorded(w, "START ") == 1);
	for (unsigned i = 0; world_logged(w, "it does not read commands") == 0; i++) {
		struct domain *domain =
			g_hash_table_lookup(w->supervisor.domains, GUINT_TO_POINTER(3));

		assert_in_range(i, 0, 10000);
		xen_guest_log_counters(domain->guest);
	}
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	end(w);
}

static void test_no_kernel_eventfds(void **state)
{
	struct supervisor_test *w = *state;

	fake_xen.assign_errno = ENOTTY;
	begin(w, NULL);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	assert_int_equal(world_recorded(w, "assign 95 95"), 2);
	end(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(world, test_killed),
		TEST_WITH(world, test_dies_early),
		TEST_WITH(world, test_dies_at_add),
		TEST_WITH(world, test_dies_at_remove),
		TEST_WITH(world, test_deaf_to_remove),
		TEST_WITH(world, test_dies_at_quit),
		TEST_WITH(world, test_deaf_to_quit),
		TEST_WITH(world, test_between_workers),
		TEST_WITH(world, test_gives_up),
		TEST_WITH(world, test_bad_order),
		TEST_WITH(world, test_bad_removed),
		TEST_WITH(world, test_bad_request),
		TEST_WITH(world, test_short_record),
		TEST_WITH(world, test_closed_socket),
		TEST_WITH(world, test_does_not_read),
		TEST_WITH(world, test_no_kernel_eventfds),
	};

	fake_worker_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
