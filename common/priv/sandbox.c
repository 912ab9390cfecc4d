/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "priv/sandbox.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "priv/user.h"
#include "base/log.h"

#ifdef HAVE_SECCOMP
#include <linux/ioctl.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "base/xen_abi.h"
#endif

/* Two for each queue of each device, and some. */
#define MAX_FILES 16384
/* Of that user. Two for each device of a worker, and those of the back-ends that are it, too. */
#define MAX_THREADS 1024

static bool fail(GError **error, const char *what, int err)
{
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(err), "sandbox: %s%s%s",
		what, err ? ": " : "", err ? g_strerror(err) : "");
	return false;
}

static bool change_root(const struct sandbox *s, GError **error)
{
	if (!*s->root)
		return true;
	if (chroot(s->root) < 0 || chdir("/") < 0)
		return fail(error, s->root, errno);
	return true;
}

static bool change_user(const struct sandbox *s, GError **error)
{
	const char *what;

	if (!s->uid)
		return true;
	what = identity_become(s->uid, s->gid);
	return !what || fail(error, what, errno);
}

static bool limit(int resource, rlim_t to, GError **error)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return fail(error, "cannot read a limit", errno);
	/* Who has less than that may not raise it. */
	now.rlim_max = MIN(now.rlim_max, to);
	now.rlim_cur = now.rlim_max;
	return setrlimit(resource, &now) == 0 || fail(error, "cannot set a limit", errno);
}

#ifdef HAVE_SECCOMP
/* linux/xen/privcmd.h, linux/xen/evtchn.h */
#define IOCTL_DM_OP _IOC(_IOC_NONE, 'P', 5, 16)
#define IOCTL_EVTCHN_NOTIFY _IOC(_IOC_NONE, 'E', 4, 4)

/* clang-format off */
static const int calls[] = {
	/* memory; mmap and mprotect: below */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(mremap),
	/* files that are there, and connections */
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(lseek),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(getsockopt),
	SCMP_SYS(shutdown), SCMP_SYS(eventfd2), SCMP_SYS(fallocate),
	/* threads; clone: below */
	SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(gettid),
	SCMP_SYS(getpid), SCMP_SYS(tgkill), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	/* time, and what the C library asks for by itself */
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(getrandom), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getegid),
};
/* clang-format on */

/* Threads, not processes: glibc's clone3() has its flags in memory, and clone() will do. */
static int allow_threads(scmp_filter_ctx filter)
{
	int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	const uint64_t thread = 0x00010000; /* CLONE_THREAD */

	return err ? err
		   : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
}

static int allow_memory(scmp_filter_ctx filter)
{
	static const int with_prot[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	int err = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(with_prot) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, with_prot[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err;
}

static int allow_ioctls(scmp_filter_ctx filter)
{
	/*
	 * Mapping, of the guest's own memory: how far a back-end was that is lost, the used ring
	 * says. Not of grants, as a gntdev gives those of all guests.
	 */
	static const unsigned requests[] = {
		IOCTL_DM_OP,
		IOCTL_EVTCHN_NOTIFY,
		XEN_IOCTL_MMAP_BATCH,
		FIONREAD,
	};
	int err = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(requests) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]));
	return err;
}

static bool filter_calls(GError **error)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? 0 : -ENOMEM;

	for (unsigned i = 0; i < G_N_ELEMENTS(calls) && !err; i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		/* One that this machine has not, or the library does not know. */
		if (err == -EDOM || calls[i] == __NR_SCMP_ERROR)
			err = 0;
	}
	if (!err)
		err = allow_threads(filter);
	if (!err)
		err = allow_memory(filter);
	if (!err)
		err = allow_ioctls(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err == 0 || fail(error, "cannot filter system calls", -err);
}
#else
static bool filter_calls(GError **error)
{
	log_warning(NULL, "built without libseccomp: this worker may do every system call");
	return true;
}
#endif

bool sandbox_enter(const struct sandbox *s, GError **error)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(error, "cannot rule new rights out", errno);
	if (!change_root(s, error) || !change_user(s, error))
		return false;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(error, "cannot forbid to be traced", errno);
	/* Ours, if we stay who we are, is no matter of this one process. */
	if (s->uid && !limit(RLIMIT_NPROC, MAX_THREADS, error))
		return false;
	return limit(RLIMIT_CORE, 0, error) && limit(RLIMIT_NOFILE, MAX_FILES, error) &&
		limit(RLIMIT_MEMLOCK, 0, error) && filter_calls(error);
}
