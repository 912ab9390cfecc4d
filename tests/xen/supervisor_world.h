/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor on a fake xenstore and a fake Xen, and real processes as its workers: this very
 * program, as fake_worker(), which writes what it is told and gets into a file.
 */
#pragma once

#include <stdbool.h>

#include "fake_xenstore.h"
#include "fake_xen.h"
#include "xen/supervisor/supervisor_impl.h"

struct world {
	char *dir, *run, *record, *mode;
	struct supervisor_options options;
	struct supervisor supervisor;
	GString *log; /* our own lines */
	unsigned n_fds;
};

/* For cmocka; supervisor_start() is the test's to call, after it has set the scene. */
int world_setup(void **state);
int world_teardown(void **state);
void world_start(struct world *w);

/* What libxl writes for "virtio" devices: base and irq follow from devid. */
void world_add_domain(unsigned domid, const char *name);
void world_add_node(unsigned domid, unsigned devid);
void world_set(unsigned domid, unsigned devid, const char *key, const char *value);
/* The node's state is that. */
bool world_state_is(unsigned domid, unsigned devid, const char *state);

/*
 * How the next worker that starts, and no other, behaves: "die ADD" (or GUEST, REMOVE, QUIT), "deaf
 * REMOVE" (or QUIT), "event", "request", "removed", "short", "close" (at ADD), "sleep".
 */
void world_set_mode(struct world *w, const char *mode);
/* How often that is in the workers' record, in our log. */
unsigned world_recorded(struct world *w, const char *text);
unsigned world_logged(struct world *w, const char *text);
/* The process of the last worker. */
int world_worker(struct world *w);

/* One round of the main loop; false after a minute. */
bool world_turn(int64_t begin);
#define wait_until(condition)                            \
	do {                                             \
		int64_t begin_ = g_get_monotonic_time(); \
		while (!(condition))                     \
			assert_true(world_turn(begin_)); \
	} while (0)

/* main()'s, before all else: a worker does not return. */
void fake_worker_if_asked(int argc, char **argv);
