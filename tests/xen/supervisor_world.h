/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A supervisor on a fake xenstore and a fake Xen, and real processes as its workers: this very
 * program, as fake_worker(), which writes what it is told and gets into a file.
 */
#pragma once

#include "tests/lib/test.h"

#include "fake_xenstore.h"
#include "fake_xen.h"
#include "xen/supervisor/supervisor_impl.h"

struct supervisor_test {
	struct test test;
	const char *run, *record, *mode;
	struct supervisor_options options;
	struct supervisor supervisor;
};

/* For cmocka; supervisor_start() is the test's to call, after it has set the scene. */
int world_setup(void **state);
int world_teardown(void **state);
void world_start(struct supervisor_test *w);

/* What libxl writes for "virtio" devices: base and irq follow from devid. */
void world_add_domain(unsigned domid, const char *name);
void world_add_node(unsigned domid, unsigned devid);
void world_set(unsigned domid, unsigned devid, const char *key, const char *value);
/* The node's state is that. */
bool world_state_is(unsigned domid, unsigned devid, const char *state);

/*
 * How the next worker that starts, and no other, behaves: "die ADD" (or GUEST, REMOVE, QUIT), "deaf
 * REMOVE" (or QUIT), "sleep"; at ADD: "event", "request", "removed", "short", "close", "hostile N"
 * (a trick of hostile_worker.h).
 */
void world_set_mode(struct supervisor_test *w, const char *mode);
/* How often that is in the workers' record, in our log. */
unsigned world_recorded(struct supervisor_test *w, const char *text);
unsigned world_logged(struct supervisor_test *w, const char *text);
/* The process of the last worker. */
int world_worker(struct supervisor_test *w);

/* main()'s, before all else: a worker does not return. */
void fake_worker_if_asked(int argc, char **argv);
