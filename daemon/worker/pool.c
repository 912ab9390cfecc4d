/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's end of what worker.c describes. */
#include "daemon/worker/pool.h"

#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/util.h"

/* A virtiod's device has little on its stack, and memory that is not touched is none. */
#define STACK_BYTES (256 << 10)
/* A worker that takes so long may have been blocked by a front-end that fills its call fd. */
#define NUDGE_MS 100
/* Interrupts a system call, and does nothing else; nobody sends it to us. */
#define NUDGE_SIGNAL SIGURG

static void order(struct worker *w, enum worker_order what)
{
	/* Release pairs with the acquire in worker.c: what the order is about is seen. */
	__atomic_fetch_or(&w->orders, what, __ATOMIC_RELEASE);
	eventfd_write(w->bell.fd, 1);
}

static bool waits_for_workers(const struct backend *b)
{
	return b->n_pausers || rings_any(b, RING_DRAINING);
}

static void nudge(void *opaque)
{
	struct backend *b = opaque;

	for (unsigned i = 0; i < b->n_workers; i++) {
		struct worker *w = &b->workers[i];

		if (__atomic_load_n(&w->calling, __ATOMIC_RELAXED))
			pthread_kill(w->thread, NUDGE_SIGNAL);
	}
}

static void update_nudge(struct backend *b)
{
	if (waits_for_workers(b) && !b->nudge) {
		b->nudge = loop_watch_timer(NUDGE_MS, nudge, b);
	} else if (!waits_for_workers(b)) {
		g_clear_pointer(&b->nudge, loop_watch_free);
	}
}

void owner_start(struct ring *r)
{
	__atomic_fetch_or(&r->orders, RING_START, __ATOMIC_RELEASE);
	order(r->worker, WORKER_RINGS);
}

void owner_drain(struct ring *r)
{
	__atomic_fetch_or(&r->orders, RING_DRAIN, __ATOMIC_RELEASE);
	order(r->worker, WORKER_RINGS);
	update_nudge(r->backend);
}

void owner_call(struct ring *r)
{
	__atomic_fetch_or(&r->orders, RING_CALL, __ATOMIC_RELEASE);
	order(r->worker, WORKER_RINGS);
}

static void run_pausers(struct backend *b)
{
	unsigned n = b->n_pausers;
	void (*then[G_N_ELEMENTS(b->pauser)])(struct backend * b);

	memcpy(then, b->pauser, sizeof(then));
	b->n_pausers = 0;
	for (unsigned i = 0; i < n; i++)
		then[i](b);
}

/* All workers stand still, and go on afterwards. */
static void pause_over(struct backend *b)
{
	__atomic_store_n(&b->paused, 0, __ATOMIC_RELAXED);
	run_pausers(b);
	for (unsigned i = 0; i < b->n_workers; i++)
		sem_post(&b->workers[i].go);
}

void owner_pause(struct backend *b, void (*then)(struct backend *b))
{
	if (!rings_any(b, RING_RUNNING) && !rings_any(b, RING_DRAINING)) {
		then(b);
		return;
	}
	for (unsigned i = 0; i < b->n_pausers; i++) {
		if (b->pauser[i] == then)
			return;
	}
	g_assert(b->n_pausers < G_N_ELEMENTS(b->pauser));
	b->pauser[b->n_pausers++] = then;
	if (b->n_pausers > 1)
		return;
	for (unsigned i = 0; i < b->n_workers; i++)
		order(&b->workers[i], WORKER_PAUSE);
	update_nudge(b);
}

static void on_news(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	eventfd_t count;

	eventfd_read(b->news, &count);
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		struct ring *r = &b->rings[i];
		/* Pairs with the release in worker_ring.c: what was done to the ring is seen. */
		unsigned news = __atomic_exchange_n(&r->news, 0, __ATOMIC_ACQUIRE);

		if (news & RING_BROKE)
			ring_broke(r);
		if (news & RING_DRAINED)
			ring_drained(r);
	}
	if (b->n_pausers && __atomic_load_n(&b->paused, __ATOMIC_ACQUIRE) == b->n_workers)
		pause_over(b);
	update_nudge(b);
}

/* Queues that the device wants on one thread have one number. */
static unsigned group_number(const struct backend *b, unsigned queue)
{
	switch (b->device.ops->threads) {
	case VIRTIO_DEVICE_ONE:
		return 0;
	case VIRTIO_DEVICE_PER_PAIR:
		return queue / 2;
	case VIRTIO_DEVICE_PER_QUEUE:
		break;
	}
	return queue;
}

static void spread_rings(struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++) {
		unsigned group = group_number(b, i), first = i, end = i + 1;

		while (first && group_number(b, first - 1) == group)
			first--;
		while (end < b->device.num_queues && group_number(b, end) == group)
			end++;
		b->rings[i].worker = &b->workers[group % b->n_workers];
		b->rings[i].run = (struct ring_run){
			.group = &b->rings[first],
			.group_end = &b->rings[end],
			.kick.fd = -1,
		};
	}
}

static void on_bell(struct worker_watch *watch, uint32_t revents)
{
	/* The orders are looked at anyhow. */
}

static bool fail(GError **error, unsigned i, const char *what, int err)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "worker %u: %s: %s", i, what,
		g_strerror(err));
	return false;
}

static bool prepare(struct backend *b, unsigned i, GError **error)
{
	struct worker *w = &b->workers[i];

	*w = (struct worker){
		.backend = b,
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.bell = {
			.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.events = EPOLLIN | EPOLLET,
			.seen = on_bell,
		},
		.active = g_new(struct ring *, b->device.num_queues),
	};
	sem_init(&w->go, 0, 0);
	poll_window_init(&w->window, b->options.poll_us * INT64_C(1000));
	if (w->epoll < 0 || w->bell.fd < 0 || !worker_watch(w, &w->bell))
		return fail(error, i, "cannot make its fds", errno);
	return true;
}

static void clear(struct worker *w)
{
	while (w->watches) {
		struct worker_watch *watch = w->watches;

		w->watches = watch->next;
		g_free(watch);
	}
	fd_close(&w->epoll);
	fd_close(&w->bell.fd);
	g_free(w->active);
	sem_destroy(&w->go);
}

/* All signals go to the control thread, but those that are this thread's own doing. */
static void block_signals(sigset_t *before)
{
	static const int own[] = { SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, NUDGE_SIGNAL };
	sigset_t set;

	sigfillset(&set);
	for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
		sigdelset(&set, own[i]);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

static int create(struct worker *w, int cpu)
{
	pthread_attr_t attr;
	sigset_t before;
	cpu_set_t set;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
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

static bool start_worker(struct backend *b, unsigned i, GError **error)
{
	const struct backend_options *o = &b->options;
	int cpu = o->n_cpus ? (int)o->cpus[i % o->n_cpus] : -1, err;
	g_autofree char *what = NULL, *name = NULL;

	if (!prepare(b, i, error)) {
		clear(&b->workers[i]);
		return false;
	}
	err = create(&b->workers[i], cpu);
	if (err) {
		clear(&b->workers[i]);
		what = cpu < 0 ? g_strdup("cannot start it")
			       : g_strdup_printf("cannot start it on CPU %d", cpu);
		return fail(error, i, what, err);
	}
	name = g_strdup_printf("worker %u", i);
	pthread_setname_np(b->workers[i].thread, name);
	b->n_workers++;
	return true;
}

static void do_nothing(int signum)
{
}

bool owner_open(struct backend *b, GError **error)
{
	const struct sigaction nudged = { .sa_handler = do_nothing };
	unsigned groups = group_number(b, b->device.num_queues - 1) + 1;
	unsigned n = MIN(b->options.workers, groups);

	b->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->news < 0)
		return fail(error, 0, "cannot make its fds", errno);
	b->news_watch = loop_watch_fd(b->news, EPOLLIN, on_news, b);
	sigaction(NUDGE_SIGNAL, &nudged, NULL);
	b->workers = g_aligned_alloc0(n, sizeof(struct worker), CACHE_LINE);
	for (unsigned i = 0; i < n; i++) {
		if (!start_worker(b, i, error)) {
			owner_close(b);
			return false;
		}
	}
	spread_rings(b);
	return true;
}

void owner_close(struct backend *b)
{
	for (unsigned i = 0; i < b->n_workers; i++) {
		struct worker *w = &b->workers[i];

		order(w, WORKER_QUIT);
		/* It may stand still, or be about to. */
		if (b->n_pausers)
			sem_post(&w->go);
		pthread_join(w->thread, NULL);
		clear(w);
	}
	b->n_workers = 0;
	b->n_pausers = 0;
	g_clear_pointer(&b->workers, g_aligned_free);
	g_clear_pointer(&b->nudge, loop_watch_free);
	g_clear_pointer(&b->news_watch, loop_watch_free);
	fd_close(&b->news);
}
