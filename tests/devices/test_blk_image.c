/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: what it does to the file, and who else may use it. */
#include "tests/lib/test.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "blk_image.h"
#include "daemon/devices/blk/blk_io.h"
#include "tests/lib/dumped.h"

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)

static void test_read_only(void **state)
{
	struct virtio_blk_discard_write_zeroes s = { 0, htole32(8), 0 };
	g_autofree uint8_t *before = g_malloc(IMAGE_SIZE), *after = g_malloc(IMAGE_SIZE);
	struct kit_core *c = *state;
	uint8_t data[512];

	assert_int_equal(chmod(image_path, 0400), 0);
	image_open(c, "--read-only");
	assert_int_equal(c->device.features & F(RO), F(RO));
	assert_int_equal(c->device.features & (F(DISCARD) | F(WRITE_ZEROES)), 0);
	image_read(before, 0, IMAGE_SIZE);
	memset(data, 0, sizeof(data));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_DISCARD, 0, &s, sizeof(s)), VIRTIO_BLK_S_IOERR);
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s)), VIRTIO_BLK_S_IOERR);
	image_read(after, 0, IMAGE_SIZE);
	assert_memory_equal(before, after, IMAGE_SIZE);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_memory_equal(before, data, 512);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
}

/* The file is cut behind the device's back: reads end in an error, with nothing undefined. */
static void test_truncated(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[2048], want[2048] = { 0 };

	image_open(c, NULL);
	assert_int_equal(truncate(image_path, 10 * 512 + 100), 0);
	/* A mapping has the rest of the last page, as zeroes. */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 8, data, 2048),
		image_engine_is("mmap") ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	image_read(want, 8 * 512, 2 * 512 + 100);
	assert_memory_equal(data, want, 2048);
	if (image_engine_is("mmap"))
		return;
	assert_non_null(strstr(c->log, image_path));
	assert_non_null(strstr(c->log, "offset 4096"));
}

/*
 * Whole pages of the file are gone: no crash, whatever the engine; and when they are back, so is
 * the data.
 */
static void test_truncated_and_back(void **state)
{
	g_autofree uint8_t *data = g_malloc0(65536);
	struct kit_core *c = *state;

	image_open(c, NULL);
	assert_int_equal(truncate(image_path, 65536), 0);
	for (unsigned i = 0; i < 3; i++) {
		memset(data, 0xff, 65536);
		assert_int_equal(
			blk_request(c, VIRTIO_BLK_T_IN, 1024 + i, data, 65536), VIRTIO_BLK_S_IOERR);
		/* What was not read is no old data. */
		for (unsigned k = 0; k < 65536; k++)
			assert_int_equal(data[k], 0);
	}
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 65536), VIRTIO_BLK_S_OK);
	assert_int_equal(truncate(image_path, IMAGE_SIZE), 0);
	memset(data, 0x5a, 65536);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 1024, data, 65536), VIRTIO_BLK_S_OK);
	memset(data, 0, 65536);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 1024, data, 65536), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 0x5a);
	assert_int_equal(data[65535], 0x5a);
}

/*
 * A host that will not take more: the guest gets an error, which is logged; what fits is written.
 */
static void test_full(void **state)
{
	const struct rlimit limit = { IMAGE_SIZE / 2, RLIM_INFINITY };
	struct rlimit before;
	struct kit_core *c = *state;
	uint8_t data[1024];
	bool mapped = image_engine_is("mmap");

	memset(data, 0x5a, sizeof(data));
	image_open(c, NULL);
	getrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, SIG_IGN); /* as main() does */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, IMAGE_SIZE / 1024 + 8, data, 1024),
		mapped ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	/* Half of it. */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, IMAGE_SIZE / 1024 - 1, data, 1024),
		mapped ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
	setrlimit(RLIMIT_FSIZE, &before);
	if (!mapped)
		assert_non_null(strstr(c->log, "File too large"));
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_IN, IMAGE_SIZE / 1024 - 1, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 0x5a);
	assert_int_equal(data[511], 0x5a);
}

static void test_limit_not_dumped(void **state)
{
	struct kit_core *c = *state;
	const struct blk *b;

	image_open(c, NULL);
	b = c->device.data;
	assert_int_equal(b->map != NULL, image_engine_is("mmap"));
	assert_false(b->map && is_dumped(b->map));
}

static uint8_t segments(struct kit_core *c, uint32_t type,
	const struct virtio_blk_discard_write_zeroes *s, unsigned n)
{
	return blk_request(c, type, 0, (void *)s, n * sizeof(*s));
}

static void test_discard(void **state)
{
	const struct virtio_blk_discard_write_zeroes two[] = {
		{ htole64(8), htole32(512), 0 },
		{ htole64(1024), htole32(256), 0 },
	};
	struct kit_core *c = *state;
	uint8_t before[512], after[512];
	blkcnt_t blocks = image_blocks();

	image_open(c, NULL);
	assert_int_equal(segments(c, VIRTIO_BLK_T_DISCARD, two, 2), VIRTIO_BLK_S_OK);
	assert_true(image_blocks() < blocks);
	/* The neighbours, compared with a new image: the device has the old file. */
	image_fill(IMAGE_SIZE);
	image_read(before, 7 * 512, 512);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 7, after, 512), 0);
	assert_memory_equal(before, after, 512);
	image_read(before, 520 * 512, 512);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 520, after, 512), 0);
	assert_memory_equal(before, after, 512);
}

/* A block device takes whole blocks only. This one is none: whatever reaches it is unsupported. */
static void test_discard_on_device(void **state)
{
	struct blk b = { .file = { .is_device = true, .logical_block = 4096 } };
	struct blk_queue bq = { .blk = &b, .fd = open(image_path, O_RDWR | O_CLOEXEC) };
	static const struct {
		struct blk_range range;
		int result;
	} tries[] = {
		{ { 512, 512 }, 0 },
		{ { 4096, 4095 }, 0 },
		{ { 4095, 4096 }, 0 },
		{ { 4096, 4096 }, -EOPNOTSUPP },
		{ { 512, 8192 }, -EOPNOTSUPP },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(tries); i++)
		assert_int_equal(blk_io_discard(&bq, NULL, &tries[i].range, 1), tries[i].result);
	close(bq.fd);
}

static void test_bad_segments(void **state)
{
	const uint64_t end = IMAGE_SIZE / 512;
	const struct {
		uint8_t status;
		struct virtio_blk_discard_write_zeroes s;
	} bad[] = {
		{ VIRTIO_BLK_S_UNSUPP, { 0, htole32(8), htole32(2) } },
		{ VIRTIO_BLK_S_UNSUPP, { 0, htole32(8), htole32(0x80000000) } },
		{ VIRTIO_BLK_S_IOERR, { 0, htole32(end + 1), 0 } },
		{ VIRTIO_BLK_S_IOERR, { 0, htole32(UINT32_MAX), 0 } },
		{ VIRTIO_BLK_S_IOERR, { htole64(end), htole32(1), 0 } },
		{ VIRTIO_BLK_S_IOERR, { htole64(UINT64_MAX), htole32(2), 0 } },
		{ VIRTIO_BLK_S_IOERR, { htole64(end + 1), 0, 0 } },
	};
	g_autofree uint8_t *before = g_malloc(IMAGE_SIZE), *after = g_malloc(IMAGE_SIZE);
	struct virtio_blk_discard_write_zeroes list[33] = { { 0, htole32(8), 0 } };
	struct kit_core *c = *state;

	image_open(c, NULL);
	image_read(before, 0, IMAGE_SIZE);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		list[1] = bad[i].s;
		/* One bad segment spoils the list: the good one before it is not done. */
		assert_int_equal(segments(c, VIRTIO_BLK_T_DISCARD, list, 2), bad[i].status);
		assert_int_equal(
			segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &bad[i].s, 1), bad[i].status);
	}
	list[1] = (struct virtio_blk_discard_write_zeroes){ 0, htole32(8), htole32(1) };
	assert_int_equal(segments(c, VIRTIO_BLK_T_DISCARD, list, 2), VIRTIO_BLK_S_UNSUPP);
	for (unsigned i = 0; i < 33; i++)
		list[i] = (struct virtio_blk_discard_write_zeroes){ htole64(i), htole32(1), 0 };
	assert_int_equal(segments(c, VIRTIO_BLK_T_DISCARD, list, 33), VIRTIO_BLK_S_IOERR);
	assert_int_equal(segments(c, VIRTIO_BLK_T_WRITE_ZEROES, list, 2), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, list, 15), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, list, 17), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_DISCARD, 0, NULL, 0), VIRTIO_BLK_S_IOERR);
	image_read(after, 0, IMAGE_SIZE);
	assert_memory_equal(before, after, IMAGE_SIZE);
}

static void zero_and_check(struct kit_core *c, uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes s = { htole64(8), htole32(512),
		htole32(flags) };
	g_autofree uint8_t *want = g_malloc(IMAGE_SIZE), *is = g_malloc(IMAGE_SIZE);

	image_read(want, 0, IMAGE_SIZE);
	memset(want + 8 * 512, 0, 512 * 512);
	assert_int_equal(segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1), VIRTIO_BLK_S_OK);
	image_read(is, 0, IMAGE_SIZE);
	assert_memory_equal(want, is, IMAGE_SIZE);
}

static void test_write_zeroes(void **state)
{
	struct kit_core *c = *state;
	blkcnt_t blocks = image_blocks();

	image_open(c, NULL);
	zero_and_check(c, 0);
	assert_true(image_blocks() >= blocks);
	assert_string_equal(c->log, "");
}

static void test_write_zeroes_unmap(void **state)
{
	struct kit_core *c = *state;
	blkcnt_t blocks = image_blocks();

	image_open(c, NULL);
	zero_and_check(c, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	assert_true(image_blocks() < blocks);
}

/* tmpfs cannot zero a range: real zeroes are written, here more than one call takes. */
static void test_write_zeroes_by_writing(void **state)
{
	const struct virtio_blk_discard_write_zeroes s = { htole64(9), htole32(1500), 0 };
	g_autofree uint8_t *want = g_malloc(IMAGE_SIZE), *is = g_malloc(IMAGE_SIZE);
	autofd fd = memfd_create("image", MFD_CLOEXEC);
	g_autofree char *arg = g_strdup_printf("--blk-file=/proc/self/fd/%d", fd);
	struct kit_core *c = *state;

	image_read(want, 0, IMAGE_SIZE);
	assert_int_equal(write(fd, want, IMAGE_SIZE), IMAGE_SIZE);
	assert_true(kit_core_open(c, NULL, arg, NULL));
	kit_core_start(c, F(FLUSH) | F(WRITE_ZEROES));
	assert_int_equal(segments(c, VIRTIO_BLK_T_WRITE_ZEROES, &s, 1), VIRTIO_BLK_S_OK);
	memset(want + 9 * 512, 0, 1500 * 512);
	assert_int_equal(pread(fd, is, IMAGE_SIZE, 0), IMAGE_SIZE);
	assert_memory_equal(want, is, IMAGE_SIZE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_only, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_truncated, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_truncated_and_back, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_full, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_limit_not_dumped, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_discard, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_discard_on_device, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_bad_segments, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_write_zeroes, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_write_zeroes_unmap, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_write_zeroes_by_writing, image_setup, kit_core_teardown),
	};

	if (!image_set_engine(argv[1]))
		return 77;
	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
