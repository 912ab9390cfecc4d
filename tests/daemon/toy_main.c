/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest device there can be, as a whole program: virtiod-toy. */
#include <signal.h>

#include "daemon/device.h"

static char *color;
static bool early_signals;

/* Completes requests, whatever they are. */
static void toy_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	while ((c = vq_pop(q)))
		vq_push(c);
}

static bool toy_open(struct virtio_device *d, GError **error)
{
	/* When a user or a terminal can send them, too: before there is a server. */
	if (early_signals) {
		raise(SIGHUP);
		raise(SIGUSR1);
	}
	if (!color || g_str_equal(color, "red"))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "'%s' is not red", color);
	return false;
}

static void toy_close(struct virtio_device *d)
{
	g_clear_pointer(&color, g_free);
}

static const struct option_entry toy_options[] = {
	{ "color", "COLOR", "Must be red", .string = &color },
	{ "early-signals", .flag = &early_signals, .help = "Get SIGHUP and SIGUSR1 at the start" },
	{ NULL },
};

/* Tells what it was given, to the caller and as an event. */
static bool toy_paint(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct json *event;

	if (g_str_equal(args[0].text, "blue")) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "there is no more blue");
		return false;
	}
	json_string(result, "color", args[0].text);
	json_int(result, "layers", args[1].number);
	json_bool(result, "wet", args[2].flag);
	event = virtio_event_begin(d, "painted");
	if (event) {
		json_string(event, "color", args[0].text);
		virtio_event_end(d, event);
	}
	return true;
}

static const struct virtio_method toy_methods[] = {
	{ "paint", "Paint the toy",
		{ { "color", VIRTIO_PARAM_TEXT, .max = 8 },
			{ "layers", VIRTIO_PARAM_NUMBER, .min = -1, .max = 255, .optional = true },
			{ "wet", VIRTIO_PARAM_FLAG, .optional = true } },
		toy_paint },
	{ NULL },
};

static const char *const toy_capabilities[] = { "color", "shape", NULL };

const struct virtio_device_ops virtio_device_ops = {
	.name = "toy",
	.type = "input",
	.summary = "a toy",
	.probe = { .device_id = 18, .min_queues = 1, .max_queues = 1 },
	.options = toy_options,
	.methods = toy_methods,
	.capabilities = toy_capabilities,
	.open = toy_open,
	.close = toy_close,
	.kick = toy_kick,
};
