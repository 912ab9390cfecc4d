/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See metrics.h. The socket is ours, so that clients wait while the process is replaced: when it
 * has ended, and when there are other devices to ask.
 */
#include "tools/supervisor/metrics.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "launch/device_file.h"

#define LABEL "metrics"
/* Before a restart at first and at most; it is doubled each time. */
#define MIN_DELAY_MS 10
#define MAX_DELAY_MS 5000
#define GOOD_US (10 * G_TIME_SPAN_SECOND)
#define CONTROL "--control="

bool metrics_process_listen(struct metrics_process *m, const char *programs, GError **error)
{
	m->listener = -1;
	if (!m->text)
		return true;
	m->program = g_build_filename(programs, "virtiod-metrics", NULL);
	if (access(m->program, X_OK) < 0)
		return error_errno(error, errno,
			"cannot start '%s' for --metrics (it is built with libmicrohttpd)",
			m->program);
	m->listener = tcp_listen(&m->address, m->text, error);
	return m->listener >= 0;
}

static void start(struct metrics_process *m);

static void on_delay(void *opaque)
{
	start(opaque);
}

static void retry(struct metrics_process *m, const char *why)
{
	m->delay_ms = m->delay_ms ? MIN(m->delay_ms * 2, MAX_DELAY_MS) : MIN_DELAY_MS;
	log_warning(LABEL, "%s: starting it again in %u ms", why, m->delay_ms);
	m->timer = loop_watch_timer(m->delay_ms, on_delay, m);
}

static void on_end(void *opaque)
{
	struct metrics_process *m = opaque;

	g_clear_pointer(&m->child, child_free);
	if (g_get_monotonic_time() - m->started >= GOOD_US)
		m->delay_ms = 0;
	retry(m, "it has ended");
}

static void start(struct metrics_process *m)
{
	g_autoptr(GError) error = NULL;
	const struct child_setup setup = {
		.binary = m->program,
		.label = LABEL,
		.options = (const char *const *)m->sockets->pdata,
		.fd = m->listener,
	};

	g_clear_pointer(&m->timer, loop_watch_free);
	m->started = g_get_monotonic_time();
	m->child = child_run(&setup, &error);
	if (m->child)
		child_on_end(m->child, on_end, m);
	else
		retry(m, error->message);
}

/* Returns the arguments that name the control sockets. */
static GPtrArray *list_sockets(const GPtrArray *entries)
{
	GPtrArray *sockets = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < entries->len; i++) {
		const struct device_entry *e = entries->pdata[i];

		for (char *const *o = e->options; *o; o++) {
			if (g_str_has_prefix(*o, CONTROL))
				g_ptr_array_add(sockets, g_strdup(*o + strlen(CONTROL)));
		}
	}
	g_ptr_array_add(sockets, NULL);
	return sockets;
}

void metrics_process_set(struct metrics_process *m, const GPtrArray *entries)
{
	GPtrArray *sockets;

	if (!m || m->listener < 0)
		return;
	sockets = list_sockets(entries);
	if (m->child &&
		g_strv_equal((const char *const *)sockets->pdata,
			(const char *const *)m->sockets->pdata)) {
		g_ptr_array_unref(sockets);
		return;
	}
	metrics_process_stop(m);
	m->sockets = sockets;
	start(m);
}

void metrics_process_stop(struct metrics_process *m)
{
	if (!m)
		return;
	g_clear_pointer(&m->timer, loop_watch_free);
	g_clear_pointer(&m->child, child_free);
	g_clear_pointer(&m->sockets, g_ptr_array_unref);
}
