/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's process and the two sockets to it, on the supervisor's side. Besides these it inherits
 * only standard error. Main loop only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/ipc.h"

struct worker_process;
typedef struct worker_process worker_process; /* for g_autoptr */

/* Called from the main loop. Only ended() may free the process. */
struct worker_process_events {
	/* A valid event; an invalid one ends the process. */
	void (*event)(void *opaque, const struct ipc_event *event);
	/* Like broker_answer(). */
	bool (*request)(void *opaque, const struct ipc_request *request, struct ipc_reply *reply,
		int fds[IPC_MAX_FDS], unsigned *n_fds);
	/* The process has ended and was reaped. how: "was ended by signal 9 (Killed)". Once. */
	void (*ended)(void *opaque, const char *how);
};

/* Starts this program as "virtiod-xen worker". who: for messages; copied. */
struct worker_process *worker_process_start(
	const char *who, const struct worker_process_events *events, void *opaque, GError **error);
/* Kills the process if it runs, and reaps it. */
void worker_process_free(struct worker_process *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(worker_process, worker_process_free)

/* Sends a command. Kills a process that does not read; does nothing for a dead one. Never waits. */
void worker_process_send(struct worker_process *p, const struct ipc_command *command,
	const int *fds, unsigned n_fds);
/* Sends SIGKILL; logs why, unless NULL. ended() follows. */
void worker_process_kill(struct worker_process *p, const char *why);
int worker_process_id(const struct worker_process *p);
