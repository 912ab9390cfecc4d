/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration space, and the channel on which the front-end is told that it changed. */
#include <poll.h>

#include "base/sock.h"
#include "base/util.h"
#include "daemon/session/backend_impl.h"

bool on_get_config(struct backend *b, struct request *rq, GError **error)
{
	const struct virtio_device *d = &b->device;
	const struct vu_config *want = &rq->in.payload.config;
	uint8_t *data = rq->out.payload.bytes + sizeof(*want);
	uint32_t there;

	/* A reply without payload tells that it failed. */
	if (want->offset >= d->config_size)
		return true;
	there = MIN(want->size, d->config_size - want->offset);
	rq->out.payload.config = *want;
	pool_config_read(b->pool, want->offset, data, there);
	/* Front-ends know larger structs than ours. */
	memset(data + there, 0, want->size - there);
	rq->out.header.size = rq->in.header.size;
	return true;
}

/*
 * A driver that writes while no queue runs is at its beginning. If no message has told that the one
 * before it has ended, the device is reset now: at the start of a queue (see
 * driver_starts_afresh()) that would undo what was written.
 */
static void reset_for_new_driver(struct backend *b)
{
	bool moved = false;

	for (unsigned i = 0; i < b->device.num_queues; i++)
		moved |= b->vrings[i].moved;
	if (moved && !pool_is_active(b->pool))
		backend_reset_device(b);
}

/*
 * The part of the message that range w allows to be written: from *first to before *end. Bytes that
 * the driver may not write are ignored: some front-ends write the whole space back, stale bytes
 * included.
 */
static bool writable_part(const struct request *rq, const struct virtio_config_range *w,
	uint32_t *first, uint32_t *end)
{
	const struct vu_config *c = &rq->in.payload.config;

	/* No sum wraps: the offset is below config_size, the size below VU_MAX_CONFIG. */
	*first = MAX(c->offset, w->offset);
	*end = MIN(c->offset + c->size, (uint32_t)w->offset + w->size);
	return *first < *end;
}

bool on_set_config(struct backend *b, struct request *rq, GError **error)
{
	const struct virtio_device *d = &b->device;
	const struct virtio_config_range *w = d->ops->config_writable;
	uint32_t from = rq->in.payload.config.offset, first, end;

	if (from >= d->config_size)
		return refuse(error, EINVAL, "offset %" PRIu32 " is past the end, %" PRIu32, from,
			d->config_size);
	for (; w && w->size; w++) {
		if (writable_part(rq, w, &first, &end)) {
			reset_for_new_driver(b);
			return true;
		}
	}
	return true;
}

bool verb_set_config(struct virtio_device *d, struct request *rq, GError **error)
{
	const struct virtio_config_range *w = d->ops->config_writable;
	const uint8_t *data = rq->in.payload.bytes + sizeof(rq->in.payload.config);
	uint32_t from = rq->in.payload.config.offset, first, end;

	for (; w && w->size; w++) {
		if (!writable_part(rq, w, &first, &end))
			continue;
		pool_config_write(d->pool, first, data + first - from, end - first);
		if (d->ops->config_written)
			d->ops->config_written(d, first, end - first);
	}
	return true;
}

void channel_close(struct backend *b)
{
	g_clear_pointer(&b->channel_watch, loop_watch_free);
	fd_close(&b->channel);
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

/*
 * We ask for no reply on the channel: a front-end may have to ask GET_CONFIG on the main socket
 * before it can answer here. What comes in all the same is dropped.
 */
static void on_channel(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	int fds[SOCK_MAX_FDS];
	unsigned n_fds = 0;
	bool truncated = false;
	uint8_t dropped[256];
	ssize_t n;

	n = sock_recv(b->channel, dropped, sizeof(dropped), fds, SOCK_MAX_FDS, &n_fds, &truncated);
	while (n_fds)
		close(fds[--n_fds]);
	if (n == 0 || (n < 0 && n != -EAGAIN)) {
		log_debug("front-end", "the back-end channel is closed");
		channel_close(b);
		return;
	}
	if (revents & EPOLLOUT) {
		channel_watch(b, false);
		config_change_flush(b);
	}
}

bool on_backend_req_fd(struct backend *b, struct request *rq, GError **error)
{
	channel_close(b);
	b->channel = vu_msg_take_fd(&rq->in, 0);
	channel_watch(b, false);
	/* What was told on another channel may have been lost with it. */
	b->config_change_due |= b->config_change_told;
	b->config_change_told = false;
	config_change_flush(b);
	return true;
}

/* Is the message legal? Without a configuration space it tells of the status alone. */
static bool may_tell(const struct backend *b)
{
	return b->channel >= 0 &&
		(!b->device.config_size || b->protocol_features & VU_BIT(VU_F_CONFIG));
}

void config_change_flush(struct backend *b)
{
	struct pollfd pfd = { .fd = b->channel, .events = POLLOUT };
	g_autoptr(GError) error = NULL;
	struct vu_msg msg;

	/* With all vrings stopped the back-end is suspended, and sends nothing. */
	if (!b->config_change_due || !may_tell(b) || !pool_is_active(b->pool))
		return;
	if (poll(&pfd, 1, 0) == 0) {
		channel_watch(b, true);
		return;
	}
	b->config_change_due = false;
	b->config_change_told = true;
	vu_msg_init(&msg, VU_BACKEND_CONFIG_CHANGE_MSG);
	if (!vu_msg_write(b->channel, &msg, 0, &error)) {
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end", "back-end channel: %s",
			error->message);
		channel_close(b);
	}
}

void config_change(struct backend *b)
{
	b->config_change_due = true;
	config_change_flush(b);
}
