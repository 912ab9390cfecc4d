/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's process and the two sockets to it, seen from the supervisor. It has nothing else of
 * ours but its standard error. Main loop only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "xen/ipc.h"

struct worker_process;
typedef struct worker_process worker_process; /* for g_autoptr */

/* Each from the main loop. Of these only ended() may free the process. */
struct worker_process_events {
	/* READY or REMOVED; anything else has ended it. */
	void (*event)(void *opaque, const struct ipc_event *event);
	/* As broker_answer(). */
	bool (*request)(void *opaque, const struct ipc_request *request, struct ipc_reply *reply,
		int fds[IPC_MAX_FDS], unsigned *n_fds);
	/* It is dead, and waited for. how: "was ended by signal 9 (Killed)". Once. */
	void (*ended)(void *opaque, const char *how);
};

/* Our own program as "virtiod-xen worker". who: for messages; copied. */
struct worker_process *worker_process_start(
	const char *who, const struct worker_process_events *events, void *opaque, GError **error);
/* Kills it if need be, and waits for that. */
void worker_process_free(struct worker_process *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(worker_process, worker_process_free)

/* A dead one is told nothing; one that does not read is killed. Never waits. */
void worker_process_send(struct worker_process *p, const struct ipc_command *command,
	const int *fds, unsigned n_fds);
/* SIGKILL; why is logged, unless NULL. ended() comes as always. */
void worker_process_kill(struct worker_process *p, const char *why);
int worker_process_id(const struct worker_process *p);
