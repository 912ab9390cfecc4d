/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See namespaces.h. No PID namespace: a process can only have its children in another one, and this
 * one has none. No mount namespace: a copy of the host's would keep its file systems mounted; the
 * process has an empty root directory instead, and no way to mount.
 */
#include "priv/namespaces.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

#include "base/util.h"

static const struct {
	int flag;
	const char *what;
} namespaces[] = {
	{ CLONE_NEWNET, "network namespace" },
	{ CLONE_NEWIPC, "IPC namespace" },
};

/* Counts: a directory has a link for each of its directories, and two more. */
static bool has_one_thread(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) < 0 || st.st_nlink <= 3;
}

void namespaces_enter(bool keep_network, bool may_be_user, struct sandbox_report *missing)
{
	/* Each thread has its own: those of other threads would stay. */
	bool possible = has_one_thread();

	for (unsigned i = 0; i < G_N_ELEMENTS(namespaces); i++) {
		int flag = namespaces[i].flag;
		bool done;

		if (keep_network && flag == CLONE_NEWNET)
			continue;
		errno = EBUSY;
		done = possible && unshare(flag) == 0;
		if (!done && errno == EPERM && may_be_user) {
			may_be_user = false;
			done = unshare(CLONE_NEWUSER | flag) == 0;
		}
		if (!done)
			sandbox_report(missing, namespaces[i].what, errno);
	}
}
