/* SPDX-License-Identifier: Apache-2.0 */
/* See attempts.h. */
#include "tests/sandbox/attempts_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t attempts_caught;
static int other; /* a process */

static void on_trap(int signum, siginfo_t *info, void *context)
{
	attempts_caught++;
}

void attempts_catch(struct sigaction *before)
{
	const struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	sigaction(SIGSYS, &trap, before);
}

/* Formats without malloc() and locks: a signal handler may have interrupted what holds them. */
void attempts_say(const char *name, const char *result)
{
	const struct iovec line[] = {
		{ (void *)(uintptr_t) "attempt: ", strlen("attempt: ") },
		{ (void *)(uintptr_t)name, strlen(name) },
		{ (void *)(uintptr_t) ": ", 2 },
		{ (void *)(uintptr_t)result, strlen(result) },
		{ (void *)(uintptr_t) "\n", 1 },
	};

	(void)!writev(STDERR_FILENO, line, G_N_ELEMENTS(line));
}

void attempts_note(const char *name, int error)
{
	char text[32];

	g_snprintf(text, sizeof(text), error ? "errno %d" : "works", error);
	attempts_say(name, text);
}

#define CALL(name, call, ...)                            \
	static long try_##name(void)                     \
	{                                                \
		return syscall(SYS_##call, __VA_ARGS__); \
	}

/* None does harm where it works; signal 0 is none. */
/* clang-format off */
CALL(open, openat, AT_FDCWD, "/etc/passwd", O_RDONLY)
CALL(open_to_write, openat, AT_FDCWD, "/tmp/new", O_RDWR | O_CREAT, 0600)
CALL(openat2, openat2, AT_FDCWD, "/etc/passwd", NULL, 0)
CALL(open_by_handle, open_by_handle_at, AT_FDCWD, NULL, O_RDONLY)
CALL(open_tree, open_tree, AT_FDCWD, "/", 0)
CALL(exec, execve, "/bin/true", NULL, NULL)
CALL(execveat, execveat, 0, "", NULL, NULL, AT_EMPTY_PATH)
CALL(socket_inet, socket, AF_INET, SOCK_STREAM, 0)
CALL(socket_unix, socket, AF_UNIX, SOCK_STREAM, 0)
CALL(socket_netlink, socket, AF_NETLINK, SOCK_RAW, 0)
CALL(socket_vsock, socket, AF_VSOCK, SOCK_STREAM, 0)
CALL(socket_tipc, socket, AF_TIPC, SOCK_DGRAM, 0)
CALL(socketpair, socketpair, AF_UNIX, SOCK_STREAM, 0, NULL)
CALL(socketpair_stream, socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, NULL)
CALL(connect, connect, 0, NULL, 0)
CALL(bind, bind, 0, NULL, sizeof(struct sockaddr_un))
CALL(listen, listen, 0, 1)
CALL(ptrace, ptrace, PTRACE_SEIZE, other, 0, 0)
CALL(process_vm_readv, process_vm_readv, other, NULL, 0, NULL, 0, 0)
CALL(mount, mount, "none", "/", "tmpfs", 0, NULL)
CALL(fsopen, fsopen, "tmpfs", 0)
CALL(unshare, unshare, CLONE_NEWUSER)
CALL(setns, setns, 0, 0)
CALL(chroot, chroot, "/")
CALL(kill, kill, other, 0)
CALL(kill_all, kill, -1, 0)
CALL(tgkill, tgkill, other, other, 0)
CALL(tkill, tkill, other, 0)
CALL(sigqueue, rt_sigqueueinfo, other, 0, NULL)
CALL(pidfd_open, pidfd_open, other, 0)
CALL(pidfd_send_signal, pidfd_send_signal, 0, 0, NULL, 0)
CALL(signal_owner, fcntl, 0, F_SETOWN, other)
CALL(fork, clone, SIGCHLD, 0, 0, 0, 0)
CALL(clone3, clone3, NULL, 0)
CALL(io_uring_setup, io_uring_setup, 8, NULL)
CALL(io_uring_files, io_uring_register, 0, 2 /* REGISTER_FILES */, NULL, 0)
CALL(map_code, mmap, NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
CALL(make_code, mprotect, (uintptr_t)try_map_code & -4096, 4096, PROT_READ | PROT_EXEC)
CALL(personality, personality, 0x0400000 /* READ_IMPLIES_EXEC */)
CALL(userfaultfd, userfaultfd, 0)
CALL(bpf, bpf, 0, NULL, 0)
CALL(perf_event_open, perf_event_open, NULL, 0, -1, -1, 0)
CALL(keyctl, keyctl, 0, 0, 0)
CALL(shmget, shmget, 1, 4096, 0)
CALL(inotify, inotify_init1, 0)
CALL(prctl, prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(setuid, setuid, 0)
CALL(capset, capset, NULL, NULL)
CALL(prlimit, prlimit64, other, RLIMIT_CPU, NULL, NULL)
CALL(affinity, sched_setaffinity, other, 0, NULL)
CALL(priority, setpriority, PRIO_PROCESS, other, 19)
CALL(rename, renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 0)
CALL(link, linkat, AT_FDCWD, "a", AT_FDCWD, "b", 0)
CALL(mkdir, mkdirat, AT_FDCWD, "a", 0700)
CALL(chmod, fchmod, 0, 0777)
CALL(chown, fchownat, AT_FDCWD, "a", 0, 0, 0)
CALL(unlink, unlinkat, AT_FDCWD, "/no/such", 0)
CALL(chdir, fchdir, 0)
CALL(reboot, reboot, 0, 0, 0, NULL)
CALL(module, init_module, NULL, 0, "")
CALL(settime, clock_settime, 0, NULL)
CALL(hostname, sethostname, "x", -1)
CALL(clock_of_other, clock_gettime, ~(clockid_t)other << 3 | 2, &(struct timespec){ 0 })
CALL(seccomp, seccomp, 0, 0, NULL)
CALL(stat, newfstatat, AT_FDCWD, "/etc/passwd", &(struct stat){ 0 }, 0)
CALL(readlink, readlinkat, AT_FDCWD, "/proc/self/exe", (char[64]){ 0 }, 64)
/* clang-format on */

static const struct escape_attempt attempts[] = {
	ATTEMPT(open),
	ATTEMPT(open_to_write),
	ATTEMPT(openat2),
	ATTEMPT(open_by_handle),
	ATTEMPT(open_tree),
	ATTEMPT(exec),
	ATTEMPT(execveat),
	ATTEMPT(socket_inet),
	ATTEMPT(socket_unix),
	ATTEMPT(socket_netlink),
	ATTEMPT(socket_vsock),
	ATTEMPT(socket_tipc),
	ATTEMPT(socketpair),
	ATTEMPT(socketpair_stream),
	ATTEMPT(connect),
	ATTEMPT(bind),
	ATTEMPT(listen),
	ATTEMPT(ptrace),
	ATTEMPT(process_vm_readv),
	ATTEMPT(mount),
	ATTEMPT(fsopen),
	ATTEMPT(unshare),
	ATTEMPT(setns),
	ATTEMPT(chroot),
	ATTEMPT(kill),
	ATTEMPT(kill_all),
	ATTEMPT(tgkill),
	ATTEMPT(tkill),
	ATTEMPT(sigqueue),
	ATTEMPT(pidfd_open),
	ATTEMPT(pidfd_send_signal),
	ATTEMPT(signal_owner),
	ATTEMPT(fork),
	ATTEMPT(clone3),
	ATTEMPT(io_uring_setup),
	ATTEMPT(io_uring_files),
	ATTEMPT(map_code),
	ATTEMPT(make_code),
	ATTEMPT(personality),
	ATTEMPT(userfaultfd),
	ATTEMPT(bpf),
	ATTEMPT(perf_event_open),
	ATTEMPT(keyctl),
	ATTEMPT(shmget),
	ATTEMPT(inotify),
	ATTEMPT(prctl),
	ATTEMPT(setuid),
	ATTEMPT(capset),
	ATTEMPT(prlimit),
	ATTEMPT(affinity),
	ATTEMPT(priority),
	ATTEMPT(rename),
	ATTEMPT(link),
	ATTEMPT(mkdir),
	ATTEMPT(chmod),
	ATTEMPT(chown),
	ATTEMPT(unlink),
	ATTEMPT(chdir),
	ATTEMPT(reboot),
	ATTEMPT(module),
	ATTEMPT(settime),
	ATTEMPT(hostname),
	ATTEMPT(clock_of_other),
	ATTEMPT(seccomp),
	ATTEMPT(stat),
	ATTEMPT(readlink),
	{ NULL },
};

static void run(const struct escape_attempt *a)
{
	for (; a->name; a++) {
		long result;

		attempts_caught = 0;
		errno = 0;
		result = a->try();
		if (attempts_caught)
			attempts_say(a->name, "forbidden");
		else
			attempts_note(a->name, result < 0 ? errno : 0);
	}
}

void attempts_run(int victim)
{
	struct sigaction before;

	other = victim;
	attempts_catch(&before);
	run(attempts);
	run(attempts_open);
	sigaction(SIGSYS, &before, NULL);
}
