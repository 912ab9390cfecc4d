/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileges that a process needs at its start, and drops for good before it reads what others
 * sent.
 *
 *	a daemon	sets run_as and chroot; privileges_prepare(), later privileges_drop()
 *	a Xen worker	sets uid, gid, root, limits and filter; privileges_drop()
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "priv/resource_limits.h"
#include "priv/syscall_filter.h"

struct privileges {
	/* As users write them, owned: the options --run-as and --chroot. */
	char *run_as; /* UID[:GID], names or numbers; NULL: see uid */
	char *chroot; /* NULL: see root. Only with run_as: root could leave it */
	/* Set by privileges_prepare(), or by the caller. */
	uid_t uid; /* to become; 0: stay the current user */
	gid_t gid;
	int root; /* root_open()'s, owned; -1: keep the root directory */

	const struct resource_limit
		*limits; /* RLIMIT_NPROC, which counts per user: only with uid */
	size_t n_limits;
	const struct syscall_filter *filter; /* NULL: no filter */
};

/*
 * Looks up the names and opens the directory, while both can be seen, and sets no_new_privs, so
 * that no executed program regains privileges. To be called before any thread is made: threads
 * inherit that.
 */
bool privileges_prepare(struct privileges *p, GError **error);
/*
 * From now on the process, all its threads, is that user in that group and no other, sees nothing
 * outside the new root, cannot be traced, dumps no core if limits say so, and is bound by the
 * limits and (this thread and its children) the filter. On error the process is in an undefined
 * state and must exit.
 */
bool privileges_drop(struct privileges *p, GError **error);
void privileges_clear(struct privileges *p);
