/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See virtiod.h. Devices tell of a change (unit_place); what follows from it is done once, when the
 * main loop is through its round, for all of them in order: on_change().
 */
#include "tools/supervisor/virtiod.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/footprint.h"
#include "base/log.h"
#include "base/service.h"
#include "base/util.h"
#include "launch/device_set.h"
#include "tools/supervisor/control.h"

/* What is left of two seconds is for SIGKILL to work. */
#define END_MS 1500

static struct unit *find(const struct virtiod *v, const char *name)
{
	for (unsigned i = 0; i < v->units->len; i++) {
		struct unit *u = v->units->pdata[i];

		if (strcmp(u->name, name) == 0)
			return u;
	}
	return NULL;
}

struct unit *virtiod_find(const struct virtiod *v, const char *name, GError **error)
{
	struct unit *u = find(v, name);

	if (u && u->entry)
		return u;
	error_set(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
		"there is no device '%s' (\"list\" shows all)", name);
	return NULL;
}

/* Collects what another virtiod takes over; to be cleared. */
static struct past_state tell_all(const struct virtiod *v)
{
	struct past_state p = { .control = v->control.fd,
		.units = g_array_new(FALSE, FALSE, sizeof(struct unit_past)) };

	for (unsigned i = 0; i < v->units->len; i++) {
		struct unit_past u;

		unit_tell(v->units->pdata[i], &u);
		g_array_append_val(p.units, u);
	}
	return p;
}

static bool are_ready(const struct virtiod *v, char *const *names)
{
	for (; *names; names++) {
		const struct unit *u = find(v, *names);

		if (!u || u->state != UNIT_READY)
			return false;
	}
	return true;
}

/* Is there one that runs, and waited for this one when it began? */
static bool is_needed(const struct virtiod *v, const struct unit *needed)
{
	for (unsigned i = 0; i < v->units->len; i++) {
		const struct unit *u = v->units->pdata[i];

		if (u->entry && unit_runs(u) &&
			g_strv_contains((const char *const *)u->entry->after, needed->name))
			return true;
	}
	return false;
}

static void drop_stopped(struct virtiod *v)
{
	for (unsigned i = v->units->len; i-- > 0;) {
		struct unit *u = v->units->pdata[i];

		if (u->state == UNIT_STOPPED)
			g_ptr_array_remove_index(v->units, i);
	}
}

static void end_some(struct virtiod *v)
{
	for (unsigned i = v->units->len; i-- > 0;) {
		struct unit *u = v->units->pdata[i];

		if (u->state == UNIT_STOPPED || is_needed(v, u))
			continue;
		unit_close(u);
		unit_stop(u);
	}
	drop_stopped(v);
	if (!v->units->len)
		g_main_loop_quit(v->loop);
}

static void poke_all(struct virtiod *v)
{
	for (unsigned i = 0; i < v->units->len; i++) {
		struct unit *u = v->units->pdata[i];

		if (u->entry)
			unit_poke(u, are_ready(v, u->entry->after));
	}
	drop_stopped(v);
	if (!v->told)
		service_ready();
	v->told = true;
}

/* Is nothing about to happen? */
static bool is_quiet(const struct virtiod *v)
{
	for (unsigned i = 0; i < v->units->len; i++) {
		enum unit_state state = ((const struct unit *)v->units->pdata[i])->state;

		if (state != UNIT_READY && state != UNIT_FAILED)
			return false;
	}
	return true;
}

/* Does what follows from all changes since the last time; further ones are for the next time. */
static void on_change(void *opaque)
{
	struct virtiod *v = opaque;
	g_auto(past_state) p = { 0 };

	g_clear_pointer(&v->soon, loop_watch_free);
	if (v->ending)
		end_some(v);
	else
		poke_all(v);
	p = tell_all(v);
	past_save(&p, v->place.run);
	if (is_quiet(v))
		footprint_trim();
}

static void changed(void *opaque)
{
	struct virtiod *v = opaque;

	if (!v->soon)
		v->soon = loop_watch_soon(on_change, v);
}

static void remove_unit(struct unit *u)
{
	u->entry = NULL;
	unit_close(u);
	unit_stop(u);
}

void virtiod_apply(struct virtiod *v, GPtrArray *entries, struct virtiod_changes *changes)
{
	g_autoptr(GPtrArray) before = v->units;
	GPtrArray *old_entries = v->entries; /* units look at theirs until they have new ones */

	*changes = (struct virtiod_changes){ 0 };
	v->units = g_ptr_array_new_with_free_func((GDestroyNotify)unit_free);
	v->entries = entries;
	for (unsigned i = 0; i < entries->len; i++) {
		const struct device_entry *e = entries->pdata[i];
		unsigned k;

		for (k = 0; k < before->len; k++) {
			if (strcmp(((struct unit *)before->pdata[k])->name, e->name) == 0)
				break;
		}
		if (k == before->len)
			g_ptr_array_add(before, unit_new(&v->place, e->name));
		g_ptr_array_add(v->units, before->pdata[k]);
		before->pdata[k] = before->pdata[before->len - 1];
		before->len--;
	}
	/* Of the rest, none is in the files any more. */
	for (unsigned i = 0; i < before->len; i++)
		g_ptr_array_add(v->units, before->pdata[i]);
	g_ptr_array_set_free_func(before, NULL);
	for (unsigned i = 0; i < v->units->len; i++) {
		struct unit *u = v->units->pdata[i];
		bool had = u->entry || u->child;

		if (i >= entries->len) {
			changes->stopped += u->entry != NULL;
			remove_unit(u);
		} else if (unit_set(u, entries->pdata[i]) == UNIT_SAME) {
			changes->unchanged++;
		} else if (had) {
			changes->restarted++;
		} else {
			changes->started++;
		}
	}
	changed(v);
	metrics_process_set(v->metrics, entries);
	g_clear_pointer(&old_entries, g_ptr_array_unref);
}

bool virtiod_reload(struct virtiod *v, struct virtiod_changes *changes, GError **error)
{
	GPtrArray *entries;

	if (v->ending)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "virtiod is ending");
	entries = device_set_read(v->folder, error);
	if (!entries)
		return false;
	virtiod_apply(v, entries, changes);
	log_info(NULL, "%u started, %u stopped, %u restarted, %u unchanged", changes->started,
		changes->stopped, changes->restarted, changes->unchanged);
	return true;
}

static void on_end_timer(void *opaque)
{
	struct virtiod *v = opaque;

	g_clear_pointer(&v->end_timer, loop_watch_free);
	for (unsigned i = 0; i < v->units->len; i++) {
		struct unit *u = v->units->pdata[i];

		if (!unit_runs(u))
			continue;
		log_warning(u->name, "did not end within %d ms and is killed", END_MS);
		unit_stop(u);
		unit_kill(u);
	}
}

void virtiod_end(struct virtiod *v)
{
	if (v->ending)
		return;
	v->ending = true;
	service_stopping();
	v->end_timer = loop_watch_timer(END_MS, on_end_timer, v);
	changed(v);
}

bool virtiod_reexec(struct virtiod *v, GError **error)
{
	g_autoptr(GPtrArray) entries = device_set_read(v->folder, error);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_auto(past_state) p = tell_all(v);
	g_autofree char *adopt = NULL;
	autofd text = -1;

	if (!entries)
		return false;
	if (v->ending)
		return error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "virtiod is ending");
	text = past_hand_over(&p, error);
	if (text < 0)
		return false;
	adopt = g_strdup_printf("--adopt=%d", text);
	for (char **a = v->argv; *a; a++) {
		if (!g_str_has_prefix(*a, "--adopt="))
			g_ptr_array_add(argv, *a);
	}
	g_ptr_array_add(argv, adopt);
	g_ptr_array_add(argv, NULL);
	log_info(NULL, "starting '%s' anew; all devices go on", v->self);
	metrics_process_stop(v->metrics);
	execv(v->self, (char **)argv->pdata);
	error_errno(error, errno, "cannot start '%s'", v->self);
	metrics_process_set(v->metrics, v->entries);
	past_set_inherited(&p, false);
	return false;
}

static void on_term(void *opaque)
{
	virtiod_end(opaque);
}

static void on_hup(void *opaque)
{
	struct virtiod_changes changes;
	g_autoptr(GError) error = NULL;

	if (!virtiod_reload(opaque, &changes, &error))
		log_error(NULL, "%s; nothing was changed", error->message);
}

static void on_usr2(void *opaque)
{
	g_autoptr(GError) error = NULL;

	if (!virtiod_reexec(opaque, &error))
		log_error(NULL, "%s; nothing was changed", error->message);
}

static void adopt(struct virtiod *v, const struct past_state *past)
{
	for (unsigned i = 0; i < past->units->len; i++) {
		const struct unit_past *p = &g_array_index(past->units, struct unit_past, i);
		struct unit *u = unit_new(&v->place, p->name);

		unit_adopt(u, p);
		g_ptr_array_add(v->units, u);
	}
}

void virtiod_run(struct virtiod *v, GPtrArray *entries, int control, const struct past_state *past)
{
	struct loop_watch *watches[] = {
		loop_watch_signal(SIGTERM, on_term, v),
		loop_watch_signal(SIGINT, on_term, v),
		loop_watch_signal(SIGHUP, on_hup, v),
		loop_watch_signal(SIGUSR2, on_usr2, v),
	};
	struct virtiod_changes changes;

	v->place.changed = changed;
	v->place.opaque = v;
	v->loop = g_main_loop_new(NULL, FALSE);
	v->entries = device_entries_new();
	v->units = g_ptr_array_new_with_free_func((GDestroyNotify)unit_free);
	if (past)
		adopt(v, past);
	virtiod_apply(v, entries, &changes);
	supervisor_control_start(v, control);
	log_info(NULL, "%u devices of '%s'", entries->len, v->folder);
	g_main_loop_run(v->loop);
	metrics_process_stop(v->metrics);
	control_server_stop(&v->control);
	past_remove(v->place.run);
	for (unsigned i = 0; i < G_N_ELEMENTS(watches); i++)
		loop_watch_free(watches[i]);
	loop_watch_free(v->soon);
	loop_watch_free(v->end_timer);
	g_ptr_array_unref(v->units);
	g_ptr_array_unref(v->entries);
	g_main_loop_unref(v->loop);
}
