/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: when the image is synced, and what is complete before. */
#include "tests/lib/test.h"

#include <linux/virtio_ring.h>

#include "blk_fake_engine.h"

static const struct virtio_blk_discard_write_zeroes one_sector = { 0, 1, 0 };

/* Sends three writes and a read in one burst. */
static void burst(struct kit_core *c, uint8_t write_status)
{
	struct blk_driver_request *w[3], *r;

	w[0] = add_write(c);
	w[1] = add_write(c);
	r = blk_add(c, VIRTIO_BLK_T_IN, 0, NULL, 512);
	w[2] = add_write(c);
	kit_core_kick(c, 0);
	blk_reap(c);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(blk_status_of(c, w[i]), write_status);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

static void test_writeback(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH) | F(CONFIG_WCE), 1);
	burst(c, VIRTIO_BLK_S_OK);
	assert_done("WWRW");
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	assert_done("S");
}

/* The driver cannot see wce: FLUSH alone means writeback. */
static void test_flush_only(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 0);
	burst(c, VIRTIO_BLK_S_OK);
	assert_done("WWRW");
}

static void test_wce_off(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH) | F(CONFIG_WCE), 0);
	burst(c, VIRTIO_BLK_S_OK);
	assert_done("WWRWS");
}

static void test_no_flush(void **state)
{
	struct kit_core *c = *state;

	begin(c, 0, 1);
	burst(c, VIRTIO_BLK_S_OK);
	assert_done("WWRWS");
	/* Zeroes are data; a discard leaves none. */
	blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, (void *)&one_sector, sizeof(one_sector));
	assert_done("ZS");
	blk_request(c, VIRTIO_BLK_T_DISCARD, 0, (void *)&one_sector, sizeof(one_sector));
	assert_done("D");
	blk_request(c, VIRTIO_BLK_T_IN, 0, NULL, 0);
	assert_done("");
}

/* In writethrough mode no write is complete before its sync. */
static void test_complete_after_sync(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *w;

	begin(c, F(FLUSH) | F(CONFIG_WCE), 0);
	w = add_write(c);
	image.sync_result = -EIO;
	kit_core_kick(c, 0);
	blk_reap(c);
	assert_int_equal(blk_status_of(c, w), VIRTIO_BLK_S_IOERR);
	assert_done("WS");
	assert_non_null(strstr(c->log, "cannot flush 'fake'"));

	burst(c, VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
}

/* A failed sync is not the reads' around it. */
static void test_reads_need_no_sync(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r[12];

	assert_true(kit_core_open(c, NULL, "--blk-file=fake", NULL));
	kit_core_start(c, 1ull << VIRTIO_RING_F_INDIRECT_DESC);
	image.sync_result = -EIO;
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = i == 1 ? add_write(c) : blk_add(c, VIRTIO_BLK_T_IN, i, NULL, 512);
	kit_core_kick(c, 0);
	blk_reap(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(
			blk_status_of(c, r[i]), i == 1 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/* What could not be synced once is lost, whatever a later sync claims. */
static void test_failed_sync_sticks(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 1);
	image.sync_result = -EIO;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	image.sync_result = 0;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	image.sync_result = -ENOSPC;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	assert_null(strstr(c->log, "No space"));
}

/* Flushes of one burst share a sync; those that come while it is in flight share the next. */
static void test_flushes_share(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *f[4];

	begin(c, F(FLUSH), 1);
	image.lazy = true;
	f[0] = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	f[1] = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	kit_core_kick(c, 0);
	assert_done("S");
	f[2] = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	kit_core_kick(c, 0);
	f[3] = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	kit_core_kick(c, 0);
	assert_done("");
	end_sync(c, 0);
	assert_done("S");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(blk_status_of(c, f[i]), i < 2 ? VIRTIO_BLK_S_OK : NO_STATUS);
	end_sync(c, -EIO);
	for (unsigned i = 2; i < 4; i++)
		assert_int_equal(blk_status_of(c, f[i]), VIRTIO_BLK_S_IOERR);
	assert_done("");
}

/* Writethrough with writes that take their time: each is complete after a sync that began later. */
static void test_lazy_writethrough(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *w[3], *r;

	begin(c, F(FLUSH) | F(CONFIG_WCE), 0);
	image.lazy = true;
	for (unsigned i = 0; i < 3; i++)
		w[i] = add_write(c);
	r = blk_add(c, VIRTIO_BLK_T_IN, 0, NULL, 512);
	kit_core_kick(c, 0);
	assert_done("WWWR");
	end_one(c, 0);
	assert_done("S");
	end_one(c, 0);
	end_one(c, -EIO);
	assert_int_equal(blk_status_of(c, w[2]), VIRTIO_BLK_S_IOERR);
	end_one(c, 0);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_status_of(c, w[0]), NO_STATUS);
	assert_done("");
	end_sync(c, 0);
	assert_done("S");
	assert_int_equal(blk_status_of(c, w[0]), VIRTIO_BLK_S_OK);
	assert_int_equal(blk_status_of(c, w[1]), NO_STATUS);
	end_sync(c, 0);
	assert_int_equal(blk_status_of(c, w[1]), VIRTIO_BLK_S_OK);
}

/* More writes than wait for one sync: none is lost. */
static void test_many_writes(void **state)
{
	struct kit_core *c = *state;
	unsigned writes = 0, syncs = 0;
	struct blk_driver_request *w[100];

	assert_true(kit_core_open(c, NULL, "--blk-file=fake", NULL));
	kit_core_start(c, 1ull << VIRTIO_RING_F_INDIRECT_DESC);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		w[i] = add_write(c);
	kit_core_kick(c, 0);
	blk_reap(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		assert_int_equal(blk_status_of(c, w[i]), VIRTIO_BLK_S_OK);
	for (const char *p = image.done->str; *p; p++) {
		writes += *p == 'W';
		syncs += *p == 'S';
	}
	assert_int_equal(writes, G_N_ELEMENTS(w));
	assert_in_range(syncs, 1, 20);
	assert_int_equal(image.done->str[image.done->len - 1], 'S');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_writeback),
		TEST(test_flush_only),
		TEST(test_wce_off),
		TEST(test_no_flush),
		TEST(test_complete_after_sync),
		TEST(test_reads_need_no_sync),
		TEST(test_failed_sync_sticks),
		TEST(test_flushes_share),
		TEST(test_lazy_writethrough),
		TEST(test_many_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
