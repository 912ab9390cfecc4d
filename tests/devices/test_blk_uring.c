/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-blk's engines on io_uring, when the kernel does what it seldom does: a fake ring notes
 * the operations, and the test says how they end.
 */
#include "tests/lib/test.h"

#include <linux/falloc.h>

#include "blk_fake_uring.h"
#include "daemon/devices/blk/blk_engine.h"
#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define RANGE FALLOC_FL_ZERO_RANGE

static struct blk_driver_request *start_read(struct kit_core *c, uint32_t len)
{
	struct blk_driver_request *r = blk_add(c, VIRTIO_BLK_T_IN, 8, NULL, len);

	kit_core_kick(c, 0);
	blk_reap(c);
	return r;
}

static void test_batch(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r[3];

	image_open(c, "--engine=uring");
	for (unsigned i = 0; i < 3; i++)
		r[i] = blk_add(c, VIRTIO_BLK_T_IN, i, NULL, 512);
	kit_core_kick(c, 0);
	assert_int_equal(fake.ops->len, 3);
	assert_true(virtio_device_ops.busy(&c->device, c->queue[0].q));
	for (unsigned i = 0; i < 3; i++)
		end(c, 512);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(blk_status_of(c, r[i]), VIRTIO_BLK_S_OK);
	assert_false(virtio_device_ops.busy(&c->device, c->queue[0].q));
	assert_false(virtio_device_ops.poll(&c->device, c->queue[0].q));
}

static void test_short(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r;

	image_open(c, "--engine=uring");
	r = start_read(c, 4096);
	end(c, 512);
	assert_int_equal(op(0)->offset, 8 * 512 + 512);
	assert_int_equal(op(0)->len, 4096 - 512);
	end(c, 1000);
	assert_int_equal(op(0)->offset, 8 * 512 + 1512);
	assert_int_equal(blk_status_of(c, r), NO_STATUS);
	end(c, 4096 - 1512);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	assert_int_equal(r->used, 4097);

	r = start_read(c, 4096);
	end(c, 512);
	end(c, 0);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "offset 4096: the file ends there"));
}

/* What the kernel will not do in that way is done in another: the data is right. */
static void test_again(void **state)
{
	static const int results[] = { -EAGAIN, -EINTR };
	struct kit_core *c = *state;
	uint8_t want[4096];
	struct blk_driver_request *r;

	image_open(c, "--engine=uring");
	image_read(want, 8 * 512, sizeof(want));
	for (unsigned i = 0; i < G_N_ELEMENTS(results); i++) {
		r = start_read(c, sizeof(want));
		end(c, results[i]);
		assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
		assert_memory_equal(kit_core_host(c, r->data), want, sizeof(want));

		r = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
		kit_core_kick(c, 0);
		assert_int_equal(op(0)->kind, 's');
		end(c, results[i]);
		assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	}
	assert_string_equal(c->log, "");
}

static void test_errors(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };
	struct blk_driver_request *r;

	image_open(c, "--engine=uring");
	r = start_read(c, 512);
	end(c, -EIO);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot read"));
	assert_non_null(strstr(c->log, "offset 4096: Input/output error"));

	r = blk_add(c, VIRTIO_BLK_T_OUT, 3, data, 512);
	kit_core_kick(c, 0);
	end(c, -EROFS);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot write"));
	assert_non_null(strstr(c->log, "offset 1536: Read-only"));

	/* There is no space: the rest is written when there is. */
	r = blk_add(c, VIRTIO_BLK_T_OUT, 3, data, 512);
	kit_core_kick(c, 0);
	end(c, 200);
	end(c, -ENOSPC);
	assert_int_equal(blk_status_of(c, r), NO_STATUS);
	blk_hurry(c);
	end(c, 312);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);

	r = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	kit_core_kick(c, 0);
	end(c, -EIO);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	r = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	kit_core_kick(c, 0);
	end(c, 0);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
}

/* Writethrough: the sync begins after the write has ended. */
static void test_writethrough(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };
	struct blk_driver_request *w;

	image_open(c, "--engine=uring");
	c->device.config[32] = 0;
	virtio_device_ops.config_written(&c->device, 32, 1);
	w = blk_add(c, VIRTIO_BLK_T_OUT, 3, data, 512);
	kit_core_kick(c, 0);
	assert_int_equal(fake.ops->len, 1);
	end(c, 512);
	assert_int_equal(op(0)->kind, 's');
	assert_int_equal(blk_status_of(c, w), NO_STATUS);
	end(c, 0);
	assert_int_equal(blk_status_of(c, w), VIRTIO_BLK_S_OK);
}

static struct blk_driver_request *start_segments(struct kit_core *c, uint32_t type,
	const struct virtio_blk_discard_write_zeroes *s, unsigned n)
{
	struct blk_driver_request *r = blk_add(c, type, 0, s, n * sizeof(*s));

	kit_core_kick(c, 0);
	blk_reap(c);
	return r;
}

static void test_discard(void **state)
{
	const struct virtio_blk_discard_write_zeroes s[] = { { 8, 8, 0 }, { 64, 0, 0 },
		{ 32, 16, 0 } };
	static const struct {
		int result[2];
		uint8_t status;
	} tries[] = {
		{ { 0, 0 }, VIRTIO_BLK_S_OK },
		{ { -EIO, 0 }, VIRTIO_BLK_S_IOERR },
		{ { 0, -EIO }, VIRTIO_BLK_S_IOERR },
		{ { 0, -EOPNOTSUPP }, VIRTIO_BLK_S_UNSUPP },
		{ { -EINTR, -EAGAIN }, VIRTIO_BLK_S_OK },
	};
	struct kit_core *c = *state;
	struct blk_driver_request *r;

	image_open(c, "--engine=uring");
	for (unsigned i = 0; i < G_N_ELEMENTS(tries); i++) {
		r = start_segments(c, VIRTIO_BLK_T_DISCARD, s, 3);
		assert_int_equal(fake.ops->len, 2);
		assert_int_equal(op(0)->mode, HOLE);
		assert_int_equal(op(1)->offset, 32 * 512);
		assert_int_equal(op(1)->len, 16 * 512);
		end(c, tries[i].result[0]);
		assert_int_equal(blk_status_of(c, r), NO_STATUS);
		end(c, tries[i].result[1]);
		assert_int_equal(blk_status_of(c, r), tries[i].status);
	}
}

/* More operations at a time than requests: no more are begun than the ring can end. */
static void test_many_segments(void **state)
{
	struct virtio_blk_discard_write_zeroes s[32];
	struct kit_core *c = *state;

	image_open(c, "--engine=uring");
	for (unsigned i = 0; i < 32; i++)
		s[i] = (struct virtio_blk_discard_write_zeroes){ htole64(i), htole32(1), 0 };
	for (unsigned i = 0; i < 20; i++)
		blk_add(c, VIRTIO_BLK_T_DISCARD, 0, s, sizeof(s));
	kit_core_kick(c, 0);
	assert_in_range(fake.ops->len, BLK_MAX_OPS, BLK_MAX_OPS + 31);
	while (fake.ops->len)
		end(c, 0);
	assert_int_equal(vq_in_flight(c->queue[0].q), 0);
}

static void test_write_zeroes(void **state)
{
	const struct virtio_blk_discard_write_zeroes s = { 8, 40,
		VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP };
	struct kit_core *c = *state;
	struct blk_driver_request *r;

	image_open(c, "--engine=uring");
	r = start_segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1);
	assert_int_equal(op(0)->mode, HOLE);
	end(c, -EOPNOTSUPP);
	assert_int_equal(op(0)->mode, RANGE);
	end(c, -EOPNOTSUPP);
	assert_int_equal(op(0)->kind, 'w');
	assert_int_equal(op(0)->len, 40 * 512);
	end(c, 4096);
	assert_int_equal(op(0)->offset, 8 * 512 + 4096);
	assert_int_equal(op(0)->len, 40 * 512 - 4096);
	end(c, 40 * 512 - 4096);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);

	r = start_segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1);
	end(c, -EINTR);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	r = start_segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1);
	end(c, -EOPNOTSUPP);
	end(c, -EOPNOTSUPP);
	end(c, -ENOSPC);
	assert_int_equal(blk_status_of(c, r), NO_STATUS);
	blk_hurry(c);
	end(c, 0);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

/* What is in the page cache takes no operation. */
static void test_nowait(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[4096], want[4096];
	struct blk_queue *bq;
	struct blk_driver_request *r;

	image_open(c, NULL);
	bq = vq_data(c->queue[0].q);
	if (bq->engine != &blk_engine_nowait)
		skip(); /* a file system of memory */
	image_read(want, 8 * 512, sizeof(want));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 8, data, sizeof(data)), VIRTIO_BLK_S_OK);
	assert_memory_equal(data, want, sizeof(want));
	/* As if the kernel did not know it. */
	bq->no_nowait[0] = true;
	r = start_read(c, 4096);
	assert_int_equal(op(0)->kind, 'r');
	end(c, 4096);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

static void test_forbidden(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512];

	fake.forbidden = true;
	kit_core_open_fails(c, "no ring today", image_arg, "--engine=uring", NULL);
	assert_string_equal(c->log, "");
	image_open(c, NULL);
	if (!strstr(c->log, "no ring today"))
		skip(); /* no ring was needed */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
}

static void test_never_enabled(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512];

	fake.never_enabled = true;
	image_open(c, "--engine=uring");
	assert_non_null(strstr(c->log, "does without io_uring"));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_batch),
		TEST(test_short),
		TEST(test_again),
		TEST(test_errors),
		TEST(test_writethrough),
		TEST(test_discard),
		TEST(test_many_segments),
		TEST(test_write_zeroes),
		TEST(test_nowait),
		TEST(test_forbidden),
		TEST(test_never_enabled),
	};

	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
