/* SPDX-License-Identifier: Apache-2.0 */
/* A device with all verbs, which do next to nothing. */
#include "tests/fuzz/device_ops.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int fuzz_device_object;

static struct virtio_shm_map mapping;
static bool is_mapping;

static void mapped(struct virtio_device *d, struct vq *q, struct virtio_shm_map *m, int result)
{
	is_mapping = false;
}

static void map(struct vq *q, uint8_t page)
{
	is_mapping = true;
	mapping = (struct virtio_shm_map){
		.id = 1,
		.fd = page % 2 ? fuzz_device_object : -1,
		.at = (page / 2) << 12,
		.len = 4096,
		.done = mapped,
	};
	virtio_shm_map(q, &mapping);
}

static void device_kick(struct virtio_device *d, struct vq *q)
{
	struct vq_chain *c;

	while ((c = vq_pop(q))) {
		uint8_t bytes[64] = { 0 };
		size_t n = iov_pull(&c->out, bytes, sizeof(bytes));

		if (bytes[0] == 1 && !is_mapping)
			map(q, bytes[1]);
		iov_push(&c->in, bytes, n);
		vq_push(c);
	}
}

static void device_written(struct virtio_device *d, uint32_t offset, uint32_t size)
{
	virtio_config_set(d, 0, d->config + offset, 1);
}

static bool device_announce(struct virtio_device *d, const uint8_t mac[6], GError **error)
{
	return mac[0];
}

static bool device_mtu(struct virtio_device *d, unsigned mtu, GError **error)
{
	return mtu;
}

static bool device_display(struct virtio_device *d, int fd, GError **error)
{
	close(fd);
	return true;
}

static bool device_session(struct virtio_device *d, void *payload, size_t size, GError **error)
{
	memset(payload, 1, size);
	return true;
}

static void device_session_close(struct virtio_device *d, uint64_t id)
{
}

static int device_object(struct virtio_device *d, const uint8_t uuid[16])
{
	return uuid[0] ? fcntl(fuzz_device_object, F_DUPFD_CLOEXEC, 0) : -1;
}

static bool device_save(struct virtio_device *d, GByteArray *to, GError **error)
{
	g_byte_array_append(to, d->config, 24);
	return true;
}

static bool device_load(struct virtio_device *d, const void *from, size_t size, GError **error)
{
	return size && *(const uint8_t *)from;
}

static const struct virtio_device_wire wire = {
	.announce = device_announce,
	.mtu = device_mtu,
	.display = device_display,
	.session_open = device_session,
	.session_close = device_session_close,
	.object = device_object,
	.save = device_save,
	.load = device_load,
};
static const struct virtio_config_range writable[] = { { 4, 4 }, { 12, 2 }, { 0, 0 } };
static const struct virtio_shm_region shm[] = { { 1, 1 << 20 }, { 0, 0 } };

const struct virtio_device_ops fuzz_device_ops = {
	.name = "fuzz",
	.probe = { .device_id = 42, .config_size = 24, .min_queues = 1, .max_queues = 2 },
	.threads = VIRTIO_DEVICE_PER_QUEUE,
	.config_writable = writable,
	.shm = shm,
	.wire = &wire,
	.config_written = device_written,
	.kick = device_kick,
};
