/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-can (virtio 1.4 §5.20): a CAN controller of a guest. The controller is stopped, started or
 * bus-off; only a started one sends and receives. It goes bus-off with its link, and is started
 * again by the driver.
 */
#include "daemon/devices/can/can.h"

#include <linux/virtio_ids.h>

#include "base/option.h"

#ifndef VIRTIO_ID_CAN
#define VIRTIO_ID_CAN 36
#endif

static struct {
	char *interface, *bus;
} options;

bool can_is_frame(const struct canfd_frame *f)
{
	bool is_fd = f->flags & CANFD_FDF;
	uint32_t flags = CAN_EFF_FLAG | (is_fd ? 0 : CAN_RTR_FLAG);
	uint32_t id = f->can_id & CAN_EFF_FLAG ? CAN_EFF_MASK : CAN_SFF_MASK;

	return !(f->can_id & ~(flags | id)) && f->len <= (is_fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN);
}

void can_set_state(struct can *c, enum can_state state)
{
	const uint16_t status = htole16(state == CAN_BUS_OFF ? CAN_STATUS_BUSOFF : 0);

	if (state == c->state)
		return;
	c->state = state;
	if (memcmp(c->d->config, &status, sizeof(status)) != 0)
		virtio_config_set(c->d, 0, &status, sizeof(status));
	can_state_event(c);
}

void can_link_down(struct can *c, bool is_down)
{
	c->is_down = is_down;
	if (!is_down || c->state != CAN_STARTED)
		return;
	can_set_state(c, CAN_BUS_OFF);
	can_tx_fail(c, true);
	can_rx_stop(c);
}

static enum can_result start(struct can *c)
{
	if (c->is_down)
		return CAN_RESULT_NOT_OK;
	if (c->state == CAN_STARTED)
		return CAN_RESULT_OK;
	can_set_state(c, CAN_STARTED);
	can_rx_start(c);
	return CAN_RESULT_OK;
}

static enum can_result stop(struct can *c)
{
	can_set_state(c, CAN_STOPPED);
	can_tx_fail(c, true);
	can_rx_stop(c);
	return CAN_RESULT_OK;
}

static bool control_serve(struct can *c, struct vq *q)
{
	g_autoptr(vq_chain) r = vq_pop(q);
	uint8_t result = CAN_RESULT_NOT_OK;
	uint16_t type = 0;

	if (!r)
		return false;
	if (!iov_left(&r->in)) {
		vq_break(q, "request has no room for a result");
		return false;
	}
	iov_pull(&r->out, &type, sizeof(type));
	if (le16toh(type) == CAN_MSG_START)
		result = start(c);
	else if (le16toh(type) == CAN_MSG_STOP)
		result = stop(c);
	iov_push(&r->in, &result, sizeof(result));
	return true;
}

static void can_kick(struct virtio_device *d, struct vq *q)
{
	bool (*serve)(struct can * c, struct vq * q) =
		vq_index(q) == CAN_CONTROL ? control_serve : can_tx_serve;

	if (vq_index(q) == CAN_RX) {
		can_rx_deliver(d->data);
		return;
	}
	while (serve(d->data, q))
		;
}

static void can_reset(struct virtio_device *d)
{
	struct can *c = d->data;

	can_set_state(c, CAN_STOPPED);
	can_rx_stop(c);
}

static void can_queue_start(struct virtio_device *d, struct vq *q)
{
	struct can *c = d->data;

	c->features = d->driver_features;
	/* A driver that another process served has most likely started it. */
	if (!c->begun && vq_is_resumed(q) && !c->is_down)
		can_set_state(c, CAN_STARTED);
	c->begun = true;
}

static void can_queue_stop(struct virtio_device *d, struct vq *q)
{
	if (vq_index(q) == CAN_TX)
		can_tx_stop(d->data, q);
}

static bool can_open(struct virtio_device *d, GError **error)
{
	struct can *c = d->data = g_new0(struct can, 1);
	const char *name = options.interface ? "interface" : "bus";
	const char *value = options.interface ? options.interface : options.bus;

	c->d = d;
	c->ack_timer.expired = can_tx_expired;
	c->rx_timer.expired = can_rx_expired;
	d->num_queues = CAN_QUEUES;
	if (!value)
		return option_bad(error,
			"--interface=NAME or --bus=unix:PATH is missing: no CAN bus to serve");
	if (options.interface ? can_socket_open(c, value, error) : can_bus_open(c, value, error))
		return true;
	g_prefix_error(error, "--%s=%s: ", name, value);
	return false;
}

static void can_close(struct virtio_device *d)
{
	struct can *c = g_steal_pointer(&d->data);

	if (c->link)
		c->link->close(c);
	g_free(c);
	g_clear_pointer(&options.interface, g_free);
	g_clear_pointer(&options.bus, g_free);
}

static const struct option_entry can_options[] = {
	{ "interface", "NAME", .string = &options.interface, .excludes = { "bus" },
		.help = "A CAN interface of the host, as can0" },
	{ "bus", "unix:PATH", .string = &options.bus,
		.help = "A bus of the programs that name the same Unix socket; null: of no other" },
	{ NULL },
};

static const struct virtio_device_needs can_needs = { .files = CAN_BUS_NODES };

const struct virtio_device_ops virtio_device_ops = {
	.name = "can",
	.summary = "virtio CAN controller at an interface of the host, or at a bus of guests",
	.probe = {
		.device_id = VIRTIO_ID_CAN,
		.features = 1ull << CAN_F_CLASSIC | 1ull << CAN_F_FD | 1ull << CAN_F_RTR |
			1ull << CAN_F_LATE_TX_ACK,
		.config_size = sizeof(uint16_t),
		.min_queues = CAN_QUEUES,
		.max_queues = CAN_QUEUES,
	},
	.threads = VIRTIO_DEVICE_ONE,
	.any_order = true,
	.options = can_options,
	.methods = can_methods,
	.needs = &can_needs,
	.open = can_open,
	.close = can_close,
	.reset = can_reset,
	.queue_start = can_queue_start,
	.queue_stop = can_queue_stop,
	.kick = can_kick,
};
