/* SPDX-License-Identifier: Apache-2.0 */
/* The agent that takes every device-specific message. */
#include "tests/daemon/wire_agent.h"

struct wire_seen wire_seen;

static bool verdict(GError **error)
{
	agent_check_alone();
	wire_seen.calls++;
	if (wire_seen.refuses)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "the agent refuses");
	return !wire_seen.refuses && !wire_seen.silent;
}

static bool wire_announce(struct virtio_device *d, const uint8_t mac[6], GError **error)
{
	memcpy(wire_seen.mac, mac, 6);
	return verdict(error);
}

static bool wire_mtu(struct virtio_device *d, unsigned mtu, GError **error)
{
	wire_seen.mtu = mtu;
	return verdict(error);
}

static bool wire_display(struct virtio_device *d, int fd, GError **error)
{
	fd_close(&wire_seen.display);
	wire_seen.display = fd;
	return verdict(error);
}

/* Counts every byte up. */
static bool wire_session_open(struct virtio_device *d, void *payload, size_t size, GError **error)
{
	uint8_t *bytes = payload;

	for (size_t i = 0; i < size; i++)
		bytes[i]++;
	return verdict(error);
}

static void wire_session_close(struct virtio_device *d, uint64_t id)
{
	wire_seen.closed = id;
	verdict(NULL);
}

static int wire_object(struct virtio_device *d, const uint8_t uuid[16])
{
	memcpy(wire_seen.uuid, uuid, 16);
	verdict(NULL);
	return fd_steal(&wire_seen.object);
}

static bool wire_save(struct virtio_device *d, GByteArray *to, GError **error)
{
	g_byte_array_append(to, wire_seen.state->data, wire_seen.state->len);
	return verdict(error);
}

static bool wire_load(struct virtio_device *d, const void *from, size_t size, GError **error)
{
	g_byte_array_set_size(wire_seen.state, 0);
	g_byte_array_append(wire_seen.state, from, size);
	return verdict(error);
}

static void wire_left(struct virtio_device *d)
{
	agent_check_alone();
	wire_seen.lefts++;
}

const struct virtio_device_wire wire_all = {
	.announce = wire_announce,
	.mtu = wire_mtu,
	.display = wire_display,
	.session_open = wire_session_open,
	.session_close = wire_session_close,
	.object = wire_object,
	.save = wire_save,
	.load = wire_load,
	.left = wire_left,
};

void wire_begin(struct peer *p, const struct agent_mode *mode, const struct virtio_device_wire *w)
{
	wire_seen = (struct wire_seen){
		.display = -1,
		.object = -1,
		.state = g_byte_array_new(),
	};
	agent.wire = w;
	agent_make(p, mode);
	agent.wire = NULL;
	if (w == &wire_all)
		assert_int_equal(peer_ack_u64(p, VU_SET_PROTOCOL_FEATURES, WIRE_FEATURES), 0);
}

void wire_end(struct peer *p)
{
	peer_disconnect(p);
	fd_close(&wire_seen.display);
	fd_close(&wire_seen.object);
	g_byte_array_unref(wire_seen.state);
}

void wire_in_modes(void **state, void (*test)(struct peer *p))
{
	static const struct agent_mode modes[] = { AGENT_ONE, AGENT_PAIRS };

	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		wire_begin(*state, &modes[i], &wire_all);
		test(*state);
		wire_end(*state);
	}
}

uint64_t wire_set_state_fd(struct peer *p, uint32_t direction, uint32_t phase, int fd)
{
	struct vu_device_state s = { direction, phase };

	peer_send(p, VU_SET_DEVICE_STATE_FD, 0, &s, sizeof(s), &fd, 1);
	if (!peer_receive(p))
		fail_msg("no reply to SET_DEVICE_STATE_FD\n%s", log_text());
	assert_int_equal(p->msg.header.request, VU_SET_DEVICE_STATE_FD);
	assert_int_equal(p->msg.header.size, sizeof(uint64_t));
	assert_int_equal(p->msg.n_fds, 0);
	return p->msg.payload.u64;
}

uint64_t wire_check_state(struct peer *p)
{
	uint64_t result = peer_ask(p, VU_CHECK_DEVICE_STATE, NULL, 0);

	assert_int_equal(p->msg.header.size, sizeof(uint64_t));
	return result;
}

void wire_fill_state(unsigned n)
{
	g_byte_array_set_size(wire_seen.state, n);
	for (unsigned i = 0; i < n; i++)
		wire_seen.state->data[i] = i * 7 + i / 251;
}

static int begin_transfer(struct peer *p, uint32_t direction)
{
	bool load = direction == VU_DEVICE_STATE_LOAD;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(wire_set_state_fd(p, direction, 0, ends[!load]), VU_DEVICE_STATE_NO_FD);
	close(ends[!load]);
	return ends[load];
}

GByteArray *wire_save_all(struct peer *p, unsigned piece)
{
	GByteArray *stream = g_byte_array_new();
	int fd = begin_transfer(p, VU_DEVICE_STATE_SAVE);
	g_autofree uint8_t *bytes = g_malloc(piece);
	ssize_t n;

	do {
		WAIT_IN_LOOP(test_readable(fd, 0));
		n = read(fd, bytes, piece);
		assert_true(n >= 0);
		g_byte_array_append(stream, bytes, n);
	} while (n > 0);
	close(fd);
	return stream;
}

uint64_t wire_load_all(struct peer *p, const uint8_t *stream, size_t n, unsigned piece)
{
	int fd = begin_transfer(p, VU_DEVICE_STATE_LOAD);
	ssize_t done = 0;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (n && !(done < 0 && errno != EAGAIN)) {
		done = write(fd, stream, MIN(n, piece));
		if (done > 0) {
			stream += done;
			n -= done;
		}
		peer_run_loop();
	}
	close(fd);
	peer_run();
	return wire_check_state(p);
}
