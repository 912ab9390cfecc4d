/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileges that a process needs at its start, and drops for good before it reads what others
 * sent.
 *
 *	a daemon	sets run_as, chroot, sandbox; privileges_prepare(), then privileges_drop(),
 *			and privileges_seal() when its threads run
 *	a front-end	sets sandbox, sockets, limits and calls; privileges_drop(),
 *			privileges_seal()
 *	a Xen worker	sets uid, gid, root, limits and calls; privileges_drop(), privileges_seal()
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "priv/landlock.h"
#include "priv/resource_limits.h"
#include "priv/sandbox.h"
#include "priv/syscall_filter.h"

struct privileges {
	/* As users write them, owned: the options --run-as and --chroot. */
	char *run_as; /* UID[:GID], names or numbers; NULL: see uid */
	char *chroot; /* NULL: see root. Only with run_as: root could leave it */
	/* Set by privileges_prepare(), or by the caller. */
	uid_t uid; /* to become; 0: stay the current user */
	gid_t gid;
	int root; /* root_open()'s, owned; -1: an empty one in a sandbox, else the present one */
	bool untraceable; /* also if the user stays */

	/* With SANDBOX_NONE what follows is ignored. */
	enum sandbox_mode sandbox;
	bool keep_network; /* the host's network namespace, and use of sockets of it */
	bool keep_files; /* the root directory; see paths */
	bool keep_signals; /* to other processes, as far as calls allow them */
	bool keep_code; /* executable memory can be made */
	const struct landlock_path *paths; /* what can still be opened or removed; NULL: nothing */
	/*
	 * Unix sockets that can still be connected to, by a process of its own (connector.h); NULL:
	 * none, and no pairs can be made, either.
	 */
	const char *const *sockets;
	const char *const *socket_stems; /* likewise; to each a decimal number is added */
	const char *const *socket_folders; /* likewise; those directly in them */
	const struct resource_limit
		*limits; /* RLIMIT_NPROC, which counts per user: only with uid */
	size_t n_limits;
	const struct syscall_rule *const *calls; /* tables of those allowed; NULL: no filter */

	struct sandbox_report missing; /* of the sandbox, so far */
};

/*
 * Looks up the names and opens the directory, while both can be seen, and sets no_new_privs, so
 * that no executed program regains privileges. To be called before any thread is made: threads
 * inherit that.
 */
bool privileges_prepare(struct privileges *p, GError **error);
/*
 * From now on the process, all its threads, is that user in that group and no other, sees nothing
 * outside the new root, and is bound by the limits. In a sandbox it has no capabilities, and is in
 * network and IPC namespaces of its own: to be called while it has one thread. On error the process
 * is in an undefined state and must exit.
 */
bool privileges_drop(struct privileges *p, GError **error);
/*
 * Filters the system calls of all threads. What could not be done of the sandbox, here and before,
 * is logged, or is an error: after that, too, the process must exit.
 */
bool privileges_seal(struct privileges *p, GError **error);
void privileges_clear(struct privileges *p);
