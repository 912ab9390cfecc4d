/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-shm: an entropy device with a shared memory region, at whose start it maps a file of
 * consecutive numbers before it answers the first request. What a guest reads there when it has an
 * answer is that file, until it resets the device.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/device.h"

#define WORDS 0x4000u

static int file = -1;
static bool asked, mapped;

static bool shm_open_file(struct virtio_device *d, GError **error)
{
	uint32_t words[WORDS];

	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i + 1;
	file = memfd_create("shared", MFD_CLOEXEC);
	if (file >= 0 && write(file, words, sizeof(words)) == sizeof(words))
		return true;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "memfd: %s",
		g_strerror(errno));
	return false;
}

static void shm_close(struct virtio_device *d)
{
	close(file);
}

static void shm_reset(struct virtio_device *d)
{
	mapped = false;
}

static void serve(struct vq *q)
{
	for (;;) {
		g_autoptr(vq_chain) c = vq_pop(q);
		uint8_t bytes[256];
		ssize_t n;

		if (!c)
			return;
		n = getrandom(bytes, MIN(sizeof(bytes), iov_left(&c->in)), 0);
		if (n > 0)
			iov_push(&c->in, bytes, n);
	}
}

static void on_mapped(struct virtio_device *d, struct vq *q, struct virtio_shm_map *m, int result)
{
	asked = false;
	mapped = result == 0;
	if (mapped)
		serve(q);
	else if (result != -ECANCELED)
		vq_break(q, "the file cannot be mapped: %s", g_strerror(-result));
}

static void shm_kick(struct virtio_device *d, struct vq *q)
{
	static struct virtio_shm_map map = {
		.id = 1,
		.len = WORDS * sizeof(uint32_t),
		.done = on_mapped,
	};

	if (mapped) {
		serve(q);
	} else if (!asked) {
		asked = true;
		map.fd = file;
		virtio_shm_map(q, &map);
	}
}

static const struct virtio_shm_region regions[] = { { .id = 1, .size = 0x20000 }, { 0 } };

const struct virtio_device_ops virtio_device_ops = {
	.name = "shm",
	.summary = "shared memory",
	.probe = { .device_id = 4, .min_queues = 1, .max_queues = 1 },
	.shm = regions,
	.open = shm_open_file,
	.close = shm_close,
	.reset = shm_reset,
	.kick = shm_kick,
};
