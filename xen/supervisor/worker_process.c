/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts, talks to and reaps a worker. Only the reaper reports its end; when it closes a socket or
 * sends invalid records, it is killed. So it is always dead before a successor starts.
 */
#include "xen/supervisor/worker_process.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/fd_kind.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/util.h"
#include "launch/reaper.h"

/* Its sockets in the worker. */
#define COMMANDS_FD 3
#define REQUESTS_FD 4
#define END_MS 3000 /* how long one that was killed may take to end */

struct worker_process {
	char *who;
	const struct worker_process_events *events;
	void *opaque;
	struct reaper reaper;
	int commands, requests;
	struct loop_watch *reaper_watch, *commands_watch, *requests_watch;
};

static void close_sockets(struct worker_process *p)
{
	g_clear_pointer(&p->commands_watch, loop_watch_free);
	g_clear_pointer(&p->requests_watch, loop_watch_free);
	fd_close(&p->commands);
	fd_close(&p->requests);
}

void worker_process_kill(struct worker_process *p, const char *why)
{
	if (why)
		log_warning(p->who, "worker process %d is killed: %s", (int)p->reaper.pid, why);
	close_sockets(p);
	reaper_kill(&p->reaper, SIGKILL);
}

static void on_process_exit(void *opaque, uint32_t revents)
{
	struct worker_process *p = opaque;
	g_autofree char *how = NULL;

	if (!reaper_look(&p->reaper))
		return;
	g_clear_pointer(&p->reaper_watch, loop_watch_free);
	close_sockets(p);
	how = reaper_describe(&p->reaper);
	p->events->ended(p->opaque, how); /* which may free p */
}

/* Returns whether ipc_receive(), which returned no record, failed; false: none is there yet. */
static bool has_failed(int received)
{
	return received == 0 || errno != EAGAIN;
}

/* Returns NULL at the end of a socket: the end of the process follows, and is reported. */
static const char *describe_failure(int received)
{
	return received == 0 ? NULL : g_strerror(errno);
}

static void on_events(void *opaque, uint32_t revents)
{
	struct worker_process *p = opaque;
	struct ipc_event event;
	int fds[IPC_MAX_FDS];
	unsigned n_fds = 0;
	int n = ipc_receive(p->commands, &event, sizeof(event), fds, &n_fds);

	if (n != 1) {
		if (has_failed(n))
			worker_process_kill(p, describe_failure(n));
		return;
	}
	fds_discard(fds, n_fds);
	if (event.type >= IPC_READY && event.type <= IPC_GIVEN_UP)
		p->events->event(p->opaque, &event);
	else
		worker_process_kill(p, "it sent an invalid event");
}

/* Returns the reason why ipc_send() failed: `unread` if the worker lets records wait. */
static const char *describe_unsent(const char *unread)
{
	return errno == EAGAIN ? unread : g_strerror(errno);
}

static void on_requests(void *opaque, uint32_t revents)
{
	struct worker_process *p = opaque;
	struct ipc_request request;
	struct ipc_reply reply;
	int fds[IPC_MAX_FDS];
	unsigned n_fds = 0;
	int n = ipc_receive(p->requests, &request, sizeof(request), fds, &n_fds);

	if (n != 1) {
		if (has_failed(n))
			worker_process_kill(p, describe_failure(n));
		return;
	}
	if (!p->events->request(p->opaque, &request, &reply, fds, &n_fds)) {
		worker_process_kill(p, "it sent an invalid request");
		return;
	}
	if (!ipc_send(p->requests, &reply, sizeof(reply), fds, n_fds))
		worker_process_kill(p, describe_unsent("it does not read replies"));
	fds_close(fds, n_fds);
}

/* Runs in the new process before exec: only async-signal-safe calls. */
static void set_up_process(void *opaque)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* ^C at the terminal is for the supervisor: workers must serve until QUIT. */
	setpgid(0, 0);
}

static bool spawn(struct worker_process *p, int commands, int requests, GError **error)
{
	const char *argv[] = { "/proc/self/exe", "virtiod-xen", "worker", G_STRINGIFY(COMMANDS_FD),
		G_STRINGIFY(REQUESTS_FD), log_level_name(), p->who, NULL };
	const int from[] = { commands, requests }, to[] = { COMMANDS_FD, REQUESTS_FD };
	GPid pid;

	/* /proc/self/exe: this very program, even if another one was installed meanwhile. */
	if (!g_spawn_async_with_pipes_and_fds("/", argv, NULL,
		    G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_FILE_AND_ARGV_ZERO, set_up_process, NULL,
		    -1, -1, -1, from, to, G_N_ELEMENTS(from), &pid, NULL, NULL, NULL, error))
		return false;
	if (reaper_init(&p->reaper, pid))
		return true;
	error_errno(error, errno, "cannot watch a process");
	return false;
}

struct worker_process *worker_process_start(
	const char *who, const struct worker_process_events *events, void *opaque, GError **error)
{
	g_autoptr(worker_process) p = g_new0(struct worker_process, 1);
	int commands[2] = { -1, -1 }, requests[2] = { -1, -1 };
	bool ok = sock_pair_records(commands) && sock_pair_records(requests);
	autofd theirs = commands[1], theirs2 = requests[1];

	p->who = g_strdup(who);
	p->events = events;
	p->opaque = opaque;
	p->reaper = REAPER_NONE;
	p->commands = commands[0];
	p->requests = requests[0];
	if (!ok) {
		error_errno(error, errno, "cannot make sockets");
		return NULL;
	}
	if (!spawn(p, theirs, theirs2, error))
		return NULL;
	p->reaper_watch = loop_watch_fd(p->reaper.fd, EPOLLIN, on_process_exit, p);
	p->commands_watch = loop_watch_fd(p->commands, EPOLLIN, on_events, p);
	p->requests_watch = loop_watch_fd(p->requests, EPOLLIN, on_requests, p);
	return g_steal_pointer(&p);
}

void worker_process_free(struct worker_process *p)
{
	if (!p)
		return;
	worker_process_kill(p, NULL);
	if (!reaper_wait(&p->reaper, END_MS))
		log_warning(p->who,
			"worker process %d is left behind: killed, it does not end; it may have a "
			"file open whose file system does not answer",
			(int)p->reaper.pid);
	g_clear_pointer(&p->reaper_watch, loop_watch_free);
	reaper_close(&p->reaper);
	g_free(p->who);
	g_free(p);
}

void worker_process_send(
	struct worker_process *p, const struct ipc_command *command, const int *fds, unsigned n_fds)
{
	if (p->commands < 0 || ipc_send(p->commands, command, sizeof(*command), fds, n_fds))
		return;
	/* After other errors the process has ended, which is reported. */
	if (errno != EPIPE && errno != ECONNRESET)
		worker_process_kill(p, describe_unsent("it does not read commands"));
}

int worker_process_id(const struct worker_process *p)
{
	return p->reaper.pid;
}
