/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's limits, system calls and ioctls. */
#include "xen/worker/worker_sandbox.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "base/error.h"
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

/* clang-format off */
static const char *const calls[] = {
	/* memory */
	"brk", "munmap", "madvise", "mremap",
	/* open files, and connections */
	"read", "write", "readv", "writev", "close", "poll", "ppoll", "fcntl", "dup", "lseek",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "fstat", "newfstatat", "statx",
	"sendmsg", "recvmsg", "recvfrom", "getsockopt", "shutdown", "eventfd2", "fallocate",
	"timerfd_create", "timerfd_settime",
	/* threads */
	"futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "exit",
	"exit_group", "gettid", "getpid", "tgkill", "restart_syscall",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
	/* time, and what the C library calls by itself */
	"clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom",
	"getuid", "geteuid", "getgid", "getegid",
	NULL,
};
/* clang-format on */

/*
 * MMAP_BATCH maps the guest's own memory: the used ring tells how far a lost back-end was. Grants
 * cannot be mapped, as a gntdev is not restricted to one guest.
 */
static const uint32_t ioctls[] = {
	XEN_IOCTL_DM_OP,
	XEN_IOCTL_EVTCHN_NOTIFY,
	XEN_IOCTL_MMAP_BATCH,
	FIONREAD,
};

static const struct syscall_filter filter = {
	.calls = calls,
	.ioctls = ioctls,
	.n_ioctls = G_N_ELEMENTS(ioctls),
};

bool worker_sandbox_enter(const char *root, uid_t uid, gid_t gid, GError **error)
{
	struct privileges p = {
		.uid = uid,
		.gid = gid,
		.root = *root ? root_open(root) : -1,
		.limits = limits,
		.n_limits = G_N_ELEMENTS(limits),
		.filter = &filter,
	};
	bool ok = !*root || p.root >= 0;

	if (ok)
		ok = privileges_drop(&p, error);
	else
		error_errno(error, errno, "%s", root);
	privileges_clear(&p);
	g_prefix_error(error, "sandbox: ");
	return ok;
}
