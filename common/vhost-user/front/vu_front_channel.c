/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end channel: requests of the back-end, read and answered at once. A call on the main
 * socket serves it, too, as the back-end may wait for our answer there before it answers here. What
 * the caller must hear of then waits in an eventfd; caller and back-end's end are polled as one.
 *
 * A message that has begun must be whole soon: its sender has nothing to wait for. Until then it
 * stays in the socket, and with it fds of the back-end: if one of them is its end of the main
 * socket, that socket does not close when the back-end ends.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "vhost-user/front/vu_front_impl.h"

/* Of a back-end that never stops sending. */
#define MAX_AT_ONCE 64

void vu_front_channel_close(struct vu_front *f)
{
	vu_front_unwatch(f, f->channel);
	fd_close(&f->channel);
	fd_close(&f->channel_peer);
	fd_close(&f->changed);
	fd_close(&f->channel_timer);
	fd_close(&f->channel_poll);
	f->channel_half_until = 0;
}

/* Throws away what is unread: it may hold the back-end's own sockets. */
static void drain(int fd)
{
	bool truncated;
	uint8_t bytes[4096];
	unsigned n_fds = 0;

	shutdown(fd, SHUT_RDWR); /* no more comes */
	while (sock_recv(fd, bytes, sizeof(bytes), NULL, 0, &n_fds, &truncated) > 0)
		continue;
}

void vu_front_channel_lose(struct vu_front *f)
{
	/* The caller may be about to poll vu_front_backend_fd(): that stays, and wakes it. */
	vu_front_unwatch(f, f->channel);
	drain(f->channel);
	fd_close(&f->channel);
	f->channel_half_until = 0;
	eventfd_write(f->changed, 1);
}

/* Watches a channel that is there. */
static bool watch(struct vu_front *f, GError **error)
{
	struct epoll_event in = { .events = EPOLLIN };

	f->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->channel_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	f->channel_poll = epoll_create1(EPOLL_CLOEXEC);
	return (f->changed >= 0 && f->channel_timer >= 0 && f->channel_poll >= 0 &&
		       epoll_ctl(f->channel_poll, EPOLL_CTL_ADD, f->arrivals, &in) == 0 &&
		       epoll_ctl(f->channel_poll, EPOLL_CTL_ADD, f->changed, &in) == 0 &&
		       epoll_ctl(f->channel_poll, EPOLL_CTL_ADD, f->channel_timer, &in) == 0 &&
		       vu_front_watch(f, f->channel)) ||
		vu_front_fail(f, error, VU_FRONT_ERROR_GONE,
			"cannot watch the back-end channel: %s", g_strerror(errno));
}

/* Makes a channel, blocking, as QEMU makes it: back-ends read their end without poll(). */
static bool make_channel(struct vu_front *f, GError **error)
{
	int pair[2];

	if (!sock_pair(pair))
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE,
			"cannot make the back-end channel: %s", g_strerror(errno));
	f->channel = pair[0];
	f->channel_peer = pair[1];
	return true;
}

bool vu_front_channel_open(struct vu_front *f, GError **error)
{
	autofd theirs = -1;
	struct vu_msg *msg;

	if ((f->channel < 0 && !make_channel(f, error)) || !watch(f, error))
		return false;
	theirs = fd_steal(&f->channel_peer);
	msg = vu_front_request(f, VU_SET_BACKEND_REQ_FD);
	msg->fds[0] = theirs;
	msg->n_fds = 1;
	return vu_front_call(f, error);
}

/* Returns what a request that is sound comes to: 0 or an errno for the back-end. */
static uint64_t result_of(uint32_t request)
{
	switch (request) {
	case VU_BACKEND_CONFIG_CHANGE_MSG:
	case VU_BACKEND_SHARED_OBJECT_ADD:
	case VU_BACKEND_SHARED_OBJECT_REMOVE:
		/* Bit 18 was acked for PROBE; these have no meaning here. */
		return 0;
	}
	return EOPNOTSUPP;
}

static uint64_t serve_request(struct vu_front *f, const struct vu_shape *shape)
{
	struct vu_msg *msg = &f->channel_msg;
	bool shm = msg->header.request == VU_BACKEND_SHMEM_MAP ||
		msg->header.request == VU_BACKEND_SHMEM_UNMAP;
	g_autoptr(GError) why = NULL;

	if (shm && !vu_front_acked(f, VU_F_SHMEM))
		return EOPNOTSUPP;
	if (shape && !vu_msg_check(msg, shape, &why)) {
		log_limited(&f->channel_log, LOG_LEVEL_WARNING, f->name, "%s", why->message);
		return EINVAL;
	}
	if (shm)
		return vu_front_shm_serve(f, msg);
	if (msg->header.request == VU_BACKEND_CONFIG_CHANGE_MSG)
		eventfd_write(f->changed, 1);
	return result_of(msg->header.request);
}

static bool wants_answer(const struct vu_front *f, const struct vu_header *h)
{
	const struct vu_shape *shape = vu_backend_shape(h->request);

	return ((h->flags & VU_FLAG_NEED_REPLY) && vu_front_acked(f, VU_F_REPLY_ACK)) ||
		(shape && shape->reply == VU_REPLY_ALWAYS);
}

/* Stores which request awaits an answer, by this process or its successor; 0: none. */
static void set_owed(struct vu_front *f, uint32_t request)
{
	if (f->options.state)
		__atomic_store_n(&f->options.state->owed, request, __ATOMIC_RELEASE);
}

static bool answer(struct vu_front *f, uint32_t request, uint64_t result)
{
	struct vu_msg *msg = &f->channel_msg;
	bool ok;

	vu_msg_init(msg, request);
	msg->header.flags |= VU_FLAG_REPLY;
	vu_msg_set_u64(msg, result);
	/* Without waiting: there is room, unless the back-end does not read its answers. */
	ok = vu_msg_write(f->channel, msg, 0, NULL);
	set_owed(f, 0);
	return ok;
}

/* Notes that half a message is there, for so long at most; 0: there is none. */
static void expect_rest(struct vu_front *f, unsigned ms)
{
	struct itimerspec timer = { 0 };

	if (!ms && !f->channel_half_until)
		return;
	f->channel_half_until = ms ? g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND : 0;
	timer.it_value.tv_sec = ms / 1000;
	timer.it_value.tv_nsec = ms % 1000 * 1000000L;
	timerfd_settime(f->channel_timer, 0, &timer, NULL);
}

/*
 * Checks that no half of a message has been there for too long; false: one has. No whole one is
 * there.
 */
static bool check_rest(struct vu_front *f)
{
	unsigned ms = MIN(f->options.deadline_ms, VU_FRONT_REST_MS);
	bool ended;

	if (sock_unread(f->channel, &ended) <= 0)
		expect_rest(f, 0);
	else if (!f->channel_half_until)
		expect_rest(f, ms);
	else if (g_get_monotonic_time() >= f->channel_half_until) {
		log_warning(
			f->name, "back-end channel: half a message, and no more within %u ms", ms);
		return false;
	}
	return true;
}

/* Returns how many fds of a request are of use: this process had better have no others. */
static unsigned useful_fds(const struct vu_front *f, const struct vu_header *h)
{
	return h->request == VU_BACKEND_SHMEM_MAP && vu_front_acked(f, VU_F_SHMEM) ? 1 : 0;
}

static bool serve_one(struct vu_front *f, const struct vu_header *h)
{
	struct vu_msg *msg = &f->channel_msg;
	bool wanted = wants_answer(f, h);
	g_autoptr(GError) why = NULL;
	uint64_t result;

	expect_rest(f, 0);
	if (wanted)
		set_owed(f, h->request);
	if (!vu_msg_take(f->channel, h, useful_fds(f, h), msg, &why)) {
		vu_msg_clear(msg);
		log_warning(f->name, "back-end channel: %s", why->message);
		return false;
	}
	result = serve_request(f, vu_backend_shape(h->request));
	vu_msg_clear(msg);
	return !wanted || answer(f, h->request, result);
}

bool vu_front_channel_serve(struct vu_front *f)
{
	g_autoptr(GError) why = NULL;
	struct vu_header header;

	for (unsigned i = 0; i < MAX_AT_ONCE; i++) {
		switch (vu_msg_peek(f->channel, &header, &why)) {
		case VU_READ_AGAIN:
			return check_rest(f);
		case VU_READ_CLOSED:
			return false;
		case VU_READ_ERROR:
			log_warning(f->name, "back-end channel: %s", why->message);
			return false;
		case VU_READ_DONE:
			break;
		}
		if (!serve_one(f, &header))
			return false;
	}
	/* There may be more. */
	return vu_front_watch(f, f->channel);
}

/*
 * Answers for it: the predecessor may have died after it read a request, or before: then that is
 * still there. (Or after it answered: then it is answered twice, as one that is never answered
 * is worse.)
 */
static bool answer_for_predecessor(struct vu_front *f)
{
	uint32_t owed = f->options.state->owed;
	struct vu_header header;

	if (!owed)
		return true;
	if (vu_msg_peek(f->channel, &header, NULL) == VU_READ_DONE && header.request == owed &&
		wants_answer(f, &header))
		return true;
	return answer(f, owed, result_of(owed));
}

bool vu_front_channel_adopt(struct vu_front *f, GError **error)
{
	if (f->channel < 0 || !vu_front_acked(f, VU_F_BACKEND_REQ)) {
		vu_front_channel_close(f);
		return true;
	}
	if (!watch(f, error))
		return false;
	/* What the predecessor read and did not tell is not known. */
	eventfd_write(f->changed, 1);
	if (!answer_for_predecessor(f) || !vu_front_channel_serve(f))
		vu_front_channel_lose(f);
	return true;
}

int vu_front_backend_fd(const struct vu_front *f)
{
	return f->channel_poll;
}

bool vu_front_backend_event(struct vu_front *f, const struct vu_front_events *events, void *opaque)
{
	struct epoll_event arrived[3];
	bool alive, changed;
	eventfd_t n;

	/* What arrived up to here is dealt with; calls look at the socket before they wait. */
	epoll_wait(f->arrivals, arrived, G_N_ELEMENTS(arrived), 0);
	alive = f->channel >= 0 && vu_front_channel_serve(f);
	changed = f->changed >= 0 && eventfd_read(f->changed, &n) == 0;

	if (!alive)
		vu_front_channel_close(f);
	if (changed)
		events->config_changed(opaque);
	return alive;
}
