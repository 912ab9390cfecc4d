/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's side of the pool; the protocol: pool.h. */
#include <malloc.h>
#include <sys/eventfd.h>

#include "base/eventfd.h"
#include "base/util.h"
#include "daemon/worker/worker_impl.h"

/* A worker that takes so long may have been blocked by a front-end that fills its call fd. */
#define INTERRUPT_MS 100
/* Requests whose memory is worth giving back to the host. */
#define TRIM_BYTES (1u << 20)

void worker_command(struct worker_thread *w, enum worker_command command)
{
	__atomic_fetch_or(&w->sources.commands, command, __ATOMIC_RELEASE);
	eventfd_write(w->sources.wakeup.fd, 1);
}

void queue_command(struct queue *q, enum queue_command command)
{
	__atomic_fetch_or(&q->commands, command, __ATOMIC_RELEASE);
	worker_command(q->worker, WORKER_COMMAND_QUEUES);
}

void pool_report(struct queue *q, enum queue_event event)
{
	__atomic_fetch_or(&q->events, event, __ATOMIC_RELEASE);
	pool_wake(q->pool);
}

void pool_wake(struct pool *pool)
{
	eventfd_write(pool->wakeup, 1);
}

static void on_interrupt(void *opaque)
{
	threads_interrupt(opaque);
}

void pool_update_interrupt(struct pool *pool)
{
	bool waits = pool->n_verbs || pool_any(pool, QUEUE_DRAINING);

	if (waits && !pool->interrupt)
		pool->interrupt = loop_watch_timer(INTERRUPT_MS, on_interrupt, pool);
	else if (!waits)
		g_clear_pointer(&pool->interrupt, loop_watch_free);
}

/* Queues. */

bool pool_queue_map(struct pool *pool, unsigned i, const struct vq_setup *setup, GError **error)
{
	return vq_start(pool->queues[i].vq, setup, error);
}

void pool_queue_run(struct pool *pool, unsigned i, int kick)
{
	struct queue *q = &pool->queues[i];

	q->kick = kick;
	q->published_at_start = vq_stats(q->vq)->published;
	q->kicks = 0;
	q->state = QUEUE_RUNNING;
	pool->n_active++;
	queue_command(q, QUEUE_COMMAND_RUN);
}

void pool_queue_drain(struct pool *pool, unsigned i)
{
	struct queue *q = &pool->queues[i];

	if (q->state != QUEUE_RUNNING)
		return;
	q->state = QUEUE_DRAINING;
	queue_command(q, QUEUE_COMMAND_DRAIN);
	pool_update_interrupt(pool);
}

static void on_drained(struct queue *q)
{
	struct pool *pool = q->pool;
	uint32_t base;

	pool->trim_due |= __atomic_load_n(&pool->memory.bytes, __ATOMIC_RELAXED) > TRIM_BYTES;
	base = vq_stop(q->vq);
	q->state = QUEUE_STOPPED;
	pool->n_active--;
	/* What a front-end has made requests take is not kept for the next one. */
	if (!pool->n_active && pool->trim_due) {
		malloc_trim(0);
		pool->trim_due = false;
	}
	pool->setup.callbacks->drained(pool->setup.opaque, q - pool->queues, base);
}

static void take_events(struct queue *q)
{
	unsigned events = __atomic_exchange_n(&q->events, 0, __ATOMIC_ACQUIRE);

	if (events & QUEUE_EVENT_BROKE)
		q->pool->setup.callbacks->broke(q->pool->setup.opaque, q - q->pool->queues);
	if (events & QUEUE_EVENT_KICKED)
		q->pool->setup.callbacks->kicked(q->pool->setup.opaque, q - q->pool->queues);
	if (events & QUEUE_EVENT_DRAINED)
		on_drained(q);
}

unsigned pool_queue_kicks(const struct pool *pool, unsigned i)
{
	return __atomic_load_n(&pool->queues[i].kicks, __ATOMIC_RELAXED);
}

uint64_t pool_queue_total_kicks(const struct pool *pool, unsigned i)
{
	return __atomic_load_n(&pool->queues[i].run.kicks, __ATOMIC_RELAXED);
}

enum queue_state pool_queue_state(const struct pool *pool, unsigned i)
{
	return pool->queues[i].state;
}

bool pool_any(const struct pool *pool, enum queue_state state)
{
	for (unsigned i = 0; i < pool->n_queues; i++) {
		if (pool->queues[i].state == state)
			return true;
	}
	return false;
}

bool pool_is_active(const struct pool *pool)
{
	return pool->n_active;
}

const struct vq *pool_queue_vq(const struct pool *pool, unsigned i)
{
	return pool->queues[i].vq;
}

static void on_wakeup(void *opaque, uint32_t revents)
{
	struct pool *pool = opaque;
	eventfd_t count;

	eventfd_read(pool->wakeup, &count);
	for (unsigned i = 0; i < pool->n_queues; i++)
		take_events(&pool->queues[i]);
	if (__atomic_exchange_n(&pool->config_changed, false, __ATOMIC_ACQUIRE))
		pool->setup.callbacks->config_changed(pool->setup.opaque);
	shm_take(pool);
	events_take(pool);
	verbs_continue(pool);
	pool_update_interrupt(pool);
}

/* The pool's life. */

/*
 * Opens the device's set before the device, which may register something. Returns false with
 * errno.
 */
static bool open_sources(struct pool *pool)
{
	bool one = pool->ops->threads == VIRTIO_DEVICE_ONE;

	pool->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->wakeup < 0)
		return false;
	pool->device_sources = one ? &pool->workers[0].sources : &pool->own_sources;
	return sources_open(pool->device_sources, pool);
}

struct pool *pool_new(const struct pool_setup *setup, GError **error)
{
	struct pool *pool = g_aligned_alloc0(1, sizeof(*pool), CACHE_LINE);

	*pool = (struct pool){
		.setup = *setup,
		.device = setup->device,
		.ops = setup->device->ops,
		.mem = setup->mem,
		.own_sources = { .epoll = -1, .wakeup.fd = -1 },
		.wakeup = -1,
	};
	setup->device->pool = pool;
	pthread_mutex_init(&pool->config_lock, NULL);
	threads_init(pool);
	if (!open_sources(pool)) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			"cannot make an eventfd or an epoll set: %s", g_strerror(errno));
		pool_free(pool);
		return NULL;
	}
	pool->wakeup_watch = loop_watch_fd(pool->wakeup, EPOLLIN, on_wakeup, pool);
	verbs_open(pool);
	return pool;
}

static void make_queues(struct pool *pool)
{
	static const struct vq_hooks hooks = { .call = queue_on_call, .broken = queue_on_broken };

	pool->n_queues = pool->device->num_queues;
	pool->queues = g_aligned_alloc0(pool->n_queues, sizeof(struct queue), CACHE_LINE);
	for (unsigned i = 0; i < pool->n_queues; i++) {
		struct queue *q = &pool->queues[i];

		*q = (struct queue){ .pool = pool, .kick = -1, .call = -1 };
		q->vq = vq_new(i, pool->mem, &hooks, q);
		vq_share_memory(q->vq, &pool->memory);
		vq_set_types(q->vq, pool->ops->request_types);
	}
}

bool pool_start(struct pool *pool, GError **error)
{
	make_queues(pool);
	return threads_start(pool, error);
}

bool pool_is_started(const struct pool *pool)
{
	return pool->n_workers;
}

void pool_stop(struct pool *pool)
{
	threads_end(pool);
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	verbs_close(pool);
	loop_watch_free(pool->interrupt);
	loop_watch_free(pool->wakeup_watch);
	for (unsigned i = 0; i < pool->n_queues; i++) {
		fd_close(&pool->queues[i].call);
		vq_free(pool->queues[i].vq);
	}
	g_aligned_free(pool->queues);
	events_drop(pool);
	threads_free(pool);
	sources_close(&pool->own_sources);
	fd_close(&pool->wakeup);
	pthread_mutex_destroy(&pool->config_lock);
	g_aligned_free(pool);
}
