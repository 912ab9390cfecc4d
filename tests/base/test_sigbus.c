/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped files that lose their pages: the work is abandoned, and nothing else. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/sigbus.h"
#include "base/util.h"

#define PAGE 4096
#define SIZE (8 * PAGE)

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	sigbus_escape(info->si_addr);
	_exit(99); /* no guard claimed it */
}

struct sigbus_test {
	int fd;
	unsigned fds;
	char *map;
	volatile size_t touched;
};

static void world_up(struct sigbus_test *w)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO, .sa_sigaction = on_sigbus };

	assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
	w->fds = count_fds();
	w->fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->fd, SIZE), 0);
	w->map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	assert_ptr_not_equal(w->map, MAP_FAILED);
}

static void world_down(struct sigbus_test *w)
{
	munmap(w->map, SIZE);
	close(w->fd);
	assert_int_equal(count_fds(), w->fds);
}

static void touch_all(void *arg)
{
	struct sigbus_test *w = arg;

	for (w->touched = 0; w->touched < SIZE; w->touched += PAGE)
		((volatile char *)w->map)[w->touched] = 1;
}

static void test_caught(void **state)
{
	struct sigbus_test w;

	world_up(&w);
	assert_true(sigbus_guard(w.map, SIZE, touch_all, &w));
	assert_int_equal(w.touched, SIZE);
	/* The signal is not left blocked: again and again. */
	for (unsigned pages = 3; pages > 0; pages--) {
		assert_int_equal(ftruncate(w.fd, pages * PAGE), 0);
		assert_false(sigbus_guard(w.map, SIZE, touch_all, &w));
		assert_int_equal(w.touched, pages * PAGE);
	}
	assert_int_equal(ftruncate(w.fd, SIZE), 0);
	assert_true(sigbus_guard(w.map, SIZE, touch_all, &w));
	world_down(&w);
}

/* What is outside the range, or after the guard, is somebody else's. */
static void test_not_ours(void **state)
{
	int status;
	pid_t pid;

	for (unsigned i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0) {
			struct sigbus_test w;

			world_up(&w);
			(void)!ftruncate(w.fd, PAGE);
			if (i == 0)
				sigbus_guard(w.map + 2 * PAGE, SIZE - 2 * PAGE, touch_all, &w);
			else if (i == 1)
				sigbus_guard(w.map, PAGE, touch_all, &w);
			else if (!sigbus_guard(w.map, SIZE, touch_all, &w))
				touch_all(&w);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 99);
	}
}

static void *faulting_thread(void *arg)
{
	unsigned *caught = arg;
	struct sigbus_test w;

	w.fd = memfd_create("file", MFD_CLOEXEC);
	w.map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	for (unsigned i = 0; i < 200; i++)
		*caught += !sigbus_guard(w.map, SIZE, touch_all, &w);
	munmap(w.map, SIZE);
	close(w.fd);
	return NULL;
}

/* Each thread has its own. */
static void test_threads(void **state)
{
	pthread_t thread[3];
	unsigned caught[3] = { 0 };
	struct sigbus_test w;

	world_up(&w);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, faulting_thread, &caught[i]), 0);
	for (unsigned i = 0; i < 200; i++)
		assert_true(sigbus_guard(w.map, SIZE, touch_all, &w));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(caught[i], 200);
	}
	world_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caught),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
