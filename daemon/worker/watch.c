/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: one entry of the thread's epoll set each, which holds the watch's address.
 *
 * epoll knows files, and devices know fds, whose numbers are used again. A watch whose fd was
 * closed, while another watch has the number by now, must not touch the other's entry: its core.fd
 * is -1. And an entry outlives its fd if the file is open elsewhere (a duplicate, another process):
 * there is no way to remove it then, and it goes on naming a watch that may be freed. So when an
 * entry cannot be removed, all watches move to a new epoll set before events are taken again.
 *
 * A table by fd tells whose entry that is: thousands of watches cost no more each than one does.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/util.h"
#include "daemon/worker/worker_impl.h"

static bool control_set(int epoll, int op, struct virtio_watch *w, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = w };

	return epoll_ctl(epoll, op, w->core.fd, &event) == 0;
}

static bool control(struct sources *s, int op, struct virtio_watch *w, uint32_t events)
{
	return control_set(s->epoll, op, w, events);
}

/* Forgets which entry is this watch's. */
static void disown(struct sources *s, struct virtio_watch *w)
{
	if (w->core.fd >= 0)
		s->by_fd[w->core.fd] = NULL;
	w->core.fd = -1;
}

/* Notes that the entry of its fd is this watch's, and no other one's. */
static void own(struct sources *s, struct virtio_watch *w)
{
	unsigned fd = (unsigned)w->fd, n = MAX(s->n_fds, 64);

	while (n <= fd)
		n *= 2;
	if (n != s->n_fds) {
		s->by_fd = g_renew(struct virtio_watch *, s->by_fd, n);
		memset(s->by_fd + s->n_fds, 0, (n - s->n_fds) * sizeof(*s->by_fd));
		s->n_fds = n;
	}
	if (s->by_fd[fd])
		s->by_fd[fd]->core.fd = -1;
	s->by_fd[fd] = w;
}

bool watch_add(struct sources *s, struct virtio_watch *w, uint32_t events)
{
	w->core.fd = w->fd;
	if (!control(s, EPOLL_CTL_ADD, w, events) &&
		(errno != EEXIST || !control(s, EPOLL_CTL_MOD, w, events)))
		return false;
	own(s, w);
	w->core.owner = s;
	w->core.events = events;
	w->core.edge = false;
	w->core.prev = NULL;
	w->core.next = s->watches;
	if (w->core.next)
		w->core.next->core.prev = w;
	s->watches = w;
	s->n_watches += !w->core.internal;
	return true;
}

void watch_remove(struct virtio_watch *w)
{
	struct sources *s = w->core.owner;

	if (!s)
		return;
	if (w->core.fd < 0 || !control(s, EPOLL_CTL_DEL, w, 0))
		s->stale = true;
	disown(s, w);
	if (w->core.prev)
		w->core.prev->core.next = w->core.next;
	else
		s->watches = w->core.next;
	if (w->core.next)
		w->core.next->core.prev = w->core.prev;
	s->n_watches -= !w->core.internal;
	w->core.owner = NULL;
	for (int i = 0; i < s->n_events; i++) {
		if (s->event[i].data.ptr == w)
			s->event[i].data.ptr = NULL;
	}
}

/* Adds all watches to an empty set; false: there is no room, and the rest would be deaf. */
static bool fill(struct sources *s, int epoll)
{
	for (struct virtio_watch *w = s->watches; w; w = w->core.next) {
		uint32_t events = w->core.events | (w->core.edge ? EPOLLET : 0);

		if (w->core.fd < 0 || control_set(epoll, EPOLL_CTL_ADD, w, events))
			continue;
		if (errno == ENOSPC || errno == ENOMEM)
			return false;
		disown(s, w);
	}
	return true;
}

/*
 * Keeps the number, by which the main loop may know the set. If that fails, the old set goes on,
 * and it is tried again.
 */
void watch_renew(struct sources *s)
{
	autofd fresh = epoll_create1(EPOLL_CLOEXEC);

	if (fresh < 0 || !fill(s, fresh) || dup3(fresh, s->epoll, O_CLOEXEC) < 0) {
		log_limited(&s->log_limit, LOG_LEVEL_ERROR, NULL, "cannot make an epoll set: %s",
			g_strerror(errno));
		return;
	}
	s->stale = false;
}

/*
 * Tells whether it is there still: while the set could not be renewed, an event may name a watch
 * that was freed.
 */
static bool is_there(const struct sources *s, const struct virtio_watch *w)
{
	const struct virtio_watch *other = s->watches;

	while (other && other != w)
		other = other->core.next;
	return other;
}

/*
 * Returns whether the device can do nothing for the watch's queue: to be called again and again as
 * long as the fd is ready would only take CPU time.
 */
static bool is_idle_for_good(const struct virtio_watch *w)
{
	const struct queue *q = w->core.q ? queue_of(w->core.q) : NULL;

	if (!q)
		return false;
	return q->run.state == QUEUE_STOPPED || (vq_is_broken(q->vq) && !vq_in_flight(q->vq));
}

void watch_deliver(struct sources *s, struct virtio_watch *w, uint32_t revents)
{
	struct vq *q;

	if (s->stale && !is_there(s, w))
		return;
	if (w->core.internal) {
		w->ready(s->pool->device, NULL, w, revents);
		return;
	}
	if (s != &s->pool->own_sources)
		worker_woken(container_of(s, struct worker_thread, sources));
	if (!(w->core.events & EPOLLET) && !w->core.edge && is_idle_for_good(w)) {
		control(s, EPOLL_CTL_MOD, w, w->core.events | EPOLLET);
		w->core.edge = true;
	}
	q = w->core.q;
	if (!sources_begin(s, &q))
		return;
	w->ready(s->pool->device, q, w, revents);
	sources_end(s, q);
}

void watch_drop(struct sources *s, const struct queue *of)
{
	for (struct virtio_watch *w = s->watches, *next; w; w = next) {
		next = w->core.next;
		if (w->core.q && queue_of(w->core.q)->group == of->group)
			watch_remove(w);
	}
}

void watch_restore(struct sources *s, struct vq *q)
{
	for (struct virtio_watch *w = s->watches; w; w = w->core.next) {
		if (w->core.q != q || !w->core.edge)
			continue;
		control(s, EPOLL_CTL_MOD, w, w->core.events);
		w->core.edge = false;
	}
}

void virtio_watch(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t events)
{
	struct sources *s = sources_of(d, q);

	if (w->core.owner && (!events || w->core.owner != s || w->core.fd != w->fd))
		watch_remove(w);
	if (!events || (q && !group_active(queue_of(q))))
		return;
	w->core.q = q;
	if (w->core.owner && w->core.events == events)
		return;
	if (w->core.owner && control(s, EPOLL_CTL_MOD, w, events)) {
		w->core.events = events;
		w->core.edge = false;
		return;
	}
	watch_remove(w);
	if (watch_add(s, w, events))
		return;
	/* What the device waits for does not come: its requests would wait for ever. */
	if (q)
		vq_break(q, "cannot wait for fd %d: %s", w->fd, g_strerror(errno));
	else
		log_limited(&s->log_limit, LOG_LEVEL_ERROR, NULL, "cannot wait for fd %d: %s",
			w->fd, g_strerror(errno));
}
