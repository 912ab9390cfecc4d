/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that the toolstack asks to suspend, to save or migrate it; or that says so itself. */
#include "tests/lib/test.h"

#include "base/loop.h"
#include "supervisor_world.h"

#define SHUTDOWN "/local/domain/3/control/shutdown"
#define SAID "domain web (3): the toolstack asks it to suspend: it cannot be saved or migrated"
#define WRITES 1000

static void begin(struct supervisor_test *w)
{
	world_start(w);
	world_add_domain(3, "web");
	world_add_node(3, 0);
	world_add_domain(4, "db");
	world_add_node(4, 0);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	WAIT_IN_LOOP(fake_xenstore_pending() == 0);
}

static void set(const char *value)
{
	fake_xenstore_set(SHUTDOWN, value);
	WAIT_IN_LOOP(fake_xenstore_pending() == 0);
}

/* Lets the guest answer, and waits until it is watched again. */
static void answer(void)
{
	set("");
	WAIT_IN_LOOP(fake_xenstore_is_watched(SHUTDOWN) && fake_xenstore_pending() == 0);
}

static void test_suspend(void **state)
{
	struct supervisor_test *w = *state;

	begin(w);
	set("suspend");
	assert_int_equal(world_logged(w, SAID), 1);
	/* A second attempt. */
	answer();
	set("suspend");
	assert_int_equal(world_logged(w, SAID), 2);
	answer();
	assert_int_equal(world_logged(w, "asks it"), 2);
	/* The devices stay as they are: it may fail, or be cancelled. */
	assert_int_equal(fake_xen.servers, 2);
	assert_int_equal(world_recorded(w, "REMOVE") + world_recorded(w, "QUIT"), 0);
}

/* Other requests are none of ours; nor is a guest without devices. */
static void test_others(void **state)
{
	static const char *const values[] = { "poweroff", "suspended", "", "\xff", "halt" };
	struct supervisor_test *w = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
		begin(w);
		set(values[i]);
		fake_xenstore_set("/local/domain/5/control/shutdown", "suspend");
		WAIT_IN_LOOP(fake_xenstore_pending() == 0);
		assert_int_equal(world_logged(w, "asks it"), 0);
		world_set(3, 0, "state", "5");
		world_set(4, 0, "state", "5");
		WAIT_IN_LOOP(fake_xen_is_empty());
		assert_false(fake_xenstore_is_watched(SHUTDOWN));
		set("suspend");
		assert_int_equal(world_logged(w, "asks it"), 0);
		world_teardown(state);
		world_setup(state);
		w = *state;
	}
}

/* A guest that writes all the time is not listened to all the time. */
static void test_flood(void **state)
{
	struct supervisor_test *w = *state;
	unsigned seen = 0;

	begin(w);
	for (unsigned i = 0; i < WRITES; i++) {
		fake_xenstore_set(SHUTDOWN, i % 2 ? "" : "suspend");
		seen += fake_xenstore_pending() > 0;
		test_run_loop();
	}
	assert_in_range(seen, 1, WRITES / 10);
	assert_in_range(world_logged(w, SAID), 1, WRITES / 10);
	answer();
	set("suspend");
	assert_int_equal(world_logged(w, "asks it"), world_logged(w, SAID));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(world, test_suspend),
		TEST_WITH(world, test_others),
		TEST_WITH(world, test_flood),
	};

	fake_worker_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
