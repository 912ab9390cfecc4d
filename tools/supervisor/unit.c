/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See unit.h. The socket outlives each process: a front-end that connects while none runs waits in
 * the socket's queue, and a process that was killed loses nobody.
 */
#include "tools/supervisor/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/sock.h"
#include "base/util.h"

/* Before the first restart and at most; it is doubled each time. */
#define MIN_DELAY_MS 10
#define MAX_DELAY_MS 5000
/* A process that lived for so long was well. */
#define GOOD_US (10 * G_TIME_SPAN_SECOND)
#define TERM_MS 2000

const char *const unit_state_words[] = {
	[UNIT_WAITING] = "waiting",
	[UNIT_STARTING] = "starting",
	[UNIT_READY] = "ready",
	[UNIT_RETRYING] = "retrying",
	[UNIT_STOPPING] = "stopping",
	[UNIT_FAILED] = "failed",
	[UNIT_STOPPED] = "stopped",
	NULL,
};

struct unit *unit_new(const struct unit_place *place, const char *name)
{
	const char *slash = strchr(name, '/');
	struct unit *u = g_new0(struct unit, 1);

	u->place = place;
	u->name = g_strdup(name);
	u->socket = g_strdup_printf("%s/%s.sock", place->run, name);
	u->notify_path = g_strdup_printf(
		"%s/%.*s/.%s.notify", place->run, (int)(slash - name), name, slash + 1);
	u->listener = u->notify = -1;
	return u;
}

static void set_state(struct unit *u, enum unit_state state)
{
	g_clear_pointer(&u->timer, loop_watch_free);
	u->state = state;
	u->place->changed(u->place->opaque);
}

static void close_notify(struct unit *u)
{
	g_clear_pointer(&u->notify_watch, loop_watch_free);
	if (u->notify >= 0)
		unlink(u->notify_path);
	fd_close(&u->notify);
}

void unit_free(struct unit *u)
{
	g_autofree char *folder = g_path_get_dirname(u->socket);

	loop_watch_free(u->timer);
	close_notify(u);
	fd_close(&u->listener);
	child_free(u->child);
	rmdir(folder); /* if it was the guest's last */
	g_free(u->fingerprint);
	g_free(u->notify_path);
	g_free(u->socket);
	g_free(u->name);
	g_free(u);
}

void unit_close(struct unit *u)
{
	if (u->listener >= 0)
		unlink(u->socket);
	fd_close(&u->listener);
}

bool unit_runs(const struct unit *u)
{
	return u->child;
}

static void on_delay(void *opaque)
{
	set_state(opaque, UNIT_WAITING);
}

/* Tries again later. */
static void retry(struct unit *u, const char *why)
{
	u->delay_ms = u->delay_ms ? MIN(u->delay_ms * 2, MAX_DELAY_MS) : MIN_DELAY_MS;
	log_warning(u->name, "%s: starting it again in %u ms", why, u->delay_ms);
	set_state(u, UNIT_RETRYING);
	u->timer = loop_watch_timer(u->delay_ms, on_delay, u);
}

static void fail(struct unit *u, const char *why)
{
	log_error(u->name, "%s: is not started again before a reload or a restart", why);
	set_state(u, UNIT_FAILED);
}

static void on_end(void *opaque)
{
	struct unit *u = opaque;
	int status = child_status(u->child);
	bool wrong = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_USAGE;
	bool stopping = u->state == UNIT_STOPPING;

	g_clear_pointer(&u->child, child_free);
	close_notify(u);
	if (g_get_monotonic_time() - u->started >= GOOD_US)
		u->delay_ms = 0;
	if (stopping) {
		set_state(u, u->again ? UNIT_WAITING : UNIT_STOPPED);
		return;
	}
	u->n_restarts++;
	if (wrong)
		fail(u, "its options are wrong");
	else
		retry(u, "it has ended");
}

static void on_notify(void *opaque, uint32_t revents)
{
	struct unit *u = opaque;
	char text[256];
	unsigned n_fds = 0;
	bool truncated = false;
	ssize_t n = sock_recv(u->notify, text, sizeof(text) - 1, NULL, 0, &n_fds, &truncated);

	if (n < 0 && n != -EAGAIN)
		close_notify(u);
	if (n <= 0)
		return;
	text[n] = 0;
	/* What it says at its end is read, too: it would wait for that. */
	if (strstr(text, "READY=1") && u->state == UNIT_STARTING)
		set_state(u, UNIT_READY);
}

static bool listen_for_notify(struct unit *u, GError **error)
{
	unlink(u->notify_path);
	/* Its user may be another by the time it is ready. Whoever else says so does no harm. */
	u->notify = sock_bind_datagram(u->notify_path, 0666, error);
	if (u->notify >= 0)
		u->notify_watch = loop_watch_fd(u->notify, EPOLLIN, on_notify, u);
	return u->notify >= 0;
}

static bool listen_for_front_ends(struct unit *u, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(u->socket);
	const struct device_entry *e = u->entry;

	if (u->listener >= 0)
		return true;
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return error_errno(error, errno, "cannot make '%s'", folder);
	u->listener = sock_listen(u->socket, e->socket_mode, e->socket_group, error);
	return u->listener >= 0;
}

static struct child *run(struct unit *u, const char *program, GError **error)
{
	const struct child_setup setup = {
		.binary = program,
		.label = u->name,
		.options = (const char *const *)u->entry->options,
		.fd = u->listener,
		.notify = u->notify_path,
		.outlives = true,
	};

	return child_run(&setup, error);
}

static void start(struct unit *u)
{
	g_autofree char *program =
		g_strdup_printf("%s/virtiod-%s", u->place->programs, u->entry->type);
	g_autoptr(GError) error = NULL;

	g_free(u->fingerprint);
	u->fingerprint = past_fingerprint(u->entry);
	g_strlcpy(u->type, u->entry->type, sizeof(u->type));
	u->again = u->waited = false;
	if (access(program, X_OK) < 0) {
		error_errno(&error, errno, "cannot start '%s'", program);
		fail(u, error->message);
		return;
	}
	if (listen_for_front_ends(u, &error) && listen_for_notify(u, &error))
		u->child = run(u, program, &error);
	if (!u->child) {
		close_notify(u);
		retry(u, error->message);
		return;
	}
	u->started = g_get_monotonic_time();
	u->birth = past_birth(child_pid(u->child));
	child_on_end(u->child, on_end, u);
	set_state(u, UNIT_STARTING);
}

static void on_waited(void *opaque)
{
	struct unit *u = opaque;

	log_warning(u->name, "those of after= are not ready within wait=%u: starting it anyway",
		u->entry->wait_s);
	u->waited = true;
	set_state(u, UNIT_WAITING);
}

void unit_poke(struct unit *u, bool ready)
{
	GError *error = NULL;

	if (u->state != UNIT_WAITING)
		return;
	if (ready || u->waited || !u->entry->wait_s) {
		start(u);
		return;
	}
	/* Front-ends may come already. */
	if (!listen_for_front_ends(u, &error))
		g_clear_error(&error); /* start() tries again, and tells */
	if (!u->timer)
		u->timer = loop_watch_timer(u->entry->wait_s * 1000, on_waited, u);
}

static void on_term_timeout(void *opaque)
{
	struct unit *u = opaque;

	log_warning(u->name, "did not end within %d ms and is killed", TERM_MS);
	unit_kill(u);
}

static void end(struct unit *u, bool again)
{
	u->again = again;
	if (!u->child) {
		set_state(u, again ? UNIT_WAITING : UNIT_STOPPED);
	} else if (u->state != UNIT_STOPPING) {
		set_state(u, UNIT_STOPPING);
		child_stop(u->child);
		u->timer = loop_watch_timer(TERM_MS, on_term_timeout, u);
	}
}

void unit_restart(struct unit *u)
{
	u->delay_ms = 0;
	end(u, true);
}

void unit_stop(struct unit *u)
{
	end(u, false);
}

void unit_kill(struct unit *u)
{
	g_clear_pointer(&u->timer, loop_watch_free);
	if (u->child)
		child_kill(u->child);
}

/* Tells whether the socket would be made otherwise. */
static bool has_other_socket(const struct device_entry *a, const struct device_entry *b)
{
	return a->socket_mode != b->socket_mode || a->socket_group != b->socket_group;
}

enum unit_change unit_set(struct unit *u, const struct device_entry *entry)
{
	g_autofree char *fingerprint = past_fingerprint(entry);
	const struct device_entry *before = u->entry;
	bool same = g_strcmp0(fingerprint, u->fingerprint) == 0;

	u->entry = entry;
	if (before ? has_other_socket(before, entry) : !same)
		unit_close(u);
	if (same && u->state != UNIT_FAILED && u->state != UNIT_STOPPING &&
		u->state != UNIT_STOPPED)
		return UNIT_SAME;
	unit_restart(u);
	return UNIT_CHANGED;
}

void unit_adopt(struct unit *u, const struct unit_past *past)
{
	g_autofree char *program = g_strdup_printf("virtiod-%s", past->type);
	g_autoptr(GError) error = NULL;

	g_strlcpy(u->type, past->type, sizeof(u->type));
	u->listener = past->listener;
	u->delay_ms = past->delay_ms;
	u->n_restarts = past->n_restarts;
	u->fingerprint = g_strdup(past->fingerprint);
	if (!past->pid)
		return;
	u->child = child_adopt(program, u->name, past->pid, past->output, &error);
	if (!u->child) {
		log_error(u->name, "%s", error->message);
		return;
	}
	child_on_end(u->child, on_end, u);
	u->birth = past->birth;
	u->started = g_get_monotonic_time();
	u->notify = past->notify;
	if (u->notify >= 0)
		u->notify_watch = loop_watch_fd(u->notify, EPOLLIN, on_notify, u);
	u->state = past->ready ? UNIT_READY : UNIT_STARTING;
}

void unit_tell(const struct unit *u, struct unit_past *past)
{
	*past = (struct unit_past){
		.listener = u->listener,
		.output = u->child ? child_output(u->child) : -1,
		.notify = u->notify,
		.pid = u->child ? child_pid(u->child) : 0,
		.birth = u->child ? u->birth : 0,
		.ready = u->state == UNIT_READY,
		.delay_ms = u->delay_ms,
		.n_restarts = u->n_restarts,
	};
	g_strlcpy(past->name, u->name, sizeof(past->name));
	g_strlcpy(past->type, *u->type ? u->type : "-", sizeof(past->type));
	g_strlcpy(past->fingerprint, u->fingerprint ? u->fingerprint : "-",
		sizeof(past->fingerprint));
}
