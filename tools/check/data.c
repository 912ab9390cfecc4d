/* SPDX-License-Identifier: Apache-2.0 */
/* Requests without lasting effect, by device: one row a type. */
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_gpio.h>
#include <linux/virtio_i2c.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"
#include "tools/names.h"

/* Where the buffers are in a slot. */
#define OUT_AT 0
#define IN_AT 512
#define STATUS_AT 1536
#define SLOT_BYTES 2048

/* Reads the first sector. */
static void fill_block(uint8_t *out)
{
	struct virtio_blk_outhdr h = { .type = htole32(VIRTIO_BLK_T_IN) };

	memcpy(out, &h, sizeof(h));
}

static const char *verify_block(const uint8_t *in, uint32_t len)
{
	return in[STATUS_AT - IN_AT] == VIRTIO_BLK_S_OK ? NULL : "a read of sector 0 fails";
}

static const char *verify_rng(const uint8_t *in, uint32_t len)
{
	return len ? NULL : "no random byte";
}

/* Fills in a line of text for the reader of the port. */
static void fill_port(uint8_t *out)
{
	memcpy(out, "virtioctl check\n", 16);
}

/* Fills in a message to the name service, of a type that it drops. */
static void fill_rpmsg(uint8_t *out)
{
	const uint32_t words[] = { htole32(1024), htole32(53), 0, htole32(16) };

	memcpy(out, words, sizeof(words));
}

/*
 * Fills in a frame to nobody: virtio_net_hdr_v1, then an Ethernet header of an experimental
 * type.
 */
static void fill_net(uint8_t *out)
{
	static const uint8_t frame[] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };

	memcpy(out + 12, frame, sizeof(frame));
}

/* Fills in FUSE_INIT, protocol 7.31: struct fuse_in_header and fuse_init_in. */
static void fill_fs(uint8_t *out)
{
	const uint32_t words[] = { htole32(104), htole32(26), htole32(1), 0, 0, 0, 0, 0, 0, 0,
		htole32(7), htole32(31) };

	memcpy(out, words, sizeof(words));
}

/* Fills in an SMBus Quick command to an address that no device may have. */
static void fill_i2c(uint8_t *out)
{
	const struct virtio_i2c_out_hdr h = {
		.addr = htole16(0x03 << 1),
		.flags = htole32(VIRTIO_I2C_FLAGS_M_RD),
	};

	memcpy(out, &h, sizeof(h));
}

static const char *verify_i2c(const uint8_t *in, uint32_t len)
{
	return len == 1 && in[0] <= VIRTIO_I2C_MSG_ERR ? NULL : "no status is returned";
}

/* Asks for the direction of line 0. */
static void fill_gpio(uint8_t *out)
{
	const struct virtio_gpio_request r = { .type = htole16(VIRTIO_GPIO_MSG_GET_DIRECTION) };

	memcpy(out, &r, sizeof(r));
}

static const char *verify_gpio(const uint8_t *in, uint32_t len)
{
	return len == sizeof(struct virtio_gpio_response) && in[0] == VIRTIO_GPIO_STATUS_OK &&
			in[1] <= VIRTIO_GPIO_DIRECTION_IN
		? NULL
		: "the direction of line 0 is not told";
}

/* Asks for the number of clocks (virtio 1.4 §5.23). */
static void fill_rtc(uint8_t *out)
{
	const uint16_t message = htole16(0x1000);

	memcpy(out, &message, sizeof(message));
}

static const char *verify_rtc(const uint8_t *in, uint32_t len)
{
	return len == 16 && in[0] == 0 ? NULL : "the number of clocks is not told";
}

/* Fills in the head of a transfer (virtio 1.4 §5.21) with chip select 255 and a byte to send. */
static void fill_spi(uint8_t *out)
{
	out[0] = 0xff;
}

static const char *verify_spi(const uint8_t *in, uint32_t len)
{
	return len == 1 && in[0] <= 2 ? NULL : "no result is returned";
}

/* Checks the answer to a message of zeroes, which is no frame (virtio 1.4 §5.20). */
static const char *verify_can(const uint8_t *in, uint32_t len)
{
	return len == 1 && in[0] == 1 ? NULL : "the result is not NOT_OK";
}

/* Fills in the end of a connection that there is not. */
static void fill_vsock(uint8_t *out)
{
	const struct virtio_vsock_hdr h = {
		.dst_cid = htole64(2),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	memcpy(out, &h, sizeof(h));
}

static const struct check_device devices[] = {
	{ .id = VIRTIO_ID_BLOCK,
		.queues = 1,
		.out_len = 16,
		.in_len = { 512, 1 },
		.fill = fill_block,
		.verify = verify_block },
	{ .id = VIRTIO_ID_RNG, .queues = 1, .in_len = { 64 }, .verify = verify_rng },
	{ .id = VIRTIO_ID_CONSOLE, .queue = 1, .queues = 2, .out_len = 16, .fill = fill_port },
	{ .id = VIRTIO_ID_RPROC_SERIAL, .queue = 1, .queues = 2, .out_len = 16, .fill = fill_port },
	{ .id = VIRTIO_ID_RPMSG, .queue = 1, .queues = 2, .out_len = 32, .fill = fill_rpmsg },
	{ .id = VIRTIO_ID_NET, .queue = 1, .queues = 2, .out_len = 12 + 60, .fill = fill_net },
	{ .id = VIRTIO_ID_FS,
		.queue = 1,
		.queues = 2,
		.out_len = 104,
		.in_len = { 80 },
		.fill = fill_fs },
	{ .id = VIRTIO_ID_I2C_ADAPTER,
		.queues = 1,
		.out_len = sizeof(struct virtio_i2c_out_hdr),
		.in_len = { 1 },
		.fill = fill_i2c,
		.verify = verify_i2c },
	{ .id = VIRTIO_ID_GPIO,
		.queues = 1,
		.out_len = sizeof(struct virtio_gpio_request),
		.in_len = { sizeof(struct virtio_gpio_response) },
		.fill = fill_gpio,
		.verify = verify_gpio },
	{ .id = VIRTIO_ID_CLOCK,
		.queues = 1,
		.out_len = 8,
		.in_len = { 16 },
		.fill = fill_rtc,
		.verify = verify_rtc },
	{ .id = VIRTIO_ID_SPI,
		.queues = 1,
		.out_len = 32 + 1,
		.in_len = { 1 },
		.fill = fill_spi,
		.verify = verify_spi },
	/* Zeroes to the device are an EV_SYN. */
	{ .id = VIRTIO_ID_INPUT, .queue = 1, .queues = 2, .out_len = 8 },
	{ .id = VIRTIO_ID_VSOCK,
		.queue = 1,
		.queues = 2,
		.out_len = sizeof(struct virtio_vsock_hdr),
		.fill = fill_vsock },
	{ .id = VIRTIO_ID_CAN, .queues = 3, .out_len = 16, .in_len = { 1 }, .verify = verify_can },
};

const struct check_device *check_device(uint32_t id)
{
	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
		if (devices[i].id == id)
			return &devices[i];
	}
	return NULL;
}

static uint64_t slot_addr(const struct check_queue *q, unsigned slot)
{
	return q->buffers + (uint64_t)slot * SLOT_BYTES;
}

static bool add(struct check *k, struct check_queue *q)
{
	const struct check_device *d = k->peer.data;
	struct driver_buf buf[3];
	unsigned slot, n = 0, n_out;
	uint64_t at;
	uint8_t *host;

	for (slot = 0; slot < q->size && q->out[slot]; slot++)
		;
	if (slot == q->size)
		return false;
	at = slot_addr(q, slot);
	host = driver_mem_host(k->mem, at, SLOT_BYTES);
	memset(host, 0, OUT_AT + IN_AT);
	memset(host + IN_AT, 0xee, SLOT_BYTES - IN_AT);
	if (d->fill)
		d->fill(host);
	if (d->out_len)
		buf[n++] = (struct driver_buf){ at + OUT_AT, d->out_len };
	n_out = n;
	if (d->in_len[0])
		buf[n++] = (struct driver_buf){ at + IN_AT, d->in_len[0] };
	if (d->in_len[1])
		buf[n++] = (struct driver_buf){ at + STATUS_AT, d->in_len[1] };
	if (driver_ring_add(q->ring, buf, n_out, n - n_out, GUINT_TO_POINTER(slot + 1)))
		return false;
	q->out[slot] = true;
	q->added++;
	return true;
}

void data_kick(struct check *k, struct check_queue *q)
{
	if (!check_over(k))
		eventfd_write(q->kick, 1);
}

unsigned data_submit(struct check *k, struct check_queue *q, unsigned n)
{
	unsigned added = 0;

	if (check_over(k))
		return 0;
	while (added < n && add(k, q))
		added++;
	if (driver_ring_publish(q->ring))
		data_kick(k, q);
	return added;
}

static void complete(struct check *k, struct check_queue *q, unsigned slot, uint32_t len)
{
	const uint8_t *in = driver_mem_host(k->mem, slot_addr(q, slot) + IN_AT, SLOT_BYTES - IN_AT);
	const char *wrong = k->peer.data->verify ? k->peer.data->verify(in, len) : NULL;

	q->out[slot] = false;
	q->done++;
	if (wrong)
		check_fail(k, "request %u: %s", q->done, wrong);
}

void data_reap(struct check *k, struct check_queue *q)
{
	void *token;
	uint32_t len;
	int rc = 0;

	while (!check_over(k) && (rc = driver_ring_reap(q->ring, &token, &len)) > 0)
		complete(k, q, GPOINTER_TO_UINT(token) - 1, len);
	if (rc < 0)
		check_fail(k, "the device returns a request that it does not have");
}

bool data_call(struct check *k, struct check_queue *q, uint64_t timeout_us)
{
	struct pollfd pfd = { .events = POLLIN };
	eventfd_t count;

	if (check_over(k))
		return false;
	pfd.fd = q->call;
	return poll(&pfd, 1, (int)((timeout_us + 999) / 1000)) == 1 &&
		eventfd_read(q->call, &count) == 0;
}

/* Requires a call for what was seen completed; it may follow the completion. */
static void expect_call(struct check *k, struct check_queue *q)
{
	if (!check_over(k) && !data_call(k, q, wire_timeout_us(k)))
		check_fail(k, "a request was completed without a call");
}

void data_wait(struct check *k, struct check_queue *q)
{
	uint64_t timeout = wire_timeout_us(k);
	gint64 end = g_get_monotonic_time() + (gint64)timeout;
	unsigned before, seen = q->done;

	if (check_over(k))
		return;
	for (;;) {
		bool more = driver_ring_arm(q->ring);

		data_reap(k, q);
		if (check_over(k) || q->done == q->added)
			return;
		if (q->done != seen) {
			timeout = wire_timeout_us(k);
			end = g_get_monotonic_time() + (gint64)timeout;
		} else if (g_get_monotonic_time() > end) { /* calls alone are no progress */
			more = false;
			timeout = 0;
		}
		seen = q->done;
		if (more || (timeout && data_call(k, q, q->polls ? 1000 : timeout)))
			continue;
		before = q->done;
		data_reap(k, q);
		if (q->done > before && !q->polls)
			expect_call(k, q);
		else if (q->done == before && (!q->polls || !timeout))
			check_fail(k, "%u of %u requests are not completed within %" PRIu64 " ms",
				q->added - q->done, q->added, wire_timeout_us(k) / 1000);
		timeout -= q->polls ? MIN(timeout, 1000) : 0;
	}
}

uint32_t data_exchange(struct check *k, struct check_queue *q, const struct driver_buf *buf,
	unsigned n_out, unsigned n_in)
{
	gint64 end = g_get_monotonic_time() + (gint64)wire_timeout_us(k);
	bool called;
	void *token;
	uint32_t len = 0;
	int rc;

	if (check_over(k))
		return 0;
	if (driver_ring_add(q->ring, buf, n_out, n_in, q) < 0) {
		check_fail(k, "the request does not fit the vring");
		return 0;
	}
	driver_ring_arm(q->ring);
	data_call(k, q, 0);
	if (driver_ring_publish(q->ring))
		data_kick(k, q);
	/* A call may be a late one, for a request before. */
	do {
		called = data_call(k, q, wire_timeout_us(k));
		rc = driver_ring_reap(q->ring, &token, &len);
	} while (rc == 0 && called && g_get_monotonic_time() < end);
	if (rc < 0)
		check_fail(k, "the device returns a request that it does not have");
	else if (rc == 0)
		check_fail(k, "the request is not completed within %" PRIu64 " ms",
			wire_timeout_us(k) / 1000);
	else if (!called)
		expect_call(k, q);
	return len;
}

void data_run(struct check *k, struct check_queue *q, unsigned n)
{
	for (unsigned i = 0; i < n && !check_over(k); i++) {
		data_submit(k, q, 1);
		data_wait(k, q);
	}
}

void data_flood(struct check *k, struct check_queue *q, unsigned n)
{
	while (n && !check_over(k)) {
		unsigned added = data_submit(k, q, n);

		n -= added;
		data_wait(k, q);
	}
}
