/* SPDX-License-Identifier: Apache-2.0 */
/* See owner.h. */
#include "owner.h"

const struct virtio_probe probe = {
	.device_id = 42,
	.config_size = 21,
	.min_queues = 1,
	.max_queues = 3,
	.features = VERSION_1 | PACKED | RING_RESET | 0x11,
};

static enum virtio_mmio_result on_status(void *opaque, uint8_t old_status, uint8_t new_status)
{
	struct owner *o = opaque;

	o->calls++;
	o->status_calls++;
	o->old_status = old_status;
	o->new_status = new_status;
	assert_int_equal(virtio_mmio_status(o->m), new_status);
	return o->answer;
}

static enum virtio_mmio_result on_ready(void *opaque, unsigned queue, bool ready)
{
	struct owner *o = opaque;

	o->calls++;
	o->ready_calls++;
	o->queue = queue;
	o->ready = ready;
	assert_int_equal(virtio_mmio_queue(o->m, queue)->ready, ready);
	return o->answer;
}

static enum virtio_mmio_result on_reset(void *opaque, unsigned queue)
{
	struct owner *o = opaque;

	o->calls++;
	o->reset_calls++;
	o->queue = queue;
	assert_false(virtio_mmio_queue(o->m, queue)->ready);
	return o->answer;
}

static void on_notify(void *opaque, unsigned queue)
{
	struct owner *o = opaque;

	o->calls++;
	o->notify_calls++;
	o->queue = queue;
	assert_true(virtio_mmio_queue(o->m, queue)->ready);
}

static enum virtio_mmio_result on_config(
	void *opaque, bool write, uint32_t offset, unsigned size, uint64_t *value)
{
	struct owner *o = opaque;

	o->calls++;
	o->config_calls++;
	o->write = write;
	o->offset = offset;
	o->size = size;
	/* An access outside would be an overflow here, and ASan sees it. */
	assert_true(size <= probe.config_size && offset <= probe.config_size - size);
	if (write)
		memcpy(o->config + offset, value, size);
	else if (o->answer == VIRTIO_MMIO_DONE)
		memcpy(value, o->config + offset, size);
	return o->answer;
}

static void on_interrupt(void *opaque, bool level)
{
	struct owner *o = opaque;

	o->rises += level;
	o->falls += !level;
}

static void on_mistake(void *opaque, const char *what)
{
	struct owner *o = opaque;

	o->mistakes++;
	g_strlcpy(o->mistake, what, sizeof(o->mistake));
}

const struct virtio_mmio_ops owner_ops = {
	.status = on_status,
	.queue_ready = on_ready,
	.queue_reset = on_reset,
	.queue_notify = on_notify,
	.config = on_config,
	.interrupt = on_interrupt,
	.mistake = on_mistake,
};

int owner_setup(void **state)
{
	static struct owner o;

	o = (struct owner){ .answer = VIRTIO_MMIO_DONE };
	o.m = virtio_mmio_new(&owner_ops, &o, NULL);
	virtio_mmio_set_device(o.m, &probe, 256);
	*state = &o;
	return 0;
}

int owner_teardown(void **state)
{
	struct owner *o = *state;

	virtio_mmio_free(o->m);
	return 0;
}

uint32_t rd(struct owner *o, uint64_t offset)
{
	uint64_t value = UINT64_MAX;

	assert_int_equal(virtio_mmio_access(o->m, offset, 4, false, &value), VIRTIO_MMIO_DONE);
	assert_true(value <= UINT32_MAX);
	return (uint32_t)value;
}

enum virtio_mmio_result wr(struct owner *o, uint64_t offset, uint32_t value)
{
	uint64_t v = value;

	return virtio_mmio_access(o->m, offset, 4, true, &v);
}

void write_features(struct owner *o, uint64_t features)
{
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES, HI(features));
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(o, VIRTIO_MMIO_DRIVER_FEATURES, LO(features));
}

void setup_queue(struct owner *o, unsigned queue, uint32_t size)
{
	wr(o, VIRTIO_MMIO_QUEUE_SEL, queue);
	wr(o, VIRTIO_MMIO_QUEUE_NUM, size);
	wr(o, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
	wr(o, VIRTIO_MMIO_QUEUE_READY, 1);
}

void driver_ok(struct owner *o, uint64_t features)
{
	write_features(o, features);
	wr(o, VIRTIO_MMIO_STATUS, S_FEATURES);
	wr(o, VIRTIO_MMIO_STATUS, S_ALL);
	assert_int_equal(rd(o, VIRTIO_MMIO_STATUS), S_ALL);
}
