/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ioreq page with all its users at work: vCPUs, the kernel, a device whose answers come from
 * another thread; and servers that are killed.
 */
#include "race.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <linux/virtio_mmio.h>

#include "base/util.h"

static int device;

static const char *program; /* of this test: the servers', too */

static int setup(void **state)
{
	struct race_test *w = g_new0(struct race_test, 1);

	test_begin(&w->test);
	w->memory = memfd_create("shared", MFD_CLOEXEC);
	if (ftruncate(w->memory, sizeof(*w->s)) < 0)
		return -1;
	w->s = mmap(NULL, sizeof(*w->s), PROT_READ | PROT_WRITE, MAP_SHARED, w->memory, 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		w->event[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		w->notify[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		pthread_mutex_init(&w->port[i].lock, NULL);
	}
	w->stop = eventfd(0, EFD_CLOEXEC);
	w->answers = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&w->lock, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct race_test *w = *state;

	for (unsigned i = 0; i < VCPUS; i++) {
		fd_close(&w->event[i]);
		fd_close(&w->notify[i]);
		pthread_mutex_destroy(&w->port[i].lock);
	}
	fd_close(&w->memory);
	fd_close(&w->stop);
	fd_close(&w->answers);
	pthread_mutex_destroy(&w->lock);
	munmap(w->s, sizeof(*w->s));
	test_end(&w->test);
	g_free(w);
	return 0;
}

/* --- the server --- */

static void *find(void *opaque, uint64_t addr, uint64_t *offset)
{
	*offset = addr - BASE;
	return addr >= BASE && addr < BASE + 0x200 ? &device : NULL;
}

/* Answers for the register 0x100 + 8 * vcpu what was asked last, which the request carries. */
static enum virtio_mmio_result access_register(void *opaque, void *d, uint64_t offset,
	unsigned size, bool write, uint64_t *value, void *token)
{
	struct race_test *w = opaque;
	unsigned vcpu = (offset - 0x100) / 8;
	uint64_t n;

	if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		__atomic_fetch_add(&w->s->kernel_left, 1, __ATOMIC_RELAXED);
		return VIRTIO_MMIO_DONE;
	}
	n = write ? *value : __atomic_load_n(&w->s->page[vcpu].data, __ATOMIC_RELAXED) + vcpu;
	if (write)
		__atomic_store_n(&w->s->done[vcpu], n, __ATOMIC_RELAXED);
	if (n % 4 < 2) {
		*value = n;
		return VIRTIO_MMIO_DONE;
	}
	if (n % 16 == 7 || w->answers < 0) {
		ioreq_done(token, n);
		return VIRTIO_MMIO_LATER;
	}
	pthread_mutex_lock(&w->lock);
	w->later[w->n_later].token = token;
	w->later[w->n_later++].value = n;
	pthread_mutex_unlock(&w->lock);
	eventfd_write(w->answers, 1);
	return VIRTIO_MMIO_LATER;
}

static unsigned invalidate(void *opaque, void *token)
{
	return 0;
}

static bool kernel_has(void *opaque, void *d, uint64_t offset, uint32_t queue)
{
	struct race_test *w = opaque;

	return w->kernel && queue == KERNEL_QUEUE;
}

static void notify(void *opaque, unsigned vcpu)
{
	struct race_test *w = opaque;

	eventfd_write(w->notify[vcpu], 1);
}

static const struct ioreq_ops ops = {
	.find = find,
	.access = access_register,
	.invalidate = invalidate,
	.kernel_has = kernel_has,
	.notify = notify,
};

/* Serves until stop. */
static void serve(struct race_test *w)
{
	struct pollfd pfd[VCPUS + 1];
	int wait = 0;
	eventfd_t n;

	ioreq_resume(w->q);
	for (unsigned i = 0; i < VCPUS; i++)
		race_port_change(w, i, false);
	for (;;) {
		for (unsigned i = 0; i < VCPUS; i++)
			pfd[i] = (struct pollfd){ .fd = w->event[i], .events = POLLIN };
		pfd[VCPUS] = (struct pollfd){ .fd = w->stop, .events = POLLIN };
		wait = ioreq_again(w->q);
		if (poll(pfd, VCPUS + 1, wait) < 0)
			continue;
		if (pfd[VCPUS].revents)
			return;
		for (unsigned i = 0; i < VCPUS; i++)
			if (pfd[i].revents && eventfd_read(w->event[i], &n) == 0) {
				ioreq_event(w->q, i);
				race_port_change(w, i, false);
			}
	}
}

static void *serve_main(void *opaque)
{
	serve(opaque);
	return NULL;
}

static void *answer_main(void *opaque)
{
	struct race_test *w = opaque;
	struct pollfd pfd[] = { { .fd = w->answers, .events = POLLIN },
		{ .fd = w->stop, .events = POLLIN } };
	eventfd_t n;

	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[1].revents)
			return NULL;
		eventfd_read(w->answers, &n);
		pthread_mutex_lock(&w->lock);
		/* Under the lock, which the server takes in the midst of a request. */
		for (unsigned i = 0; i < w->n_later; i++)
			ioreq_done(w->later[i].token, w->later[i].value);
		w->n_later = 0;
		pthread_mutex_unlock(&w->lock);
	}
}

static void run(struct race_test *w, bool kernel, unsigned requests)
{
	struct guest_cpu cpu[VCPUS];
	pthread_t guest[VCPUS], server, answers;

	w->kernel = kernel;
	w->requests = requests;
	w->q = ioreq_new((struct ioreq_page *)w->s->page, VCPUS, &w->s->journal, &ops, w);
	assert_int_equal(pthread_create(&answers, NULL, answer_main, w), 0);
	/* There are requests already when it begins. */
	race_start_guest(w, cpu, guest);
	assert_int_equal(pthread_create(&server, NULL, serve_main, w), 0);
	race_join_guest(cpu, guest);
	eventfd_write(w->stop, 1);
	pthread_join(server, NULL);
	pthread_join(answers, NULL);
	ioreq_free(w->q);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(w->s->journal.taken[i], 0);
}

static void test_threads(void **state)
{
	run(*state, false, 3000);
}

static void test_threads_and_kernel(void **state)
{
	struct race_test *w = *state;

	run(w, true, 3000);
	/* Every third odd one, of each vCPU; a kernel that does not come for 20 ms may lose one. */
	assert_int_equal(w->s->kernel_took + w->s->kernel_left, VCPUS * 500);
	assert_true(w->s->kernel_took > VCPUS * 250);
}

#define KILLS 60

/* The fds of a server: its memory, the end, and each port's two. */
#define SERVER_FDS (2 + 2 * VCPUS)

static pid_t start_server(struct race_test *w)
{
	int fds[SERVER_FDS] = { w->memory, w->stop };
	char arg[SERVER_FDS][16], *args[SERVER_FDS + 2] = { (char *)program };
	pid_t pid;

	for (unsigned i = 0; i < VCPUS; i++) {
		fds[2 + 2 * i] = w->event[i];
		fds[3 + 2 * i] = w->notify[i];
	}
	for (unsigned i = 0; i < SERVER_FDS; i++) {
		g_snprintf(arg[i], sizeof(arg[i]), "%d", fds[i]);
		args[1 + i] = arg[i];
	}
	pid = fork();
	if (pid != 0)
		return pid;
	for (unsigned i = 0; i < SERVER_FDS; i++)
		fcntl(fds[i], F_SETFD, 0);
	execv(program, args);
	_exit(127);
}

static int be_server(char **args)
{
	struct race_test w = { .memory = atoi(args[0]), .stop = atoi(args[1]), .answers = -1 };

	w.s = mmap(NULL, sizeof(*w.s), PROT_READ | PROT_WRITE, MAP_SHARED, w.memory, 0);
	for (unsigned i = 0; i < VCPUS; i++) {
		w.event[i] = atoi(args[2 + 2 * i]);
		w.notify[i] = atoi(args[3 + 2 * i]);
	}
	w.q = ioreq_new((struct ioreq_page *)w.s->page, VCPUS, &w.s->journal, &ops, &w);
	serve(&w);
	ioreq_free(w.q);
	return 0;
}

/* SIGKILL at any instruction: every request has its one answer, by this server or the next. */
static void test_kill(void **state)
{
	struct race_test *w = *state;
	struct guest_cpu cpu[VCPUS];
	pthread_t guest[VCPUS];
	GRand *rand = g_rand_new_with_seed(1);
	unsigned killed = 0;
	pid_t pid;
	int status;

	w->requests = 20000;
	race_start_guest(w, cpu, guest);
	pid = start_server(w);
	for (unsigned i = 0; i < KILLS; i++) {
		test_pause(g_rand_int_range(rand, 2000, 15000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		killed += WIFSIGNALED(status);
		pid = start_server(w);
		assert_true(pid > 0);
	}
	race_join_guest(cpu, guest);
	eventfd_write(w->stop, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(killed, KILLS);
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threads),
		TEST(test_threads_and_kernel),
		TEST(test_kill),
	};

	if (argc == 1 + SERVER_FDS)
		return be_server(argv + 1);
	program = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
