/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGBUS: a truncated file poisons its region; any other SIGBUS has its usual effect.
 *
 * Under valgrind an access that is repeated after its fault sees stale registers, unless valgrind
 * is told --px-default=allregs-at-mem-access.
 */
#include "mem_test.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REGION_PAGES 8

/* Two regions of their own files. */
struct fault_test {
	struct guest_mem *m;
	struct mem_region_desc desc[2];
	int fd[2];
	unsigned char *host[2];
};

static int borrow_status(struct guest_mem *m, uint64_t addr, unsigned char **host)
{
	struct mem_borrower b = { .mem = m };

	return borrow_once(&b, addr, 1, host);
}

static void world_up(struct fault_test *w)
{
	GError *error = NULL;

	/* cmocka takes the signal over for each test: hence here and not once. */
	guest_mem_catch_sigbus();
	guest_mem_catch_sigbus(); /* harmless: it must not chain to itself */
	w->m = guest_mem_new();
	for (unsigned i = 0; i < 2; i++) {
		w->desc[i] = (struct mem_region_desc){
			.guest_addr = i * 0x100000,
			.user_addr = i * 0x100000,
			.size = REGION_PAGES * PAGE,
		};
		w->fd[i] = test_file(w->desc[i].size);
	}
	assert_true(guest_mem_set(w->m, w->desc, w->fd, 2, &error));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(borrow_status(w->m, w->desc[i].guest_addr, &w->host[i]), 0);
		memset(w->host[i], 0x11, w->desc[i].size);
	}
}

static void world_down(struct fault_test *w)
{
	guest_mem_free(w->m);
	for (unsigned i = 0; i < 2; i++)
		close(w->fd[i]);
}

static void test_read(void **state)
{
	struct fault_test w;
	struct mem_ring_map map;
	unsigned char *host;
	GError *error = NULL;

	world_up(&w);
	assert_int_equal(ftruncate(w.fd[0], 0), 0);
	assert_int_equal(*(volatile unsigned char *)(w.host[0] + 5 * PAGE + 7), 0);
	assert_true(guest_mem_poisoned(w.m));
	/* The access goes on, also for writing. */
	memset(w.host[0], 0x22, w.desc[0].size);

	assert_int_equal(borrow_status(w.m, 0, &host), -EFAULT);
	assert_int_equal(borrow_status(w.m, w.desc[1].guest_addr, &host), 0);
	assert_int_equal(*w.host[1], 0x11);
	assert_false(guest_mem_map_ring(w.m, 0, 64, 16, "avail ring", &map, &error));
	assert_error_has(&error, "truncated");
	assert_true(
		guest_mem_map_ring(w.m, w.desc[1].user_addr, 64, 16, "avail ring", &map, &error));
	guest_mem_unmap_ring(w.m, &map);
	world_down(&w);
}

/* Truncated in the middle: what is before that is accessed without a fault. */
static void test_partial(void **state)
{
	struct fault_test w;

	world_up(&w);
	assert_int_equal(ftruncate(w.fd[1], 2 * PAGE), 0);
	assert_int_equal(*(volatile unsigned char *)(w.host[1] + 2 * PAGE - 1), 0x11);
	assert_false(guest_mem_poisoned(w.m));
	*(volatile unsigned char *)(w.host[1] + 2 * PAGE) = 1;
	assert_true(guest_mem_poisoned(w.m));
	world_down(&w);
}

/* The flag belongs to the table: it goes when the region does, or with a new table. */
static void test_recover(void **state)
{
	struct fault_test w;
	GError *error = NULL;
	unsigned char *host;

	world_up(&w);
	assert_int_equal(ftruncate(w.fd[0], 0), 0);
	*(volatile unsigned char *)w.host[0] = 1;
	assert_true(guest_mem_remove(w.m, &w.desc[1], &error));
	assert_true(guest_mem_poisoned(w.m));
	assert_true(guest_mem_remove(w.m, &w.desc[0], &error));
	assert_false(guest_mem_poisoned(w.m));

	assert_int_equal(ftruncate(w.fd[0], w.desc[0].size), 0);
	assert_true(guest_mem_set(w.m, w.desc, w.fd, 2, &error));
	assert_int_equal(borrow_status(w.m, 0, &host), 0);
	assert_int_equal(ftruncate(w.fd[0], 0), 0);
	*(volatile unsigned char *)host = 1;
	assert_true(guest_mem_poisoned(w.m));
	assert_int_equal(ftruncate(w.fd[0], w.desc[0].size), 0);
	assert_true(guest_mem_set(w.m, w.desc, w.fd, 2, &error));
	assert_false(guest_mem_poisoned(w.m));
	world_down(&w);
}

static void *touch_all(void *opaque)
{
	struct fault_test *w = opaque;
	unsigned sum = 0;

	for (unsigned page = REGION_PAGES; page-- > 0;)
		sum += *(volatile unsigned char *)(w->host[0] + page * PAGE);
	return GUINT_TO_POINTER(sum);
}

static void test_threads(void **state)
{
	struct fault_test w;
	pthread_t thread[4];
	void *sum;

	world_up(&w);
	assert_int_equal(ftruncate(w.fd[0], 0), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, touch_all, &w), 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(thread); i++) {
		assert_int_equal(pthread_join(thread[i], &sum), 0);
		assert_null(sum);
	}
	assert_true(guest_mem_poisoned(w.m));
	world_down(&w);
}

/* More watched ranges than one chunk of slots holds: all of them are found. */
static void test_many(void **state)
{
	g_autoptr(guest_mem) m = guest_mem_new();
	GError *error = NULL;
	unsigned char *host;
	autofd fd = test_file(PAGE);
	autofd last = test_file(PAGE);

	guest_mem_catch_sigbus();
	for (unsigned i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
		struct mem_region_desc desc = { .guest_addr = i * 2 * PAGE, .size = PAGE };

		desc.user_addr = desc.guest_addr;
		assert_true(guest_mem_add(
			m, &desc, i + 1 == GUEST_MEM_MAX_REGIONS ? last : fd, &error));
	}
	assert_int_equal(ftruncate(last, 0), 0);
	assert_int_equal(borrow_status(m, (GUEST_MEM_MAX_REGIONS - 1) * 2 * PAGE, &host), 0);
	assert_int_equal(*(volatile unsigned char *)host, 0);
	assert_true(guest_mem_poisoned(m));
	assert_int_equal(borrow_status(m, (GUEST_MEM_MAX_REGIONS - 1) * 2 * PAGE, &host), -EFAULT);
	assert_int_equal(ftruncate(fd, 0), 0);
	for (unsigned i = 0; i + 1 < GUEST_MEM_MAX_REGIONS; i++) {
		assert_int_equal(borrow_status(m, i * 2 * PAGE, &host), 0);
		assert_int_equal(*(volatile unsigned char *)host, 0);
	}
}

/*
 * Huge pages are mapped from a multiple of their size, whatever the offset, and replaced whole.
 * That there may be none free here makes no difference: that is the same fault.
 */
static void test_huge(void **state)
{
	struct mem_region_desc desc = { .size = 3 * PAGE, .mmap_offset = 2 * PAGE };
	autofd fd = memfd_create(TEST_FILE, MFD_CLOEXEC | MFD_HUGETLB);
	g_autoptr(guest_mem) m = NULL;
	GError *error = NULL;
	unsigned char *host;

	if (fd < 0)
		skip(); /* a kernel without hugetlbfs */
	assert_int_equal(ftruncate(fd, 32 << 20), 0);
	guest_mem_catch_sigbus();
	m = guest_mem_new();
	assert_true(guest_mem_add(m, &desc, fd, &error));
	assert_int_equal(borrow_status(m, 0, &host), 0);
	assert_int_equal((uintptr_t)host % (64 << 10), 2 * PAGE);
	assert_int_equal(ftruncate(fd, 0), 0);
	memset(host, 1, desc.size);
	assert_true(guest_mem_poisoned(m));
}

static void fault_elsewhere(struct fault_test *w)
{
	autofd fd = test_file(PAGE);
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED && ftruncate(fd, 0) == 0)
		(void)*(volatile unsigned char *)p;
}

static void fault_after_unmap(struct fault_test *w)
{
	GError *error = NULL;
	void *p;

	/* The address of a removed region now belongs to another mapping. */
	if (!guest_mem_remove(w->m, &w->desc[0], &error) || ftruncate(w->fd[0], 0) < 0)
		return;
	p = mmap(w->host[0], PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, w->fd[0], 0);
	if (p != MAP_FAILED)
		(void)*(volatile unsigned char *)p;
}

static void raise_sigbus(struct fault_test *w)
{
	raise(SIGBUS);
}

/* Runs f in a child and returns its wait status; exit status 77: f returned. */
static int run_child(void (*f)(struct fault_test *w), const struct sigaction *before)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct fault_test w;

		sigaction(SIGBUS, before, NULL);
		world_up(&w);
		f(&w);
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void exit_55(int sig)
{
	_exit(55);
}

static void exit_56(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_signo == SIGBUS && context ? 56 : 57);
}

static void test_fatal(void **state)
{
	static void (*const deadly[])(struct fault_test *) = {
		fault_elsewhere,
		fault_after_unmap,
		raise_sigbus,
	};

	const struct sigaction none = { .sa_handler = SIG_DFL };
	const struct sigaction plain = { .sa_handler = exit_55 };
	const struct sigaction full = { .sa_sigaction = exit_56, .sa_flags = SA_SIGINFO };

	for (unsigned i = 0; i < G_N_ELEMENTS(deadly); i++) {
		int status = run_child(deadly[i], &none);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);

		/* An earlier handler gets what is not ours. */
		status = run_child(deadly[i], &plain);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 55);
		status = run_child(deadly[i], &full);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 56);
	}
}

/* Poisons a page: broken hardware under guest memory is not caused by the front-end. */
static void poisoned_page(struct fault_test *w)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AR };

	info.si_addr = w->host[0];
	syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &info);
}

static void test_hardware(void **state)
{
	const struct sigaction full = { .sa_sigaction = exit_56, .sa_flags = SA_SIGINFO };
	const char *preload = g_getenv("LD_PRELOAD");
	int status;

	if (preload && strstr(preload, "vgpreload"))
		skip(); /* valgrind takes the forged signal for its own crash */
	status = run_child(poisoned_page, &full);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 56);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(leak, test_read),
		TEST_WITH(leak, test_partial),
		TEST_WITH(leak, test_recover),
		TEST_WITH(leak, test_threads),
		TEST_WITH(leak, test_many),
		TEST_WITH(leak, test_huge),
		TEST_WITH(leak, test_fatal),
		TEST_WITH(leak, test_hardware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
