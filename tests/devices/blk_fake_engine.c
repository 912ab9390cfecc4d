/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_fake_engine.h. */
#include "tests/lib/test.h"

#include "blk_fake_engine.h"

struct blk_fake_engine image;

static int note(char letter, struct blk_req *r)
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

static int fake_transfer(struct blk_queue *bq, struct blk_req *r)
{
	struct iov_cursor *c = blk_data(r);

	if (blk_is_write(r) && !image.full)
		iov_skip(c, iov_left(c));
	return note(blk_is_write(r) ? 'W' : 'R', r);
}

static int fake_discard(
	struct blk_queue *bq, struct blk_req *r, const struct blk_range *range, unsigned n)
{
	return note('D', r);
}

static int fake_write_zeroes(struct blk_queue *bq, struct blk_req *r, const struct blk_range *range)
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

void end_one(struct kit_core *c, int result)
{
	struct blk_queue *bq = vq_data(c->queue[0].q);
	struct blk_req *r = g_ptr_array_remove_index(image.pending, 0);

	vq_burst_begin(c->queue[0].q);
	blk_done(bq, r, result);
	blk_serve(bq);
	vq_burst_end(c->queue[0].q);
	blk_reap(c);
}

void end_sync(struct kit_core *c, int result)
{
	struct blk_queue *bq = g_steal_pointer(&image.syncing);

	assert_non_null(bq);
	vq_burst_begin(c->queue[0].q);
	blk_sync_done(bq, result);
	blk_serve(bq);
	vq_burst_end(c->queue[0].q);
	blk_reap(c);
}

bool blk_engine_open(struct blk *b, enum blk_engine_option option, GError **error)
{
	b->engine = &fake_engine;
	for (unsigned i = 0; i < b->num_queues; i++) {
		b->queue[i] = g_aligned_alloc0(1, sizeof(*b->queue[i]), 128);
		b->queue[i]->blk = b;
		b->queue[i]->engine = &fake_engine;
		b->queue[i]->requests = g_new(struct blk_req, BLK_MAX_REQUESTS);
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

bool blk_file_open(struct blk_file *f, const struct blk_file_setup *setup, GError **error)
{
	f->path = g_strdup(setup->path);
	f->read_only = setup->read_only;
	f->size = 16ull << 30;
	f->logical_block = f->physical_block = f->min_io = 512;
	return true;
}

void blk_file_close(struct blk_file *f)
{
	g_clear_pointer(&f->path, g_free);
}

bool blk_file_lock(struct blk_file *f, GError **error)
{
	return true;
}

void blk_file_unlock(struct blk_file *f)
{
}

void blk_file_refresh(const struct blk_file *f)
{
}

void blk_file_check_name(const struct blk_file *f)
{
}

bool blk_file_update_size(struct blk_file *f, GError **error)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "no size");
	return false;
}

int setup(void **state)
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

int teardown(void **state)
{
	int result = kit_core_teardown(state);

	g_string_free(image.done, TRUE);
	g_ptr_array_free(image.pending, TRUE);
	return result;
}

void begin(struct kit_core *c, uint64_t features, uint8_t wce)
{
	if (!c->is_open)
		assert_true(kit_core_open(c, NULL, "--blk-file=fake", NULL));
	((struct virtio_blk_config *)c->device.config)->wce = wce;
	virtio_device_ops.config_written(&c->device, 32, 1);
	kit_core_start(c, features);
}

struct blk_driver_request *add_write(struct kit_core *c)
{
	uint8_t data[512] = { 0 };

	return blk_add(c, VIRTIO_BLK_T_OUT, 0, data, sizeof(data));
}

void assert_done(const char *want)
{
	assert_string_equal(image.done->str, want);
	g_string_truncate(image.done, 0);
}
