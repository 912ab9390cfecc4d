/* SPDX-License-Identifier: Apache-2.0 */
/* A filtered process: what is listed works, all else ends it. Each case is a process. */
#include "tests/lib/test.h"

#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"
#include "priv/syscall_filter.h"

static const struct syscall_rule calls[] = {
	SYSCALL(write),
#ifdef SYS_poll
	SYSCALL(poll),
#endif
	SYSCALL(ppoll),
	SYSCALL(exit_group),
	SYSCALL(exit),
	SYSCALL(brk),
	SYSCALL(munmap),
	SYSCALL(futex),
	SYSCALL(madvise),
	SYSCALL(set_robust_list),
	SYSCALL(rseq),
	SYSCALL(rt_sigprocmask),
	SYSCALL(rt_sigaction),
	SYSCALL(gettid),
	SYSCALL(getpid),
	SYSCALL_IF(mmap, 2, PROT_EXEC, 0),
	SYSCALL_IF(mprotect, 2, PROT_EXEC, 0),
	SYSCALL_IF(clone, 0, CLONE_THREAD, CLONE_THREAD),
	SYSCALL_END,
};
/* Several tables, and several rules for one call. */
static const struct syscall_rule ioctls[] = { SYSCALL_IOCTL(FIONREAD), SYSCALL_IOCTL(FIOASYNC),
	SYSCALL_END };
static const struct syscall_rule *const tables[] = { calls, ioctls, NULL };
/* Not the first, write(): the log calls it under its lock. */
static const struct syscall_rule *const silent_tables[] = { calls + 1, NULL };

static int pipe_fds[2];

/* Each returns whether what is allowed works; what is not does not return. */

static bool listed_call(void)
{
	return write(pipe_fds[1], "x", 1) == 1;
}

static bool listed_ioctl(void)
{
	int n = 0;

	return ioctl(pipe_fds[0], FIONREAD, &n) == 0 && ioctl(pipe_fds[0], FIOASYNC, &n) == 0;
}

/* Tries one with more bits: the kernel ignores what is above 32, and so does the filter. */
static bool wide_ioctl(void)
{
	int n;

	return syscall(SYS_ioctl, pipe_fds[0], UINT64_C(0x100000000) | FIONREAD, &n) == 0;
}

static bool other_ioctl(void)
{
	return ioctl(pipe_fds[0], FIONBIO, &(int){ 1 }) == 0;
}

/* Tries one whose low bits are those of a listed one. */
static bool similar_ioctl(void)
{
	return ioctl(pipe_fds[0], FIONREAD | 0x80000000, &(int){ 1 }) == 0;
}

static bool other_call(void)
{
	return dup(0) >= 0;
}

static void *map(int protection)
{
	return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool data_mapping(void)
{
	return map(PROT_READ | PROT_WRITE) != MAP_FAILED;
}

static bool code_mapping(void)
{
	return map(PROT_READ | PROT_EXEC) != MAP_FAILED;
}

static bool code_from_data(void)
{
	return mprotect(map(PROT_READ), 4096, PROT_READ | PROT_EXEC) == 0;
}

static void *thread_main(void *opaque)
{
	*(bool *)opaque = true;
	return NULL;
}

static bool thread(void)
{
	pthread_t id;
	bool ran = false;

	return pthread_create(&id, NULL, thread_main, &ran) == 0 && pthread_join(id, NULL) == 0 &&
		ran;
}

static void *thread_other_call(void *opaque)
{
	return (void *)(intptr_t)dup(0);
}

/* Threads are filtered, too. */
static bool other_call_of_thread(void)
{
	pthread_t id;

	return pthread_create(&id, NULL, thread_other_call, NULL) == 0 &&
		pthread_join(id, NULL) == 0;
}

static bool own_signal(void)
{
	signal(SIGUSR1, SIG_IGN);
	return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1) == 0;
}

static bool other_signal(void)
{
	return syscall(SYS_tgkill, 1, 1, 0) == 0;
}

static bool process(void)
{
	return fork() >= 0;
}

/* Tries clone3(), in which no filter can tell threads from processes. */
static bool clone3_is_missing(void)
{
	return syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS;
}

static bool line_of_log(void)
{
	log_info(NULL, "a line");
	return true;
}

static const struct {
	const char *name;
	bool (*works)(void);
	const char *forbidden; /* the call that the log names; NULL: all of it works */
} cases[] = {
	{ "listed call", listed_call, NULL },
	{ "listed ioctl", listed_ioctl, NULL },
	{ "wide ioctl", wide_ioctl, NULL },
	{ "data mapping", data_mapping, NULL },
	{ "thread", thread, NULL },
	{ "own signal", own_signal, NULL },
	{ "clone3", clone3_is_missing, NULL },
	{ "other call", other_call, "dup" },
	{ "other call of a thread", other_call_of_thread, "dup" },
	{ "other ioctl", other_ioctl, "ioctl" },
	{ "similar ioctl", similar_ioctl, "ioctl" },
	{ "code mapping", code_mapping, "mmap" },
	{ "code from data", code_from_data, "mprotect" },
	{ "other signal", other_signal, "tgkill" },
	{ "process", process, "clone" },
};

/* Sets *log to what it logged. */
static int run(
	const struct syscall_rule *const *filter, bool (*works)(void), char *log, size_t size)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		bool ok = alarm(60) == 0 && dup2(fds[1], 2) == 2 &&
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			syscall_filter_load(filter) == 0;

		_exit(ok ? !works() : 2);
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = read(fds[0], log, size - 1);
	assert_true(n >= 0);
	log[n] = '\0';
	close(fds[0]);
	return status;
}

static void test_cases(void **state)
{
#ifdef SANITIZED
	skip();
#endif
	assert_int_equal(pipe(pipe_fds), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *forbidden = cases[i].forbidden;
		char log[1024];
		int status = run(tables, cases[i].works, log, sizeof(log));
		g_autofree char *names = g_strdup_printf("the system call %s (", forbidden);

		if (forbidden ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS ||
					!strstr(log, names)
			      : status != 0)
			fail_msg("%s: status %#x: %s", cases[i].name, status, log);
	}
	fds_close(pipe_fds, 2);
}

/* Ends the process even amid a line of the log, which cannot tell then. */
static void test_within_log(void **state)
{
	char log[1024];
	int status;

#ifdef SANITIZED
	skip();
#endif
	status = run(silent_tables, line_of_log, log, sizeof(log));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_within_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
