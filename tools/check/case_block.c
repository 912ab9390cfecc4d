/* SPDX-License-Identifier: Apache-2.0 */
/* The block device (virtio 1.2 §5.2): reading, writing, flushing, and the rest of its requests. */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "base/util.h"
#include "tools/check/cases.h"
#include "tools/check/session.h"
#include "tools/check/wire.h"

#define SECTOR 512
#define SIZE 64
/* What a case has of memory: header, status, then data. */
#define ROOM 65536
#define STATUS_AT 64
#define DATA_AT 512
#define DATA_MAX (ROOM - DATA_AT)
/* Where cases write, in sectors. */
#define AT 8
#define MOST (64 * SECTOR) /* bytes of a request */

struct block_case {
	struct check_queue *q;
	uint64_t addr; /* of ROOM bytes */
	uint8_t *host, *data;
	struct virtio_blk_config config; /* what of it is there */
};

/* Starts a disk and reads its configuration; of any size. */
static bool disk_open_any(struct check *k, struct block_case *d)
{
	struct {
		struct vu_config config;
		uint8_t data[sizeof(d->config)];
	} c = { .config.size = (uint32_t)MIN((uint64_t)k->peer.config_size, sizeof(d->config)) };

	*d = (struct block_case){ .q = session_start(
					  k, session_basic_features(k) | k->c->features, SIZE) };
	wire_ask(k, VU_GET_CONFIG, &c, sizeof(c.config) + c.config.size);
	if (check_over(k))
		return false;
	if (k->msg.header.size > sizeof(c.config))
		memcpy(&d->config, k->msg.payload.bytes + sizeof(c.config),
			MIN(k->msg.header.size - sizeof(c.config), sizeof(d->config)));
	d->addr = driver_mem_alloc(k->mem, ROOM, 4096);
	d->host = driver_mem_host(k->mem, d->addr, ROOM);
	d->data = d->host + DATA_AT;
	return true;
}

static bool disk_open(struct check *k, struct block_case *d)
{
	if (!disk_open_any(k, d))
		return false;
	if (le64toh(d->config.capacity) < AT + MOST / SECTOR)
		check_skip(k, "the disk has fewer than %u sectors", AT + MOST / SECTOR);
	return !check_over(k);
}

static void put_header(struct block_case *d, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(d->host, &h, sizeof(h));
	d->host[STATUS_AT] = 0xee;
}

/* Makes a request of n bytes of data in `pieces` buffers, and returns the status. */
static unsigned transfer(struct check *k, struct block_case *d, uint32_t type, uint64_t sector,
	uint32_t n, unsigned pieces)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct driver_buf buf[SIZE] = { { d->addr, sizeof(struct virtio_blk_outhdr) } };
	unsigned count = 1;

	if (check_over(k))
		return 0;
	put_header(d, type, sector);
	for (unsigned i = 0; i < pieces && n; i++, count++)
		buf[count] = (struct driver_buf){ d->addr + DATA_AT + n / pieces * i,
			i + 1 < pieces ? n / pieces : n - n / pieces * i };
	buf[count++] = (struct driver_buf){ d->addr + STATUS_AT, 1 };
	data_exchange(k, d->q, buf, in ? 1 : count - 1, in ? count - 1 : 1);
	return d->host[STATUS_AT];
}

static void expect(struct check *k, unsigned status, unsigned expected)
{
	if (!check_over(k))
		check_equal(k, "the status", status, expected);
}

static void fill(uint8_t *data, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(seed + i * 7 + i / 251);
}

/* Requires the pattern of this seed in n bytes at sector. */
static void verify(struct check *k, struct block_case *d, uint64_t sector, uint32_t n, uint8_t seed)
{
	g_autofree uint8_t *expected = g_malloc(n);

	if (check_over(k))
		return;
	fill(expected, n, seed);
	memset(d->data, 0xee, n);
	expect(k, transfer(k, d, VIRTIO_BLK_T_IN, sector, n, 1), VIRTIO_BLK_S_OK);
	if (!check_over(k) && memcmp(d->data, expected, n) != 0)
		check_fail(k, "what is read is not what was written");
}

/* Returns the bytes of arg, whose upper half is the number of buffers. */
static uint32_t bytes_of(const struct check *k)
{
	return (uint32_t)k->c->arg;
}

static unsigned pieces_of(const struct check *k)
{
	return (unsigned)(k->c->arg >> 32);
}

static void run_read(struct check *k)
{
	struct block_case d;

	if (disk_open(k, &d))
		expect(k, transfer(k, &d, VIRTIO_BLK_T_IN, 0, bytes_of(k), pieces_of(k)),
			VIRTIO_BLK_S_OK);
}

static void run_read_same(struct check *k)
{
	g_autofree uint8_t *first = g_malloc(bytes_of(k));
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	expect(k, transfer(k, &d, VIRTIO_BLK_T_IN, 0, bytes_of(k), 1), VIRTIO_BLK_S_OK);
	memcpy(first, d.data, bytes_of(k));
	memset(d.data, 0xee, bytes_of(k));
	expect(k, transfer(k, &d, VIRTIO_BLK_T_IN, 0, bytes_of(k), pieces_of(k)), VIRTIO_BLK_S_OK);
	if (!check_over(k) && memcmp(first, d.data, bytes_of(k)) != 0)
		check_fail(k, "the same sectors read in several buffers differ");
}

static void run_read_last(struct check *k)
{
	struct block_case d;

	if (disk_open(k, &d))
		expect(k,
			transfer(k, &d, VIRTIO_BLK_T_IN, le64toh(d.config.capacity) - 1, SECTOR, 1),
			VIRTIO_BLK_S_OK);
}

/* Requires that nothing but the buffers for the device is written. */
static void run_bounds(struct check *k)
{
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	memset(d.host, 0x55, ROOM);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_IN, 0, SECTOR, 1), VIRTIO_BLK_S_OK);
	if (check_over(k))
		return;
	for (unsigned i = sizeof(struct virtio_blk_outhdr); i < ROOM; i++) {
		bool ours = i == STATUS_AT || (i >= DATA_AT && i < DATA_AT + SECTOR);

		if (!ours && d.host[i] != 0x55) {
			check_fail(k, "the device wrote outside of the request's buffers");
			return;
		}
	}
	check_that(k,
		((struct virtio_blk_outhdr *)(void *)d.host)->type == htole32(VIRTIO_BLK_T_IN),
		"the device wrote to a buffer that it may only read");
}

/* Puts the header into two buffers, or data and status into one. */
static void run_framing(struct check *k)
{
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	put_header(&d, VIRTIO_BLK_T_IN, 0);
	memset(d.data, 0xee, SECTOR + 1);
	if (k->c->arg)
		data_exchange(k, d.q,
			(struct driver_buf[]){ { d.addr, 8 }, { d.addr + 8, 8 },
				{ d.addr + DATA_AT, SECTOR }, { d.addr + STATUS_AT, 1 } },
			2, 2);
	else
		data_exchange(k, d.q,
			(struct driver_buf[]){ { d.addr, 16 }, { d.addr + DATA_AT, SECTOR + 1 } },
			1, 1);
	expect(k, k->c->arg ? d.host[STATUS_AT] : d.data[SECTOR], VIRTIO_BLK_S_OK);
}

static void run_flush(struct check *k)
{
	struct block_case d;

	if (disk_open(k, &d))
		expect(k, transfer(k, &d, VIRTIO_BLK_T_FLUSH, 0, 0, 1), VIRTIO_BLK_S_OK);
}

/* Makes a request of a type that has no meaning. */
static void run_unknown(struct check *k)
{
	struct block_case d;

	if (disk_open(k, &d))
		expect(k, transfer(k, &d, 0x7ffffffe, 0, 0, 1), VIRTIO_BLK_S_UNSUPP);
}

/* Expects twenty bytes of name, or that there is none. */
static void run_get_id(struct check *k)
{
	unsigned status;
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	status = transfer(k, &d, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, 1);
	if (!check_over(k) && status != VIRTIO_BLK_S_UNSUPP)
		expect(k, status, VIRTIO_BLK_S_OK);
}

static void skip_unless_writable(struct check *k)
{
	if (k->peer.features & VU_BIT(VIRTIO_BLK_F_RO))
		check_skip(k, "the device is read-only");
}

static void run_write(struct check *k)
{
	struct block_case d;

	skip_unless_writable(k);
	for (unsigned seed = 1; seed < 4 && !check_over(k) && (seed > 1 || disk_open(k, &d));
		seed++) {
		fill(d.data, bytes_of(k), (uint8_t)seed);
		expect(k, transfer(k, &d, VIRTIO_BLK_T_OUT, AT, bytes_of(k), pieces_of(k)),
			VIRTIO_BLK_S_OK);
		verify(k, &d, AT, bytes_of(k), (uint8_t)seed);
	}
}

/* Expects what was written and flushed on the next connection. */
static void run_write_stays(struct check *k)
{
	struct block_case d;

	skip_unless_writable(k);
	if (check_over(k) || !disk_open(k, &d))
		return;
	fill(d.data, SECTOR, 9);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_OUT, AT, SECTOR, 1), VIRTIO_BLK_S_OK);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_FLUSH, 0, 0, 1), VIRTIO_BLK_S_OK);
	session_end(k);
	if (disk_open(k, &d))
		verify(k, &d, AT, SECTOR, 9);
}

/* Expects that a write to a device that says it is read-only fails. */
static void run_read_only(struct check *k)
{
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	fill(d.data, SECTOR, 77);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_OUT, 0, SECTOR, 1), VIRTIO_BLK_S_IOERR);
}

/* Discards what was written, or zeroes it. The device may fail that, as any request. */
static void run_zeroes(struct check *k)
{
	struct virtio_blk_discard_write_zeroes range = { .sector = htole64(AT),
		.num_sectors = htole32(8) };
	uint32_t type = (uint32_t)k->c->arg;
	unsigned status;
	struct block_case d;

	skip_unless_writable(k);
	if (check_over(k) || !disk_open(k, &d))
		return;
	fill(d.data, 8 * SECTOR, 3);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_OUT, AT, 8 * SECTOR, 1), VIRTIO_BLK_S_OK);
	memcpy(d.data, &range, sizeof(range));
	status = transfer(k, &d, type, 0, sizeof(range), 1);
	if (status == VIRTIO_BLK_S_IOERR)
		check_skip(k, "the device reports an I/O error");
	expect(k, status, VIRTIO_BLK_S_OK);
	memset(d.data, 0xee, 8 * SECTOR);
	expect(k, transfer(k, &d, VIRTIO_BLK_T_IN, AT, 8 * SECTOR, 1), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; type == VIRTIO_BLK_T_WRITE_ZEROES && i < 8 * SECTOR; i++) {
		if (d.data[i])
			check_fail(k, "not zero after a write of zeroes");
	}
}

/* Reads or writes where there is no sector; arg: the type, and whether far away. */
static void run_past_end(struct check *k)
{
	struct block_case d;

	if (!disk_open(k, &d))
		return;
	fill(d.data, 2 * SECTOR, 5);
	transfer(k, &d, (uint32_t)k->c->arg,
		k->c->arg >> 32 ? UINT64_MAX : le64toh(d.config.capacity), 2 * SECTOR, 1);
}

static void run_config(struct check *k)
{
	uint32_t size;
	struct block_case d;

	if (!disk_open_any(k, &d))
		return;
	check_that(k, d.config.capacity > 0, "the capacity is 0");
	size = le32toh(d.config.blk_size);
	if (k->peer.features & VU_BIT(VIRTIO_BLK_F_BLK_SIZE))
		check_that(k, size >= SECTOR && !(size & (size - 1)),
			"blk_size is no power of two from 512 on");
	if (k->peer.features & VU_BIT(VIRTIO_BLK_F_SEG_MAX))
		check_that(k, d.config.seg_max > 0, "seg_max is 0");
}

static void run_config_queues(struct check *k)
{
	struct block_case d;
	uint64_t queues;

	if (!disk_open_any(k, &d))
		return;
	queues = wire_ask(k, VU_GET_QUEUE_NUM, NULL, 0);
	if (!check_over(k) && (!d.config.num_queues || le16toh(d.config.num_queues) > queues))
		check_fail(k, "num_queues is %u, GET_QUEUE_NUM %u", le16toh(d.config.num_queues),
			(unsigned)queues);
}

#define OPERATION "virtio 1.2 §5.2.6 Device Operation"
#define REQUIRED "virtio 1.2 §5.2.6.2 Device Requirements: Device Operation"
#define LAYOUT "virtio 1.2 §5.2.4 Device configuration layout"
#define BLOCK .device = VIRTIO_ID_BLOCK, .needs = CHECK_DATA, .protocol = VU_BIT(VU_F_CONFIG)
#define WRITES                                                        \
	.device = VIRTIO_ID_BLOCK, .needs = CHECK_DATA | CHECK_WRITE, \
	.protocol = VU_BIT(VU_F_CONFIG)
#define HOSTILE                                                     \
	.device = VIRTIO_ID_BLOCK, .protocol = VU_BIT(VU_F_CONFIG), \
	.needs = CHECK_DATA | CHECK_HOSTILE
#define HAS(bit) .features = VU_BIT(VIRTIO_BLK_F_##bit)
#define DATA(bytes, buffers) .arg = (bytes) | UINT64_C(buffers) << 32

const struct check_case check_block[] = {
	{ "block-config", LAYOUT, run_config, BLOCK },
	{ "block-config-queues", LAYOUT, run_config_queues, BLOCK, HAS(MQ),
		.request = VU_GET_QUEUE_NUM },
	{ "block-read", OPERATION, run_read, BLOCK, DATA(SECTOR, 1) },
	{ "block-read-large", OPERATION, run_read, BLOCK, DATA(MOST, 1) },
	{ "block-read-buffers", OPERATION, run_read_same, BLOCK, DATA(MOST, 8) },
	{ "block-read-odd-buffers", "virtio 1.2 §2.7.4.1 Device Requirements: Message Framing",
		run_read_same, BLOCK, DATA(4 * SECTOR, 3) },
	{ "block-read-last", OPERATION, run_read_last, BLOCK },
	{ "block-bounds", "virtio 1.2 §2.7.5.1 Device Requirements: The Virtqueue Descriptor Table",
		run_bounds, BLOCK },
	{ "block-header-in-two", "virtio 1.2 §2.7.4.1 Device Requirements: Message Framing",
		run_framing, BLOCK, .arg = 1 },
	{ "block-status-with-data", "virtio 1.2 §2.7.4.1 Device Requirements: Message Framing",
		run_framing, BLOCK },
	{ "block-flush", OPERATION, run_flush, BLOCK, HAS(FLUSH) },
	{ "block-unknown-type", OPERATION, run_unknown, BLOCK },
	{ "block-get-id", OPERATION, run_get_id, BLOCK },
	{ "block-read-only", REQUIRED, run_read_only, WRITES, HAS(RO) },
	{ "block-write", OPERATION, run_write, WRITES, DATA(SECTOR, 1) },
	{ "block-write-large", OPERATION, run_write, WRITES, DATA(MOST, 1) },
	{ "block-write-buffers", OPERATION, run_write, WRITES, DATA(MOST, 8) },
	{ "block-write-odd-buffers", "virtio 1.2 §2.7.4.1 Device Requirements: Message Framing",
		run_write, WRITES, DATA(4 * SECTOR, 3) },
	{ "block-write-stays", REQUIRED, run_write_stays, WRITES, HAS(FLUSH) },
	{ "block-discard", OPERATION, run_zeroes, WRITES, HAS(DISCARD),
		.arg = VIRTIO_BLK_T_DISCARD },
	{ "block-write-zeroes", OPERATION, run_zeroes, WRITES, HAS(WRITE_ZEROES),
		.arg = VIRTIO_BLK_T_WRITE_ZEROES },
	{ "block-read-past-end", REQUIRED, run_past_end, HOSTILE },
	{ "block-read-sector-max", REQUIRED, run_past_end, HOSTILE, .arg = UINT64_C(1) << 32 },
	{ "block-write-sector-max", REQUIRED, run_past_end, HOSTILE,
		.arg = UINT64_C(1) << 32 | VIRTIO_BLK_T_OUT },
	{ NULL },
};
