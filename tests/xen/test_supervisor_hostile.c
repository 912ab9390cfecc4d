/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor with two guests. The first one's worker plays a trick, argv[1] rounds, each of them
 * with a supervisor of its own. A worker that breaks the protocol is replaced; the second guest
 * gets another device meanwhile; SIGTERM ends it all, and nothing is left in Xen. None of that
 * takes much longer than where nothing is wrong, just before.
 */
#include "tests/lib/test.h"

#include <signal.h>

#include "base/loop.h"
#include "hostile_worker.h"
#include "supervisor_world.h"
#include "tests/lib/deaf_file.h"
#include "tests/lib/figures.h"

#define WEB 3
#define DB 4
/* Of the tricks, in an order that mixes them: no factor of their number. */
#define STRIDE 7

static unsigned rounds = 8;
static struct figures replaced = { "replaced" }, other = { "the other guest was served" },
		      ended = { "ended by SIGTERM" };
static int64_t usual_end; /* µs */

static void send_once(void *opaque)
{
	bool *sent = opaque;

	if (!*sent)
		kill(getpid(), SIGTERM);
	*sent = true;
}

/* Returns how long SIGTERM takes; sent where it is expected. */
static struct figures_time end(struct supervisor_test *w)
{
	bool sent = false;
	struct loop_watch *timer = loop_watch_timer(1, send_once, &sent);
	struct figures_time start = figures_now();

	supervisor_loop(&w->supervisor);
	loop_watch_free(timer);
	assert_true(fake_xen_is_empty());
	return figures_since(start);
}

/* Begins with a device of each guest. */
static struct supervisor_test *begin(void)
{
	void *state;
	struct supervisor_test *w;

	assert_int_equal(world_setup(&state), 0);
	w = state;
	w->options.leave_ms = XEN_GUEST_LEAVE_MS;
	world_start(w);
	world_add_domain(WEB, "web");
	world_add_domain(DB, "db");
	world_add_node(DB, 0);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 1);
	world_add_node(WEB, 0);
	WAIT_IN_LOOP(world_recorded(w, "ADD ") == 2);
	return w;
}

/* Returns how long it takes until the other guest's worker has its device number n. */
static struct figures_time serve_other(struct supervisor_test *w, unsigned n)
{
	g_autofree char *line = g_strdup_printf("\"domain db (4), device %u\"", n);
	struct figures_time start = figures_now();

	world_add_node(DB, n);
	WAIT_IN_LOOP(world_recorded(w, line));
	return figures_since(start);
}

/* Ends the first guest's worker, the last that was started. Returns how long that is replaced. */
static struct figures_time replace(struct supervisor_test *w, unsigned starts, bool served)
{
	struct figures_time start = figures_now();
	unsigned adds = world_recorded(w, "\"domain web (3), device 0\"");

	assert_int_equal(kill(world_worker(w), SIGKILL), 0);
	WAIT_IN_LOOP(world_recorded(w, "START ") == starts &&
		(!served || world_recorded(w, "\"domain web (3), device 0\"") > adds));
	return figures_since(start);
}

static void attack(unsigned trick)
{
	g_autofree char *name = hostile_worker_name(trick);
	g_autofree char *mode = g_strdup_printf("hostile %u", trick);
	bool lives = hostile_worker_lives(trick);
	struct supervisor_test *w = begin();
	int64_t honest = serve_other(w, 1).us, usual = replace(w, 3, true).us;
	struct figures_time took;
	void *state = w;

	world_set_mode(w, mode);
	took = replace(w, lives ? 4 : 5, !lives);
	if (!lives)
		figures_add(&replaced, name, took, usual);
	figures_add(&other, name, serve_other(w, 2), honest);
	deaf_file_check_threads(getpid());
	figures_add(&ended, name, end(w), usual_end);
	assert_int_equal(world_recorded(w, "START "), lives ? 4 : 5);
	world_teardown(&state);
}

static void test_every_trick(void **none)
{
	struct supervisor_test *w = begin();
	void *state = w;

	usual_end = end(w).us;
	world_teardown(&state);
	for (unsigned i = 0; i < rounds; i++)
		attack(i * STRIDE % hostile_worker_tricks());
	figures_print(&replaced);
	figures_print(&other);
	figures_print(&ended);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_trick) };

	fake_worker_if_asked(argc, argv);
	if (argc > 1)
		rounds = atoi(argv[1]);
	return cmocka_run_group_tests_name("supervisor_hostile", tests, NULL, NULL);
}
