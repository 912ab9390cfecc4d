/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that every program goes on needing. */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "priv/syscall_filter.h"

/* clang-format off */
const struct syscall_rule syscall_core[] = {
	/* what is done all the time */
	SYSCALL(read), SYSCALL(write), SYSCALL(epoll_pwait), SYSCALL(ppoll),
	SYSCALL(sendmsg), SYSCALL(recvmsg), SYSCALL(futex),
#ifdef SYS_epoll_wait
	SYSCALL(epoll_wait), SYSCALL(poll),
#endif
	/* memory: none is executable */
	SYSCALL(brk), SYSCALL(munmap), SYSCALL(madvise), SYSCALL(mremap),
	SYSCALL_IF(mmap, 2, PROT_EXEC, 0), SYSCALL_IF(mprotect, 2, PROT_EXEC, 0),
	/* open files and connections */
	SYSCALL(readv), SYSCALL(writev), SYSCALL(close), SYSCALL(lseek), SYSCALL(dup),
	SYSCALL(dup3),
	SYSCALL(fstat), SYSCALL(newfstatat), SYSCALL(statx), SYSCALL(readlinkat),
	SYSCALL(recvfrom), SYSCALL(sendto), SYSCALL(getsockopt), SYSCALL(setsockopt),
	SYSCALL(getpeername), SYSCALL(getsockname), SYSCALL(shutdown),
	SYSCALL(fallocate), SYSCALL(ftruncate), SYSCALL(fstatfs),
	SYSCALL(epoll_create1), SYSCALL(epoll_ctl), SYSCALL(eventfd2),
	SYSCALL(memfd_create), SYSCALL(timerfd_create), SYSCALL(timerfd_settime),
	SYSCALL_FCNTL(F_GETFD), SYSCALL_FCNTL(F_SETFD), SYSCALL_FCNTL(F_GETFL),
	SYSCALL_FCNTL(F_SETFL), SYSCALL_FCNTL(F_DUPFD_CLOEXEC), SYSCALL_FCNTL(F_GET_SEALS),
	SYSCALL_FCNTL(F_ADD_SEALS), SYSCALL_FCNTL(F_OFD_SETLK), SYSCALL_FCNTL(F_OFD_GETLK),
	SYSCALL_IOCTL(FIONREAD),
	/* the kernel chooses a name for a socket (base/sock.c) */
	SYSCALL_IF(bind, 2, UINT32_MAX, sizeof(sa_family_t)),
	/* threads, and the one kind of process (base/fd_discard.c) */
	SYSCALL(set_robust_list), SYSCALL(rseq), SYSCALL(sched_yield), SYSCALL(sched_getaffinity),
	SYSCALL(exit), SYSCALL(exit_group), SYSCALL(gettid), SYSCALL(getpid),
	SYSCALL(restart_syscall), SYSCALL(rt_sigaction), SYSCALL(rt_sigprocmask),
	SYSCALL(rt_sigreturn), SYSCALL(sigaltstack), SYSCALL(wait4),
	SYSCALL_IF(clone, 0, CLONE_THREAD, CLONE_THREAD),
	SYSCALL_IF(clone, 0, UINT32_MAX, CLONE_FILES),
	SYSCALL_IF(prctl, 0, UINT32_MAX, PR_SET_NAME),
	/* time, and what the C library calls by itself */
	SYSCALL(clock_gettime), SYSCALL(clock_nanosleep), SYSCALL(nanosleep),
	SYSCALL(gettimeofday), SYSCALL(getrandom), SYSCALL(getuid), SYSCALL(geteuid),
	SYSCALL(getgid), SYSCALL(getegid), SYSCALL(sysinfo) /* by qsort() of many */,
	SYSCALL_END,
};
/* clang-format on */
