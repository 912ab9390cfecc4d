/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main loop as the owner of all rings.
 *
 * Whatever makes the device do something (a kick, one of its fds, start and stop) runs between
 * group_begin() and group_end(). The group is the queues that the device wants on one thread: a
 * callback on behalf of one may pop from and push to all of them. group_end() publishes, looks
 * again where a burst was cut short, and notices that a draining ring has become idle. The last
 * may answer a request, close the connection or start rings, so it comes when nothing else is
 * left to do.
 */
#include "daemon/owner.h"

#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

struct device_watch {
	struct ring *ring;
	struct loop_watch *watch;
	int fd;
	uint32_t events;
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents);
};

static void device_watch_free(void *data)
{
	struct device_watch *w = data;

	loop_watch_free(w->watch);
	g_free(w);
}

void owner_init(struct ring *r)
{
	r->device_watches = g_ptr_array_new_with_free_func(device_watch_free);
}

void owner_fini(struct ring *r)
{
	g_clear_pointer(&r->device_watches, g_ptr_array_unref);
}

static const struct virtio_device_ops *ops_of(const struct ring *r)
{
	return r->backend->device.ops;
}

/* The rings from first to before end that a callback may concern. */
struct group {
	struct ring *first, *end;
};

static struct group all_rings(const struct backend *b)
{
	return (struct group){ b->rings, b->rings + b->device.num_queues };
}

static struct group group_of(struct ring *r)
{
	struct group all = all_rings(r->backend);
	struct ring *even = r - r->index % 2;

	switch (ops_of(r)->threads) {
	case VIRTIO_DEVICE_ONE:
		return all;
	case VIRTIO_DEVICE_PER_PAIR:
		return (struct group){ even, MIN(even + 2, all.end) };
	case VIRTIO_DEVICE_PER_QUEUE:
		break;
	}
	return (struct group){ r, r + 1 };
}

static void on_soon(void *opaque);

static void burst_soon(struct ring *r)
{
	if (!r->soon)
		r->soon = loop_watch_soon(on_soon, r);
}

static void settle(struct ring *r)
{
	enum vq_more more = vq_burst_end(r->vq);

	if (guest_mem_poisoned(r->backend->mem))
		vq_break(r->vq, "the front-end has truncated guest memory");
	/* Without a kick fd the front-end wants the ring polled. */
	if (r->state == RING_RUNNING && !vq_is_broken(r->vq) && (more == VQ_MORE || r->kick < 0))
		burst_soon(r);
}

static void group_begin(struct group g)
{
	for (struct ring *r = g.first; r < g.end; r++) {
		if (r->state != RING_STOPPED)
			vq_burst_begin(r->vq);
	}
}

static void group_end(struct group g)
{
	for (struct ring *r = g.first; r < g.end; r++) {
		if (r->state != RING_STOPPED)
			settle(r);
	}
	for (struct ring *r = g.first; r < g.end; r++) {
		if (r->state != RING_DRAINING || vq_in_flight(r->vq))
			continue;
		g_ptr_array_set_size(r->device_watches, 0);
		ring_drained(r);
	}
}

static void burst(struct ring *r)
{
	if (r->state != RING_RUNNING || vq_is_broken(r->vq))
		return;
	group_begin(group_of(r));
	ops_of(r)->kick(&r->backend->device, r->vq);
	group_end(group_of(r));
}

static void on_soon(void *opaque)
{
	struct ring *r = opaque;

	g_clear_pointer(&r->soon, loop_watch_free);
	burst(r);
}

static ssize_t read_nowait(int fd, uint64_t *count)
{
	struct iovec iov = { .iov_base = count, .iov_len = sizeof(*count) };

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
}

/* Linux before 5.8 has no RWF_NOWAIT for eventfds. */
static bool eventfds_may_block(void)
{
	autofd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count;

	return read_nowait(fd, &count) < 0 && errno == EOPNOTSUPP;
}

/*
 * Empties the eventfd. It is shared with the front-end, so it may not be made non-blocking; the
 * front-end could also empty it between our poll and our read, hence RWF_NOWAIT. A kind of file
 * that does not know that, where eventfds do, is none of them, and reading it could wait for ever.
 */
static bool read_kick(int fd)
{
	uint64_t count;
	ssize_t n = read_nowait(fd, &count);

	if (n < 0 && errno == EOPNOTSUPP) {
		if (!eventfds_may_block())
			return false;
		n = read(fd, &count, sizeof(count));
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_kick(void *opaque, uint32_t revents)
{
	struct ring *r = opaque;

	if (!(revents & EPOLLIN) || !read_kick(r->kick)) {
		log_limited(&r->backend->refusals, LOG_LEVEL_WARNING, vq_name(r->vq),
			"the kick fd is no eventfd, or broken: kicks are not seen any more");
		g_clear_pointer(&r->kick_watch, loop_watch_free);
	}
	burst(r);
}

static void stop_bursts(struct ring *r)
{
	g_clear_pointer(&r->kick_watch, loop_watch_free);
	g_clear_pointer(&r->soon, loop_watch_free);
}

void owner_start(struct ring *r)
{
	if (r->kick >= 0)
		r->kick_watch = loop_watch_fd(r->kick, EPOLLIN, on_kick, r);
	if (ops_of(r)->queue_start) {
		group_begin(group_of(r));
		ops_of(r)->queue_start(&r->backend->device, r->vq);
		group_end(group_of(r));
	}
	/* A kick may have been delivered, and read, before the ring was set up. */
	if (r->state == RING_RUNNING && !vq_is_broken(r->vq))
		burst_soon(r);
}

void owner_drain(struct ring *r)
{
	stop_bursts(r);
	group_begin(group_of(r));
	vq_drain(r->vq);
	if (ops_of(r)->queue_stop)
		ops_of(r)->queue_stop(&r->backend->device, r->vq);
	group_end(group_of(r));
}

void owner_broken(struct ring *r)
{
	stop_bursts(r);
}

static void on_device_fd(void *opaque, uint32_t revents)
{
	const struct device_watch *w = opaque;
	struct ring *r = w->ring;

	group_begin(group_of(r));
	w->cb(&r->backend->device, r->vq, revents);
	/* w may be gone. */
	group_end(group_of(r));
}

void owner_watch(struct ring *r, int fd, uint32_t events,
	void (*cb)(struct virtio_device *d, struct vq *q, uint32_t revents))
{
	struct device_watch *w = NULL;

	for (unsigned i = 0; i < r->device_watches->len; i++) {
		w = g_ptr_array_index(r->device_watches, i);
		if (w->fd == fd && w->events == events) {
			w->cb = cb;
			return;
		}
		if (w->fd == fd) {
			g_ptr_array_remove_index_fast(r->device_watches, i);
			break;
		}
	}
	if (!events || r->state == RING_STOPPED)
		return;
	w = g_new(struct device_watch, 1);
	*w = (struct device_watch){ .ring = r, .fd = fd, .events = events, .cb = cb };
	w->watch = loop_watch_fd(fd, events, on_device_fd, w);
	g_ptr_array_add(r->device_watches, w);
}

void owner_run(struct backend *b, void (*verb)(struct virtio_device *d))
{
	group_begin(all_rings(b));
	verb(&b->device);
	group_end(all_rings(b));
}
