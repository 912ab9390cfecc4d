/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port of a remote processor: one port of the console's kind, without features,
 * configuration space and control queue.
 */
#include <linux/virtio_ids.h>

#include "../console/console_port.h"

static struct {
	char *backend;
} options;

static void rproc_kick(struct virtio_device *d, struct vq *q)
{
	console_port_run(d->data);
}

static void rproc_queue_start(struct virtio_device *d, struct vq *q)
{
	console_port_start(d->data, q);
}

static void rproc_queue_stop(struct virtio_device *d, struct vq *q)
{
	console_port_stop(d->data, q);
}

static void rproc_reset(struct virtio_device *d)
{
	console_port_reset(d->data);
}

static bool rproc_open(struct virtio_device *d, GError **error)
{
	struct console_port *p = d->data = g_new0(struct console_port, 1);

	p->tx = 1;
	p->guest_open = true;
	return console_port_open(p, d, 0, options.backend ? options.backend : "pty", error);
}

static void rproc_close(struct virtio_device *d)
{
	struct console_port *p = g_steal_pointer(&d->data);

	console_port_close(p);
	g_free(p);
	g_clear_pointer(&options.backend, g_free);
}

static const struct option_entry rproc_options[] = {
	{ "backend", "KIND", .string = &options.backend,
		.help = "What the port is connected to: stdio, pty, null, echo, "
			"unix:PATH or file:PATH (default: pty)" },
	{ NULL },
};

static const struct virtio_device_needs rproc_needs = {
	.calls = console_end_calls, .files = 1, /* the client */
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "rproc-serial",
	.type = "rproc-serial",
	.summary = "virtio serial port of a remote processor",
	.probe = { .device_id = VIRTIO_ID_RPROC_SERIAL, .min_queues = 2, .max_queues = 2 },
	.threads = VIRTIO_DEVICE_ONE,
	.options = rproc_options,
	.needs = &rproc_needs,
	.open = rproc_open,
	.close = rproc_close,
	.reset = rproc_reset,
	.queue_start = rproc_queue_start,
	.queue_stop = rproc_queue_stop,
	.kick = rproc_kick,
};
