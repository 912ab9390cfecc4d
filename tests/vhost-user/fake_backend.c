/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_backend.h. */
#include "fake_backend.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/util.h"

#define WAIT_MS 60000

struct fake *fake_new(void)
{
	struct fake *b = g_new0(struct fake, 1);

	b->features = VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VU_BIT(32) | VU_BIT(5);
	b->protocol_features = VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) |
		VU_BIT(VU_F_CONFIG) | VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) |
		VU_BIT(VU_F_STATUS) | VU_BIT(VU_F_PROBE);
	b->queues = 4;
	b->slots = 32;
	b->device_id = 42;
	b->config_size = 60;
	b->min_queues = 2;
	for (unsigned i = 0; i < sizeof(b->config); i++)
		b->config[i] = i;
	b->channel = b->listener = b->conn = b->area_fd = -1;
	return b;
}

static bool receive(int fd, struct vu_msg *msg)
{
	struct vu_reader reader = { 0 };
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	enum vu_read got;

	vu_msg_init(msg, 0);
	while ((got = vu_msg_read(&reader, fd, msg, NULL)) == VU_READ_AGAIN)
		poll(&pfd, 1, -1);
	return got == VU_READ_DONE;
}

int64_t fake_channel_ack(struct fake *b)
{
	struct pollfd pfd = { .fd = b->channel, .events = POLLIN };
	g_autofree struct vu_msg *msg = g_new(struct vu_msg, 1);
	int64_t ack = -1;

	if (poll(&pfd, 1, WAIT_MS) != 1 || !receive(b->channel, msg))
		return -1;
	if (msg->header.size == 8 && msg->n_fds == 0 && (msg->header.flags & VU_FLAG_REPLY))
		ack = msg->payload.u64;
	vu_msg_clear(msg);
	return ack;
}

int64_t fake_channel_send(struct fake *b, uint32_t request, uint32_t flags, uint32_t size)
{
	g_autofree struct vu_msg *msg = g_new0(struct vu_msg, 1);

	vu_msg_init(msg, request);
	msg->header.flags |= flags;
	msg->header.size = size;
	return vu_msg_write(b->channel, msg, WAIT_MS, NULL) ? 0 : -1;
}

static void take_note(struct fake *b)
{
	unsigned n = __atomic_load_n(&b->n_notes, __ATOMIC_RELAXED);
	struct fake_note *note = &b->notes[n];

	if (n == G_N_ELEMENTS(b->notes))
		return;
	note->request = b->msg.header.request;
	note->flags = b->msg.header.flags;
	note->size = b->msg.header.size;
	note->n_fds = b->msg.n_fds;
	memcpy(note->u64, b->msg.payload.bytes, MIN(note->size, sizeof(note->u64)));
	__atomic_store_n(&b->n_notes, n + 1, __ATOMIC_RELEASE);
}

/* Turns b->msg into the right reply, for requests that have one. */
static void reply_to(struct fake *b)
{
	struct vu_msg *m = &b->msg;
	uint32_t u32 = 0;

	switch (m->header.request) {
	case VU_GET_FEATURES:
		vu_msg_set_u64(m, b->features);
		return;
	case VU_GET_PROTOCOL_FEATURES:
		vu_msg_set_u64(m, b->protocol_features);
		return;
	case VU_GET_QUEUE_NUM:
		vu_msg_set_u64(m, b->queues);
		return;
	case VU_GET_MAX_MEM_SLOTS:
		vu_msg_set_u64(m, b->slots);
		return;
	case VU_GET_STATUS:
		vu_msg_set_u64(m, 0x4f);
		return;
	case VU_GET_VRING_BASE:
		m->payload.state.num = 0x1234;
		return;
	case VU_GET_INFLIGHT_FD:
		m->payload.inflight = b->area;
		m->header.size = sizeof(b->area);
		m->fds[0] = b->area_fd;
		m->n_fds = b->area_fd < 0 ? 0 : 1;
		return;
	case VU_GET_SHMEM_CONFIG:
		m->payload.shmem_config = b->shm;
		m->header.size = sizeof(b->shm);
		return;
	case VU_GET_CONFIG:
		if (m->payload.config.size > b->config_size)
			m->header.size = 0;
		else
			memcpy(m->payload.bytes + sizeof(m->payload.config), b->config,
				m->payload.config.size);
		return;
	case VU_GET_DEVICE_ID:
		u32 = b->device_id;
		break;
	case VU_GET_CONFIG_SIZE:
		u32 = b->config_size;
		break;
	case VU_GET_MIN_VQ:
		u32 = b->min_queues;
		break;
	}
	vu_msg_set_u64(m, u32);
	m->header.size = sizeof(u32);
}

static enum fake_quirk quirk_of(const struct fake *b)
{
	const struct vu_header *h = &b->msg.header;
	/* Tests set them while it runs. */
	enum fake_quirk quirk = __atomic_load_n(&b->quirk[h->request], __ATOMIC_ACQUIRE);

	if (b->quirky_connections && b->connections > b->quirky_connections)
		return FAKE_RIGHT;
	/* A size that is fine is answered in any case. */
	if (h->request == VU_GET_CONFIG && b->msg.payload.config.size <= b->config_size &&
		quirk == FAKE_CLOSE)
		return FAKE_RIGHT;
	return quirk;
}

/* Sends b->msg, damaged in this way. False: closes. */
static bool send_reply(struct fake *b, enum fake_quirk quirk, uint32_t request_size)
{
	struct vu_msg *m = &b->msg;
	autofd extra = -1;

	m->header.flags = VU_VERSION | VU_FLAG_REPLY;
	if (quirk == FAKE_OWN_SIZE) {
		m->header.size = request_size;
		m->fds[0] = extra = eventfd(0, EFD_CLOEXEC);
		m->n_fds = 1;
	}
	if (quirk == FAKE_U64)
		m->header.size = 8;
	if (quirk == FAKE_OTHER_NUMBER)
		m->header.request = VU_GET_STATUS + 100;
	if (quirk == FAKE_HALF_HEADER || quirk == FAKE_HALF_PAYLOAD || quirk == FAKE_IN_TWO) {
		struct pollfd next = { .fd = b->conn, .events = POLLIN };
		uint8_t wire[20];

		memcpy(wire, &m->header, 12);
		memcpy(wire + 12, m->payload.bytes, 8);
		sock_send(b->conn, wire, quirk == FAKE_HALF_HEADER ? 7 : 15, NULL, 0, WAIT_MS);
		if (quirk != FAKE_IN_TWO)
			return false;
		poll(&next, 1, -1);
		sock_send(b->conn, wire + 15, sizeof(wire) - 15, NULL, 0, WAIT_MS);
		return true;
	}
	vu_msg_write(b->conn, m, WAIT_MS, NULL);
	m->n_fds = 0;
	return true;
}

static bool serve_request(struct fake *b)
{
	struct vu_msg *m = &b->msg;
	bool probe = m->header.request >= VU_GET_DEVICE_ID && m->header.request <= VU_GET_MIN_VQ;
	bool due = probe || vu_shape(m->header.request)->reply == VU_REPLY_ALWAYS;
	bool ack = !due && (m->header.flags & VU_FLAG_NEED_REPLY);
	enum fake_quirk quirk = quirk_of(b);
	uint32_t size = m->header.size;

	if (m->header.request == VU_SET_PROTOCOL_FEATURES)
		b->acked = m->payload.u64;
	if (m->header.request == VU_SET_MEM_TABLE)
		memcpy(b->table, m->payload.bytes, size);
	if (m->header.request == VU_SET_CONFIG)
		memcpy(b->config + m->payload.config.offset,
			m->payload.bytes + sizeof(m->payload.config), m->payload.config.size);
	if (m->header.request == VU_SET_BACKEND_REQ_FD) {
		fd_close(&b->channel);
		b->channel = vu_msg_take_fd(m, 0);
	}
	vu_msg_clear(m);
	if (quirk == FAKE_CHANNEL_CLOSE) {
		fd_close(&b->channel);
		g_usleep(20000); /* so that it is seen before the reply */
	}
	if (quirk == FAKE_CHANNEL_FIRST) {
		fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, 0);
		if (fake_channel_ack(b) != 0)
			return false;
	}
	if (quirk == FAKE_CLOSE)
		return false;
	if (quirk == FAKE_SILENT || !(due || ack))
		return true;
	if (due)
		reply_to(b);
	else
		vu_msg_set_u64(m, quirk == FAKE_REFUSE ? 22 : 0);
	if (due && quirk == FAKE_REFUSE)
		m->header.size = 0;
	return send_reply(b, quirk, size);
}

static bool is_busy(const struct fake *b)
{
	return b->busy || (b->connections > 1 && b->connections <= b->busy_until);
}

static void serve_connection(struct fake *b)
{
	b->connections++;
	fd_close(&b->channel);
	while (!is_busy(b) && receive(b->conn, &b->msg)) {
		take_note(b);
		if (!serve_request(b))
			break;
	}
	vu_msg_clear(&b->msg);
	fd_close(&b->conn);
}

static void *serve_one(void *opaque)
{
	serve_connection(opaque);
	return NULL;
}

static void *serve_all(void *opaque)
{
	struct fake *b = opaque;
	struct pollfd pfd = { .fd = b->listener, .events = POLLIN };

	/* shutdown() of the listener ends it. */
	while (poll(&pfd, 1, -1) == 1 && (b->conn = sock_accept(b->listener)) >= 0)
		serve_connection(b);
	return NULL;
}

int fake_start(struct fake *b)
{
	int pair[2];

	if (!sock_pair(pair))
		return -1;
	b->conn = pair[0];
	pthread_create(&b->thread, NULL, serve_one, b);
	return pair[1];
}

void fake_listen(struct fake *b, const char *path)
{
	b->listener = sock_listen(path, 0600, -1, NULL);
	pthread_create(&b->thread, NULL, serve_all, b);
}

void fake_stop(struct fake *b)
{
	if (b->listener >= 0)
		shutdown(b->listener, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	fd_close(&b->listener);
	/* Only here: the test itself uses it while the thread lives. */
	fd_close(&b->channel);
}

void fake_free(struct fake *b)
{
	g_free(b);
}

const struct fake_note *fake_note(const struct fake *b, uint32_t request)
{
	for (unsigned i = 0; i < b->n_notes; i++) {
		if (b->notes[i].request == request)
			return &b->notes[i];
	}
	return NULL;
}

unsigned fake_count(const struct fake *b, uint32_t request)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_notes; i++)
		n += b->notes[i].request == request;
	return n;
}
