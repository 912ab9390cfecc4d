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

/* Each ends the process. */

static void open_root(void)
{
	open("/", O_RDONLY);
}

static void make_pair(void)
{
	int pair[2];

	(void)!sock_pair(pair);
}

static void make_process(void)
{
	fork();
}

static void execute(void)
{
	execl("/bin/true", "true", NULL);
}

static void other_ioctl(void)
{
	ioctl(0, FIONBIO, &(int){ 1 });
}

/* Tries privcmd's hypercall. */
static void hypercall(void)
{
	ioctl(0, _IOC(_IOC_NONE, 'P', 0, 48), NULL);
}

/* Maps grants: gntdev is not restricted to one guest. */
static void map_grants(void)
{
	ioctl(0, XEN_IOCTL_MAP_GRANTS, NULL);
}

static void map_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void signal_parent(void)
{
	kill(getppid(), 0);
}

static void allow_tracing(void)
{
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void (*const forbidden[])(void) = { open_root, make_pair, make_process, execute, other_ioctl,
	hypercall, map_grants, map_code, signal_parent, allow_tracing };

/* Tells whether valgrind runs this: its own system calls would be refused. */
static bool is_valgrind(void)
{
	const char *preloaded = g_getenv("LD_PRELOAD");

	return preloaded && strstr(preloaded, "vgpreload");
}

/* Returns the exit status of a process that tries this; NULL: all that is allowed. */
static int try(const char *root, uid_t uid, gid_t gid, void (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		g_autoptr(GError) error = NULL;
		int pair[2];

		CHECK(sock_pair(pair) &&
			worker_sandbox_enter(SANDBOX_AUTO, root, uid, gid, &error));
		if (what) {
			what();
			_exit(0);
		}
		check_allowed();
		check_connection(pair);
		CHECK(!uid || (getuid() == uid && getegid() == gid));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void run(const char *root, uid_t uid, gid_t gid)
{
	assert_int_equal(try(root, uid, gid, NULL), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(forbidden); i++) {
		int status = try(root, uid, gid, forbidden[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%u: status %#x", i, status);
	}
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

	assert_false(worker_sandbox_enter(SANDBOX_AUTO, "/no/such/folder", 0, 0, &error));
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
