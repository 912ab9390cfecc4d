/* SPDX-License-Identifier: Apache-2.0 */
/* The back-end's life, and that of one connection after the other. */
#include "daemon/session/backend.h"

#include <poll.h>

#include "base/util.h"
#include "daemon/session/backend_impl.h"

static void on_broke(void *opaque, unsigned queue)
{
	struct backend *b = opaque;

	vring_broke(&b->vrings[queue]);
}

static void on_kicked(void *opaque, unsigned queue)
{
	struct backend *b = opaque;

	quiet_kicked(&b->vrings[queue]);
}

static void on_drained(void *opaque, unsigned queue, uint32_t base)
{
	struct backend *b = opaque;

	vring_stopped(&b->vrings[queue], base);
	backend_resume(b);
}

static void on_config_changed(void *opaque)
{
	config_change(opaque);
}

static void on_shm_map(void *opaque, unsigned queue, struct virtio_shm_map *m)
{
	shm_map(opaque, queue, m);
}

static void on_event(void *opaque, const char *line, size_t len)
{
	const struct backend *b = opaque;

	if (b->event)
		b->event(b->event_opaque, line, len);
}

static const struct pool_callbacks callbacks = {
	.broke = on_broke,
	.kicked = on_kicked,
	.drained = on_drained,
	.config_changed = on_config_changed,
	.shm_map = on_shm_map,
	.event = on_event,
};

static void run_reset(struct virtio_device *d, void *opaque)
{
	d->ops->reset(d);
}

static void run_reload(struct virtio_device *d, void *opaque)
{
	d->ops->reload(d);
}

/* Closes it, whether open() has succeeded or not. */
static void close_device(struct backend *b)
{
	pool_stop(b->pool);
	if (b->device.ops->close)
		b->device.ops->close(&b->device);
	pool_free(b->pool);
	guest_mem_free(b->mem);
	shm_free(b);
	g_free(b);
}

struct backend *backend_new(
	const struct virtio_device_ops *ops, const struct backend_options *options, GError **error)
{
	struct backend *b = g_new0(struct backend, 1);
	struct virtio_device *d = &b->device;

	b->options = *options;
	b->started_at = g_get_monotonic_time();
	b->fd = -1;
	b->channel = -1;
	b->log_call = -1;
	vu_msg_init(&b->request.in, 0);
	*d = (struct virtio_device){
		.ops = ops,
		.features = ops->probe.features,
		.num_queues = ops->probe.max_queues,
		.config_size = ops->probe.config_size,
		.workers = options->workers,
	};
	b->mem = guest_mem_new();
	b->pool = pool_new(
		&(struct pool_setup){
			.device = d,
			.mem = b->mem,
			.workers = options->workers,
			.cpus = options->cpus,
			.n_cpus = options->n_cpus,
			.poll_us = options->poll_us,
			.callbacks = &callbacks,
			.opaque = b,
		},
		error);
	if (!b->pool) {
		guest_mem_free(b->mem);
		g_free(b);
		return NULL;
	}
	b->reset = (struct pool_verb){ .run = run_reset, .done = backend_resume, .opaque = b };
	b->reload = (struct pool_verb){ .run = run_reload };
	b->left = (struct pool_verb){ .run = wire_left, .done = backend_resume, .opaque = b };
	transfer_init(b);
	dispatch_init(b);
	shm_init(b);
	if (ops->open && !ops->open(d, error)) {
		close_device(b);
		return NULL;
	}
	g_assert(d->num_queues >= ops->probe.min_queues && d->num_queues <= VIRTIO_MAX_QUEUES);
	g_assert(d->config_size <= VIRTIO_MAX_CONFIG);
	vrings_new(b);
	return b;
}

const struct virtio_device_ops *backend_ops(const struct backend *b)
{
	return b->device.ops;
}

bool backend_start_workers(struct backend *b, GError **error)
{
	return pool_start(b->pool, error);
}

void backend_free(struct backend *b)
{
	if (!b)
		return;
	g_assert(b->state == BACKEND_IDLE);
	g_free(b->vrings);
	close_device(b);
}

/* A message that is not whole after so long never will be; its fds are kept until then. */
#define UNFINISHED_MS 10000

static void on_unfinished(void *opaque)
{
	struct backend *b = opaque;

	log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
		"closing the connection: a message is unfinished after %u s", UNFINISHED_MS / 1000);
	backend_disconnect(b);
}

void backend_note_unfinished(struct backend *b)
{
	if (!b->reader.have && !b->channel_reader.have) {
		g_clear_pointer(&b->unfinished, loop_watch_free);
	} else if (!b->unfinished) {
		b->unfinished = loop_watch_timer(UNFINISHED_MS, on_unfinished, b);
		b->silent_since = g_get_monotonic_time();
	}
}

int64_t backend_silent_us(const struct backend *b)
{
	if (b->state != BACKEND_SERVING || b->request.open || (b->heard && !b->unfinished))
		return -1;
	return g_get_monotonic_time() - b->silent_since;
}

/* Returns whether the front-end has closed its end; messages of it may still wait to be read. */
static bool peer_has_left(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 0) > 0;
}

enum backend_state backend_state(const struct backend *b)
{
	if (b->state == BACKEND_SERVING && peer_has_left(b->fd))
		return BACKEND_CLOSING;
	return b->state;
}

/* Forgets everything that the front-end set; the state of the device's model stays. */
static void forget_connection(struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++)
		vring_forget(&b->vrings[i]);
	quiet_forget(b);
	guest_mem_set(b->mem, NULL, NULL, 0, NULL);
	log_drop(b);
	inflight_drop(b);
	channel_close(b);
	shm_forget(b);
	transfer_drop(b);
	vu_msg_clear(&b->request.in);
	vu_msg_clear(&b->request.out);
	g_clear_error(&b->request.error);
	b->reader = (struct vu_reader){ 0 };
	b->protocol_features = 0;
	b->features = 0;
	b->has_features = b->migrates = false;
	b->status = 0;
	b->needs_reset = false;
}

static bool is_pending(const struct backend *b)
{
	return pool_is_active(b->pool) || b->verb.pending || b->reset.pending || b->left.pending ||
		b->transfer.verb.pending;
}

/*
 * Tells the device that the front-end has left, and no vring runs, if there was more than a
 * visit.
 */
static void tell_left(struct backend *b)
{
	const struct virtio_device_wire *wire = b->device.ops->wire;

	if (!b->left_told && b->heard && wire && wire->left)
		pool_run(b->pool, &b->left);
	b->left_told = true;
}

static void close_if_idle(struct backend *b)
{
	if (b->state != BACKEND_CLOSING || is_pending(b))
		return;
	tell_left(b);
	if (is_pending(b))
		return;
	forget_connection(b);
	b->state = BACKEND_IDLE;
	b->closed(b->opaque, b->heard);
}

void backend_disconnect(struct backend *b)
{
	if (b->state != BACKEND_SERVING)
		return;
	b->state = BACKEND_CLOSING;
	b->request.open = false;
	backend_pause(b);
	g_clear_pointer(&b->unfinished, loop_watch_free);
	transfer_drop(b);
	fd_close(&b->fd);
	for (unsigned i = 0; i < b->device.num_queues; i++)
		vring_drain(&b->vrings[i]);
	close_if_idle(b);
}

void backend_resume(void *opaque)
{
	struct backend *b = opaque;

	dispatch_resume(b);
	close_if_idle(b);
}

/*
 * Hints at --num-queues: QEMU leaves when it has learnt that there are fewer virtqueues than it
 * wants, and tries again: it is told once why that may be.
 */
static void hint_at_queues(struct backend *b)
{
	g_autofree char *how_many = NULL;

	if (b->queues_hinted || b->last != VU_GET_QUEUE_NUM ||
		b->device.num_queues == b->device.ops->probe.max_queues)
		return;
	b->queues_hinted = true;
	how_many = b->device.num_queues == 1
		? g_strdup("is only 1 virtqueue")
		: g_strdup_printf("are only %u virtqueues", b->device.num_queues);
	log_info("front-end",
		"left when it had learnt that there %s: if it needs more (QEMU: one for each vCPU, "
		"unless it has num-queues=%u), use --num-queues=N",
		how_many, b->device.num_queues);
}

static void on_message(void *opaque, uint32_t revents)
{
	struct backend *b = opaque;
	g_autoptr(GError) error = NULL;
	enum vu_read got = vu_msg_read(&b->reader, b->fd, &b->request.in, &error);

	backend_note_unfinished(b);
	switch (got) {
	case VU_READ_AGAIN:
		return;
	case VU_READ_DONE:
		b->connections += !b->heard;
		b->heard = true;
		b->last = b->request.in.header.request;
		dispatch(b);
		return;
	case VU_READ_CLOSED:
		log_limited(&b->visits, LOG_LEVEL_INFO, "front-end", "disconnected");
		hint_at_queues(b);
		break;
	case VU_READ_ERROR:
		b->heard = true;
		log_limited(&b->refusals, LOG_LEVEL_WARNING, "front-end",
			"closing the connection: %s", error->message);
		break;
	}
	backend_disconnect(b);
}

void backend_pause(struct backend *b)
{
	g_clear_pointer(&b->watch, loop_watch_free);
}

void backend_listen(struct backend *b)
{
	if (!b->watch)
		b->watch = loop_watch_fd(b->fd, EPOLLIN, on_message, b);
}

void backend_serve(
	struct backend *b, int fd, void (*closed)(void *opaque, bool heard), void *opaque)
{
	g_assert(b->state == BACKEND_IDLE && pool_is_started(b->pool));
	log_limited(&b->visits, LOG_LEVEL_INFO, "front-end", "connected");
	b->state = BACKEND_SERVING;
	b->fd = fd;
	b->heard = false;
	b->last = 0;
	b->left_told = false;
	b->silent_since = b->connected_at = g_get_monotonic_time();
	b->closed = closed;
	b->opaque = opaque;
	b->config_change_told = false;
	/* A driver that starts reads the space anyhow. One that goes on: config_vring_starts(). */
	b->config_change_due = false;
	b->config_change_logged = false;
	b->config_resumed = false;
	backend_listen(b);
}

void backend_reset_device(struct backend *b)
{
	for (unsigned i = 0; i < b->device.num_queues; i++)
		b->vrings[i].moved = false;
	shm_forget(b);
	if (b->device.ops->reset)
		pool_run(b->pool, &b->reset);
}

void backend_reload(struct backend *b)
{
	if (b->device.ops->reload)
		pool_run(b->pool, &b->reload);
}
