/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An example of a device, for docs/writing-a-device.md: answers every request with what the driver
 * wrote in it, in capitals with --upper.
 */
#include "daemon/device.h"

#define ECHO_ID 60 /* in no specification: meson.build gives it a name for virtioctl */
#define ECHO_MAX_SIZE 4096

/* The configuration space, little-endian. */
struct echo_config {
	uint32_t max_size; /* bytes of one request */
};

static struct {
	bool upper;
} options;

static bool echo_open(struct virtio_device *d, GError **error)
{
	struct echo_config *config = (struct echo_config *)d->config;

	config->max_size = htole32(ECHO_MAX_SIZE);
	return true;
}

/* Returns false when there is nothing more to do. */
static bool echo_serve(struct vq *q)
{
	g_autoptr(vq_chain) c = vq_pop(q); /* completed at the end of this scope */
	char text[ECHO_MAX_SIZE];
	size_t n;

	if (!c)
		return false;
	if (iov_left(&c->out) > sizeof(text)) {
		vq_break(q, "request of %zu bytes (at most %zu)", iov_left(&c->out), sizeof(text));
		return false;
	}
	n = iov_pull(&c->out, text, sizeof(text));
	for (size_t i = 0; options.upper && i < n; i++)
		text[i] = g_ascii_toupper(text[i]);
	iov_push(&c->in, text, n);
	return true;
}

static void echo_kick(struct virtio_device *d, struct vq *q)
{
	while (echo_serve(q))
		;
}

static const struct option_entry echo_options[] = {
	{ "upper", .flag = &options.upper, .help = "Answer in capitals" },
	{ NULL },
};

const struct virtio_device_ops virtio_device_ops = {
	.name = "echo",
	.summary = "virtio device that echoes its requests",
	.probe = {
		.device_id = ECHO_ID,
		.config_size = sizeof(struct echo_config),
		.min_queues = 1,
		.max_queues = 1,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.options = echo_options,
	.open = echo_open,
	.kick = echo_kick,
};
