/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: how requests are taken and refused, and what becomes of the host's errors. */
#include "tests/lib/test.h"

#include <linux/virtio_ring.h>

#include "blk_fake_engine.h"

static const struct virtio_blk_discard_write_zeroes one_sector = { 0, 1, 0 };

/* An engine that is full: the request stays in the ring, whole, until something has ended. */
static void test_full(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *w[3];

	begin(c, F(FLUSH), 1);
	image.lazy = true;
	w[0] = add_write(c);
	kit_core_kick(c, 0);
	image.full = 1;
	w[1] = add_write(c);
	w[2] = add_write(c);
	kit_core_kick(c, 0);
	assert_done("W");
	assert_int_equal(vq_in_flight(c->queue[0].q), 1);
	end_one(c, 0);
	assert_done("WW");
	end_one(c, 0);
	end_one(c, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(blk_status_of(c, w[i]), VIRTIO_BLK_S_OK);
}

/* No more than so many at a time; the rest is taken as they end. */
static void test_bounded(void **state)
{
	enum { MORE = BLK_MAX_REQUESTS + 40 };
	g_autofree struct blk_driver_request **r = g_new(struct blk_driver_request *, MORE);
	struct kit_core *c = *state;

	assert_true(kit_core_open(c, NULL, "--blk-file=fake", NULL));
	c->ring_size = 512;
	kit_core_start(c, F(FLUSH) | 1ull << VIRTIO_RING_F_INDIRECT_DESC);
	image.lazy = true;
	for (unsigned i = 0; i < MORE; i++)
		r[i] = blk_add(c, VIRTIO_BLK_T_IN, 0, NULL, 512);
	kit_core_kick(c, 0);
	kit_core_kick(c, 0);
	assert_int_equal(vq_in_flight(c->queue[0].q), BLK_MAX_REQUESTS);
	for (unsigned i = 0; i < MORE; i++)
		end_one(c, 0);
	for (unsigned i = 0; i < MORE; i++)
		assert_int_equal(blk_status_of(c, r[i]), VIRTIO_BLK_S_OK);
}

static void test_host_errors(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };

	begin(c, F(FLUSH), 1);
	image.result = -EIO;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 3, data, 512), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot write 'fake' at offset 1536: Input/output error"));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 5, data, 512), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot read 'fake' at offset 2560: Input/output error"));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, (void *)&one_sector, 16),
		VIRTIO_BLK_S_IOERR);
	image.result = -EOPNOTSUPP;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, (void *)&one_sector, 16),
		VIRTIO_BLK_S_UNSUPP);
	assert_null(c->broken);
}

/* A disk that fails for every request does not fill the log. */
static void test_log_limit(void **state)
{
	struct kit_core *c = *state;
	unsigned lines = 0;
	uint8_t data[512];

	begin(c, F(FLUSH), 1);
	image.result = -EIO;
	for (unsigned i = 0; i < 100; i++)
		blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512);
	for (const char *p = c->log; *p; p++)
		lines += *p == '\n';
	assert_in_range(lines, 1, 25);
}

static void test_long_segments(void **state)
{
	struct virtio_blk_discard_write_zeroes s = { 0 };
	struct kit_core *c = *state;
	const struct virtio_blk_config *config = (void *)c->device.config;

	begin(c, F(FLUSH), 1);
	s.num_sectors = config->max_discard_sectors;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, &s, 16), VIRTIO_BLK_S_OK);
	assert_done("D");
	s.num_sectors = htole32(le32toh(s.num_sectors) + 1);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, &s, 16), VIRTIO_BLK_S_IOERR);
	s.num_sectors = config->max_write_zeroes_sectors;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 16), VIRTIO_BLK_S_OK);
	assert_done("Z");
	s.num_sectors = htole32(le32toh(s.num_sectors) + 1);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 16), VIRTIO_BLK_S_IOERR);
	assert_done("");
}

/* Refused here, and not only by a file that is open for reading. */
static void test_read_only(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };

	assert_true(kit_core_open(c, NULL, "--blk-file=fake", "--read-only", NULL));
	kit_core_start(c, F(FLUSH));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, (void *)&one_sector, 16),
		VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, (void *)&one_sector, 16),
		VIRTIO_BLK_S_IOERR);
	assert_done("");
	assert_non_null(strstr(c->log, "read-only"));
}

static void test_zero_flags(void **state)
{
	struct virtio_blk_discard_write_zeroes s = { 0, htole32(1), htole32(1) };
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 1);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 16), VIRTIO_BLK_S_OK);
	assert_done("U");
	s.flags = 0;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 16), VIRTIO_BLK_S_OK);
	assert_done("Z");
	s.num_sectors = 0;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, 16), VIRTIO_BLK_S_OK);
	assert_done("");
}

static void test_reload_fails(void **state)
{
	struct kit_core *c = *state;
	uint64_t capacity;

	begin(c, F(FLUSH), 1);
	capacity = ((struct virtio_blk_config *)c->device.config)->capacity;
	virtio_device_ops.reload(&c->device);
	assert_non_null(strstr(c->log, "no size"));
	assert_int_equal(c->config_changes, 0);
	assert_int_equal(((struct virtio_blk_config *)c->device.config)->capacity, capacity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_full),
		TEST(test_bounded),
		TEST(test_host_errors),
		TEST(test_log_limit),
		TEST(test_long_segments),
		TEST(test_read_only),
		TEST(test_zero_flags),
		TEST(test_reload_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
