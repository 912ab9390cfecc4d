/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake-ups: any thread pushes what it signals on the list of the thread that it wakes, which takes
 * the list as a whole.
 *
 *	the signalling thread				the thread that is woken
 *	data = ...
 *	pending = 1, was it 0?	(acquire, release)
 *	push on sources.signalled	(release)	takes the list		(acquire)
 *	was it empty? wakes				pending = 0		(acquire, release)
 *							run() sees the data
 *
 * A signal that finds pending set relies on a run() that is still to come, whose exchange of
 * pending comes after the signal's, and so sees its data.
 */
#include <sys/eventfd.h>

#include "daemon/worker/worker_impl.h"

void virtio_wakeup_init(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	if (w->core.owner)
		return;
	w->core.q = q;
	w->core.owner = sources_of(d, q);
}

void virtio_wakeup_signal(struct virtio_wakeup *w)
{
	struct sources *s = w->core.owner;
	struct virtio_wakeup *last;

	if (__atomic_exchange_n(&w->core.pending, 1, __ATOMIC_ACQ_REL))
		return;
	last = __atomic_load_n(&s->signalled, __ATOMIC_RELAXED);
	do
		w->core.next = last;
	while (!__atomic_compare_exchange_n(
		&s->signalled, &last, w, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	if (last)
		return;
	__atomic_fetch_or(&s->commands, WORKER_COMMAND_WAKEUPS, __ATOMIC_RELEASE);
	eventfd_write(s->wakeup.fd, 1);
}

static void run(struct sources *s, struct virtio_wakeup *w)
{
	struct vq *q = w->core.q;

	if (q && queue_of(q)->run.state == QUEUE_STOPPED) {
		w->core.next = s->deferred;
		s->deferred = w;
		return;
	}
	__atomic_exchange_n(&w->core.pending, 0, __ATOMIC_ACQ_REL);
	if (!sources_begin(s, &q))
		return;
	w->run(s->pool->device, q, w);
	sources_end(s, q);
}

void wakeup_deliver(struct sources *s)
{
	struct virtio_wakeup *w = __atomic_exchange_n(&s->signalled, NULL, __ATOMIC_ACQUIRE);
	struct virtio_wakeup *list = NULL, *next;

	/* In the order of the signals. */
	for (; w; w = next) {
		next = w->core.next;
		w->core.next = list;
		list = w;
	}
	for (; list; list = next) {
		next = list->core.next;
		run(s, list);
	}
}

void wakeup_resume(struct sources *s, struct vq *q)
{
	struct virtio_wakeup *w = g_steal_pointer(&s->deferred), *next;

	for (; w; w = next) {
		next = w->core.next;
		if (w->core.q != q) {
			w->core.next = s->deferred;
			s->deferred = w;
		} else {
			run(s, w);
		}
	}
}
