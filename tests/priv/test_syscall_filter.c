/* SPDX-License-Identifier: Apache-2.0 */
/* A filtered process: what is listed works, everything else fails. Each case is a process. */
#include "tests/lib/test.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/util.h"
#include "priv/syscall_filter.h"

static const char *const calls[] = { "write", "exit_group", "brk", "munmap", "futex", "madvise",
	"set_robust_list", "rseq", "rt_sigprocmask", "exit", "gettid", "no_such_call",
	"epoll_wait" /* not on arm64 */, NULL };
static const uint32_t ioctls[] = { FIONREAD };
static const struct syscall_filter filter = { calls, ioctls, G_N_ELEMENTS(ioctls) };

static int pipe_fds[2];

static bool denied(long result)
{
	return result < 0 && errno == EPERM;
}

static bool listed_call(void)
{
	return write(pipe_fds[1], "x", 1) == 1;
}

static bool other_call(void)
{
	return denied(dup(0)) && denied(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static bool listed_ioctl(void)
{
	int n;

	return ioctl(pipe_fds[0], FIONREAD, &n) == 0;
}

/* Calls one whose low bits are those of a listed one, too. */
static bool other_ioctl(void)
{
	int n = 1;

	return denied(ioctl(pipe_fds[0], FIONBIO, &n)) &&
		denied(ioctl(pipe_fds[0], FIONREAD | 0x80000000, &n));
}

/* Calls a wide one: the kernel ignores what is above 32 bits, and so does the filter. */
static bool wide_ioctl(void)
{
	int n;

	return syscall(SYS_ioctl, pipe_fds[0], UINT64_C(0x100000000) | FIONREAD, &n) == 0;
}

static bool data_mapping(void)
{
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool code_mapping(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED || errno != EPERM)
		return false;
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED && denied(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static void *thread_main(void *opaque)
{
	*(bool *)opaque = denied(dup(0));
	return NULL;
}

/* Threads are filtered, too. */
static bool thread(void)
{
	pthread_t id;
	bool filtered = false;

	return pthread_create(&id, NULL, thread_main, &filtered) == 0 &&
		pthread_join(id, NULL) == 0 && filtered;
}

static bool process(void)
{
	return denied(fork());
}

static const struct {
	const char *name;
	bool (*holds)(void);
} cases[] = {
	{ "listed call", listed_call },
	{ "other call", other_call },
	{ "listed ioctl", listed_ioctl },
	{ "other ioctl", other_ioctl },
	{ "wide ioctl", wide_ioctl },
	{ "data mapping", data_mapping },
	{ "code mapping", code_mapping },
	{ "thread", thread },
	{ "process", process },
};

static int run(bool (*holds)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			syscall_filter_load(&filter, NULL);

		_exit(ok ? !holds() : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Tells whether valgrind runs this: its own system calls would be refused. */
static bool is_valgrind(void)
{
	const char *preloaded = g_getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

static void test_cases(void **state)
{
#if !defined(HAVE_SECCOMP) || defined(SANITIZED)
	skip();
#endif
	if (is_valgrind())
		skip();
	assert_int_equal(pipe(pipe_fds), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		if (run(cases[i].holds) != 0)
			fail_msg("%s", cases[i].name);
	fds_close(pipe_fds, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
