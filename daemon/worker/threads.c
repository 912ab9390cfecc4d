/* SPDX-License-Identifier: Apache-2.0 */
/* The workers' threads, and which queue each of them runs. */
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "daemon/worker/worker_impl.h"

/* Devices keep little on the stack, and memory that is not touched costs nothing. */
#define STACK_BYTES (256 << 10)
/* Interrupts a system call, and does nothing else. */
#define INTERRUPT_SIGNAL SIGURG

/* Queues of one group have one number; the first common_queues are one. */
static unsigned group_number(const struct pool *pool, unsigned queue)
{
	unsigned common = pool->ops->common_queues;

	if (pool->ops->threads == VIRTIO_DEVICE_ONE || queue < common)
		return 0;
	queue -= common;
	if (pool->ops->threads == VIRTIO_DEVICE_PER_PAIR)
		queue /= 2;
	return queue + !!common;
}

static void spread_queues(struct pool *pool, unsigned n_workers)
{
	for (unsigned i = 0; i < pool->n_queues; i++) {
		unsigned group = group_number(pool, i), first = i, end = i + 1;

		while (first && group_number(pool, first - 1) == group)
			first--;
		while (end < pool->n_queues && group_number(pool, end) == group)
			end++;
		pool->queues[i].worker = &pool->workers[group % n_workers];
		pool->queues[i].group = &pool->queues[first];
		pool->queues[i].group_end = &pool->queues[end];
	}
}

static bool fail(GError **error, unsigned i, const char *what, int err)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "worker %u: %s: %s", i, what,
		g_strerror(err));
	return false;
}

static bool prepare(struct pool *pool, unsigned i, GError **error)
{
	struct worker_thread *w = &pool->workers[i];

	w->pool = pool;
	w->active = g_new(struct queue *, pool->n_queues);
	poll_window_init(&w->window, pool->setup.poll_us * INT64_C(1000));
	/* The device's set is there already. */
	if (w->sources.epoll < 0 && !sources_open(&w->sources, pool))
		return fail(error, i, "cannot make its fds", errno);
	return true;
}

/*
 * Blocks all signals, which go to the control thread, except those that the thread itself
 * causes.
 */
static void block_signals(sigset_t *before)
{
	static const int own[] = { SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS,
		INTERRUPT_SIGNAL };
	sigset_t set;

	sigfillset(&set);
	for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
		sigdelset(&set, own[i]);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

static size_t stack_size(const struct virtio_device_ops *ops)
{
	return ops->stack ? align_up((size_t)ops->stack + STACK_BYTES, 0x10000) : STACK_BYTES;
}

static int create(struct worker_thread *w, int cpu)
{
	pthread_attr_t attr;
	sigset_t before;
	cpu_set_t set;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_size(w->pool->ops));
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		err = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	block_signals(&before);
	if (!err)
		err = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return err;
}

static bool start_worker(struct pool *pool, unsigned i, GError **error)
{
	const struct pool_setup *s = &pool->setup;
	int cpu = s->n_cpus ? (int)s->cpus[i % s->n_cpus] : -1, err;
	g_autofree char *what = NULL;

	if (!prepare(pool, i, error))
		return false;
	err = create(&pool->workers[i], cpu);
	if (err) {
		what = cpu < 0 ? g_strdup("cannot start it")
			       : g_strdup_printf("cannot start it on CPU %d", cpu);
		return fail(error, i, what, err);
	}
	pool->n_workers++;
	return true;
}

static void do_nothing(int signum)
{
}

/* Returns how many workers the device can use. */
static unsigned max_workers(const struct pool *pool)
{
	return MIN(pool->setup.workers, group_number(pool, pool->device->num_queues - 1) + 1);
}

void threads_init(struct pool *pool)
{
	pool->max_workers = max_workers(pool);
	pool->workers =
		g_aligned_alloc0(pool->max_workers, sizeof(struct worker_thread), CACHE_LINE);
	for (unsigned i = 0; i < pool->max_workers; i++) {
		pool->workers[i].sources.epoll = -1;
		pool->workers[i].sources.wakeup.fd = -1;
		sem_init(&pool->workers[i].go, 0, 0);
	}
}

bool threads_start(struct pool *pool, GError **error)
{
	const struct sigaction interrupted = { .sa_handler = do_nothing };
	unsigned n = max_workers(pool);

	sigaction(INTERRUPT_SIGNAL, &interrupted, NULL);
	spread_queues(pool, n);
	for (unsigned i = 0; i < n; i++) {
		if (!start_worker(pool, i, error)) {
			threads_end(pool);
			return false;
		}
	}
	return true;
}

void threads_end(struct pool *pool)
{
	for (unsigned i = 0; i < pool->n_workers; i++) {
		struct worker_thread *w = &pool->workers[i];

		worker_command(w, WORKER_COMMAND_QUIT);
		/* It may pause, or be about to. */
		if (pool->verbs)
			sem_post(&w->go);
		pthread_join(w->thread, NULL);
	}
	pool->n_workers = 0;
}

void threads_free(struct pool *pool)
{
	for (unsigned i = 0; i < pool->max_workers; i++) {
		sources_close(&pool->workers[i].sources);
		g_free(pool->workers[i].active);
		sem_destroy(&pool->workers[i].go);
	}
	g_aligned_free(pool->workers);
}

void threads_interrupt(struct pool *pool)
{
	for (unsigned i = 0; i < pool->n_workers; i++) {
		struct worker_thread *w = &pool->workers[i];

		if (__atomic_load_n(&w->calling, __ATOMIC_RELAXED))
			pthread_kill(w->thread, INTERRUPT_SIGNAL);
	}
}
