/* SPDX-License-Identifier: Apache-2.0 */
/* See peer.h. */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "base/sock.h"
#include "base/util.h"

#define PROTOCOL                                                                        \
	(VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) |          \
		VU_BIT(VU_F_CONFIG) | VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_STATUS) | \
		VU_BIT(VU_F_PROBE))
#define TIMEOUT_MS 60000

static void forget(struct peer *p)
{
	for (unsigned i = 0; i < PEER_QUEUES; i++) {
		fd_close(&p->ring[i].kick);
		fd_close(&p->ring[i].call);
		p->ring[i] = (struct peer_ring){ .kick = -1, .call = -1 };
	}
	p->status = 0;
	p->driver_features = 0;
	p->n_regions = 0;
	fd_close(&p->area_fd);
	p->area = (struct vu_inflight){ 0 };
}

static void note(struct peer *p, const struct vu_msg *m, const struct vu_shape *shape)
{
	g_string_append(p->trace, shape->name);
	if (shape->ring != VU_RING_NONE)
		g_string_append_printf(p->trace, "/%u", vu_msg_ring_index(m, shape));
	if (m->header.request == VU_SET_VRING_ENABLE)
		g_string_append_printf(p->trace, "=%u", m->payload.state.num);
	if (m->header.request == VU_SET_STATUS)
		g_string_append_printf(p->trace, "=0x%x", (unsigned)m->payload.u64);
	g_string_append_c(p->trace, ' ');
}

static void set_fd(struct vu_msg *m, int *fd)
{
	fd_close(fd);
	*fd = vu_msg_take_fd(m, 0);
}

static void set_ring(struct peer *p, struct vu_msg *m, unsigned index)
{
	struct peer_ring *r = &p->ring[index % PEER_QUEUES];

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

static void set_config(struct peer *p, const struct vu_msg *m)
{
	const struct vu_config *c = &m->payload.config;

	if (c->offset < PEER_CONFIG && c->size <= PEER_CONFIG - c->offset)
		memcpy(p->config + c->offset, m->payload.bytes + sizeof(*c), c->size);
	p->config[1] = 2 * p->config[0];
}

/* An area of 4 KiB for each queue. */
static void make_area(struct peer *p, struct vu_msg *m)
{
	int fd = memfd_create("in-flight", MFD_CLOEXEC);

	p->areas++;
	m->payload.inflight.mmap_size = m->payload.inflight.num_queues * UINT64_C(4096);
	if (ftruncate(fd, (off_t)m->payload.inflight.mmap_size) == 0)
		m->fds[m->n_fds++] = fd;
}

static void set_area(struct peer *p, struct vu_msg *m)
{
	p->area = m->payload.inflight;
	set_fd(m, &p->area_fd);
}

/* Does what m says, and makes m its reply, if it has one. */
static void obey(struct peer *p, struct vu_msg *m)
{
	switch (m->header.request) {
	case VU_GET_FEATURES:
		vu_msg_set_u64(m, p->features | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES));
		break;
	case VU_GET_PROTOCOL_FEATURES:
		vu_msg_set_u64(m, p->protocol);
		break;
	case VU_SET_PROTOCOL_FEATURES:
		p->acked = m->payload.u64;
		break;
	case VU_SET_FEATURES:
		p->driver_features = m->payload.u64;
		break;
	case VU_GET_QUEUE_NUM:
		vu_msg_set_u64(m, p->queues);
		break;
	case VU_SET_BACKEND_REQ_FD:
		set_fd(m, &p->channel);
		break;
	case VU_SET_STATUS:
		p->status = m->payload.u64;
		if (p->refuses_features)
			p->status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
		break;
	case VU_GET_STATUS:
		vu_msg_set_u64(m, p->status);
		break;
	case VU_SET_MEM_TABLE:
		p->n_regions = m->payload.table.n_regions;
		p->tables++;
		vu_msg_regions(m, p->region);
		break;
	case VU_GET_SHMEM_CONFIG:
		m->payload.shmem_config = p->shm;
		m->header.size = sizeof(p->shm);
		break;
	case VU_GET_INFLIGHT_FD:
		make_area(p, m);
		break;
	case VU_SET_INFLIGHT_FD:
		set_area(p, m);
		break;
	case VU_GET_CONFIG:
		if (m->payload.config.size > p->config_size)
			m->header.size = 0;
		else
			memcpy(m->payload.bytes + sizeof(struct vu_config), p->config,
				m->payload.config.size);
		break;
	case VU_SET_CONFIG:
		set_config(p, m);
		break;
	}
}

static uint32_t probe_answer(const struct peer *p, uint32_t request)
{
	if (request == VU_GET_DEVICE_ID)
		return p->device_id;
	return request == VU_GET_CONFIG_SIZE ? p->config_size : 1;
}

static bool is_silent_at(const struct peer *p)
{
	g_autofree char *end = g_strdup_printf(" %s ", p->silent_at ? p->silent_at : "");

	/* The first has nothing before it. */
	return p->silent_at &&
		(g_str_has_suffix(p->trace->str, end) || !strcmp(p->trace->str, end + 1));
}

static void serve_request(struct peer *p, struct vu_msg *m)
{
	uint32_t request = m->header.request;
	const struct vu_shape *shape = vu_probe_shape(request, m->header.size, m->n_fds, 0, false);
	bool probe = shape != NULL, due, ack;

	if (!probe)
		shape = vu_shape(request);
	due = shape->reply == VU_REPLY_ALWAYS;
	ack = !due && (m->header.flags & VU_FLAG_NEED_REPLY);
	pthread_mutex_lock(&p->lock);
	note(p, m, shape);
	if (shape->ring != VU_RING_NONE)
		set_ring(p, m, vu_msg_ring_index(m, shape));
	if (probe) {
		vu_msg_set_u64(m, probe_answer(p, request));
		m->header.size = sizeof(uint32_t);
	} else if (request != p->refused) {
		obey(p, m);
	}
	if (ack)
		vu_msg_set_u64(m, request == p->refused ? EINVAL : 0);
	if (request == p->silent || is_silent_at(p))
		due = ack = false;
	pthread_mutex_unlock(&p->lock);
	/* Of the request; a reply's is sent, and closed then. */
	if (request != VU_GET_INFLIGHT_FD)
		vu_msg_clear(m);
	m->header.flags = VU_VERSION | VU_FLAG_REPLY;
	if (due || ack)
		vu_msg_write(p->conn, m, TIMEOUT_MS, NULL);
	vu_msg_clear(m);
}

static void hang_up(struct peer *p)
{
	pthread_mutex_lock(&p->lock);
	fd_close(&p->conn);
	fd_close(&p->channel);
	forget(p);
	pthread_mutex_unlock(&p->lock);
}

static void serve(struct peer *p, struct vu_reader *reader, struct vu_msg *m)
{
	switch (vu_msg_read(reader, p->conn, m, NULL)) {
	case VU_READ_AGAIN:
		break;
	case VU_READ_DONE:
		serve_request(p, m);
		break;
	case VU_READ_CLOSED:
	case VU_READ_ERROR:
		vu_msg_clear(m);
		hang_up(p);
		*reader = (struct vu_reader){ 0 };
	}
}

static void kicked(struct peer *p, unsigned i)
{
	eventfd_t n;

	pthread_mutex_lock(&p->lock);
	if (p->ring[i].kick >= 0 && eventfd_read(p->ring[i].kick, &n) == 0) {
		p->ring[i].kicks++;
		if (p->device)
			p->device(p, &p->ring[i]);
	}
	pthread_mutex_unlock(&p->lock);
}

static void *peer_main(void *opaque)
{
	struct peer *p = opaque;
	g_autofree struct vu_msg *m = g_new0(struct vu_msg, 1);
	struct vu_reader reader = { 0 };
	struct pollfd pfd[2 + PEER_QUEUES];

	vu_msg_init(m, 0);
	for (;;) {
		pfd[0] = (struct pollfd){ .fd = p->stop, .events = POLLIN };
		pfd[1].fd = p->conn >= 0 ? p->conn : p->listener;
		pfd[1].events = POLLIN;
		for (unsigned i = 0; i < PEER_QUEUES; i++)
			pfd[2 + i] = (struct pollfd){
				.fd = p->ring[i].enabled ? p->ring[i].kick : -1,
				.events = POLLIN,
			};
		if (poll(pfd, G_N_ELEMENTS(pfd), -1) < 0)
			continue;
		if (pfd[0].revents)
			break;
		for (unsigned i = 0; i < PEER_QUEUES; i++)
			if (pfd[2 + i].revents)
				kicked(p, i);
		if (!pfd[1].revents)
			continue;
		if (p->conn >= 0) {
			serve(p, &reader, m);
			continue;
		}
		p->conn = sock_accept(p->listener);
		pthread_mutex_lock(&p->lock);
		p->connections++;
		pthread_mutex_unlock(&p->lock);
	}
	vu_msg_clear(m);
	return NULL;
}

struct peer *peer_new(const char *path)
{
	struct peer *p = g_new0(struct peer, 1);

	p->path = g_strdup(path);
	p->device_id = 42;
	p->config_size = PEER_CONFIG;
	p->queues = 3;
	p->protocol = PROTOCOL;
	p->features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_PACKED) |
		VU_BIT(VIRTIO_F_RING_RESET) | VU_BIT(VIRTIO_F_SR_IOV) | 0x15;
	p->listener = p->conn = p->channel = p->area_fd = -1;
	for (unsigned i = 0; i < PEER_CONFIG; i++)
		p->config[i] = 0x10 + i;
	for (unsigned i = 0; i < PEER_QUEUES; i++)
		p->ring[i].kick = p->ring[i].call = -1;
	p->trace = g_string_new("");
	p->stop = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void peer_up(struct peer *p)
{
	p->listener = sock_listen(p->path, 0600, (gid_t)-1, NULL);
	g_assert_cmpint(p->listener, >=, 0);
	g_assert_cmpint(pthread_create(&p->thread, NULL, peer_main, p), ==, 0);
	p->up = true;
}

void peer_down(struct peer *p)
{
	eventfd_t n;

	if (!p->up)
		return;
	eventfd_write(p->stop, 1);
	pthread_join(p->thread, NULL);
	p->up = false;
	eventfd_read(p->stop, &n);
	fd_close(&p->listener);
	hang_up(p);
}

void peer_free(struct peer *p)
{
	peer_down(p);
	fd_close(&p->stop);
	g_string_free(p->trace, TRUE);
	g_free(p->path);
	pthread_mutex_destroy(&p->lock);
	g_free(p);
}

char *peer_trace(struct peer *p)
{
	char *trace;

	pthread_mutex_lock(&p->lock);
	trace = g_strdup(p->trace->str);
	g_string_truncate(p->trace, 0);
	pthread_mutex_unlock(&p->lock);
	return trace;
}

void peer_silence(struct peer *p, uint32_t request)
{
	pthread_mutex_lock(&p->lock);
	p->silent = request;
	pthread_mutex_unlock(&p->lock);
}

void peer_silence_at(struct peer *p, const char *what)
{
	pthread_mutex_lock(&p->lock);
	p->silent_at = what;
	pthread_mutex_unlock(&p->lock);
}

void peer_refuse(struct peer *p, uint32_t request)
{
	pthread_mutex_lock(&p->lock);
	p->refused = request;
	pthread_mutex_unlock(&p->lock);
}

void peer_refuse_features(struct peer *p, bool refuse)
{
	pthread_mutex_lock(&p->lock);
	p->refuses_features = refuse;
	pthread_mutex_unlock(&p->lock);
}

struct peer_ring peer_ring(struct peer *p, unsigned ring)
{
	struct peer_ring r;

	pthread_mutex_lock(&p->lock);
	r = p->ring[ring];
	pthread_mutex_unlock(&p->lock);
	return r;
}

void peer_call(struct peer *p, unsigned ring)
{
	pthread_mutex_lock(&p->lock);
	g_assert_cmpint(p->ring[ring].call, >=, 0);
	eventfd_write(p->ring[ring].call, 1);
	pthread_mutex_unlock(&p->lock);
}

void peer_config_changed(struct peer *p)
{
	g_autofree struct vu_msg *m = g_new0(struct vu_msg, 1);

	vu_msg_init(m, VU_BACKEND_CONFIG_CHANGE_MSG);
	pthread_mutex_lock(&p->lock);
	vu_msg_write(p->channel, m, TIMEOUT_MS, NULL);
	pthread_mutex_unlock(&p->lock);
}

int64_t peer_shm(struct peer *p, uint32_t request, const struct vu_shmem_map *map, int fd)
{
	g_autofree struct vu_msg *m = g_new0(struct vu_msg, 1);
	struct pollfd pfd = { .events = POLLIN };
	struct vu_reader reader = { 0 };

	vu_msg_init(m, request);
	m->header.flags |= VU_FLAG_NEED_REPLY;
	m->header.size = sizeof(*map);
	m->payload.shmem_map = *map;
	m->fds[0] = fd;
	m->n_fds = fd < 0 ? 0 : 1;
	pthread_mutex_lock(&p->lock);
	pfd.fd = p->channel;
	vu_msg_write(p->channel, m, TIMEOUT_MS, NULL);
	pthread_mutex_unlock(&p->lock);
	m->n_fds = 0;
	while (poll(&pfd, 1, TIMEOUT_MS) == 1)
		switch (vu_msg_read(&reader, pfd.fd, m, NULL)) {
		case VU_READ_AGAIN:
			continue;
		case VU_READ_DONE:
			return (int64_t)m->payload.u64;
		default:
			return -1;
		}
	return -1;
}
