/* SPDX-License-Identifier: Apache-2.0 */
/* Device-specific messages of kit.h, and how they are sent to a back-end of either kind. */
#include "tests/lib/kit_impl.h"

#include "tests/lib/kit_wire.h"

/* Sends a message; on return it is the reply. False: it was refused. */
static bool call(
	struct kit *k, struct vu_msg *msg, uint32_t request, const void *payload, size_t size)
{
	vu_msg_init(msg, request);
	assert_true(size <= sizeof(msg->payload.bytes));
	memcpy(msg->payload.bytes, payload, size);
	msg->header.size = size;
	return k->world->message(k, msg);
}

bool kit_announce(struct kit *k, const uint8_t mac[6])
{
	uint8_t payload[8] = { 0 };
	struct vu_msg msg;

	memcpy(payload, mac, 6);
	return call(k, &msg, VU_SEND_RARP, payload, sizeof(payload));
}

bool kit_mtu(struct kit *k, uint64_t mtu)
{
	struct vu_msg msg;

	return call(k, &msg, VU_NET_SET_MTU, &mtu, sizeof(mtu));
}

bool kit_display(struct kit *k, int fd)
{
	struct vu_msg msg;

	vu_msg_init(&msg, VU_GPU_SET_SOCKET);
	msg.fds[msg.n_fds++] = fd;
	return k->world->message(k, &msg);
}

void kit_session_open(struct kit *k, void *payload, size_t size)
{
	struct vu_msg msg;

	assert_true(call(k, &msg, VU_CREATE_CRYPTO_SESSION, payload, size));
	assert_int_equal(msg.header.size, size);
	memcpy(payload, msg.payload.bytes, size);
}

void kit_session_close(struct kit *k, uint64_t id)
{
	struct vu_msg msg;

	assert_true(call(k, &msg, VU_CLOSE_CRYPTO_SESSION, &id, sizeof(id)));
}

int kit_object(struct kit *k, const uint8_t uuid[16])
{
	struct vu_msg msg;

	assert_true(call(k, &msg, VU_GET_SHARED_OBJECT, uuid, 16));
	return msg.n_fds ? vu_msg_take_fd(&msg, 0) : -1;
}

GByteArray *kit_save(struct kit *k)
{
	GByteArray *state = g_byte_array_new();

	assert_true(k->world->state(k, state, false));
	return state;
}

bool kit_load(struct kit *k, GByteArray *state)
{
	return k->world->state(k, state, true);
}

/* The device in this process. */

static bool run_verb(struct virtio_device *d, struct vu_msg *msg, GError **error)
{
	const struct virtio_device_wire *wire = d->ops->wire;
	uint8_t *bytes = msg->payload.bytes;

	switch (msg->header.request) {
	case VU_SEND_RARP:
		return wire->announce(d, bytes, error);
	case VU_NET_SET_MTU:
		return wire->mtu(d, msg->payload.u64, error);
	case VU_GPU_SET_SOCKET:
		return wire->display(d, fcntl(msg->fds[0], F_DUPFD_CLOEXEC, 0), error);
	case VU_CREATE_CRYPTO_SESSION:
		return wire->session_open(d, bytes, msg->header.size, error);
	case VU_CLOSE_CRYPTO_SESSION:
		wire->session_close(d, msg->payload.u64);
		return true;
	case VU_GET_SHARED_OBJECT:
		msg->fds[0] = wire->object(d, bytes);
		msg->n_fds = msg->fds[0] >= 0;
		return true;
	}
	fail_msg("no message for a device: %u", msg->header.request);
	return false;
}

bool kit_core_message(struct kit_core *c, struct vu_msg *msg)
{
	g_autoptr(GError) error = NULL;
	bool ok;

	kit_core_begin(c, NULL);
	ok = run_verb(&c->device, msg, &error);
	kit_core_end(c, NULL);
	assert_int_equal(ok, !error);
	return ok;
}

bool kit_core_state(struct kit_core *c, GByteArray *state, bool load)
{
	const struct virtio_device_wire *wire = virtio_device_ops.wire;
	g_autoptr(GError) error = NULL;
	bool ok;

	kit_core_stop(c);
	ok = load ? wire->load(&c->device, state->data, state->len, &error)
		  : wire->save(&c->device, state, &error);
	kit_core_resume(c);
	assert_int_equal(ok, !error);
	return ok;
}

/* The device's program, at the other end of a socket. */

bool kit_socket_message(int fd, struct vu_msg *msg)
{
	uint32_t request = msg->header.request;
	const struct vu_shape *shape = vu_shape(request);
	struct vu_reader reader = { 0 };
	g_autoptr(GError) error = NULL;
	enum vu_read is;

	if (shape->reply != VU_REPLY_ALWAYS)
		msg->header.flags |= VU_FLAG_NEED_REPLY;
	if (!vu_msg_write(fd, msg, KIT_PATIENCE_MS, &error))
		fail_msg("%s", error->message);
	vu_msg_init(msg, 0);
	do {
		test_wait_fd(fd, POLLIN);
		is = vu_msg_read(&reader, fd, msg, &error);
	} while (is == VU_READ_AGAIN);
	if (is != VU_READ_DONE || !vu_msg_check_reply(msg, request, shape, &error))
		fail_msg("%s: %s", shape->name, error ? error->message : "disconnected");
	return shape->reply == VU_REPLY_ALWAYS || msg->payload.u64 == 0;
}

/* Transfers the state: what a device of a test saves fits into the pipe. */
static void transfer(int fd, GByteArray *state, bool load)
{
	uint8_t bytes[4096];
	ssize_t n;

	if (load) {
		assert_int_equal(write(fd, state->data, state->len), state->len);
		return;
	}
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		g_byte_array_append(state, bytes, n);
	assert_int_equal(n, 0);
}

bool kit_socket_state(int fd, GByteArray *state, bool load)
{
	struct vu_msg msg;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	vu_msg_init(&msg, VU_SET_DEVICE_STATE_FD);
	msg.header.size = sizeof(msg.payload.device_state);
	msg.payload.device_state =
		(struct vu_device_state){ load ? VU_DEVICE_STATE_LOAD : VU_DEVICE_STATE_SAVE,
			VU_DEVICE_STATE_STOPPED };
	msg.fds[msg.n_fds++] = ends[!load];
	kit_socket_message(fd, &msg);
	assert_int_equal(msg.payload.u64, VU_DEVICE_STATE_NO_FD);
	close(ends[!load]);
	transfer(ends[load], state, load);
	close(ends[load]);
	vu_msg_init(&msg, VU_CHECK_DEVICE_STATE);
	kit_socket_message(fd, &msg);
	return msg.payload.u64 == 0;
}
