/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"

int (*worker_pump)(struct worker *w);

size_t worker_shared_size(void)
{
	return sizeof(struct worker_shared) + vmm_dev_state_size();
}

/* Makes a connection; fds: to hand over; the last, if there are three, is to be closed then. */
static unsigned connection(struct worker *w, struct worker_order *order, int fds[3])
{
	int pair[2];

	if (order->fresh || w->fd < 0) {
		fd_close(&w->fd);
		fd_close(&w->channel);
		w->fd = sock_connect(w->g->path, NULL);
		order->err = w->fd < 0 ? EAGAIN : 0;
		if (w->fd < 0 || !sock_pair(pair))
			return 0;
		w->fresh++;
		w->channel = pair[0];
		fds[2] = pair[1];
	} else {
		w->kept++;
		order->kept = true;
	}
	fds[0] = w->fd;
	fds[1] = w->channel;
	return order->kept ? 2 : 3;
}

/* Keeps one; in: the one that came; out: the kept one. */
static unsigned keep(struct worker *w, int *fds, unsigned n)
{
	if (n) {
		fd_close(&w->area);
		w->area = fds[0];
		return 0;
	}
	fds[0] = w->area;
	return w->area < 0 ? 0 : 1;
}

unsigned worker_count(struct worker *w, const unsigned *count)
{
	unsigned n;

	pthread_mutex_lock(&w->lock);
	n = *count;
	pthread_mutex_unlock(&w->lock);
	return n;
}

static int make_eventfd(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void wait_fd(struct worker *w, int fd, bool pump)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t end = g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND;
	eventfd_t n;

	while (eventfd_read(fd, &n) < 0) {
		int ms = pump && worker_pump ? worker_pump(w) : -1;

		poll(&pfd, 1, ms < 0 ? 1000 : ms);
		if (g_get_monotonic_time() > end)
			fail_msg("waited in vain");
	}
}

static void *broker_main(void *opaque)
{
	struct worker *w = opaque;
	struct pollfd pfd = { .fd = w->service, .events = POLLIN };
	struct worker_order order;
	int fds[SOCK_MAX_FDS];
	unsigned n = 0;
	bool truncated;

	for (;; n = 0) {
		if (poll(&pfd, 1, -1) < 0 ||
			sock_recv(w->service, &order, sizeof(order), fds, SOCK_MAX_FDS, &n,
				&truncated) != sizeof(order))
			return NULL;
		pthread_mutex_lock(&w->lock);
		n = order.keep ? keep(w, fds, n) : connection(w, &order, fds);
		sock_send(w->service, &order, sizeof(order), fds, n, 0);
		if (n == 3)
			close(fds[2]);
		pthread_mutex_unlock(&w->lock);
	}
}

/* Becomes a worker in the child of a process with threads: nothing but system calls. */
static _Noreturn void become_worker(const char *self, char **argv, const int *fds)
{
	for (unsigned i = 0; i < WORKER_FDS; i++)
		fcntl(fds[i], F_SETFD, 0);
	execv(self, argv);
	_exit(1);
}

void worker_start(struct worker *w)
{
	char *argv[2 + WORKER_FDS + 1] = { "test", "--worker" };
	char text[WORKER_FDS][12];
	/* Valgrind knows what is meant by that, but not in execv(). */
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	int pair[2], fds[WORKER_FDS];
	struct worker_fds all;

	assert_true(sock_pair(pair));
	all = (struct worker_fds){ pair[1], w->request, w->answer, w->irq, w->alive, w->g->memfd,
		w->memfd };
	memcpy(all.kick, w->kick, sizeof(all.kick));
	memcpy(all.call, w->call, sizeof(all.call));
	memcpy(fds, &all, sizeof(fds));
	for (unsigned i = 0; i < WORKER_FDS; i++) {
		g_snprintf(text[i], sizeof(text[i]), "%d", fds[i]);
		argv[2 + i] = text[i];
	}
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0)
		become_worker(self, argv, fds);
	close(pair[1]);
	w->service = pair[0];
	assert_int_equal(pthread_create(&w->thread, NULL, broker_main, w), 0);
	wait_fd(w, w->alive, false);
}

void worker_kill(struct worker *w)
{
	int status;

	if (!w->pid)
		return;
	kill(w->pid, SIGKILL);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	/* Not by itself before that. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	w->pid = 0;
	pthread_join(w->thread, NULL);
	fd_close(&w->service);
}

static int die_there(struct worker *w)
{
	struct fake_backend *p = w->g->backend;
	bool there;

	if (!w->fatal)
		return -1;
	pthread_mutex_lock(&p->lock);
	there = strstr(p->trace->str, w->fatal);
	pthread_mutex_unlock(&p->lock);
	if (!there)
		return 1;
	w->fatal = NULL;
	worker_kill(w);
	fake_silence_at(p, NULL);
	g_free(fake_trace(p));
	worker_start(w);
	return -1;
}

void worker_die_at(struct worker *w, const char *request)
{
	g_free(fake_trace(w->g->backend));
	fake_silence_at(w->g->backend, request);
	w->fatal = request;
	worker_pump = die_there;
}

void worker_assert_died(struct worker *w)
{
	assert_null(w->fatal);
}

static void count_kicks(struct fake_backend *p, struct fake_ring *r)
{
	r->base++;
}

int worker_setup(void **state)
{
	struct worker *w = g_new0(struct worker, 1);

	guest_setup(state);
	w->g = *state;
	w->g->backend->device = count_kicks;
	w->fd = w->channel = w->service = w->area = -1;
	w->memfd = memfd_create("worker", MFD_CLOEXEC);
	assert_int_equal(ftruncate(w->memfd, worker_shared_size()), 0);
	w->shared =
		mmap(NULL, worker_shared_size(), PROT_READ | PROT_WRITE, MAP_SHARED, w->memfd, 0);
	assert_ptr_not_equal(w->shared, MAP_FAILED);
	w->request = make_eventfd();
	w->answer = make_eventfd();
	w->irq = make_eventfd();
	w->alive = make_eventfd();
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		w->kick[i] = make_eventfd();
		w->call[i] = make_eventfd();
	}
	pthread_mutex_init(&w->lock, NULL);
	worker_pump = NULL;
	*state = w;
	return 0;
}

int worker_teardown(void **state)
{
	struct worker *w = *state;
	struct guest *g = w->g;

	worker_kill(w);
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		fd_close(&w->kick[i]);
		fd_close(&w->call[i]);
	}
	fd_close(&w->request);
	fd_close(&w->answer);
	fd_close(&w->irq);
	fd_close(&w->alive);
	fd_close(&w->fd);
	fd_close(&w->channel);
	fd_close(&w->area);
	munmap(w->shared, worker_shared_size());
	fd_close(&w->memfd);
	pthread_mutex_destroy(&w->lock);
	g_free(w);
	*state = g;
	return guest_teardown(state);
}

void worker_begin(
	struct worker *w, unsigned vcpu, uint64_t off, unsigned size, bool write, uint64_t value)
{
	struct worker_request *r = &w->shared->request[vcpu];

	r->off = off;
	r->size = size;
	r->write = write;
	r->value = value;
	__atomic_store_n(&r->state, REQUEST_READY, __ATOMIC_SEQ_CST);
	eventfd_write(w->request, 1);
}

bool worker_is_done(struct worker *w, unsigned vcpu)
{
	return __atomic_load_n(&w->shared->request[vcpu].state, __ATOMIC_SEQ_CST) ==
		REQUEST_ANSWERED;
}

void worker_wait_fd(struct worker *w, int fd)
{
	wait_fd(w, fd, true);
}

uint64_t worker_wait(struct worker *w, unsigned vcpu)
{
	while (!worker_is_done(w, vcpu))
		worker_wait_fd(w, w->answer);
	w->answers++;
	return w->shared->request[vcpu].value;
}

uint64_t worker_rd(struct worker *w, uint64_t off, unsigned size)
{
	worker_begin(w, 0, off, size, false, 0);
	return worker_wait(w, 0);
}

void worker_wr(struct worker *w, uint64_t off, unsigned size, uint64_t value)
{
	worker_begin(w, 0, off, size, true, value);
	worker_wait(w, 0);
}

static void wr32w(struct worker *w, uint64_t off, uint32_t value)
{
	worker_wr(w, off, 4, value);
}

void worker_queue(struct worker *w, unsigned queue, uint32_t size)
{
	wr32w(w, VIRTIO_MMIO_QUEUE_SEL, queue);
	wr32w(w, VIRTIO_MMIO_QUEUE_NUM, size);
	wr32w(w, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc_of(queue));
	wr32w(w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)driver_of(queue));
	wr32w(w, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)device_of(queue));
	wr32w(w, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_QUEUE_READY, 4), 1);
}

void worker_driver_ok(struct worker *w, uint64_t features)
{
	wr32w(w, VIRTIO_MMIO_STATUS, 0);
	wr32w(w, VIRTIO_MMIO_STATUS, 3);
	wr32w(w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr32w(w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr32w(w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr32w(w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr32w(w, VIRTIO_MMIO_STATUS, S_FEATURES);
	worker_queue(w, 0, 16);
	worker_queue(w, 2, 64);
	wr32w(w, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_STATUS, 4), S_ALL);
}

void worker_boot(struct worker *w)
{
	worker_start(w);
	worker_driver_ok(w, FEATURES);
	WAIT_UNTIL_LOCKED(&w->g->backend->lock,
		w->g->backend->ring[0].kicks == 1 && w->g->backend->ring[2].kicks == 1);
	g_free(fake_trace(w->g->backend));
}

void worker_assert_one_connection(struct worker *w)
{
	pthread_mutex_lock(&w->g->backend->lock);
	assert_int_equal(w->g->backend->connections, 1);
	pthread_mutex_unlock(&w->g->backend->lock);
}

void worker_assert_registers(struct worker *w)
{
	assert_int_equal(worker_rd(w, VIRTIO_MMIO_STATUS, 4), S_ALL);
	for (unsigned i = 0; i < 3; i++) {
		wr32w(w, VIRTIO_MMIO_QUEUE_SEL, i);
		assert_int_equal(worker_rd(w, VIRTIO_MMIO_QUEUE_READY, 4), i != 1);
	}
}

void worker_wait_trace(struct worker *w, const char *word)
{
	struct fake_backend *b = w->g->backend;

	WAIT_UNTIL_LOCKED(&b->lock, strstr(b->trace->str, word));
}
