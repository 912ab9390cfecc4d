/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the control socket. */
#include "daemon/devices/vsock/vsock.h"

/* The result has room for these. */
#define MAX_LISTED 2000

static const char *const states[] = {
	[VSOCK_HELLO] = "hello",
	[VSOCK_DIALLING] = "dialling",
	[VSOCK_ASKED] = "asked",
	[VSOCK_GREETING] = "greeting",
	[VSOCK_OPEN] = "open",
	[VSOCK_CLOSING] = "closing",
	[VSOCK_LINGERING] = "lingering",
};

static const char *const directions[] = {
	[VSOCK_NO_RECEIVE] = "receive",
	[VSOCK_NO_SEND] = "send",
	[VSOCK_NEITHER] = "both",
};

static void list(const struct vsock_conn *c, struct json *result)
{
	json_open_object(result, NULL);
	json_string(result, "state", states[c->state]);
	if (c->state != VSOCK_HELLO) {
		json_string(result, "type",
			c->type == VIRTIO_VSOCK_TYPE_STREAM ? "stream" : "seqpacket");
		json_uint(result, "cid", c->key.cid);
		json_uint(result, "host-port", c->key.host_port);
		json_uint(result, "guest-port", c->key.guest_port);
		json_uint(result, "received", c->received);
		json_uint(result, "sent", c->sent);
		json_uint(result, "queued", c->buffer.used);
		json_uint(result, "credit", c->grant);
	}
	if (c->guest_ended)
		json_string(result, "guest-ended", directions[c->guest_ended]);
	if (c->host_ended)
		json_string(result, "host-ended", directions[c->host_ended]);
	json_close_object(result);
}

static bool call_connections(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	const struct vsock *v = d->data;
	unsigned listed = 0;

	json_uint(result, "number", v->n_conns);
	json_open_array(result, "connections");
	for (unsigned i = 0; i < v->max_conns && listed < MAX_LISTED; i++) {
		if (v->conn[i].state == VSOCK_FREE)
			continue;
		list(&v->conn[i], result);
		listed++;
	}
	json_close_array(result);
	return true;
}

static bool call_counters(
	struct virtio_device *d, const struct virtio_arg *args, struct json *result, GError **error)
{
	const struct vsock *v = d->data;

	json_uint(result, "connections", v->n_conns);
	json_uint(result, "opened", v->count.opened);
	json_uint(result, "refused", v->count.refused);
	json_uint(result, "reset", v->count.reset);
	json_uint(result, "dropped-resets", v->count.dropped_resets);
	return true;
}

const struct virtio_method vsock_methods[] = {
	{ "connections", "List the connections, at most 2000", .call = call_connections },
	{ "counters", "Count connections that were opened, refused and reset",
		.call = call_counters },
	{ NULL },
};
