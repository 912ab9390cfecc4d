/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket can do: show the controller, send frames, make it bus-off. */
#include "daemon/devices/can/can.h"

#include <errno.h>

#include "base/option.h"

static const char *const states[] = {
	[CAN_STOPPED] = "stopped",
	[CAN_STARTED] = "started",
	[CAN_BUS_OFF] = "bus-off",
};

void can_state_event(struct can *c)
{
	struct json *event = virtio_event_begin(c->d, "state");

	if (!event)
		return;
	json_string(event, "state", states[c->state]);
	virtio_event_end(c->d, event);
}

static bool call_state(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct can *c = d->data;

	json_string(result, "state", states[c->state]);
	json_uint(result, "connections", c->n_connections);
	json_uint(result, "waiting", c->n_frames);
	json_uint(result, "dropped", c->n_dropped);
	return true;
}

static bool call_bus_off(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct can *c = d->data;

	if (c->state != CAN_STARTED)
		return option_bad(error, "the controller is %s", states[c->state]);
	can_link_down(c, true);
	c->is_down = false;
	return true;
}

/* Reads data of hexadecimal digits. */
static bool parse_data(const char *text, struct canfd_frame *f)
{
	for (f->len = 0; *text; text += 2) {
		int high = g_ascii_xdigit_value(text[0]);
		int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

		if (low < 0 || f->len == sizeof(f->data))
			return false;
		f->data[f->len++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

enum { ID, DATA, EXTENDED, FD, RTR };

static bool call_send(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	struct can *c = d->data;
	struct canfd_frame f = { 0 };
	int sent;

	f.can_id = (uint32_t)args[ID].number |
		(args[EXTENDED].flag || args[ID].number > CAN_SFF_MASK ? CAN_EFF_FLAG : 0) |
		(args[RTR].flag ? CAN_RTR_FLAG : 0);
	if (!parse_data(args[DATA].text, &f))
		return option_bad(
			error, "invalid data: '%s' (hexadecimal, as 01020a)", args[DATA].text);
	f.flags = args[FD].flag ? CANFD_FDF : 0;
	if (!can_is_frame(&f))
		return option_bad(
			error, "no frame: at most 8 bytes, or with fd=true 64 and no remote frame");
	sent = c->link->send(c, &f);
	if (sent < 0)
		return option_bad(error, "not sent: %s", g_strerror(-sent));
	can_rx_take(c, &f);
	return true;
}

const struct virtio_method can_methods[] = {
	{
		.name = "state",
		.summary = "Show the controller's state, and how many frames wait, or were dropped",
		.call = call_state,
	},
	{
		.name = "send",
		.summary = "Send a frame to the bus and the guest: id=0x123 data=01ff",
		.params = {
			{ "id", VIRTIO_PARAM_NUMBER, .max = CAN_EFF_MASK },
			{ "data", VIRTIO_PARAM_TEXT, .max = 128, .optional = true },
			{ "extended", VIRTIO_PARAM_FLAG, .optional = true },
			{ "fd", VIRTIO_PARAM_FLAG, .optional = true },
			{ "rtr", VIRTIO_PARAM_FLAG, .optional = true },
		},
		.call = call_send,
	},
	{
		.name = "bus-off",
		.summary = "Make the controller bus-off, until the guest starts it again",
		.call = call_bus_off,
	},
	{ NULL },
};
