/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a guest: its events, devices and the supervisor's commands, in one loop. */
#include "xen/worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "xen/worker/worker_impl.h"
#include "xen/worker/worker_sandbox.h"

/* --- commands --- */

static void send_event(struct xen_worker *w, enum ipc_event_type type, uint32_t device)
{
	struct ipc_event event = { .type = type, .device = device };

	if (!ipc_send(w->commands, &event, sizeof(event), NULL, 0) && errno != EPIPE)
		log_warning(NULL, "cannot send an event to the supervisor: %s", g_strerror(errno));
}

/* Opens what only root may open. Of the fds, those that it takes over are -1 then. */
static bool open_guest(struct xen_worker *w, int fds[IPC_MAX_FDS], unsigned n_fds, GError **error)
{
	const struct ipc_guest *g = &w->guest;
	size_t journals = IPC_MAX_SERVERS * sizeof(*w->journal);

	if (n_fds != 3 || g->vcpus > IPC_MAX_VCPUS || g->banks > FOREIGN_MEMORY_MAX_BANKS ||
		g->servers < 1 || g->servers > IPC_MAX_SERVERS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"domain %" PRIu32 " with %" PRIu32 " vCPUs, %" PRIu32
			" banks and %u files: invalid",
			g->domid, g->vcpus, g->banks, n_fds);
		return false;
	}
	w->privcmd = fd_steal(&fds[1]);
	w->journal = mmap(NULL, journals, PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	if (w->journal == MAP_FAILED) {
		w->journal = NULL;
		error_errno(error, errno, "cannot map the vCPUs' journal");
		return false;
	}
	w->evtchn = evtchn_from_fd(fd_steal(&fds[0]), error);
	if (!w->evtchn)
		return false;
	for (unsigned i = 0; i < g->servers; i++)
		if (!worker_server_open(w, i, error))
			return false;
	return true;
}

static bool on_guest(
	struct xen_worker *w, const struct ipc_guest *g, int fds[IPC_MAX_FDS], unsigned n_fds)
{
	g_autoptr(GError) error = NULL;
	uint32_t stale;
	bool ok;

	w->guest = *g;
	w->guest.name[IPC_NAME - 1] = w->guest.root[IPC_NAME - 1] = '\0';
	ok = open_guest(w, fds, n_fds, &error) &&
		worker_sandbox_enter(g->sandbox, w->guest.root, g->uid, g->gid, &error);
	if (!ok) {
		log_error(w->guest.name, "%s", error->message);
		return false;
	}
	/*
	 * Events that a predecessor did not read: their ports are unmasked below and may fire
	 * again, but the file has room for one event per port only.
	 */
	while (evtchn_pending(w->evtchn, &stale))
		continue;
	send_event(w, IPC_READY, 0);
	/*
	 * A predecessor may have died with ports masked. Slots are looked at before unmasking
	 * (ioreq.c); devices may still follow.
	 */
	for (unsigned i = 0; i < g->servers; i++) {
		ioreq_resume(w->server[i].ioreq);
		for (unsigned v = 0; v < g->vcpus; v++)
			evtchn_unmask(w->evtchn, g->server[i].port[v]);
	}
	w->ready = true;
	return true;
}

static bool on_add(
	struct xen_worker *w, const struct ipc_device *info, int fds[IPC_MAX_FDS], unsigned n_fds)
{
	g_autoptr(GError) error = NULL;

	if (info->device >= IPC_MAX_DEVICES || w->device[info->device]) {
		log_error(NULL, "invalid device number: %" PRIu32, info->device);
		return false;
	}
	w->device[info->device] = worker_device_new(w, info, fds, n_fds, &error);
	if (!w->device[info->device])
		log_error(w->guest.name, "%s", error->message);
	return w->device[info->device];
}

static void leave(struct xen_worker *w, uint32_t device)
{
	struct worker_device *d = device < IPC_MAX_DEVICES ? w->device[device] : NULL;

	if (d && !d->leaving)
		worker_device_leave(d);
}

static void log_counters(const struct xen_worker *w)
{
	struct ioreq_counters c[IPC_MAX_SERVERS] = { 0 };

	for (unsigned i = 0; i < w->guest.servers; i++)
		ioreq_counters(w->server[i].ioreq, &c[i]);
	log_info(NULL,
		"domain %" PRIu32 ": requests=%" PRIu64 " kicks=%" PRIu64 " invalidates=%" PRIu64
		" strays=%" PRIu64,
		w->guest.domid, c[IPC_REGISTERS].requests, c[IPC_KICKS].requests,
		c[IPC_REGISTERS].invalidates, c[IPC_REGISTERS].strays + c[IPC_KICKS].strays);
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		if (w->device[i] && !w->device[i]->leaving)
			worker_device_log_counters(w->device[i]);
}

static void quit(struct xen_worker *w)
{
	w->quit = true;
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		leave(w, i);
}

/*
 * Executes a command. Of the fds, those that it takes over are -1 then. Returns false if it is
 * invalid or fails.
 */
static bool execute(struct xen_worker *w, const struct ipc_command *command, int fds[IPC_MAX_FDS],
	unsigned n_fds)
{
	switch ((enum ipc_command_type)command->type) {
	case IPC_GUEST:
		return !w->ready && on_guest(w, &command->guest, fds, n_fds);
	case IPC_ADD:
		/* None of those that leave already: it would stay. */
		return w->ready && !w->quit && on_add(w, &command->add, fds, n_fds);
	case IPC_REMOVE:
		leave(w, command->device);
		return true;
	case IPC_COUNTERS:
		if (w->ready)
			log_counters(w);
		return true;
	case IPC_QUIT:
		quit(w);
		return true;
	}
	return false;
}

/*
 * Executes all commands that wait. Returns 1; 0: no more will come; -1: one was invalid or failed.
 * What cannot be received for want of memory is still there: an end would cost the devices' state.
 */
static int read_commands(struct xen_worker *w)
{
	struct ipc_command command;
	int fds[IPC_MAX_FDS], result;
	unsigned n_fds;

	while ((result = ipc_receive(w->commands, &command, sizeof(command), fds, &n_fds)) > 0) {
		bool ok = execute(w, &command, fds, n_fds);

		fds_close(fds, n_fds);
		if (!ok)
			return -1;
	}
	w->unread = result < 0 && errno != EAGAIN && errno != EPROTO;
	if (result < 0 && errno != EAGAIN)
		log_limited(&w->limit, LOG_LEVEL_ERROR, NULL, "cannot receive a command: %s",
			g_strerror(errno));
	return result < 0 && errno != EPROTO ? 1 : result;
}

/* --- the loop --- */

static void port_event(struct xen_worker *w, uint32_t port)
{
	for (unsigned i = 0; i < w->guest.servers; i++)
		for (unsigned v = 0; v < w->guest.vcpus; v++)
			if (w->guest.server[i].port[v] == port)
				ioreq_event(w->server[i].ioreq, v);
	/* Only after looking: see ioreq.c. */
	evtchn_unmask(w->evtchn, port);
}

static void vcpu_events(struct xen_worker *w)
{
	uint32_t port;

	/* At most one per vCPU, so that commands and devices get their turn. */
	for (unsigned n = 0; n < w->guest.vcpus && evtchn_pending(w->evtchn, &port); n++)
		port_event(w, port);
}

/* Frees the devices that have left. Returns whether others remain. */
static bool reap(struct xen_worker *w)
{
	bool others = false;
	eventfd_t n;

	eventfd_read(w->left, &n);
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++) {
		struct worker_device *d = w->device[i];

		/* Acquire: pairs with leave_main()'s release. */
		if (d && __atomic_load_n(&d->gone, __ATOMIC_ACQUIRE)) {
			w->device[i] = NULL;
			worker_device_free(d);
			send_event(w, IPC_REMOVED, i);
		}
		others |= w->device[i] != NULL;
	}
	return others;
}

static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int check_device(struct xen_worker *w, unsigned i)
{
	struct worker_device *d = w->device[i];
	int next = d ? worker_device_check(d) : -1;

	if (d && d->given_up)
		send_event(w, IPC_GIVEN_UP, i);
	if (d)
		d->given_up = false;
	return next;
}

/* Returns the milliseconds until something is due without an event; -1: nothing is. */
static int next_look(struct xen_worker *w)
{
	int next = w->unread ? IPC_AGAIN_MS : -1;

	for (unsigned i = 0; w->ready && i < w->guest.servers; i++)
		next = sooner(next, ioreq_again(w->server[i].ioreq));
	for (unsigned i = 0; i < IPC_MAX_DEVICES; i++)
		next = sooner(next, check_device(w, i));
	return next;
}

static int loop(struct xen_worker *w)
{
	int commands = 1;

	while (reap(w) || !w->quit) {
		struct pollfd pfd[] = {
			{ .fd = w->left, .events = POLLIN },
			{ .fd = commands <= 0 || w->unread ? -1 : w->commands, .events = POLLIN },
			{ .fd = w->evtchn ? evtchn_fd(w->evtchn) : -1, .events = POLLIN },
		};

		if (poll(pfd, G_N_ELEMENTS(pfd), next_look(w)) < 0)
			continue;
		if (pfd[1].revents || (commands > 0 && w->unread))
			commands = read_commands(w);
		/* The end of the socket counts as QUIT. */
		if (commands <= 0 && !w->quit)
			quit(w);
		if (pfd[2].revents)
			vcpu_events(w);
	}
	return commands < 0 ? 1 : 0;
}

int worker_run(int commands, int requests)
{
	struct xen_worker w = {
		.commands = commands,
		.requests = ipc_client_new(requests),
		.privcmd = -1,
		.left = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	int status = 1;

#ifdef M_ARENA_MAX
	/* An arena of a thread's own opens a file when it shrinks, which the sandbox forbids. */
	mallopt(M_ARENA_MAX, 1);
#endif
	if (w.left < 0)
		log_error(NULL, "eventfd: %s", g_strerror(errno));
	else
		status = loop(&w);
	for (unsigned i = 0; i < IPC_MAX_SERVERS; i++)
		worker_server_close(&w.server[i]);
	evtchn_free(w.evtchn);
	if (w.journal)
		munmap(w.journal, IPC_MAX_SERVERS * sizeof(*w.journal));
	ipc_client_free(w.requests);
	fd_close(&w.left);
	fd_close(&w.privcmd);
	fd_close(&w.commands);
	return status;
}
