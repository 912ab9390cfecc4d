/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_trip.h. */
#include "tools/bench/bench_trip.h"

#include <endian.h>
#include <glib.h>
#include <linux/virtio_ids.h>
#include <string.h>

static const char *verify_any(const uint8_t *in, uint32_t len)
{
	return len ? NULL : "nothing was written";
}

static void fill_port(uint8_t *out)
{
	memcpy(out, "virtioctl bench\n", 16);
}

/* Fills in a message to the first service that has no address of its own. */
static void fill_rpmsg(uint8_t *out)
{
	const uint32_t words[] = { htole32(1030), htole32(1024), 0, htole32(16) };

	memcpy(out, words, sizeof(words));
}

#define PORT                                                                           \
	.what = "16 bytes", .queue = 1, .queues = 2, .out_len = 16, .fill = fill_port, \
	.answer_len = 64

static const struct bench_trip trips[] = {
	{ .id = VIRTIO_ID_RNG,
		.what = "16 random bytes",
		.queues = 1,
		.in_len = { 16 },
		.verify = verify_any },
	{ .id = VIRTIO_ID_CONSOLE, PORT },
	{ .id = VIRTIO_ID_RPROC_SERIAL, PORT },
	{ .id = VIRTIO_ID_RPMSG,
		.what = "a message of 16 bytes",
		.queue = 1,
		.queues = 2,
		.out_len = 16 + 16,
		.fill = fill_rpmsg,
		.answer_len = 512 },
};

const struct bench_trip *bench_trip(uint32_t id)
{
	for (size_t i = 0; i < G_N_ELEMENTS(trips); i++) {
		if (trips[i].id == id)
			return &trips[i];
	}
	return NULL;
}
