/* SPDX-License-Identifier: Apache-2.0 */
/* What a fake back-end does with a request, and how it answers it. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/fake_backend_impl.h"

static void take_note(struct fake_backend *b, const struct vu_msg *m)
{
	unsigned n = __atomic_load_n(&b->n_notes, __ATOMIC_RELAXED);
	struct fake_note *note = &b->notes[n];

	if (n == G_N_ELEMENTS(b->notes))
		return;
	note->request = m->header.request;
	note->flags = m->header.flags;
	note->size = m->header.size;
	note->n_fds = m->n_fds;
	memcpy(note->u64, m->payload.bytes, MIN(note->size, sizeof(note->u64)));
	__atomic_store_n(&b->n_notes, n + 1, __ATOMIC_RELEASE);
}

static void add_to_trace(
	struct fake_backend *b, const struct vu_msg *m, const struct vu_shape *shape)
{
	g_string_append(b->trace, shape->name);
	if (shape->ring != VU_RING_NONE)
		g_string_append_printf(b->trace, "/%u", vu_msg_ring_index(m, shape));
	if (m->header.request == VU_SET_VRING_ENABLE)
		g_string_append_printf(b->trace, "=%u", m->payload.state.num);
	if (m->header.request == VU_SET_STATUS)
		g_string_append_printf(b->trace, "=0x%x", (unsigned)m->payload.u64);
	g_string_append_c(b->trace, ' ');
}

static bool is_silent_at(const struct fake_backend *b)
{
	g_autofree char *end = g_strdup_printf(" %s ", b->silent_at ? b->silent_at : "");

	/* The first has nothing before it. */
	return b->silent_at &&
		(g_str_has_suffix(b->trace->str, end) || !strcmp(b->trace->str, end + 1));
}

static void set_fd(struct vu_msg *m, int *fd)
{
	fd_close(fd);
	*fd = vu_msg_take_fd(m, 0);
}

static void set_ring(struct fake_backend *b, struct vu_msg *m, unsigned index)
{
	struct fake_ring *r = &b->ring[index % FAKE_QUEUES];

	switch (m->header.request) {
	case VU_SET_VRING_NUM:
		r->num = m->payload.state.num;
		break;
	case VU_SET_VRING_BASE:
		r->base = r->from = m->payload.state.num;
		break;
	case VU_SET_VRING_ADDR:
		r->addr = m->payload.addr;
		break;
	case VU_SET_VRING_KICK:
		set_fd(m, &r->kick);
		break;
	case VU_SET_VRING_CALL:
		set_fd(m, &r->call);
		break;
	case VU_SET_VRING_ENABLE:
		r->enabled = m->payload.state.num;
		break;
	case VU_GET_VRING_BASE:
		fd_close(&r->kick);
		m->payload.state.num = r->base;
		break;
	}
}

static void set_config(struct fake_backend *b, const struct vu_msg *m)
{
	const struct vu_config *c = &m->payload.config;

	if (c->offset < sizeof(b->config) && c->size <= sizeof(b->config) - c->offset)
		memcpy(b->config + c->offset, m->payload.bytes + sizeof(*c), c->size);
	if (b->selector)
		b->config[1] = 2 * b->config[0];
}

static void get_config(const struct fake_backend *b, struct vu_msg *m)
{
	if (m->payload.config.size > b->config_size)
		m->header.size = 0;
	else
		memcpy(m->payload.bytes + sizeof(struct vu_config), b->config,
			m->payload.config.size);
}

static void set_table(struct fake_backend *b, const struct vu_msg *m)
{
	struct mem_region_desc desc[VU_MAX_REGIONS];

	b->n_regions = vu_msg_regions(m, desc);
	b->tables++;
	memcpy(b->region, desc, MIN(b->n_regions, FAKE_REGIONS) * sizeof(*desc));
	memcpy(b->table, m->payload.bytes, m->header.size);
}

/*
 * Makes the area that the test gave, or one of 4 KiB for each queue; the fd is closed when it is
 * sent.
 */
static void make_area(struct fake_backend *b, struct vu_msg *m)
{
	int fd = b->area_is_given ? dup(b->given_area_fd) : memfd_create("in-flight", MFD_CLOEXEC);

	if (b->area_is_given) {
		m->payload.inflight = b->given_area;
	} else {
		b->areas++;
		m->payload.inflight.mmap_size = m->payload.inflight.num_queues * UINT64_C(4096);
		if (ftruncate(fd, (off_t)m->payload.inflight.mmap_size) < 0)
			fd_close(&fd);
	}
	m->header.size = sizeof(m->payload.inflight);
	if (fd >= 0)
		m->fds[m->n_fds++] = fd;
}

static void set_u32(struct vu_msg *m, uint32_t value)
{
	vu_msg_set_u64(m, value);
	m->header.size = sizeof(value);
}

/* Answers requests without a payload; false: it is none of them. */
static bool get_property(const struct fake_backend *b, struct vu_msg *m)
{
	switch (m->header.request) {
	case VU_GET_FEATURES:
		vu_msg_set_u64(m, b->features);
		return true;
	case VU_GET_PROTOCOL_FEATURES:
		vu_msg_set_u64(m, b->protocol);
		return true;
	case VU_GET_QUEUE_NUM:
		vu_msg_set_u64(m, b->queues);
		return true;
	case VU_GET_MAX_MEM_SLOTS:
		vu_msg_set_u64(m, b->slots);
		return true;
	case VU_GET_STATUS:
		vu_msg_set_u64(m, b->status | b->status_bits);
		return true;
	case VU_GET_SHMEM_CONFIG:
		m->payload.shmem_config = b->shm;
		m->header.size = sizeof(b->shm);
		return true;
	case VU_GET_DEVICE_ID:
		set_u32(m, b->device_id);
		return true;
	case VU_GET_CONFIG_SIZE:
		set_u32(m, b->config_size);
		return true;
	case VU_GET_MIN_VQ:
		set_u32(m, b->min_queues);
		return true;
	}
	return false;
}

/* Does what m says, and makes m its reply, if it has one. */
static void obey(struct fake_backend *b, struct vu_msg *m)
{
	switch (m->header.request) {
	case VU_SET_PROTOCOL_FEATURES:
		b->acked = m->payload.u64;
		break;
	case VU_SET_FEATURES:
		b->driver_features = m->payload.u64;
		break;
	case VU_SET_BACKEND_REQ_FD:
		set_fd(m, &b->channel);
		break;
	case VU_SET_STATUS:
		b->status = m->payload.u64;
		if (b->refuses_features)
			b->status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
		break;
	case VU_SET_MEM_TABLE:
		set_table(b, m);
		break;
	case VU_GET_INFLIGHT_FD:
		make_area(b, m);
		break;
	case VU_SET_INFLIGHT_FD:
		b->area = m->payload.inflight;
		set_fd(m, &b->area_fd);
		break;
	case VU_GET_CONFIG:
		get_config(b, m);
		break;
	case VU_SET_CONFIG:
		set_config(b, m);
		break;
	}
}

static enum fake_quirk quirk_of(const struct fake_backend *b)
{
	const struct vu_msg *m = &b->msg;
	/* Tests set them while it runs. */
	enum fake_quirk quirk = __atomic_load_n(&b->quirk[m->header.request], __ATOMIC_ACQUIRE);

	if (b->quirky_connections && b->connections > b->quirky_connections)
		return FAKE_RIGHT;
	/* A size that is fine is answered in any case. */
	if (m->header.request == VU_GET_CONFIG && m->payload.config.size <= b->config_size &&
		quirk == FAKE_CLOSE)
		return FAKE_RIGHT;
	return quirk;
}

/* Does what is to be done on the channel before the answer. False: closes. */
static bool use_channel(struct fake_backend *b, enum fake_quirk quirk, bool enables)
{
	if (quirk == FAKE_CHANNEL_CLOSE) {
		pthread_mutex_lock(&b->lock);
		fd_close(&b->channel);
		pthread_mutex_unlock(&b->lock);
	}
	if (quirk == FAKE_CHANNEL_FIRST) {
		fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, 0);
		if (fake_channel_ack(b) != 0)
			return false;
	}
	if (enables && b->enabled)
		b->enabled(b, b->msg.payload.state.index);
	return quirk != FAKE_CLOSE;
}

/* Sends two parts of a reply of eight bytes, or only the first. False: closes. */
static bool send_in_parts(struct fake_backend *b, enum fake_quirk quirk)
{
	struct pollfd next[] = { { .fd = b->conn, .events = POLLIN },
		{ .fd = b->stop, .events = POLLIN } };
	size_t first = quirk == FAKE_HALF_HEADER ? 7 : 15;
	uint8_t wire[20];

	memcpy(wire, &b->msg.header, 12);
	memcpy(wire + 12, b->msg.payload.bytes, 8);
	sock_send(b->conn, wire, first, NULL, 0, FAKE_TIMEOUT_MS);
	if (quirk != FAKE_IN_TWO)
		return false;
	poll(next, G_N_ELEMENTS(next), -1);
	sock_send(b->conn, wire + first, sizeof(wire) - first, NULL, 0, FAKE_TIMEOUT_MS);
	return true;
}

/* Sends b->msg, damaged in this way. False: closes. */
static bool send_reply(struct fake_backend *b, enum fake_quirk quirk, uint32_t request_size)
{
	struct vu_msg *m = &b->msg;

	m->header.flags = VU_VERSION | VU_FLAG_REPLY;
	switch (quirk) {
	case FAKE_OWN_SIZE:
		m->header.size = request_size;
		m->fds[m->n_fds++] = eventfd(0, EFD_CLOEXEC);
		break;
	case FAKE_U64:
		m->header.size = sizeof(uint64_t);
		break;
	case FAKE_OTHER_NUMBER:
		m->header.request = VU_GET_STATUS + 100;
		break;
	case FAKE_HALF_HEADER:
	case FAKE_HALF_PAYLOAD:
	case FAKE_IN_TWO:
		return send_in_parts(b, quirk);
	default:
		break;
	}
	vu_msg_write(b->conn, m, FAKE_TIMEOUT_MS, NULL);
	vu_msg_clear(m);
	return true;
}

/* Notes b->msg and does what it says; then it is the reply that is due. True: an answer is. */
static bool carry_out(struct fake_backend *b, enum fake_quirk quirk, const struct vu_shape *shape)
{
	struct vu_msg *m = &b->msg;
	bool obeys = quirk != FAKE_REFUSE && quirk != FAKE_ECHO, silent;

	pthread_mutex_lock(&b->lock);
	take_note(b, m);
	add_to_trace(b, m, shape);
	if (shape->ring != VU_RING_NONE)
		set_ring(b, m, vu_msg_ring_index(m, shape));
	/* Of the request are what fds are left then, but not those of a reply. */
	if (m->header.request == VU_GET_INFLIGHT_FD)
		vu_msg_clear(m);
	if (obeys && !get_property(b, m))
		obey(b, m);
	if (m->header.request != VU_GET_INFLIGHT_FD)
		vu_msg_clear(m);
	silent = quirk == FAKE_SILENT || is_silent_at(b);
	pthread_mutex_unlock(&b->lock);
	if (quirk == FAKE_LATE)
		g_usleep(b->late_ms * 1000);
	return !silent;
}

bool fake_serve(struct fake_backend *b)
{
	struct vu_msg *m = &b->msg;
	uint32_t request = m->header.request, size = m->header.size;
	const struct vu_shape *shape = vu_probe_shape(request, size, m->n_fds, 0, false);
	enum fake_quirk quirk = quirk_of(b);
	bool enables = request == VU_SET_VRING_ENABLE && m->payload.state.num, due, ack, answers;

	if (!shape)
		shape = vu_shape(request);
	__atomic_add_fetch(&b->received, 1, __ATOMIC_ACQ_REL);
	due = shape->reply == VU_REPLY_ALWAYS;
	ack = !due && (m->header.flags & VU_FLAG_NEED_REPLY);
	answers = carry_out(b, quirk, shape);
	if (!use_channel(b, quirk, enables))
		return false;
	if (!answers || !(due || ack)) {
		vu_msg_clear(m);
		return true;
	}
	if (ack)
		vu_msg_set_u64(m, quirk == FAKE_REFUSE ? EINVAL : 0);
	else if (quirk == FAKE_REFUSE)
		m->header.size = 0;
	return send_reply(b, quirk, size);
}
