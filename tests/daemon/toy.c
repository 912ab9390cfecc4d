/* SPDX-License-Identifier: Apache-2.0 */
/* A device that does as the test tells it, and counts what the core asks of it. */
#include "tests/daemon/peer.h"

#include <errno.h>

struct toy toy;

static GPtrArray *held[TOY_QUEUES];
static struct virtio_watch release[TOY_QUEUES];

static void on_release(
	struct virtio_device *d, struct vq *q, struct virtio_watch *w, uint32_t revents)
{
	GPtrArray *mine = held[w - release];

	g_assert_true(revents & EPOLLIN);
	toy.held -= mine->len;
	while (mine->len)
		vq_push(g_ptr_array_steal_index(mine, 0));
	virtio_watch(d, q, w, 0);
}

void toy_config_change(void)
{
	virtio_config_set(toy.device, 0, &toy.device->config[0], 1);
}

static bool toy_open(struct virtio_device *d, GError **error)
{
	toy.device = d;
	toy.gate = eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < TOY_CONFIG_SIZE; i++)
		d->config[i] = i;
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		toy.release[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		release[i] = (struct virtio_watch){ .fd = toy.release[i], .ready = on_release };
		held[i] = g_ptr_array_new();
	}
	if (toy.fail_open)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no toy");
	return !toy.fail_open;
}

static void toy_close(struct virtio_device *d)
{
	toy.closes++;
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		assert_int_equal(held[i]->len, 0);
		g_ptr_array_unref(held[i]);
		fd_close(&toy.release[i]);
	}
	fd_close(&toy.gate);
}

static void toy_reset(struct virtio_device *d)
{
	toy.resets++;
}

static void toy_config_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	assert_true(toy.writes < G_N_ELEMENTS(toy.write_offset));
	toy.write_offset[toy.writes] = offset;
	toy.write_size[toy.writes++] = size;
}

static void toy_reload(struct virtio_device *d)
{
	toy.reloads++;
	toy_config_change();
}

static bool toy_claim(struct virtio_device *d, GError **error)
{
	if (toy.fail_claim) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "the toy is elsewhere");
		return false;
	}
	toy.claims++;
	return true;
}

static void toy_release(struct virtio_device *d)
{
	toy.releases++;
}

static void toy_queue_start(struct virtio_device *d, struct vq *q)
{
	toy.starts++;
	toy.driver_features = d->driver_features;
	g_assert_true(virtio_device_queue(d, vq_index(q)) == q);
}

static void toy_queue_stop(struct virtio_device *d, struct vq *q)
{
	toy.stops++;
}

static void echo(struct vq_chain *c)
{
	uint8_t bytes[64];

	iov_push(&c->in, bytes, iov_pull(&c->out, bytes, sizeof(bytes)));
}

static void hang(void)
{
	eventfd_t count;

	toy.hangs = true;
	eventfd_read(toy.gate, &count);
	toy.hangs = false;
}

static void toy_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	toy.kicks++;
	toy.thread[vq_index(q)] = gettid();
	while ((c = vq_pop(q))) {
		if (toy.mode == TOY_HANG)
			hang();
		if (toy.mode == TOY_BREAK)
			vq_break(q, "the toy does not like it");
		echo(c);
		if (toy.mode != TOY_HOLD) {
			vq_push(c);
			continue;
		}
		toy.held++;
		g_ptr_array_add(held[vq_index(q)], c);
		virtio_watch(d, q, &release[vq_index(q)], EPOLLIN);
	}
	if (toy.mode == TOY_EAGAIN)
		errno = EAGAIN;
}

static const struct virtio_config_range toy_writable[] = { { 4, 4 }, { 12, 2 }, { 0, 0 } };
static const char *const toy_capabilities[] = { "read-only", "toy-file", NULL };

const struct virtio_device_ops toy_ops = {
	.name = "toy",
	.type = "block",
	.summary = "a toy",
	.probe = {
		.device_id = 42,
		.config_size = TOY_CONFIG_SIZE,
		.min_queues = 1,
		.max_queues = TOY_QUEUES,
		.features = VU_BIT(TOY_FEATURE),
	},
	.threads = VIRTIO_DEVICE_PER_QUEUE,
	.config_writable = toy_writable,
	.capabilities = toy_capabilities,
	.open = toy_open,
	.close = toy_close,
	.reset = toy_reset,
	.config_written = toy_config_written,
	.reload = toy_reload,
	.claim = toy_claim,
	.release = toy_release,
	.queue_start = toy_queue_start,
	.queue_stop = toy_queue_stop,
	.kick = toy_kick,
};
