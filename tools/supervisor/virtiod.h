/* SPDX-License-Identifier: Apache-2.0 */
/* All devices of the files: started in order, kept alive, ended in order. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/loop.h"
#include "control/server.h"
#include "tools/supervisor/metrics.h"
#include "tools/supervisor/past.h"
#include "tools/supervisor/unit.h"

struct virtiod {
	const char *folder; /* of the files */
	char **argv; /* of this program, for the next one */
	char *self; /* its path */
	struct unit_place place;
	GPtrArray *entries; /* struct device_entry, sorted */
	GPtrArray *units; /* struct unit: those of entries in their order, then removed ones */
	struct control_server control;
	struct metrics_process *metrics; /* NULL: none */
	GMainLoop *loop;
	struct loop_watch *soon; /* NULL: nothing has changed */
	struct loop_watch *end_timer;
	bool ending, told;
};

/* How many devices a reload did this to. */
struct virtiod_changes {
	unsigned started, stopped, restarted, unchanged;
};

/*
 * entries: to begin with, v's from now on; control: the socket, likewise. past: of the virtiod that
 * was replaced, or NULL. Runs until virtiod_end() is through.
 */
void virtiod_run(struct virtiod *v, GPtrArray *entries, int control, const struct past_state *past);
/* Makes what runs what the files say; on error all stays as it is. */
bool virtiod_reload(struct virtiod *v, struct virtiod_changes *changes, GError **error);
/* Likewise, with these, which are v's from now on. */
void virtiod_apply(struct virtiod *v, GPtrArray *entries, struct virtiod_changes *changes);
/* Returns the device of this name, if it is in the files; NULL, with an error: it is not. */
struct unit *virtiod_find(const struct virtiod *v, const char *name, GError **error);
/* Ends the devices, those first that wait for others, and then the loop: within two seconds. */
void virtiod_end(struct virtiod *v);
/* Becomes the program that is at our path now; returns only on error, and goes on. */
bool virtiod_reexec(struct virtiod *v, GError **error);
