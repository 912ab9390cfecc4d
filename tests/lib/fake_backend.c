/* SPDX-License-Identifier: Apache-2.0 */
/* A fake back-end's life: its thread, its connections, and what a test makes it do. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/fake_backend_impl.h"

#define PROTOCOL                                                                        \
	(VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) |          \
		VU_BIT(VU_F_CONFIG) | VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_STATUS) | \
		VU_BIT(VU_F_PROBE))

static void forget_front_end(struct fake_backend *b)
{
	for (unsigned i = 0; i < FAKE_QUEUES; i++) {
		fd_close(&b->ring[i].kick);
		fd_close(&b->ring[i].call);
		b->ring[i] = (struct fake_ring){ .kick = -1, .call = -1 };
	}
	b->status = 0;
	b->driver_features = 0;
	b->n_regions = 0;
	fd_close(&b->area_fd);
	b->area = (struct vu_inflight){ 0 };
}

static void hang_up(struct fake_backend *b)
{
	pthread_mutex_lock(&b->lock);
	fd_close(&b->conn);
	fd_close(&b->channel);
	forget_front_end(b);
	pthread_mutex_unlock(&b->lock);
}

static void begin_connection(struct fake_backend *b)
{
	bool busy;

	pthread_mutex_lock(&b->lock);
	b->connections++;
	busy = b->busy || (b->connections > 1 && b->connections <= b->busy_until);
	pthread_mutex_unlock(&b->lock);
	if (busy)
		hang_up(b);
}

/* Serves what arrived on the connection. */
static void serve(struct fake_backend *b, struct vu_reader *reader)
{
	enum vu_read got = vu_msg_read(reader, b->conn, &b->msg, NULL);

	if (got == VU_READ_AGAIN || (got == VU_READ_DONE && fake_serve(b)))
		return;
	vu_msg_clear(&b->msg);
	hang_up(b);
	*reader = (struct vu_reader){ 0 };
}

static void kicked(struct fake_backend *b, unsigned i)
{
	eventfd_t n;

	pthread_mutex_lock(&b->lock);
	if (b->ring[i].kick >= 0 && eventfd_read(b->ring[i].kick, &n) == 0) {
		b->ring[i].kicks++;
		if (b->device)
			b->device(b, &b->ring[i]);
	}
	pthread_mutex_unlock(&b->lock);
}

enum { POLL_STOP, POLL_SOCKET, POLL_KICKS };

static bool wait_for_events(struct fake_backend *b, struct pollfd *pfd)
{
	/* The front-end has left, which ends the connection. */
	bool finishing = __atomic_load_n(&b->finishing, __ATOMIC_ACQUIRE);

	pfd[POLL_STOP].fd = finishing && b->conn >= 0 ? -1 : b->stop;
	pfd[POLL_SOCKET].fd = b->conn >= 0 ? b->conn : b->listener;
	pthread_mutex_lock(&b->lock);
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		pfd[POLL_KICKS + i].fd = b->ring[i].enabled ? b->ring[i].kick : -1;
	pthread_mutex_unlock(&b->lock);
	for (unsigned i = 0; i < POLL_KICKS + FAKE_QUEUES; i++)
		pfd[i].events = POLLIN;
	return poll(pfd, POLL_KICKS + FAKE_QUEUES, -1) > 0;
}

static bool is_to_end(struct fake_backend *b)
{
	return !__atomic_load_n(&b->finishing, __ATOMIC_ACQUIRE) || b->conn < 0;
}

static void *fake_main(void *opaque)
{
	struct fake_backend *b = opaque;
	struct pollfd pfd[POLL_KICKS + FAKE_QUEUES];
	struct vu_reader reader = { 0 };

	vu_msg_init(&b->msg, 0);
	if (b->conn >= 0)
		begin_connection(b);
	while (b->conn >= 0 || b->listener >= 0) {
		if (!wait_for_events(b, pfd))
			continue;
		if (pfd[POLL_STOP].revents && is_to_end(b))
			break;
		for (unsigned i = 0; i < FAKE_QUEUES; i++)
			if (pfd[POLL_KICKS + i].revents)
				kicked(b, i);
		if (!pfd[POLL_SOCKET].revents)
			continue;
		if (b->conn >= 0) {
			serve(b, &reader);
			continue;
		}
		pthread_mutex_lock(&b->lock);
		b->conn = sock_accept(b->listener);
		pthread_mutex_unlock(&b->lock);
		begin_connection(b);
	}
	vu_msg_clear(&b->msg);
	return NULL;
}

struct fake_backend *fake_new(const char *path)
{
	struct fake_backend *b = g_new0(struct fake_backend, 1);

	b->path = g_strdup(path);
	b->device_id = 42;
	b->config_size = FAKE_CONFIG;
	b->queues = 3;
	b->min_queues = 1;
	b->slots = 32;
	b->protocol = PROTOCOL;
	b->features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_F_RING_PACKED) |
		VU_BIT(VIRTIO_F_RING_RESET) | VU_BIT(VIRTIO_F_SR_IOV) |
		VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | 0x15;
	b->selector = true;
	b->listener = b->conn = b->channel = b->area_fd = b->given_area_fd = -1;
	for (unsigned i = 0; i < FAKE_CONFIG; i++)
		b->config[i] = 0x10 + i;
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		b->ring[i].kick = b->ring[i].call = -1;
	b->trace = g_string_new("");
	b->stop = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void start(struct fake_backend *b)
{
	b->finishing = false;
	b->up = true;
	g_assert_cmpint(pthread_create(&b->thread, NULL, fake_main, b), ==, 0);
}

void fake_up(struct fake_backend *b)
{
	b->listener = sock_listen(b->path, 0600, (gid_t)-1, NULL);
	g_assert_cmpint(b->listener, >=, 0);
	start(b);
}

int fake_pair(struct fake_backend *b)
{
	int pair[2];

	g_assert_true(sock_pair(pair));
	b->conn = pair[0];
	start(b);
	return pair[1];
}

void fake_down(struct fake_backend *b)
{
	eventfd_t n;

	if (!b->up)
		return;
	eventfd_write(b->stop, 1);
	pthread_join(b->thread, NULL);
	b->up = false;
	eventfd_read(b->stop, &n);
	fd_close(&b->listener);
	hang_up(b);
}

void fake_finish(struct fake_backend *b)
{
	__atomic_store_n(&b->finishing, true, __ATOMIC_RELEASE);
	fake_down(b);
}

void fake_free(struct fake_backend *b)
{
	fake_down(b);
	fd_close(&b->stop);
	g_string_free(b->trace, TRUE);
	g_free(b->path);
	pthread_mutex_destroy(&b->lock);
	g_free(b);
}

void fake_quirk(struct fake_backend *b, uint32_t request, enum fake_quirk quirk)
{
	__atomic_store_n(&b->quirk[request], quirk, __ATOMIC_RELEASE);
}

void fake_behave(struct fake_backend *b)
{
	for (uint32_t request = 0; request < VU_REQUEST_END; request++)
		fake_quirk(b, request, FAKE_RIGHT);
}

void fake_silence_at(struct fake_backend *b, const char *what)
{
	pthread_mutex_lock(&b->lock);
	b->silent_at = what;
	pthread_mutex_unlock(&b->lock);
}

void fake_refuse_features(struct fake_backend *b, bool refuse)
{
	pthread_mutex_lock(&b->lock);
	b->refuses_features = refuse;
	pthread_mutex_unlock(&b->lock);
}

char *fake_trace(struct fake_backend *b)
{
	char *trace;

	pthread_mutex_lock(&b->lock);
	trace = g_strdup(b->trace->str);
	g_string_truncate(b->trace, 0);
	pthread_mutex_unlock(&b->lock);
	return trace;
}

unsigned fake_received(const struct fake_backend *b)
{
	int unread = 0;

	ioctl(b->conn, FIONREAD, &unread);
	return __atomic_load_n(&b->received, __ATOMIC_ACQUIRE) + (unread > 0);
}

const struct fake_note *fake_note(const struct fake_backend *b, uint32_t request)
{
	for (unsigned i = 0; i < b->n_notes; i++)
		if (b->notes[i].request == request)
			return &b->notes[i];
	return NULL;
}

unsigned fake_count(const struct fake_backend *b, uint32_t request)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_notes; i++)
		n += b->notes[i].request == request;
	return n;
}

struct fake_ring fake_ring(struct fake_backend *b, unsigned ring)
{
	struct fake_ring r;

	pthread_mutex_lock(&b->lock);
	r = b->ring[ring];
	pthread_mutex_unlock(&b->lock);
	return r;
}

void fake_call(struct fake_backend *b, unsigned ring)
{
	pthread_mutex_lock(&b->lock);
	g_assert_cmpint(b->ring[ring].call, >=, 0);
	eventfd_write(b->ring[ring].call, 1);
	pthread_mutex_unlock(&b->lock);
}

int fake_channel_fd(struct fake_backend *b)
{
	int fd;

	pthread_mutex_lock(&b->lock);
	fd = b->channel;
	pthread_mutex_unlock(&b->lock);
	return fd;
}

int fake_channel_bytes(
	struct fake_backend *b, const void *bytes, size_t len, const int *fds, unsigned n_fds)
{
	int result;

	pthread_mutex_lock(&b->lock);
	result = sock_send(b->channel, bytes, len, fds, n_fds, 0);
	pthread_mutex_unlock(&b->lock);
	return result;
}

static int64_t send_on_channel(struct fake_backend *b, struct vu_msg *msg, uint32_t flags)
{
	bool ok;

	msg->header.flags |= flags;
	pthread_mutex_lock(&b->lock);
	ok = vu_msg_write(b->channel, msg, FAKE_TIMEOUT_MS, NULL);
	pthread_mutex_unlock(&b->lock);
	return ok ? 0 : -1;
}

int64_t fake_channel_send(struct fake_backend *b, uint32_t request, uint32_t flags, uint32_t size)
{
	g_autofree struct vu_msg *msg = g_new0(struct vu_msg, 1);

	vu_msg_init(msg, request);
	msg->header.size = size;
	return send_on_channel(b, msg, flags);
}

int64_t fake_channel_shm(struct fake_backend *b, uint32_t request, uint32_t flags,
	const struct vu_shmem_map *map, int fd)
{
	g_autofree struct vu_msg *msg = g_new0(struct vu_msg, 1);

	vu_msg_init(msg, request);
	msg->header.size = sizeof(*map);
	msg->payload.shmem_map = *map;
	msg->fds[0] = fd;
	msg->n_fds = fd < 0 ? 0 : 1;
	return send_on_channel(b, msg, flags);
}

int64_t fake_channel_ack(struct fake_backend *b)
{
	g_autofree struct vu_msg *msg = g_new0(struct vu_msg, 1);
	struct pollfd pfd = { .fd = fake_channel_fd(b), .events = POLLIN };
	enum vu_read got = VU_READ_AGAIN;
	struct vu_reader reader = { 0 };
	int64_t ack = -1;

	vu_msg_init(msg, 0);
	while (got == VU_READ_AGAIN && poll(&pfd, 1, FAKE_TIMEOUT_MS) == 1)
		got = vu_msg_read(&reader, pfd.fd, msg, NULL);
	fake_channel_fd(b);
	if (got == VU_READ_DONE && msg->header.size == sizeof(uint64_t) && msg->n_fds == 0 &&
		(msg->header.flags & VU_FLAG_REPLY))
		ack = (int64_t)msg->payload.u64;
	vu_msg_clear(msg);
	return ack;
}

void fake_config_changed(struct fake_backend *b)
{
	fake_channel_send(b, VU_BACKEND_CONFIG_CHANGE_MSG, 0, 0);
}

int64_t fake_shm(struct fake_backend *b, uint32_t request, const struct vu_shmem_map *map, int fd)
{
	return fake_channel_shm(b, request, VU_FLAG_NEED_REPLY, map, fd) == 0 ? fake_channel_ack(b)
									      : -1;
}
