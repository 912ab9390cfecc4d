/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the driver is called. The call fd is the one thing of a queue that the control thread changes
 * while a worker runs it: both sides are here.
 *
 *	the worker					the control thread
 *	publishes (used index)
 *	full barrier, is a call due?
 *	fd = queue.call		(relaxed)		queue.call = fd, or dup3() over it
 *	write(fd)					full barrier
 *							has anything been published? then call again
 *
 * Whichever order the two take, either the worker writes to the new fd, or the control thread sees
 * that something was published and has the worker call again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/eventfd.h"
#include "base/fd_kind.h"
#include "base/trace.h"
#include "base/util.h"
#include "daemon/worker/worker_impl.h"
#include "memory/shm.h"

/*
 * Calls the driver. An eventfd's write() blocks when its count is full, which takes a front-end
 * that fills it; to ask first would cost each call a system call, and be no safer. So the worker
 * may block here, until the control thread waits for it and interrupts it (pool.c). From then on
 * it asks first. That, too, may block, where the front-end is quick enough, and is interrupted
 * again.
 */
void queue_on_call(void *opaque)
{
	struct queue *q = opaque;
	struct worker_thread *w = q->worker;
	int fd = __atomic_load_n(&q->call, __ATOMIC_RELAXED);
	const uint64_t one = 1;

	/* In a pause this is the control thread, which must not block. */
	q->run.call_due = w->paused;
	if (fd < 0 || w->paused)
		return;
	TRACE1(call, q - q->pool->queues);
	__atomic_store_n(&w->calling, true, __ATOMIC_RELAXED);
	if (__atomic_load_n(&q->call_may_block, __ATOMIC_RELAXED))
		eventfd_signal(fd);
	else if (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		__atomic_store_n(&q->call_may_block, true, __ATOMIC_RELAXED);
	__atomic_store_n(&w->calling, false, __ATOMIC_RELAXED);
}

/*
 * Exchanges the fd. The worker may be about to write to the fd: its number stays, and what it
 * stands for changes.
 */
static void exchange_call(struct queue *q, int fd)
{
	autofd next = fd;

	if (next < 0)
		next = eventfd(0, EFD_CLOEXEC); /* that is read by no one */
	if (next < 0 || dup3(next, q->call, O_CLOEXEC) < 0)
		log_warning(vq_name(q->vq), "the call fd stays: %s", g_strerror(errno));
}

void pool_queue_set_call(struct pool *pool, unsigned i, int fd)
{
	struct queue *q = &pool->queues[i];
	bool may_block = fd >= 0 && fd_kind(fd) != FD_EVENTFD;
	uint64_t published;
	autofd old = -1;

	if (may_block)
		__atomic_store_n(&q->call_may_block, true, __ATOMIC_RELAXED);
	if (q->state != QUEUE_STOPPED && q->call >= 0) {
		exchange_call(q, fd);
	} else {
		old = q->call;
		__atomic_store_n(&q->call, fd, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&q->call_may_block, may_block, __ATOMIC_RELAXED);
	/*
	 * The front-end may have dropped the old fd before it saw a call, and the last one may have
	 * gone to either. A start that was not fresh calls for what was published before it.
	 */
	shm_full_barrier();
	published = __atomic_load_n(&vq_stats(q->vq)->published, __ATOMIC_RELAXED);
	if (q->state == QUEUE_RUNNING &&
		(published != q->published_at_start || !vq_is_fresh(q->vq)))
		queue_command(q, QUEUE_COMMAND_CALL);
}
