/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session of virtiod-xen's supervisor on the fakes of tests/xen: a guest's two devices come, its
 * worker dies, they go; then SIGTERM. A step that takes longer than that is given up, and printed.
 *
 *	supervisor_session FOLDER MILLISECONDS
 *
 * Exit status 1: the supervisor failed. Xen keeps nothing of it in any case.
 */
#include "tests/xen/supervisor_world.h"

#include <signal.h>

#define LOOK_MS 5
#define DOMID 3

static int killed; /* a worker's process */

/* Returns whether the last worker, which is not the killed one, has both devices. */
static bool is_served(struct supervisor_test *w)
{
	g_autofree char *record = NULL;
	const char *last = NULL;

	if (g_file_get_contents(w->record, &record, NULL, NULL))
		last = g_strrstr(record, "START ");
	return last && world_worker(w) != killed && strstr(last, "ADD 0") && strstr(last, "ADD 1");
}

static bool is_closed(struct supervisor_test *w)
{
	return world_state_is(DOMID, 0, "6") && world_state_is(DOMID, 1, "6");
}

static void come(struct supervisor_test *w)
{
	world_add_domain(DOMID, "web");
	world_add_node(DOMID, 0);
	world_add_node(DOMID, 1);
}

static void kill_worker(struct supervisor_test *w)
{
	if (!world_recorded(w, "START "))
		return;
	killed = world_worker(w);
	kill(killed, SIGKILL);
}

static void go(struct supervisor_test *w)
{
	world_set(DOMID, 0, "state", "5");
	world_set(DOMID, 1, "state", "5");
}

static void end(struct supervisor_test *w)
{
	kill(getpid(), SIGTERM);
}

static const struct step {
	void (*act)(struct supervisor_test *w);
	bool (*is_done)(struct supervisor_test *w); /* NULL: the program's end is */
	const char *name;
} steps[] = {
	{ come, is_served, "devices are served" },
	{ kill_worker, is_served, "a worker has a successor" },
	{ go, is_closed, "devices are closed" },
	{ end },
};
static unsigned step, patience_ms;
static int64_t deadline; /* of the step; 0: it has not begun */

static gboolean on_tick(gpointer opaque)
{
	const struct step *s = &steps[step];
	bool late = deadline && g_get_monotonic_time() > deadline;

	if (!deadline) {
		deadline = test_deadline(patience_ms);
		s->act(opaque);
	} else if (s->is_done && (late || s->is_done(opaque))) {
		if (late)
			printf("not in time: %s\n", s->name);
		deadline = 0;
		step++;
	}
	return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
	struct supervisor_test w = { 0 };
	g_autoptr(GError) error = NULL;
	bool ok;

	fake_worker_if_asked(argc, argv);
	/* Outside of a test of cmocka's, a failed assertion would exit as if it were a success. */
	g_setenv("CMOCKA_TEST_ABORT", "1", TRUE);
	patience_ms = (unsigned)atoi(argv[2]);
	w.record = g_strdup_printf("%s/record", argv[1]);
	w.options = (struct supervisor_options){
		.config = "/nonexistent/config",
		.defaults = "/nonexistent/defaults",
		.run = argv[1],
		.wait_ms = 10000,
		.eventfds = true,
		.uid_base = 1000,
	};
	g_setenv("FAKE_WORKER_RECORD", w.record, TRUE);
	g_setenv("FAKE_WORKER_MODE", "/nonexistent/mode", TRUE);
	fake_xen_reset();
	g_timeout_add(LOOK_MS, on_tick, &w);
	ok = supervisor_run(&w.options, &error);
	if (!ok)
		fprintf(stderr, "%s\n", error->message);
	fake_xenstore_clear();
	assert_true(fake_xen_is_empty());
	g_free((char *)w.record);
	return ok ? 0 : 1;
}
