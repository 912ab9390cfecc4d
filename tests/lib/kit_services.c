/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services of daemon/device.h in one thread. Sources that are due run one after the other, in
 * kit_core_step(); wake-ups alone come from other threads.
 */
#include "tests/lib/test.h"

#include "tests/lib/kit_core.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "memory/guest_pages.h"

/* So many timers, wake-ups and answers are due at a time. */
#define MAX_DUE 64

static struct kit_core *core_of(struct virtio_device *d)
{
	return container_of(d, struct kit_core, device);
}

static struct kit_core *core_of_queue(const struct vq *q)
{
	return ((struct kit_queue *)vq_opaque(q))->core;
}

void kit_services_open(struct kit_core *c)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake, &event), 0);
	c->timers = g_ptr_array_new();
}

void kit_services_close(struct kit_core *c)
{
	fd_close(&c->epoll);
	fd_close(&c->wake);
	g_ptr_array_unref(c->timers);
}

struct vq *virtio_device_queue(struct virtio_device *d, unsigned i)
{
	struct kit_core *c = core_of(d);
	struct vq *q = i < KIT_MAX_QUEUES ? c->queue[i].q : NULL;

	return q && vq_is_started(q) && !c->stopping ? q : NULL;
}

/* Watches. */

static bool is_watched(const struct kit_core *c, const struct virtio_watch *w)
{
	const struct virtio_watch *i = c->watches;

	while (i && i != w)
		i = i->core.next;
	return i;
}

/*
 * Tells whether the fd is still this watch's. Another one may have the number by now: then the
 * file of this one has been closed.
 */
static bool owns_fd(const struct kit_core *c, const struct virtio_watch *w)
{
	for (const struct virtio_watch *i = c->watches; i != w; i = i->core.next) {
		if (i->core.fd == w->core.fd)
			return false;
	}
	return true;
}

static void unwatch(struct kit_core *c, struct virtio_watch *w)
{
	if (owns_fd(c, w))
		epoll_ctl(c->epoll, EPOLL_CTL_DEL, w->core.fd, NULL);
	if (w->core.prev)
		w->core.prev->core.next = w->core.next;
	else
		c->watches = w->core.next;
	if (w->core.next)
		w->core.next->core.prev = w->core.prev;
	memset(&w->core, 0, sizeof(w->core));
}

void virtio_watch(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = w };
	struct kit_core *c = core_of(d);

	if (w->core.owner && w->core.events == events && w->core.fd == w->fd) {
		w->core.q = q;
		return;
	}
	if (w->core.owner)
		unwatch(c, w);
	if (!events)
		return;
	w->core = (struct virtio_watch_core){
		.owner = c, .next = c->watches, .q = q, .events = events, .fd = w->fd
	};
	if (c->watches)
		c->watches->core.prev = w;
	c->watches = w;
	if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, w->fd, &event) < 0)
		assert_int_equal(epoll_ctl(c->epoll, EPOLL_CTL_MOD, w->fd, &event), 0);
}

/* Timers. */

void virtio_timer(struct virtio_device *d, struct vq *q, struct virtio_timer *t, int64_t at)
{
	struct kit_core *c = core_of(d);

	if (t->core.owner)
		g_ptr_array_remove(c->timers, t);
	memset(&t->core, 0, sizeof(t->core));
	if (at < 0)
		return;
	t->core = (struct virtio_timer_core){ .owner = c, .q = q, .at = at };
	g_ptr_array_add(c->timers, t);
}

static struct virtio_timer *first_timer(const struct kit_core *c)
{
	struct virtio_timer *first = NULL;

	for (unsigned i = 0; i < c->timers->len; i++) {
		struct virtio_timer *t = c->timers->pdata[i];

		if (!first || t->core.at < first->core.at)
			first = t;
	}
	return first;
}

void kit_core_hurry(struct kit_core *c)
{
	struct virtio_timer *t = first_timer(c);

	assert_non_null(t);
	t->core.at = 0;
}

static bool run_timer(struct kit_core *c)
{
	struct virtio_timer *t = first_timer(c);
	struct vq *q;

	if (!t || t->core.at > g_get_monotonic_time())
		return false;
	q = t->core.q;
	virtio_timer(&c->device, q, t, -1);
	kit_core_begin(c, q);
	t->expired(&c->device, q, t);
	kit_core_end(c, q);
	return true;
}

/* Wake-ups. */

void virtio_wakeup_init(struct virtio_device *d, struct vq *q, struct virtio_wakeup *w)
{
	struct kit_core *c = core_of(d);

	if (w->core.owner)
		return;
	w->core.next = c->wakeups;
	c->wakeups = w;
	w->core.q = q;
	w->core.owner = c;
}

void virtio_wakeup_signal(struct virtio_wakeup *w)
{
	struct kit_core *c = w->core.owner;

	if (!__atomic_exchange_n(&w->core.pending, 1, __ATOMIC_ACQ_REL))
		eventfd_write(c->wake, 1);
}

/* Runs a wake-up; what belongs to a stopped queue stays pending. */
static bool run_wakeup(struct kit_core *c)
{
	for (struct virtio_wakeup *w = c->wakeups; w; w = w->core.next) {
		struct vq *q = w->core.q;

		if (q && !vq_is_started(q))
			continue;
		if (!__atomic_exchange_n(&w->core.pending, 0, __ATOMIC_ACQ_REL))
			continue;
		kit_core_begin(c, q);
		w->run(&c->device, q, w);
		kit_core_end(c, q);
		return true;
	}
	return false;
}

/* Events for the control socket: lines of the log. */

static struct json control_event;

unsigned virtio_count_held(struct virtio_device *d, int n)
{
	static unsigned held;

	return __atomic_fetch_add(&held, n, __ATOMIC_RELAXED);
}

struct json *virtio_event_begin(struct virtio_device *d, const char *name)
{
	control_event = (struct json){ .out = g_string_new(NULL), .one_line = true };
	json_open_object(&control_event, NULL);
	json_open_object(&control_event, name);
	return &control_event;
}

void virtio_event_end(struct virtio_device *d, struct json *j)
{
	json_close_object(j);
	json_close_object(j);
	log_info("event", "%s", j->out->str);
	g_string_free(j->out, TRUE);
}

/* The loop. */

/* Runs a watch's callback. False: the watch of this event has ended in the meantime. */
static bool run_watch(struct kit_core *c, const struct epoll_event *event)
{
	struct virtio_watch *w = event->data.ptr;
	struct vq *q;

	if (!is_watched(c, w))
		return false;
	q = w->core.q;
	kit_core_begin(c, q);
	w->ready(&c->device, q, w, event->events);
	kit_core_end(c, q);
	return true;
}

static int time_left_ms(const struct kit_core *c, int64_t end)
{
	const struct virtio_timer *t = first_timer(c);
	int64_t us = (t ? MIN(end, t->core.at) : end) - g_get_monotonic_time();

	return us > 0 ? (int)((us + 999) / 1000) : 0;
}

/* Runs one of each kind that is due. */
static bool run_each(struct kit_core *c)
{
	bool timer = run_timer(c), wakeup = run_wakeup(c), answer = kit_core_shm_answer(c);

	return timer || wakeup || answer;
}

static bool run_due(struct kit_core *c, int timeout_ms)
{
	struct epoll_event event[8];
	int n = epoll_wait(c->epoll, event, G_N_ELEMENTS(event), timeout_ms);
	bool any = false;
	uint64_t count;

	for (int i = 0; i < n; i++) {
		if (event[i].data.ptr)
			any |= run_watch(c, &event[i]);
		else
			eventfd_read(c->wake, &count);
	}
	/* A timer may be armed for now each time it expires: others have their turn. */
	for (n = 0; n < MAX_DUE && run_each(c); n++)
		any = true;
	return any;
}

bool kit_services_step(struct kit_core *c, int timeout_ms)
{
	int64_t end = g_get_monotonic_time() + timeout_ms * 1000ll;

	do {
		if (run_due(c, 0) || run_due(c, time_left_ms(c, end)))
			return true;
	} while (g_get_monotonic_time() < end);
	return false;
}

static bool is_of_thread(const struct kit_core *c, const struct vq *q, unsigned thread)
{
	return q && kit_core_thread(c, vq_index(q)) == thread;
}

void kit_services_stopped(struct kit_core *c, unsigned thread)
{
	for (struct virtio_watch *w = c->watches, *next; w; w = next) {
		next = w->core.next;
		if (is_of_thread(c, w->core.q, thread))
			unwatch(c, w);
	}
	for (unsigned i = c->timers->len; i-- > 0;) {
		struct virtio_timer *t = c->timers->pdata[i];

		if (is_of_thread(c, t->core.q, thread))
			virtio_timer(&c->device, NULL, t, -1);
	}
}

/* The configuration space. */

void virtio_config_set(struct virtio_device *d, uint32_t offset, const void *from, uint32_t size)
{
	struct kit_core *c = core_of(d);

	assert_true(offset <= d->config_size && size <= d->config_size - offset);
	memcpy(d->config + offset, from, size);
	c->config_changes++;
}

/* Guest memory. */

int virtio_pages_hold(
	struct vq *q, const struct virtio_pages_range *r, unsigned n, struct virtio_pages **pages)
{
	return guest_pages_hold(core_of_queue(q)->guest, (const struct guest_pages_range *)r, n,
		(struct guest_pages **)pages);
}

const struct iovec *virtio_pages_iov(struct virtio_pages *p, unsigned *n)
{
	return guest_pages_iov((struct guest_pages *)p, n);
}

void virtio_pages_written(struct virtio_pages *p, uint64_t offset, uint64_t len)
{
	guest_pages_written((struct guest_pages *)p, offset, len);
}

void virtio_pages_release(struct virtio_pages *p)
{
	guest_pages_release((struct guest_pages *)p);
}

void virtio_pages_discard(struct vq *q, const struct virtio_pages_range *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		guest_mem_discard(core_of_queue(q)->guest, r[i].addr, r[i].len);
}
