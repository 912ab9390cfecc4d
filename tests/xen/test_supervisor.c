/* SPDX-License-Identifier: Apache-2.0 */
/* The lives of guests and devices, as the toolstack and Xen make them begin and end. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/stat.h>

#include "base/loop.h"
#include "supervisor_world.h"

static void test_life(void **state)
{
	struct supervisor_test *w = *state;

	world_start(w);
	assert_true(fake_xen_is_empty());
	world_add_domain(3, "web");
	world_add_node(3, 0);
	WAIT_IN_LOOP(world_state_is(3, 0, "2"));
	/* That is when its range is there, whatever becomes of the worker. */
	assert_int_equal(fake_xen.ranges, 1);
	assert_int_equal(fake_xen.base[0], 0x2000000);
	WAIT_IN_LOOP(world_recorded(w, "ADD 0"));
	assert_int_equal(world_recorded(w, "START "), 1);
	assert_int_equal(world_recorded(w, "\"virtiod-xen\" info domain web (3) sockets 2\n"), 1);
	assert_int_equal(world_recorded(w, "GUEST web 3 fds 3 uid 1003 vcpus 2\n"), 1);
	assert_int_equal(world_recorded(w,
				 "ADD 0 \"domain web (3), device 0\" at 0x2000000 fds 1 dial 0 "
				 "kept 0 with 3 assign 0 0\n"),
		1);
	world_add_node(3, 1);
	WAIT_IN_LOOP(world_recorded(w, "ADD 1"));
	assert_int_equal(world_recorded(w, "at 0x2000200 fds 2"), 1);
	assert_int_equal(world_recorded(w, "START "), 1);
	assert_int_equal(fake_xen.servers, 1);
	assert_int_equal(fake_xen.ioeventfds, 2);

	/* One goes, the other one does not notice. */
	world_set(3, 0, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
	assert_int_equal(world_recorded(w, "REMOVE 0"), 1);
	assert_int_equal(fake_xen.ranges, 1);
	assert_int_equal(fake_xen.base[0], 0x2000200);
	assert_int_equal(fake_xen.backends, 1);
	assert_int_equal(fake_xen.irqfds, 1);

	world_set(3, 1, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 1, "6"));
	/* Nothing is left when the toolstack sees the state. */
	assert_true(fake_xen_is_empty());
	assert_int_equal(world_recorded(w, "QUIT"), 1);
	assert_int_equal(g_hash_table_size(w->supervisor.devices), 0);
	assert_int_equal(world_logged(w, "warning"), 0);
	assert_int_equal(world_logged(w, "error"), 0);
}

/* All devices of a domain at a time; the next one with its name is there already. */
static void test_reboot(void **state)
{
	struct supervisor_test *w = *state;

	world_start(w);
	world_add_domain(3, "web");
	for (unsigned i = 0; i < 3; i++)
		world_add_node(3, i);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 3);
	for (unsigned i = 0; i < 3; i++)
		world_set(3, i, "state", "5");
	world_add_domain(4, "web");
	world_add_node(4, 0);
	WAIT_IN_LOOP(world_state_is(3, 0, "6") && world_state_is(3, 1, "6") &&
		world_state_is(3, 2, "6"));
	WAIT_IN_LOOP(world_state_is(4, 0, "2"));
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 4);
	assert_int_equal(world_recorded(w, "uid 1004"), 1);
	assert_int_equal(fake_xen.ranges, 1);
	/* The same device again, in the middle of its guest's end. */
	world_set(4, 0, "state", "5");
	WAIT_IN_LOOP(world_recorded(w, "QUIT") == 2);
	world_add_node(4, 1);
	WAIT_IN_LOOP(world_state_is(4, 0, "6") && world_recorded(w, "ADD ") == 5);
	assert_int_equal(fake_xen.ranges, 1);
}

/* Xen has destroyed it, xenstore's nodes are there still; or they were removed. */
static void test_vanish(void **state)
{
	struct supervisor_test *w = *state;

	world_start(w);
	for (unsigned id = 3; id < 6; id++) {
		world_add_domain(id, "web");
		world_add_node(id, 0);
	}
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 3);
	fake_xenstore_set("@releaseDomain", "");
	WAIT_IN_LOOP(fake_xenstore_pending() == 0);
	assert_int_equal(fake_xen.servers, 3);
	fake_xenstore_remove("/local/domain/3");
	fake_xenstore_set("@releaseDomain", "");
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
	assert_int_equal(fake_xen.servers, 2);
	fake_xenstore_remove("backend/virtio/4");
	WAIT_IN_LOOP(fake_xen.servers == 1);
	/* It does not come back by our writing to it. */
	assert_null(fake_xenstore_get("backend/virtio/4/0/state"));
	fake_xenstore_remove("backend/virtio/5/0");
	WAIT_IN_LOOP(fake_xen_is_empty());
}

static void test_refused(void **state)
{
	struct supervisor_test *w = *state;

	world_start(w);
	world_add_domain(3, "web");
	world_add_node(3, 0);
	WAIT_IN_LOOP(world_state_is(3, 0, "2"));
	/* Somebody else's interrupt. */
	world_add_node(3, 1);
	world_set(3, 1, "irq", "33");
	WAIT_IN_LOOP(world_state_is(3, 1, "2"));
	assert_int_equal(world_logged(w,
				 "domain web (3), device 1: refused: irq 33: domain web (3), "
				 "device 0 has it"),
		1);
	assert_int_equal(world_logged(w, "the guest finds an empty slot at 0x2000200"), 1);
	assert_int_equal(fake_xen.ranges, 2);
	/* Somebody else's range: there is nothing that could be empty. */
	world_add_node(3, 2);
	world_set(3, 2, "base", "0x2000000");
	WAIT_IN_LOOP(world_state_is(3, 2, "2"));
	assert_int_equal(world_logged(w, "device 2: not even an empty slot can be made of it"), 1);
	world_add_node(3, 3);
	world_set(3, 3, "base", "0");
	WAIT_IN_LOOP(world_state_is(3, 3, "2"));
	assert_int_equal(world_logged(w, "base is \"0\": outside"), 1);
	assert_int_equal(fake_xen.ranges, 2);
	world_add_node(3, 4);
	world_set(3, 4, "type", "garbage");
	WAIT_IN_LOOP(world_state_is(3, 4, "2"));
	assert_int_equal(fake_xen.ranges, 3);
	WAIT_IN_LOOP(world_recorded(w, "ADD 0"));
	/* Only one is a device for the worker. */
	assert_int_equal(world_recorded(w, "ADD "), 1);
	/* The toolstack does not wait for those either. */
	for (unsigned i = 1; i < 5; i++) {
		g_autofree char *state_of = g_strdup_printf("backend/virtio/3/%u/state", i);

		fake_xenstore_set(state_of, "5");
		WAIT_IN_LOOP(world_state_is(3, i, "6"));
	}
	assert_int_equal(fake_xen.ranges, 1);
	assert_int_equal(world_recorded(w, "REMOVE"), 0);
	world_set(3, 0, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
}

/*
 * A guest whose every device is refused; one whose name is wrong; more devices than there can be.
 */
static void test_all_refused(void **state)
{
	struct supervisor_test *w = *state;

	world_start(w);
	world_add_domain(3, "../web");
	world_add_node(3, 0);
	WAIT_IN_LOOP(world_state_is(3, 0, "2"));
	assert_int_equal(fake_xen.ranges, 1);
	WAIT_IN_LOOP(world_recorded(w, "GUEST"));
	world_set(3, 0, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 0, "6"));
	assert_true(fake_xen_is_empty());

	world_add_domain(4, "many");
	for (unsigned i = 0; i < 12; i++) {
		world_add_node(4, i);
		WAIT_IN_LOOP(world_state_is(4, i, "2"));
	}
	assert_int_equal(world_logged(w, "device 11: refused: "), 1);
	assert_int_equal(fake_xen.ranges, 12);
	assert_int_equal(fake_xen.backends, 11);
	fake_xenstore_remove("backend/virtio/4");
	WAIT_IN_LOOP(fake_xen_is_empty());
}

/* Xen refuses, at each step: the guest may not start well, we go on. */
static void test_no_server(void **state)
{
	struct supervisor_test *w = *state;
	unsigned i;

	world_start(w);
	for (i = 0; i < 30; i++) {
		world_add_domain(3 + i, "web");
		fake_xen.fail_in = 1 + i;
		world_add_node(3 + i, 0);
		WAIT_IN_LOOP(world_state_is(3 + i, 0, "2"));
		if (fake_xen.fail_in)
			break;
		assert_int_equal(world_logged(w, "refused: fake Xen: as wanted"), i + 1);
		fake_xenstore_remove("backend/virtio");
		WAIT_IN_LOOP(fake_xen_is_empty());
	}
	assert_in_range(i, 8, 29);
	fake_xen.fail_in = 0;
}

/* Those that are there when we start. */
static void test_start(void **state)
{
	struct supervisor_test *w = *state;

	world_add_domain(3, "web");
	for (unsigned i = 0; i < 4; i++)
		world_add_node(3, i);
	world_set(3, 1, "state", "2");
	world_set(3, 2, "state", "5");
	world_set(3, 3, "state", "6");
	world_start(w);
	assert_true(world_state_is(3, 0, "2"));
	assert_true(world_state_is(3, 1, "2"));
	/* Whose ever it was: the toolstack need not wait. */
	assert_true(world_state_is(3, 2, "6"));
	assert_int_equal(fake_xen.ranges, 1);
	assert_int_equal(
		world_logged(w, "domain web (3), device 1: is in state 2: another process"), 1);
	world_set(3, 1, "state", "4");
	WAIT_IN_LOOP(fake_xenstore_pending() == 0);
	assert_int_equal(world_logged(w, "left alone"), 1);
	world_set(3, 1, "state", "5");
	WAIT_IN_LOOP(world_state_is(3, 1, "6"));
}

/* Yet to be sent; 0: none. */
static int counters_signal, end_signal;

/*
 * Sends signals from within the loop, where they are expected. Once each: asked again, it ends
 * at once.
 */
static void send_signals(void *opaque)
{
	int *next = counters_signal ? &counters_signal : &end_signal;

	if (next == &end_signal && world_recorded(opaque, "COUNTERS") < 2)
		return;
	if (*next)
		kill(getpid(), *next);
	*next = 0;
}

static void end_by(struct supervisor_test *w, int signum)
{
	struct loop_watch *timer;
	sigset_t blocked;

	world_start(w);
	world_add_domain(3, "web");
	world_add_domain(4, "db");
	world_add_node(3, 0);
	world_add_node(4, 0);
	world_add_node(4, 1);
	world_set(4, 1, "state", "4");
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	counters_signal = SIGUSR1;
	end_signal = signum;
	timer = loop_watch_timer(20, send_signals, w);
	supervisor_loop(&w->supervisor);
	loop_watch_free(timer);
	/* What is left to do can be ended by another signal. */
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
	assert_false(sigismember(&blocked, SIGTERM) || sigismember(&blocked, SIGINT));
	assert_true(fake_xen_is_empty());
	assert_int_equal(world_logged(w, "1 devices; worker process"), 2);
	assert_int_equal(world_logged(w, "domain web (3): loses its devices"), 1);
	assert_int_equal(world_logged(w, "domain db (4): loses its devices"), 1);
	assert_int_equal(world_recorded(w, "QUIT"), 2);
	assert_true(world_state_is(3, 0, "6"));
	assert_true(world_state_is(4, 0, "6"));
	assert_true(world_state_is(4, 1, "4"));
}

static void test_stop(void **state)
{
	end_by(*state, SIGTERM);
}

static void test_hangup(void **state)
{
	signal(SIGHUP, SIG_DFL);
	end_by(*state, SIGHUP);
}

static void test_nohup(void **state)
{
	signal(SIGHUP, SIG_IGN);
	end_by(*state, SIGTERM);
	/* It was never anything else. */
	assert_true(signal(SIGHUP, SIG_DFL) == SIG_IGN);
}

/* The folder that workers are put into belongs to no other user, and is no link. */
static void test_root(void **state)
{
	struct supervisor_test *w = *state;
	const char *root = w->supervisor.root;
	g_autoptr(GError) shared = NULL, link = NULL;
	struct supervisor s;

	assert_int_equal(chmod(root, 0777), 0);
	assert_false(supervisor_init(&s, &w->options, &shared));
	supervisor_clear(&s);
	assert_non_null(strstr(shared->message, root));
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(symlink("/", root), 0);
	assert_false(supervisor_init(&s, &w->options, &link));
	supervisor_clear(&s);
	assert_int_equal(unlink(root), 0);
}

/* Ends the domain when its device is there. */
static void end_domain(void *opaque)
{
	if (world_recorded(opaque, "ADD 0") && xenstore_has_domain(NULL, 3)) {
		fake_xenstore_remove("/local/domain/3");
		fake_xenstore_set("@releaseDomain", "");
	}
}

static void test_attach(void **state)
{
	struct supervisor_test *w = *state;
	struct attach_options a = { .domid = 3, .base = 0x2000600, .irq = 40, .socket = "/s" };
	g_autoptr(GError) error = NULL, full = NULL;
	struct loop_watch *timer;

	assert_false(supervisor_attach(&w->options, &a, &error));
	assert_string_equal(error->message, "domain 3 does not exist");
	world_add_domain(3, "web");
	fake_xen.fail_in = 1;
	assert_false(supervisor_attach(&w->options, &a, &full));
	assert_string_equal(full->message, "fake Xen: as wanted");
	timer = loop_watch_timer(20, end_domain, w);
	assert_true(supervisor_attach(&w->options, &a, NULL));
	loop_watch_free(timer);
	assert_int_equal(world_recorded(w, "at 0x2000600 fds 1"), 1);
	assert_int_equal(world_recorded(w, "QUIT"), 1);
	assert_true(fake_xen_is_empty());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(world, test_life),
		TEST_WITH(world, test_reboot),
		TEST_WITH(world, test_vanish),
		TEST_WITH(world, test_refused),
		TEST_WITH(world, test_all_refused),
		TEST_WITH(world, test_no_server),
		TEST_WITH(world, test_start),
		TEST_WITH(world, test_stop),
		TEST_WITH(world, test_attach),
		TEST_WITH(world, test_hangup),
		TEST_WITH(world, test_nohup),
		TEST_WITH(world, test_root),
	};

	fake_worker_if_asked(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
