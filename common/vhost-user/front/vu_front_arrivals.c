/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for the back-end: the epoll set of its sockets, and the times at which a wait ends. */
#include <errno.h>
#include <sys/epoll.h>

#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

bool vu_front_open_arrivals(struct vu_front *f)
{
	struct epoll_event in = { .events = EPOLLIN };

	if (f->arrivals >= 0)
		return true;
	f->arrivals = epoll_create1(EPOLL_CLOEXEC);
	if (f->arrivals < 0 || !f->options.cancel)
		return f->arrivals >= 0;
	in.data.fd = *f->options.cancel;
	if (epoll_ctl(f->arrivals, EPOLL_CTL_ADD, *f->options.cancel, &in) == 0)
		return true;
	fd_close(&f->arrivals);
	return false;
}

bool vu_front_watch(struct vu_front *f, int fd)
{
	struct epoll_event in = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };

	return epoll_ctl(f->arrivals, EPOLL_CTL_ADD, fd, &in) == 0 ||
		(errno == EEXIST && epoll_ctl(f->arrivals, EPOLL_CTL_MOD, fd, &in) == 0);
}

void vu_front_unwatch(struct vu_front *f, int fd)
{
	if (fd >= 0)
		epoll_ctl(f->arrivals, EPOLL_CTL_DEL, fd, NULL);
}

void vu_front_on_late(struct vu_front *f, void (*late)(void *opaque), void *opaque)
{
	f->late = late;
	f->late_opaque = opaque;
	f->late_at = g_get_monotonic_time() + f->options.deadline_ms * G_TIME_SPAN_MILLISECOND;
}

/* Returns how long to wait, of left µs, until it is late. */
static gint64 until_late(struct vu_front *f, gint64 left)
{
	gint64 until = f->late_at - g_get_monotonic_time();
	void (*late)(void *opaque) = f->late;

	if (!late)
		return left;
	if (until > 0)
		return MIN(left, until);
	f->late = NULL;
	late(f->late_opaque);
	return left;
}

/* Returns how long to wait, of left µs, for the rest of a message, here or on the channel. */
static gint64 until_rest(const struct vu_front *f, gint64 left)
{
	const gint64 until[] = { f->half_until, f->channel_half_until };
	gint64 now = g_get_monotonic_time();

	for (unsigned i = 0; i < G_N_ELEMENTS(until); i++)
		if (until[i])
			left = MIN(left, MAX(until[i] - now, 0));
	return left;
}

bool vu_front_wait_for_input(
	struct vu_front *f, const char *what, unsigned timeout_ms, gint64 deadline, GError **error)
{
	gint64 left = deadline - g_get_monotonic_time();
	struct epoll_event events[3];
	bool channel = false;
	int n;

	if (left <= 0)
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE,
			"no answer to %s within %u ms%s", what, timeout_ms,
			f->answered ? ""
				    : ": the back-end serves another front-end, or its service "
				      "does not start (see its log)");
	left = until_rest(f, until_late(f, left));
	n = epoll_wait(f->arrivals, events, G_N_ELEMENTS(events), (left + 999) / 1000);
	if (n < 0 && errno != EINTR)
		return vu_front_fail(
			f, error, VU_FRONT_ERROR_GONE, "cannot wait: %s", g_strerror(errno));
	for (int i = 0; i < n; i++) {
		if (f->options.cancel && events[i].data.fd == *f->options.cancel)
			return vu_front_fail(f, error, VU_FRONT_ERROR_GONE, VU_FRONT_CANCELLED);
		channel |= events[i].data.fd == f->channel;
	}
	channel |= f->channel_half_until && g_get_monotonic_time() >= f->channel_half_until;
	if (channel && !vu_front_channel_serve(f))
		vu_front_channel_lose(f);
	return true;
}
