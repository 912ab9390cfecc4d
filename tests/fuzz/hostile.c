/* SPDX-License-Identifier: Apache-2.0 */
/* See hostile.h. */
#include "tests/fuzz/hostile.h"

#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/lib/test.h"
#include "vhost-user/wire/vu_msg.h"

#define QUEUES 4
#define CONFIG_SIZE 24

struct hostile_backend {
	struct fuzz_input in;
	int fd, channel;
	uint64_t acked;
	pthread_t thread;
	struct vu_msg msg;
};

static int new_file(struct fuzz_input *in)
{
	int pair[2], fd;

	switch (fuzz_u8(in) % 4) {
	case 0:
		return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	case 1:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 2:
		if (!sock_pair(pair))
			return -1;
		close(pair[1]);
		return pair[0];
	}
	fd = memfd_create("file", MFD_CLOEXEC);
	return ftruncate(fd, fuzz_u16(in) << 8) < 0 ? -1 : fd;
}

/* Sends any message on the back-end channel, and drops what was answered to earlier ones. */
static void use_channel(struct hostile_backend *h)
{
	struct fuzz_input *in = &h->in;
	struct vu_header header = { .request = fuzz_u8(in) % (VU_BACKEND_REQUEST_END + 1) };
	uint8_t bytes[sizeof(header) + 64], dropped[256];
	int file;

	header.flags = VU_VERSION | (fuzz_u8(in) & 3) << 2;
	header.size = fuzz_u8(in) % 64;
	file = fuzz_u8(in) % 2 ? new_file(in) : -1;
	memcpy(bytes, &header, sizeof(header));
	fuzz_copy(in, bytes + sizeof(header), header.size);
	sock_send(h->channel, bytes, sizeof(header) + header.size, &file, file >= 0, 0);
	fd_close(&file);
	while (recv(h->channel, dropped, sizeof(dropped), MSG_DONTWAIT) > 0)
		;
}

static uint64_t number(const struct hostile_backend *h, uint32_t request)
{
	switch (request) {
	case VU_GET_FEATURES:
		return VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
			VU_BIT(VIRTIO_F_RING_PACKED) | VU_BIT(VIRTIO_F_RING_RESET) | 0x24;
	case VU_GET_PROTOCOL_FEATURES:
		return VU_BIT(VU_F_MQ) | VU_BIT(VU_F_REPLY_ACK) | VU_BIT(VU_F_BACKEND_REQ) |
			VU_BIT(VU_F_BACKEND_SEND_FD) | VU_BIT(VU_F_CONFIG) |
			VU_BIT(VU_F_RESET_DEVICE) | VU_BIT(VU_F_CONFIGURE_MEM_SLOTS) |
			VU_BIT(VU_F_STATUS) | VU_BIT(VU_F_INFLIGHT_SHMFD) | VU_BIT(VU_F_PROBE) |
			VU_BIT(VU_F_SHMEM);
	case VU_GET_STATUS:
		return 0xf;
	case VU_GET_QUEUE_NUM:
		return QUEUES;
	case VU_GET_CONFIG_SIZE:
		return CONFIG_SIZE;
	case VU_GET_DEVICE_ID:
		return 4;
	case VU_GET_MIN_VQ:
		return 1;
	case VU_GET_MAX_MEM_SLOTS:
		return 8;
	}
	return 0;
}

/* Turns the request into the right answer; false: there is none. */
static bool make_answer(struct hostile_backend *h)
{
	struct vu_msg *m = &h->msg;
	const struct vu_shape *probe =
		vu_probe_shape(m->header.request, m->header.size, m->n_fds, h->acked, false);
	const struct vu_shape *shape = probe ? probe : vu_shape(m->header.request);
	bool ack = m->header.flags & VU_FLAG_NEED_REPLY && h->acked & VU_BIT(VU_F_REPLY_ACK);

	if (m->header.request == VU_SET_PROTOCOL_FEATURES)
		h->acked = m->payload.u64;
	if (m->header.request == VU_SET_BACKEND_REQ_FD) {
		fd_close(&h->channel);
		h->channel = vu_msg_take_fd(m, 0);
	}
	if (!shape || (shape->reply != VU_REPLY_ALWAYS && !ack))
		return false;
	vu_msg_clear(m);
	m->header.flags = VU_VERSION | VU_FLAG_REPLY;
	if (m->header.request == VU_GET_INFLIGHT_FD) {
		m->payload.inflight.mmap_size = m->payload.inflight.num_queues * UINT64_C(4096);
		m->fds[m->n_fds++] = memfd_create("area", MFD_CLOEXEC);
		return ftruncate(m->fds[0], (off_t)m->payload.inflight.mmap_size) == 0;
	}
	if (m->header.request == VU_GET_SHMEM_CONFIG) {
		m->header.size = sizeof(m->payload.shmem_config);
		m->payload.shmem_config = (struct vu_shmem_config){ 1, 0, { 0, 1 << 20 } };
	}
	if (shape->reply_max <= sizeof(uint64_t) || ack) {
		vu_msg_set_u64(m, number(h, m->header.request));
		m->header.size = probe ? sizeof(uint32_t) : m->header.size;
	}
	return true;
}

/* Distorts a message; false: the connection is to end. */
static bool distort(struct hostile_backend *h)
{
	struct vu_msg *m = &h->msg;
	uint8_t len, at;

	switch (fuzz_u8(&h->in) % 16) {
	case 1:
		m->header.request = fuzz_u8(&h->in);
		break;
	case 2:
		m->header.flags ^= fuzz_u8(&h->in);
		break;
	case 3:
		m->header.size = fuzz_u16(&h->in) % VU_MAX_PAYLOAD;
		break;
	case 4 ... 7:
		len = fuzz_u8(&h->in) % 64;
		at = fuzz_u8(&h->in);
		fuzz_copy(&h->in, m->payload.bytes + at, len);
		break;
	case 8:
		for (m->n_fds = MIN(m->n_fds, 1); m->n_fds < fuzz_u8(&h->in) % 4; m->n_fds++)
			m->fds[m->n_fds] = new_file(&h->in);
		break;
	case 9:
		vu_msg_clear(m);
		break;
	case 10 ... 12:
		if (h->channel >= 0)
			use_channel(h);
		break;
	case 13:
		fd_close(&h->channel);
		break;
	case 14: /* part of the answer */
		sock_send(h->fd, m, fuzz_u8(&h->in) % 32 + 1, NULL, 0, 0);
		return false;
	case 15:
		return false;
	}
	return true;
}

static bool answer(struct hostile_backend *h)
{
	return !make_answer(h) || (distort(h) && vu_msg_write(h->fd, &h->msg, 0, NULL));
}

static void *serve(void *opaque)
{
	struct hostile_backend *h = opaque;
	struct vu_reader reader = { 0 };
	enum vu_read read = VU_READ_AGAIN;

	vu_msg_init(&h->msg, 0);
	while (read == VU_READ_AGAIN || (read == VU_READ_DONE && answer(h))) {
		struct pollfd p = { .fd = h->fd, .events = POLLIN };

		if (read == VU_READ_DONE)
			vu_msg_clear(&h->msg);
		poll(&p, 1, -1);
		read = vu_msg_read(&reader, h->fd, &h->msg, NULL);
	}
	vu_msg_clear(&h->msg);
	fd_close(&h->fd);
	fd_close(&h->channel);
	return NULL;
}

struct hostile_backend *hostile_start(struct fuzz_input in, int *fd)
{
	struct hostile_backend *h = g_new0(struct hostile_backend, 1);
	int pair[2];

	if (!sock_pair(pair))
		abort();
	h->in = in;
	h->fd = pair[0];
	h->channel = -1;
	*fd = pair[1];
	if (pthread_create(&h->thread, NULL, serve, h))
		abort();
	return h;
}

void hostile_join(struct hostile_backend *h)
{
	pthread_join(h->thread, NULL);
	g_free(h);
}
