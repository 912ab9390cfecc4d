/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alarms, each on a timerfd, which also reports that the host's clock was set. An alarm stays
 * enabled when it has expired, and expires once more if its clock is set back and reaches its time
 * again.
 */
#include <errno.h>
#include <sys/timerfd.h>

#include "base/kept_file.h"
#include "daemon/devices/rtc/rtc.h"

#define NS 1000000000ull
#define FAR_AHEAD (INT64_MAX / NS) /* s: to be told of a clock that is set, and nothing else */

static void store(struct rtc_clock *c)
{
	struct rtc_device *r = c->rtc;
	size_t size = sizeof(c->alarm);

	if (r->state_fd < 0 ||
		pwrite(r->state_fd, &c->alarm, size, (c - r->clock) * (off_t)size) == (ssize_t)size)
		return;
	log_limited(&r->limit, LOG_LEVEL_ERROR, NULL, "cannot write to the file of --state: %s",
		g_strerror(errno));
}

/* Sets the timer for a time of the clock; 0: disarms it. */
static void arm(struct rtc_clock *c, uint64_t time)
{
	struct itimerspec at = { 0 };
	struct timespec t;
	int64_t ahead;

	if (time) {
		clock_gettime(c->kind->timer, &t);
		/* Of the clock that the timer has: TAI is whole seconds ahead. */
		ahead = (int64_t)(rtc_clock_read(c) / NS) - t.tv_sec;
		at.it_value.tv_sec = (time_t)MIN(time / NS, FAR_AHEAD);
		at.it_value.tv_nsec = (long)(time % NS);
		if (c->kind->timer != c->kind->host)
			at.it_value.tv_sec = MAX(at.it_value.tv_sec - ahead, 1);
	}
	timerfd_settime(c->timer.fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

/* Finds out whether an alarm has expired, and sets its timer for what comes next. */
static void look(struct rtc_clock *c)
{
	const struct rtc_alarm_state *a = &c->alarm;
	bool is_over = rtc_clock_read(c) >= a->time;

	if (!a->enabled) {
		arm(c, 0);
		return;
	}
	if (is_over && !c->expired)
		c->unreported = true;
	c->expired = is_over;
	arm(c, is_over ? UINT64_MAX : a->time);
}

static void report(struct rtc_clock *c, struct vq *q)
{
	struct rtc_notification n = {
		.head.msg_type = htole16(RTC_NOTIF_ALARM),
		.clock_id = htole16((uint16_t)(c - c->rtc->clock)),
	};
	g_autoptr(vq_chain) b = vq_pop(q);

	if (!b)
		return;
	if (iov_left(&b->in) < sizeof(n)) {
		vq_break(q, "a buffer for alarms of %zu bytes (%zu at least)", iov_left(&b->in),
			sizeof(n));
		return;
	}
	iov_push(&b->in, &n, sizeof(n));
	c->unreported = false;
}

void rtc_alarms_report(struct rtc_device *r)
{
	struct vq *q = virtio_device_queue(r->d, 1);

	for (unsigned i = 0; q && i < r->n_clocks; i++) {
		if (r->clock[i].unreported)
			report(&r->clock[i], q);
	}
}

static void expired(struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	struct rtc_clock *c = container_of(w, struct rtc_clock, timer);
	uint64_t count;

	/* The number of expirations, or ECANCELED: the clock was set. */
	if (read(w->fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	look(c);
	rtc_alarms_report(c->rtc);
}

void rtc_alarm_set(struct rtc_clock *c, uint64_t time, bool enabled)
{
	c->alarm = (struct rtc_alarm_state){ .time = time, .enabled = enabled };
	c->expired = c->unreported = false;
	look(c);
	store(c);
	if (c->unreported)
		rtc_alarms_report(c->rtc);
}

void rtc_alarms_reset(struct rtc_device *r)
{
	for (unsigned i = 0; i < r->n_clocks; i++)
		rtc_alarm_set(&r->clock[i], 0, false);
}

void rtc_alarms_start(struct rtc_device *r, struct vq *q)
{
	for (unsigned i = 0; i < r->n_clocks; i++)
		virtio_watch(r->d, q, &r->clock[i].timer, EPOLLIN);
}

/*
 * Takes over the alarms that another process had, if the file has any. One that has expired is
 * reported: it is not known whether it was.
 */
static void read_state(struct rtc_device *r)
{
	struct rtc_alarm_state a[RTC_MAX_CLOCKS];
	ssize_t size = (ssize_t)(r->n_clocks * sizeof(a[0]));

	if (pread(r->state_fd, a, size, 0) != size)
		return;
	for (unsigned i = 0; i < r->n_clocks; i++) {
		struct rtc_clock *c = &r->clock[i];

		c->alarm.time = a[i].time;
		c->alarm.enabled = a[i].enabled == 1;
		look(c);
	}
}

bool rtc_alarms_open(struct rtc_device *r, const char *state, GError **error)
{
	for (unsigned i = 0; i < r->n_clocks; i++) {
		struct rtc_clock *c = &r->clock[i];

		c->timer.ready = expired;
		c->timer.fd = timerfd_create(c->kind->timer, TFD_CLOEXEC | TFD_NONBLOCK);
		if (c->timer.fd >= 0)
			continue;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot make a timer: %s",
			g_strerror(errno));
		return false;
	}
	if (!state)
		return true;
	r->state_fd = kept_file_open(state, NULL, error);
	if (r->state_fd < 0)
		return false;
	read_state(r);
	return true;
}

void rtc_alarms_close(struct rtc_device *r)
{
	for (unsigned i = 0; i < r->n_clocks; i++)
		fd_close(&r->clock[i].timer.fd);
	fd_close(&r->state_fd);
}
