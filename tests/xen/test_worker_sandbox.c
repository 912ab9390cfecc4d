/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker can still do, tried in a process of its own. */
#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/xen_abi.h"
#include "xen/worker/worker_sandbox.h"

#define CHECK(condition)                                                         \
	do {                                                                     \
		if (!(condition)) {                                              \
			fprintf(stderr, "in the sandbox: not " #condition "\n"); \
			_exit(1);                                                \
		}                                                                \
	} while (0)

static void *thread_main(void *opaque)
{
	*(int *)opaque = 42;
	return NULL;
}

/* Back-ends and the supervisor are on the other side of such. */
static void check_connection(const int pair[2])
{
	struct epoll_event in = { .events = EPOLLIN }, out;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	bool ended;
	char c;

	CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &in) == 0);
	CHECK(sock_send(pair[0], "x", 1, NULL, 0, -1) == 0);
	CHECK(epoll_wait(epoll, &out, 1, 1000) == 1);
	CHECK(sock_peek(pair[1], &c, 1) == 1 && c == 'x');
	CHECK(sock_unread(pair[1], &ended) == 1 && !ended);
	CHECK(shutdown(pair[0], SHUT_RDWR) == 0);
}

/* Checks all that a worker does all day. */
static void check_allowed(void)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), seen = 0;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	const struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };
	struct pollfd pfd = { .fd = event, .events = POLLIN };
	pthread_t thread;
	eventfd_t n;
	void *p;

	CHECK(event >= 0);
	CHECK(eventfd_write(event, 1) == 0 && poll(&pfd, 1, 1000) == 1);
	CHECK(eventfd_read(event, &n) == 0);
	CHECK(timerfd_settime(timer, 0, &soon, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, thread_main, &seen) == 0);
	CHECK(pthread_join(thread, NULL) == 0 && seen == 42);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && munmap(p, 1 << 20) == 0);
	p = g_malloc0(8 << 20);
	g_free(p);
	/* A privcmd it is not, but the call gets there. */
	CHECK(ioctl(event, XEN_IOCTL_DM_OP, NULL) < 0 && errno == ENOTTY);
	CHECK(ioctl(event, XEN_IOCTL_EVTCHN_NOTIFY, NULL) < 0 && errno == ENOTTY);
	/* To see how far a lost back-end was. */
	CHECK(ioctl(event, XEN_IOCTL_MMAP_BATCH, NULL) < 0 && errno == ENOTTY);

	log_info("sandbox", "lines are written");
}

#ifdef HAVE_SECCOMP
static void check_denied(void)
{
	int pair[2];
	void *p;

	CHECK(open("/", O_RDONLY) < 0 && errno == EPERM);
	CHECK(!sock_pair(pair) && errno == EPERM);
	CHECK(fork() < 0 && errno == EPERM);
	CHECK(execl("/bin/true", "true", NULL) < 0 && errno == EPERM);
	CHECK(ioctl(0, FIONBIO, &p) < 0 && errno == EPERM);
	/* privcmd's hypercall, and one that only ends as an allowed one. */
	CHECK(ioctl(0, _IOC(_IOC_NONE, 'P', 0, 48), NULL) < 0 && errno == EPERM);
	/* gntdev is not restricted to one guest. */
	CHECK(ioctl(0, XEN_IOCTL_MAP_GRANTS, NULL) < 0 && errno == EPERM);
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p == MAP_FAILED && errno == EPERM);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 && errno == EPERM);
}
#else
static void check_denied(void)
{
}
#endif

/* Tells whether valgrind runs this: its own system calls would be refused. */
static bool is_valgrind(void)
{
	const char *preloaded = g_getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

static void run(const char *root, uid_t uid, gid_t gid)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		g_autoptr(GError) error = NULL;
		int pair[2];

		CHECK(sock_pair(pair) && worker_sandbox_enter(root, uid, gid, &error));
		check_allowed();
		check_connection(pair);
		CHECK(!uid || (getuid() == uid && getegid() == gid));
		check_denied();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_anyone(void **state)
{
	if (is_valgrind())
		skip();
	run("", 0, 0);
}

/* Before the filter, which hides what it finds. */
static void test_root(void **state)
{
	char *dir;

	if (is_valgrind() || geteuid() != 0)
		skip();
	dir = g_dir_make_tmp("virtiod-XXXXXX", NULL);
	run(dir, 54321, 54322);
	rmdir(dir);
	g_free(dir);
}

/* Nothing has been given up but the chance of more. */
static void test_errors(void **state)
{
	g_autoptr(GError) error = NULL;

	assert_false(worker_sandbox_enter("/no/such/folder", 0, 0, &error));
	assert_non_null(strstr(error->message, "sandbox: /no/such/folder: No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anyone),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
