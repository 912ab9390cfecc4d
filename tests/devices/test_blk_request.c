/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-blk on an image that only exists here: when it is synced, and what becomes of the host's
 * errors.
 */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "blk_driver.h"
#include "daemon/devices/blk/blk_request.h"

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)

/*
 * The fake engine: what it is asked to do, in order, as letters; what it answers. If it is lazy,
 * everything is pending until the test says end().
 */
static struct {
	GString *done;
	int result, sync_result;
	bool lazy;
	unsigned full; /* refuse so many times */
	GPtrArray *pending; /* requests, in order */
	struct blk_queue *syncing;
} image;

static int note(char letter, struct blk_request *r)
{
	if (image.full) {
		image.full--;
		return BLK_FULL;
	}
	g_string_append_c(image.done, letter);
	if (!image.lazy)
		return image.result;
	g_ptr_array_add(image.pending, r);
	return BLK_PENDING;
}

static int fake_transfer(struct blk_queue *bq, struct blk_request *r)
{
	struct iov_cursor *c = blk_data(r);

	if (blk_is_write(r) && !image.full)
		iov_skip(c, iov_left(c));
	return note(blk_is_write(r) ? 'W' : 'R', r);
}

static int fake_discard(
	struct blk_queue *bq, struct blk_request *r, const struct blk_range *range, unsigned n)
{
	return note('D', r);
}

static int fake_write_zeroes(
	struct blk_queue *bq, struct blk_request *r, const struct blk_range *range)
{
	return note(range->unmap ? 'U' : 'Z', r);
}

static int fake_sync(struct blk_queue *bq)
{
	g_string_append_c(image.done, 'S');
	if (!image.lazy)
		return image.sync_result;
	assert_null(image.syncing);
	image.syncing = bq;
	return BLK_PENDING;
}

static const struct blk_engine fake_engine = {
	.name = "fake",
	.transfer = fake_transfer,
	.discard = fake_discard,
	.write_zeroes = fake_write_zeroes,
	.sync = fake_sync,
};

/* Ends the oldest request that is pending, as an engine does in its reap(), and what follows. */
static void end_one(struct kit_core *c, int result)
{
	struct blk_queue *bq = vq_data(c->queue[0].q);
	struct blk_request *r = g_ptr_array_remove_index(image.pending, 0);

	vq_burst_begin(c->queue[0].q);
	blk_done(bq, r, result);
	blk_serve(bq);
	vq_burst_end(c->queue[0].q);
	blk_reap(c);
}

static void end_sync(struct kit_core *c, int result)
{
	struct blk_queue *bq = g_steal_pointer(&image.syncing);

	assert_non_null(bq);
	vq_burst_begin(c->queue[0].q);
	blk_sync_done(bq, result);
	blk_serve(bq);
	vq_burst_end(c->queue[0].q);
	blk_reap(c);
}

bool blk_engine_open(struct blk *b, const char *name, GError **error)
{
	b->engine = &fake_engine;
	for (unsigned i = 0; i < b->num_queues; i++) {
		b->queue[i] = g_aligned_alloc0(1, sizeof(*b->queue[i]), 128);
		b->queue[i]->blk = b;
		b->queue[i]->engine = &fake_engine;
		b->queue[i]->requests = g_new(struct blk_request, BLK_MAX_REQUESTS);
	}
	return true;
}

void blk_engine_close(struct blk *b)
{
	for (unsigned i = 0; i < b->num_queues; i++) {
		g_free(b->queue[i]->requests);
		g_aligned_free(b->queue[i]);
	}
}

bool blk_file_open(
	struct blk_file *f, const char *path, bool read_only, bool direct, GError **error)
{
	f->path = g_strdup(path);
	f->read_only = read_only;
	f->size = 16ull << 30;
	f->logical_block = f->physical_block = f->min_io = 512;
	return true;
}

void blk_file_close(struct blk_file *f)
{
	g_clear_pointer(&f->path, g_free);
}

bool blk_file_update_size(struct blk_file *f, GError **error)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "no size");
	return false;
}

static const struct virtio_blk_discard_write_zeroes one_sector = { 0, 1, 0 };

static int setup(void **state)
{
	int r = kit_core_setup(state);

	image.done = g_string_new(NULL);
	image.result = image.sync_result = 0;
	image.lazy = false;
	image.full = 0;
	image.pending = g_ptr_array_new();
	image.syncing = NULL;
	return r;
}

static int teardown(void **state)
{
	int result = kit_core_teardown(state);

	g_string_free(image.done, TRUE);
	g_ptr_array_free(image.pending, TRUE);
	return result;
}

static void begin(struct kit_core *c, uint64_t features, uint8_t wce)
{
	assert_true(kit_core_open(c, NULL, "--blk-file=fake", NULL));
	((struct virtio_blk_config *)c->device.config)->wce = wce;
	virtio_device_ops.config_written(&c->device, 32, 1);
	kit_core_start(c, features);
}

static struct request *add_write(struct kit_core *c)
{
	uint8_t data[512] = { 0 };

	return blk_add(c, VIRTIO_BLK_T_OUT, 0, data, sizeof(data));
}

static void assert_done(const char *want)
{
	assert_string_equal(image.done->str, want);
	g_string_truncate(image.done, 0);
}

/* Three writes and a read in one burst. */
static void burst(struct kit_core *c, uint8_t write_status)
{
	struct request *w[3], *r;

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
	struct request *w;

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
	struct request *r[12];

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
	struct request *f[4];

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
	struct request *w[3], *r;

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

/* An engine that is full: the request stays in the ring, whole, until something has ended. */
static void test_full(void **state)
{
	struct kit_core *c = *state;
	struct request *w[3];

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
	g_autofree struct request **r = g_new(struct request *, MORE);
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

/* More writes than wait for one sync: none is lost. */
static void test_many_writes(void **state)
{
	struct kit_core *c = *state;
	unsigned writes = 0, syncs = 0;
	struct request *w[100];

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

static void test_host_errors(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };

	begin(c, F(FLUSH), 1);
	image.result = -ENOSPC;
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 3, data, 512), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot write 'fake' at offset 1536: No space left"));
	image.result = -EIO;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		TEST(test_full),
		TEST(test_bounded),
		TEST(test_many_writes),
		TEST(test_host_errors),
		TEST(test_log_limit),
		TEST(test_long_segments),
		TEST(test_read_only),
		TEST(test_zero_flags),
		TEST(test_reload_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
