/* SPDX-License-Identifier: Apache-2.0 */
/* See bench_trip.h. */
#include "tools/bench/bench_trip.h"

#include <endian.h>
#include <glib.h>
#include <linux/virtio_gpio.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <string.h>

#include "tools/names.h"

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

/* Fills in the read of a byte from the target at address 0x50, where EEPROMs are. */
static void fill_i2c(uint8_t *out)
{
	const struct virtio_i2c_out_hdr h = {
		.addr = htole16(0x50 << 1),
		.flags = htole32(VIRTIO_I2C_FLAGS_M_RD),
	};

	memcpy(out, &h, sizeof(h));
}

static const char *verify_i2c(const uint8_t *in, uint32_t len)
{
	return len != 2 || in[1] != VIRTIO_I2C_MSG_OK ? "no target answers at address 0x50" : NULL;
}

/* Fills in a value for line 0, which nothing drives: no direction was set since the reset. */
static void fill_gpio(uint8_t *out)
{
	const struct virtio_gpio_request r = { .type = htole16(VIRTIO_GPIO_MSG_SET_VALUE) };

	memcpy(out, &r, sizeof(r));
}

static const char *verify_gpio(const uint8_t *in, uint32_t len)
{
	return len != 2 || in[0] != VIRTIO_GPIO_STATUS_OK ? "line 0 takes no value" : NULL;
}

#define SPI_HEAD 32 /* virtio 1.4 §5.21.6; Linux has no header of it before 6.18 */

/* Fills in a transfer with chip 0: 8 bits a word, 1 MHz. The bytes are 0. */
static void fill_spi(uint8_t *out)
{
	const uint32_t hz = htole32(1000000);

	out[1] = 8;
	memcpy(out + 12, &hz, sizeof(hz));
}

static const char *verify_spi(const uint8_t *in, uint32_t len)
{
	return len != 17 || in[16] ? "chip 0 takes no transfer of 16 bytes" : NULL;
}

#define PORT                                                                           \
	.what = "16 bytes", .queue = 1, .queues = 2, .out_len = 16, .fill = fill_port, \
	.answer_len = 64

/* Fills in a packet of a connection that there is not, which is answered. */
static void fill_vsock(uint8_t *out)
{
	const struct virtio_vsock_hdr h = {
		.dst_cid = htole64(2),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(VIRTIO_VSOCK_OP_CREDIT_UPDATE),
	};

	memcpy(out, &h, sizeof(h));
}

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
	{ .id = VIRTIO_ID_I2C_ADAPTER,
		.what = "the read of a byte at address 0x50",
		.queues = 1,
		.features = 1 << VIRTIO_I2C_F_ZERO_LENGTH_REQUEST,
		.out_len = sizeof(struct virtio_i2c_out_hdr),
		.fill = fill_i2c,
		.in_len = { 1, 1 },
		.verify = verify_i2c },
	{ .id = VIRTIO_ID_GPIO,
		.what = "a value for line 0",
		.queues = 1,
		.out_len = sizeof(struct virtio_gpio_request),
		.fill = fill_gpio,
		.in_len = { sizeof(struct virtio_gpio_response) },
		.verify = verify_gpio },
	{ .id = VIRTIO_ID_VSOCK,
		.what = "a packet of no connection",
		.queue = 1,
		.queues = 2,
		.out_len = sizeof(struct virtio_vsock_hdr),
		.fill = fill_vsock,
		.answer_len = sizeof(struct virtio_vsock_hdr) },
	{ .id = VIRTIO_ID_SPI,
		.what = "a transfer of 16 bytes",
		.queues = 1,
		.out_len = SPI_HEAD + 16,
		.fill = fill_spi,
		.in_len = { 16, 1 },
		.verify = verify_spi },
};

const struct bench_trip *bench_trip(uint32_t id)
{
	for (size_t i = 0; i < G_N_ELEMENTS(trips); i++) {
		if (trips[i].id == id)
			return &trips[i];
	}
	return NULL;
}
