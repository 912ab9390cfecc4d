/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end channel: requests of the back-end, read and answered at once. A call on the main
 * socket serves it, too, as the back-end may wait for our answer there before it answers here. What
 * the caller must hear of then waits in an eventfd; caller and back-end's end are polled as one.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "vhost-user/vu_front_impl.h"

/* Of a back-end that never stops sending. */
#define MAX_AT_ONCE 64

void vu_front_channel_close(struct vu_front *f)
{
	vu_msg_clear(&f->channel_msg);
	f->channel_reader = (struct vu_reader){ 0 };
	fd_close(&f->channel);
	fd_close(&f->changed);
	fd_close(&f->channel_poll);
}

void vu_front_channel_lose(struct vu_front *f)
{
	/* The caller may be about to poll vu_front_backend_fd(): that stays, and wakes it. */
	fd_close(&f->channel);
	eventfd_write(f->changed, 1);
}

static bool make_fds(struct vu_front *f, int *theirs)
{
	struct epoll_event in = { .events = EPOLLIN };
	int pair[2];

	/* Blocking, as QEMU makes it: back-ends read their end without poll(). */
	if (!sock_pair(pair))
		return false;
	f->channel = pair[0];
	*theirs = pair[1];
	f->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->channel_poll = epoll_create1(EPOLL_CLOEXEC);
	return f->changed >= 0 && f->channel_poll >= 0 &&
		epoll_ctl(f->channel_poll, EPOLL_CTL_ADD, f->channel, &in) == 0 &&
		epoll_ctl(f->channel_poll, EPOLL_CTL_ADD, f->changed, &in) == 0;
}

bool vu_front_channel_open(struct vu_front *f, GError **error)
{
	struct vu_msg *msg = vu_front_request(f, VU_SET_BACKEND_REQ_FD);
	autofd theirs = -1;

	if (!make_fds(f, &theirs))
		return vu_front_fail(f, error, VU_FRONT_ERROR_GONE,
			"cannot make the back-end channel: %s", g_strerror(errno));
	msg->fds[0] = theirs;
	msg->n_fds = 1;
	return vu_front_call(f, error);
}

/* What the request comes to: 0 or an errno for the back-end. */
static uint64_t serve_request(struct vu_front *f, const struct vu_shape *shape)
{
	struct vu_msg *msg = &f->channel_msg;
	g_autoptr(GError) why = NULL;

	if (shape && !vu_msg_check(msg, shape, &why)) {
		log_limited(&f->channel_log, LOG_LEVEL_WARNING, f->name, "%s", why->message);
		return EINVAL;
	}
	switch (msg->header.request) {
	case VU_BACKEND_CONFIG_CHANGE_MSG:
		eventfd_write(f->changed, 1);
		return 0;
	case VU_BACKEND_SHARED_OBJECT_ADD:
	case VU_BACKEND_SHARED_OBJECT_REMOVE:
		/* Bit 18 was acked for PROBE; these have no meaning here. */
		return 0;
	}
	return EOPNOTSUPP;
}

static bool answer(struct vu_front *f, const struct vu_shape *shape, uint64_t result)
{
	struct vu_msg *msg = &f->channel_msg;
	bool ack = (msg->header.flags & VU_FLAG_NEED_REPLY) && vu_front_acked(f, VU_F_REPLY_ACK);

	if (!ack && !(shape && shape->reply == VU_REPLY_ALWAYS))
		return true;
	vu_msg_init(msg, msg->header.request);
	msg->header.flags |= VU_FLAG_REPLY;
	vu_msg_set_u64(msg, result);
	/* Without waiting: there is room, unless the back-end does not read its answers. */
	return vu_msg_write(f->channel, msg, 0, NULL);
}

bool vu_front_channel_serve(struct vu_front *f)
{
	struct vu_msg *msg = &f->channel_msg;
	g_autoptr(GError) why = NULL;

	for (unsigned i = 0; i < MAX_AT_ONCE; i++) {
		const struct vu_shape *shape;
		uint64_t result;

		switch (vu_msg_read(&f->channel_reader, f->channel, msg, &why)) {
		case VU_READ_AGAIN:
			return true;
		case VU_READ_CLOSED:
			return false;
		case VU_READ_ERROR:
			log_warning(f->name, "back-end channel: %s", why->message);
			return false;
		case VU_READ_DONE:
			break;
		}
		shape = vu_backend_shape(msg->header.request);
		result = serve_request(f, shape);
		vu_msg_clear(msg);
		if (!answer(f, shape, result))
			return false;
	}
	return true;
}

int vu_front_backend_fd(const struct vu_front *f)
{
	return f->channel_poll;
}

bool vu_front_backend_event(struct vu_front *f, const struct vu_front_events *events, void *opaque)
{
	bool alive = f->channel >= 0 && vu_front_channel_serve(f);
	eventfd_t n;
	bool changed = f->changed >= 0 && eventfd_read(f->changed, &n) == 0;

	if (!alive)
		vu_front_channel_close(f);
	if (changed)
		events->config_changed(opaque);
	return alive;
}
