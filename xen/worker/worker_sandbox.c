/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's limits, system calls and ioctls. */
#include "xen/worker/worker_sandbox.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/fd_kind.h"
#include "base/xen_abi.h"
#include "priv/privileges.h"
#include "priv/root.h"

static const struct resource_limit limits[] = {
	/* Per user: two threads for each device, and those of back-ends that run as that user. */
	{ RLIMIT_NPROC, 1024 },
	{ RLIMIT_CORE, 0 },
	/* Two for each queue of each device, and some. */
	{ RLIMIT_NOFILE, 16384 },
	{ RLIMIT_MEMLOCK, 0 },
};

/*
 * MMAP_BATCH maps the guest's own memory: the used ring tells how far a lost back-end was. Grants
 * cannot be mapped, as a gntdev is not restricted to one guest.
 */
static const struct syscall_rule own_calls[] = {
	SYSCALL_IOCTL(XEN_IOCTL_DM_OP),
	SYSCALL_IOCTL(XEN_IOCTL_EVTCHN_NOTIFY),
	SYSCALL_IOCTL(XEN_IOCTL_MMAP_BATCH),
	SYSCALL_END,
};

static const struct syscall_rule *const calls[] = { syscall_core, own_calls, NULL };

bool worker_sandbox_enter(
	enum sandbox_mode mode, const char *root, uid_t uid, gid_t gid, GError **error)
{
	struct privileges p = {
		.uid = uid,
		.gid = gid,
		.root = *root ? root_open(root) : -1,
		.untraceable = true,
		.sandbox = mode,
		.limits = limits,
		.n_limits = G_N_ELEMENTS(limits),
		.calls = calls,
	};
	bool ok = !*root || p.root >= 0;

	if (mode != SANDBOX_NONE || *root)
		fd_kind_keep_proc();
	if (ok)
		ok = privileges_drop(&p, error) && privileges_seal(&p, error);
	else
		error_errno(error, errno, "%s", root);
	privileges_clear(&p);
	g_prefix_error(error, "sandbox: ");
	return ok;
}
