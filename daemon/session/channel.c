/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back-end channel: what the back-end asks of the front-end.
 *
 * No request is waited for: before a front-end answers here it may have to ask GET_CONFIG on the
 * main socket. CONFIG_CHANGE is sent without need_reply. Mappings of shared memory are answered, in
 * their order; while no answer is awaited, whatever comes in is dropped.
 */
#include <poll.h>

#include "base/fd_kind.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"

void channel_close(struct backend *b)
{
	g_clear_pointer(&b->channel_watch, loop_watch_free);
	fd_close(&b->channel);
	vu_msg_clear(&b->channel_msg);
	b->channel_reader = (struct vu_reader){ 0 };
	shm_lost(b);
}

static void on_channel(void *opaque, uint32_t revents);

static void channel_watch(struct backend *b, bool full)
{
	if (b->channel_watch && b->channel_full == full)
		return;
	loop_watch_free(b->channel_watch);
	b->channel_full = full;
	b->channel_watch =
		loop_watch_fd(b->channel, EPOLLIN | (full ? EPOLLOUT : 0), on_channel, b);
}

static void fail(struct backend *b, const GError *error)
{
	log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end", "back-end channel: %s",
		error->message);
	channel_close(b);
}

static bool drop_input(struct backend *b)
{
	int fds[SOCK_MAX_FDS];
	unsigned n_fds = 0;
	bool truncated = false;
	uint8_t dropped[256];
	ssize_t n;

	n = sock_recv(b->channel, dropped, sizeof(dropped), fds, SOCK_MAX_FDS, &n_fds, &truncated);
	fds_discard(fds, n_fds);
	return n > 0 || n == -EAGAIN;
}

/* Returns false if the channel has ended. *more: there may be another message. */
static bool read_answer(struct backend *b, bool *more)
{
	struct vu_msg *msg = &b->channel_msg;
	g_autoptr(GError) error = NULL;

	enum vu_read got = vu_msg_read(&b->channel_reader, b->channel, msg, &error);

	*more = false;
	backend_note_unfinished(b);
	switch (got) {
	case VU_READ_AGAIN:
		return true;
	case VU_READ_DONE:
		*more = true;
		if (!shm_answered(b, msg, &error))
			break;
		vu_msg_clear(msg);
		return true;
	case VU_READ_CLOSED:
		return false;
	case VU_READ_ERROR:
		break;
	}
	fail(b, error);
	return true;
}

void channel_read(struct backend *b)
{
	bool more = true;

	while (more && b->channel >= 0 && shm_awaits(b) && read_answer(b, &more))
		;
}

static void on_channel(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	bool more;

	/* A message that has begun is read to its end. */
	if (!(shm_awaits(b) || b->channel_reader.have ? read_answer(b, &more) : drop_input(b))) {
		log_debug("front-end", "the back-end channel is closed");
		channel_close(b);
	}
	if (b->channel < 0)
		return;
	if (revents & EPOLLOUT)
		channel_watch(b, false);
	channel_flush(b);
}

bool may_keep_socket(const struct backend *b, int fd, GError **error)
{
	enum fd_kind kind = fd_kind(fd);

	if (kind != FD_SOCKET)
		return refuse(error, EINVAL, "%s is not a Unix socket", fd_kind_name(kind));
	return !sock_is_peer_of(fd, b->fd) ||
		refuse(error, EINVAL, "it is the front-end's end of this connection");
}

bool on_backend_req_fd(struct backend *b, struct backend_request *rq, GError **error)
{
	if (!may_keep_socket(b, rq->in.fds[0], error))
		return false;
	channel_close(b);
	b->channel = vu_msg_take_fd(&rq->in, 0);
	channel_watch(b, false);
	/* What was told on another channel may have been lost with it. */
	b->config_change_due |= b->config_change_told;
	b->config_change_told = false;
	channel_flush(b);
	return true;
}

/* Is CONFIG_CHANGE legal? Without a configuration space it tells of the status alone. */
static bool may_tell(const struct backend *b)
{
	return !b->device.config_size || b->protocol_features & VU_BIT(VU_F_CONFIG);
}

/* Fills in the message to be sent next; false: there is none. */
static bool next_message(struct backend *b, struct vu_msg *msg)
{
	if (!b->config_change_due || !may_tell(b))
		return shm_next(b, msg);
	vu_msg_init(msg, VU_BACKEND_CONFIG_CHANGE_MSG);
	return true;
}

static void message_sent(struct backend *b, const struct vu_msg *msg)
{
	if (msg->header.request != VU_BACKEND_CONFIG_CHANGE_MSG) {
		shm_sent(b);
		return;
	}
	b->config_change_due = false;
	b->config_change_told = true;
}

/* Logs, once for each change, that the front-end has no way to hear of it. */
static void log_untold(struct backend *b)
{
	if (!b->config_change_due || b->config_change_logged || !pool_is_active(b->pool) ||
		(b->channel >= 0 && may_tell(b)))
		return;
	b->config_change_logged = true;
	log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
		"%s: the guest cannot be told to read the configuration space and the status again "
		"(it does when its driver is loaded again, or when it reboots)",
		b->channel < 0 ? "no back-end channel" : "CONFIG was not negotiated");
}

void channel_flush(struct backend *b)
{
	struct pollfd pfd = { .events = POLLOUT };
	g_autoptr(GError) error = NULL;
	struct vu_msg msg;

	log_untold(b);
	/* With all vrings stopped the back-end is suspended, and sends nothing. */
	while (b->channel >= 0 && pool_is_active(b->pool) && next_message(b, &msg)) {
		pfd.fd = b->channel;
		if (poll(&pfd, 1, 0) == 0) {
			channel_watch(b, true);
			return;
		}
		if (!vu_msg_write(b->channel, &msg, 0, &error)) {
			fail(b, error);
			return;
		}
		message_sent(b, &msg);
	}
}
