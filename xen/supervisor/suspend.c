/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The toolstack writes "suspend" to control/shutdown of the guest, and the guest empties it. The
 * guest may write there as well, as often as it can, and each change is an event: so the watch ends
 * with a change, and begins again later.
 */
#include "xen/supervisor/suspend.h"

#include <string.h>

#include "base/log.h"
#include "base/loop.h"

#define PAUSE_MS 1000
#define MAX_VALUE 16

struct suspend {
	struct xenstore *store;
	char *path, *who;
	bool watching;
	bool begun; /* the event that each watch begins with has come */
	bool asked; /* reported */
	struct loop_watch *pause;
};

static void watch(void *opaque)
{
	struct suspend *w = opaque;
	g_autoptr(GError) error = NULL;

	g_clear_pointer(&w->pause, loop_watch_free);
	w->begun = false;
	w->watching = xenstore_watch(w->store, w->path, &error);
	if (!w->watching)
		log_warning(w->who, "%s: a request to suspend will not be seen", error->message);
}

static void unwatch(struct suspend *w)
{
	if (w->watching)
		xenstore_unwatch(w->store, w->path);
	w->watching = false;
}

struct suspend *suspend_new(struct xenstore *store, unsigned domid, const char *who)
{
	struct suspend *w = g_new0(struct suspend, 1);

	w->store = store;
	w->path = g_strdup_printf("/local/domain/%u/control/shutdown", domid);
	w->who = g_strdup(who);
	watch(w);
	return w;
}

void suspend_free(struct suspend *w)
{
	if (!w)
		return;
	unwatch(w);
	loop_watch_free(w->pause);
	g_free(w->path);
	g_free(w->who);
	g_free(w);
}

static void look(struct suspend *w)
{
	g_autofree char *value = xenstore_read(w->store, w->path, MAX_VALUE, NULL);
	bool asked = g_strcmp0(value, "suspend") == 0;

	if (asked && !w->asked)
		log_error(w->who,
			"the toolstack asks it to suspend: it cannot be saved or migrated with "
			"these devices, which will not work where it is restored; shut it down "
			"instead");
	w->asked = asked;
}

void suspend_changed(struct suspend *w, const char *path)
{
	if (!w->watching || strcmp(path, w->path) != 0)
		return;
	look(w);
	if (w->begun) {
		unwatch(w);
		w->pause = loop_watch_timer(PAUSE_MS, watch, w);
	}
	w->begun = true;
}
