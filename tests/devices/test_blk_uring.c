/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtiod-blk's engines on io_uring, when the kernel does what it seldom does: a fake ring notes the
 * operations, and the test says how they end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include "blk_image.h"
#include "daemon/devices/blk/blk_engine.h"
#include "daemon/uring.h"

#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

struct op {
	char kind; /* read, write, sync, allocate: its first letter */
	bool submitted;
	int mode;
	unsigned n_iov;
	uint64_t offset, len;
	void *tag;
};

static struct virtio_uring {
	int event;
	bool forbidden, never_enabled; /* what does not work */
	GArray *ops; /* not ended yet */
	GArray *ended; /* events */
} fake;

struct virtio_uring *virtio_uring_new(const struct virtio_uring_setup *setup, GError **error)
{
	assert_int_equal(setup->n_files, 2);
	if (!fake.forbidden) {
		/* One for all queues, of which only the first runs. */
		if (fake.event < 0)
			fake.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return &fake;
	}
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "no ring today");
	return NULL;
}

void virtio_uring_free(struct virtio_uring *ring)
{
	if (ring)
		fd_close(&fake.event);
}

int virtio_uring_enable(struct virtio_uring *ring)
{
	return fake.never_enabled ? -EACCES : 0;
}

int virtio_uring_fd(const struct virtio_uring *ring)
{
	return fake.event;
}

void virtio_uring_awake(struct virtio_uring *ring)
{
	uint64_t count;

	assert_int_equal(read(fake.event, &count, sizeof(count)), sizeof(count));
}

bool virtio_uring_is_ready(const struct virtio_uring *ring)
{
	return fake.ended->len;
}

static void prepare(struct op op)
{
	g_array_append_val(fake.ops, op);
}

void virtio_uring_transfer(struct virtio_uring *ring, bool write, unsigned file,
	const struct iovec *iov, unsigned n, uint64_t offset, void *tag)
{
	struct op op = { write ? 'w' : 'r', .n_iov = n, .offset = offset, .tag = tag };

	for (unsigned i = 0; i < n; i++)
		op.len += iov[i].iov_len;
	prepare(op);
}

void virtio_uring_sync(struct virtio_uring *ring, unsigned file, void *tag)
{
	prepare((struct op){ 's', .tag = tag });
}

void virtio_uring_allocate(struct virtio_uring *ring, unsigned file, int mode, uint64_t offset,
	uint64_t len, void *tag)
{
	prepare((struct op){ 'a', .mode = mode, .offset = offset, .len = len, .tag = tag });
}

void virtio_uring_submit(struct virtio_uring *ring)
{
	for (unsigned i = 0; i < fake.ops->len; i++)
		g_array_index(fake.ops, struct op, i).submitted = true;
}

unsigned virtio_uring_reap(
	struct virtio_uring *ring, bool fetch, struct virtio_uring_event *event, unsigned max)
{
	unsigned n = MIN(fake.ended->len, max);

	if (n) {
		memcpy(event, fake.ended->data, n * sizeof(*event));
		g_array_remove_range(fake.ended, 0, n);
	}
	return n;
}

static const struct op *op(unsigned i)
{
	assert_true(i < fake.ops->len);
	assert_true(g_array_index(fake.ops, struct op, i).submitted);
	return &g_array_index(fake.ops, struct op, i);
}

/* The oldest operation ends so, and the device hears of it. */
static void end(struct kit_core *c, int result)
{
	struct virtio_uring_event event = { op(0)->tag, result };
	uint64_t one = 1;

	g_array_append_val(fake.ended, event);
	g_array_remove_index(fake.ops, 0);
	assert_int_equal(write(fake.event, &one, sizeof(one)), sizeof(one));
	assert_true(kit_core_step(c, 30000));
	blk_reap(c);
}

static int setup(void **state)
{
	fake = (struct virtio_uring){
		.event = -1,
		.ops = g_array_new(FALSE, TRUE, sizeof(struct op)),
		.ended = g_array_new(FALSE, TRUE, sizeof(struct virtio_uring_event)),
	};
	if (image_setup(state))
		return -1;
	((struct kit_core *)*state)->n_queues = 1;
	return 0;
}

static int teardown(void **state)
{
	int result = kit_core_teardown(state);

	g_array_free(fake.ops, TRUE);
	g_array_free(fake.ended, TRUE);
	return result;
}

static struct request *start_read(struct kit_core *c, uint32_t len)
{
	struct request *r = blk_add(c, VIRTIO_BLK_T_IN, 8, NULL, len);

	kit_core_kick(c, 0);
	blk_reap(c);
	return r;
}

static void test_batch(void **state)
{
	struct kit_core *c = *state;
	struct request *r[3];

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
	struct request *r;

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
	struct request *r;

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
	struct request *r;

	image_open(c, "--engine=uring");
	r = start_read(c, 512);
	end(c, -EIO);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot read"));
	assert_non_null(strstr(c->log, "offset 4096: Input/output error"));

	r = blk_add(c, VIRTIO_BLK_T_OUT, 3, data, 512);
	kit_core_kick(c, 0);
	end(c, -ENOSPC);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
	assert_non_null(strstr(c->log, "cannot write"));
	assert_non_null(strstr(c->log, "offset 1536: No space left"));

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
	struct request *w;

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

static struct request *start_segments(struct kit_core *c, uint32_t type,
	const struct virtio_blk_discard_write_zeroes *s, unsigned n)
{
	struct request *r = blk_add(c, type, 0, s, n * sizeof(*s));

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
	struct request *r;

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
	struct request *r;

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
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_IOERR);
}

/* What is in the page cache takes no operation. */
static void test_nowait(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[4096], want[4096];
	struct blk_queue *bq;
	struct request *r;

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
