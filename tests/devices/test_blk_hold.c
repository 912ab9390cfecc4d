/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: --werror and --rerror. */
#include "tests/lib/test.h"

#include <errno.h>

#include "blk_fake_engine.h"

static const struct virtio_blk_discard_write_zeroes one_sector = { 0, 1, 0 };

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static void begin_with(struct kit_core *c, const char *option)
{
	assert_true(kit_core_open(c, NULL, "--blk-file=fake", option, NULL));
	begin(c, F(FLUSH), 1);
}

static struct blk_driver_request *try(struct kit_core *c, uint32_t type)
{
	uint8_t data[512] = { 0 };
	struct blk_driver_request *r = NULL;

	switch (type) {
	case VIRTIO_BLK_T_OUT:
		r = blk_add(c, type, 3, data, sizeof(data));
		break;
	case VIRTIO_BLK_T_IN:
		r = blk_add(c, type, 3, NULL, sizeof(data));
		break;
	default:
		r = blk_add(c, type, 0, &one_sector, sizeof(one_sector));
	}
	kit_core_kick(c, 0);
	blk_reap(c);
	return r;
}

static void assert_fails(struct kit_core *c, uint32_t type, int result)
{
	image.result = result;
	assert_int_equal(blk_status_of(c, try(c, type)), VIRTIO_BLK_S_IOERR);
	assert_int_equal(kit_core_in_flight(c), 0);
}

static void assert_held(struct kit_core *c, uint32_t type, int result)
{
	struct blk_driver_request *r;

	image.result = result;
	r = try(c, type);
	assert_int_equal(blk_status_of(c, r), NO_STATUS);
	/* Again and again. */
	for (unsigned i = 0; i < 3; i++) {
		blk_hurry(c);
		assert_int_equal(blk_status_of(c, r), NO_STATUS);
	}
	image.result = 0;
	blk_hurry(c);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	assert_int_equal(kit_core_in_flight(c), 0);
}

static void test_report(void **state)
{
	struct kit_core *c = *state;

	begin_with(c, "--werror=report");
	assert_fails(c, VIRTIO_BLK_T_OUT, -ENOSPC);
	assert_fails(c, VIRTIO_BLK_T_WRITE_ZEROES, -ENOSPC);
	assert_fails(c, VIRTIO_BLK_T_IN, -EIO);
	assert_non_null(strstr(c->log, "cannot write 'fake' at offset 1536: No space left"));
}

/* The default. */
static void test_enospc(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 1);
	assert_held(c, VIRTIO_BLK_T_OUT, -ENOSPC);
	assert_done("WWWWW");
	assert_held(c, VIRTIO_BLK_T_WRITE_ZEROES, -EDQUOT);
	assert_done("ZZZZZ");
	assert_fails(c, VIRTIO_BLK_T_OUT, -EIO);
	assert_fails(c, VIRTIO_BLK_T_IN, -EIO);
	assert_fails(c, VIRTIO_BLK_T_DISCARD, -ENOSPC);
}

static void test_stop(void **state)
{
	struct kit_core *c = *state;

	begin_with(c, "--werror=stop");
	assert_held(c, VIRTIO_BLK_T_OUT, -EIO);
	assert_held(c, VIRTIO_BLK_T_WRITE_ZEROES, -EIO);
	assert_fails(c, VIRTIO_BLK_T_IN, -EIO);
}

static void test_stop_reads(void **state)
{
	struct kit_core *c = *state;

	begin_with(c, "--rerror=stop");
	assert_held(c, VIRTIO_BLK_T_IN, -EIO);
	assert_held(c, VIRTIO_BLK_T_IN, -ENODATA);
	assert_fails(c, VIRTIO_BLK_T_OUT, -EIO);
}

/* Begins with a block device, past the page cache: it alone may flush later what it could not. */
static struct blk *begin_device(struct kit_core *c, const char *option, uint64_t features)
{
	struct blk *b;

	assert_true(kit_core_open(c, NULL, "--blk-file=fake", option, NULL));
	b = c->device.data;
	b->file.is_device = b->file.direct = true;
	begin(c, features, 1);
	return b;
}

static struct blk_driver_request *flush(struct kit_core *c)
{
	struct blk_driver_request *r = blk_add(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);

	kit_core_kick(c, 0);
	blk_reap(c);
	return r;
}

static void test_flush(void **state)
{
	struct kit_core *c = *state;
	struct blk *b = begin_device(c, "--werror=stop", F(FLUSH));
	struct blk_driver_request *r[3];

	image.sync_result = -EIO;
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		r[i] = flush(c);
	blk_hurry(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(blk_status_of(c, r[i]), NO_STATUS);
	assert_int_equal(count(c->log, "cannot flush 'fake' at offset 0: Input/output error"), 1);
	image.sync_result = 0;
	blk_hurry(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(r); i++)
		assert_int_equal(blk_status_of(c, r[i]), VIRTIO_BLK_S_OK);
	/* Three, and the three as one, twice. */
	assert_done("SSSSS");

	/* What the page cache held may be lost. */
	b->wrote_cached = true;
	image.sync_result = -EIO;
	assert_int_equal(blk_status_of(c, flush(c)), VIRTIO_BLK_S_IOERR);
	image.sync_result = 0;
	assert_int_equal(blk_status_of(c, flush(c)), VIRTIO_BLK_S_IOERR);
}

static void test_flush_reported(void **state)
{
	struct kit_core *c = *state;

	begin_device(c, "--werror=report", F(FLUSH));
	image.sync_result = -EIO;
	assert_int_equal(blk_status_of(c, flush(c)), VIRTIO_BLK_S_IOERR);
	image.sync_result = 0;
	assert_int_equal(blk_status_of(c, flush(c)), VIRTIO_BLK_S_OK);
}

/* A write whose flush has failed is not written again. */
static void test_writethrough(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r;

	begin_device(c, "--werror=stop", 0);
	image.sync_result = -EIO;
	r = try(c, VIRTIO_BLK_T_OUT);
	assert_int_equal(blk_status_of(c, r), NO_STATUS);
	image.sync_result = 0;
	blk_hurry(c);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	assert_done("WSS");
	/* The next one, in the same place, is. */
	image.result = -EIO;
	r = try(c, VIRTIO_BLK_T_OUT);
	image.result = 0;
	blk_hurry(c);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
	assert_done("WWS");
}

/* What is malformed, or cannot be had at all, does not wait. */
static void test_refused(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 0 };

	begin_with(c, "--werror=stop");
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_OUT, UINT64_MAX, data, 512), VIRTIO_BLK_S_IOERR);
	image.result = -EOPNOTSUPP;
	assert_int_equal(blk_status_of(c, try(c, VIRTIO_BLK_T_WRITE_ZEROES)), VIRTIO_BLK_S_UNSUPP);
}

/* One line when it begins, one when it ends; others go on meanwhile. */
static void test_one_line(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *w[20];

	begin(c, F(FLUSH), 1);
	image.result = -ENOSPC;
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		w[i] = try(c, VIRTIO_BLK_T_OUT);
	assert_int_equal(count(c->log, "the guest waits"), 1);
	image.result = 0;
	assert_int_equal(blk_status_of(c, try(c, VIRTIO_BLK_T_IN)), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		assert_int_equal(blk_status_of(c, w[i]), NO_STATUS);
	assert_null(strstr(c->log, "has succeeded"));
	blk_hurry(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		assert_int_equal(blk_status_of(c, w[i]), VIRTIO_BLK_S_OK);
	assert_int_equal(count(c->log, "has succeeded"), 1);
}

static char *call(struct kit_core *c, const char *method)
{
	g_autofree char *line =
		g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}", method);

	return kit_core_call(c, line);
}

static void test_resume(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r;
	g_autofree char *none = NULL, *one = NULL;

	begin(c, F(FLUSH), 1);
	none = call(c, "resume");
	assert_non_null(strstr(none, "\"held\":0"));
	image.result = -ENOSPC;
	r = try(c, VIRTIO_BLK_T_OUT);
	image.result = 0;
	one = call(c, "resume");
	assert_non_null(strstr(one, "\"held\":1"));
	while (blk_status_of(c, r) == NO_STATUS) {
		assert_true(kit_core_step(c, KIT_PATIENCE_MS));
		blk_reap(c);
	}
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

/* A queue stops although requests are held, and has them again in its next run. */
static void test_left(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *w[3];

	begin(c, F(FLUSH), 1);
	image.result = -ENOSPC;
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		w[i] = try(c, VIRTIO_BLK_T_OUT);
	kit_core_stop(c);
	assert_int_equal(kit_core_in_flight(c), 0);
	image.result = 0;
	kit_core_resume(c);
	kit_core_kick(c, 0);
	blk_reap(c);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		assert_int_equal(blk_status_of(c, w[i]), VIRTIO_BLK_S_OK);
}

/* What is in the host's hands when a queue stops, and fails then, is left as well. */
static void test_left_in_flight(void **state)
{
	struct kit_core *c = *state;
	struct blk_driver_request *r;
	struct blk_queue *bq;

	begin(c, F(FLUSH), 1);
	image.lazy = true;
	r = try(c, VIRTIO_BLK_T_OUT);
	bq = vq_data(c->queue[0].q);
	bq->stopping = true;
	vq_drain(c->queue[0].q);
	end_one(c, -ENOSPC);
	assert_int_equal(kit_core_in_flight(c), 0);
	kit_core_stop(c);
	image.lazy = false;
	kit_core_resume(c);
	kit_core_kick(c, 0);
	blk_reap(c);
	assert_int_equal(blk_status_of(c, r), VIRTIO_BLK_S_OK);
}

/* The driver gives up: nothing is held for the next one. */
static void test_reset(void **state)
{
	struct kit_core *c = *state;

	begin(c, F(FLUSH), 1);
	image.result = -ENOSPC;
	try(c, VIRTIO_BLK_T_OUT);
	kit_core_reset(c);
	image.result = 0;
	g_string_truncate(image.done, 0);
	assert_int_equal(blk_status_of(c, try(c, VIRTIO_BLK_T_IN)), VIRTIO_BLK_S_OK);
	assert_done("R");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_report),
		TEST(test_enospc),
		TEST(test_stop),
		TEST(test_stop_reads),
		TEST(test_flush),
		TEST(test_flush_reported),
		TEST(test_writethrough),
		TEST(test_refused),
		TEST(test_one_line),
		TEST(test_resume),
		TEST(test_left),
		TEST(test_left_in_flight),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
