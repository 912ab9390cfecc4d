/* SPDX-License-Identifier: Apache-2.0 */
/* A run of a test with the device in the test's process. */
#include "tests/lib/kit_impl.h"
#include "tests/lib/kit_wire.h"

static void world_setup(struct kit *k)
{
	kit_core_setup(&k->data);
}

static int world_teardown(struct kit *k)
{
	return kit_core_teardown(&k->data);
}

static void take_rings(struct kit *k)
{
	struct kit_core *c = k->data;

	k->mem = c->mem;
	k->n_queues = c->n_queues;
	for (unsigned i = 0; i < c->n_queues; i++)
		k->ring[i] = c->queue[i].ring;
}

static void world_start(struct kit *k, va_list options)
{
	g_autoptr(GError) error = NULL;
	struct kit_core *c = k->data;

	c->no_area = k->no_area;
	if (!kit_core_openv(c, options, &error))
		fail_msg("%s", error->message);
	kit_core_start(c, k->features & (c->device.features | KIT_RING_FEATURES));
	take_rings(k);
}

static void world_start_fails(struct kit *k, const char *text, va_list options)
{
	kit_core_open_failsv(k->data, text, options);
}

static void world_kick(struct kit *k, unsigned queue)
{
	kit_core_kick(k->data, queue);
}

static bool world_step(struct kit *k, int timeout_ms)
{
	return kit_core_step(k->data, timeout_ms);
}

static void world_pause(struct kit *k)
{
	kit_core_stop(k->data);
	kit_core_resume(k->data);
}

static void world_reset(struct kit *k)
{
	kit_core_reset(k->data);
	take_rings(k);
}

static void world_restart(struct kit *k)
{
	kit_core_restart(k->data);
}

static void world_leave(struct kit *k)
{
	struct kit_core *c = k->data;

	kit_core_stop(c);
	virtio_device_ops.wire->left(&c->device);
	kit_shm_drop(&c->shm);
	kit_core_resume(c);
}

static bool world_message(struct kit *k, struct vu_msg *msg)
{
	return kit_core_message(k->data, msg);
}

static bool world_state(struct kit *k, GByteArray *state, bool load)
{
	return kit_core_state(k->data, state, load);
}

static char *world_call(struct kit *k, char *line)
{
	return kit_core_call(k->data, line);
}

static struct kit_shm *world_shm(struct kit *k)
{
	return &((struct kit_core *)k->data)->shm;
}

static void world_config_read(struct kit *k, uint32_t offset, void *to, uint32_t size)
{
	struct kit_core *c = k->data;

	assert_true(offset + size <= c->device.config_size);
	memcpy(to, c->device.config + offset, size);
}

static void world_config_write(struct kit *k, uint32_t offset, const void *from, uint32_t size)
{
	struct kit_core *c = k->data;

	memcpy(c->device.config + offset, from, size);
	kit_core_begin(c, NULL);
	virtio_device_ops.config_written(&c->device, offset, size);
	kit_core_end(c, NULL);
}

static unsigned world_config_changes(struct kit *k)
{
	return ((struct kit_core *)k->data)->config_changes;
}

static bool world_is_broken(struct kit *k)
{
	return ((struct kit_core *)k->data)->broken;
}

static const char *world_log(struct kit *k)
{
	return ((struct kit_core *)k->data)->log;
}

const struct kit_world kit_world_core = {
	.setup = world_setup,
	.teardown = world_teardown,
	.start = world_start,
	.start_fails = world_start_fails,
	.kick = world_kick,
	.step = world_step,
	.pause = world_pause,
	.reset = world_reset,
	.kill = world_restart,
	.leave = world_leave,
	.message = world_message,
	.state = world_state,
	.call = world_call,
	.shm = world_shm,
	.config_read = world_config_read,
	.config_write = world_config_write,
	.config_changes = world_config_changes,
	.is_broken = world_is_broken,
	.log = world_log,
};
