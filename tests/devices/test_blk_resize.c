/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: the file changes its size or its name while it is served. */
#include "tests/lib/test.h"

#include <glib/gstdio.h>

#include "blk_image.h"

static void test_resize(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[512] = { 1 };

	image_open(c, NULL);
	/* Nothing has changed, but the guest may have missed what had. */
	virtio_device_ops.reload(&c->device);
	assert_int_equal(c->config_changes, 1);

	assert_int_equal(truncate(image_path, 2 * IMAGE_SIZE), 0);
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_OUT, IMAGE_SIZE / 512, data, 512), VIRTIO_BLK_S_IOERR);
	virtio_device_ops.reload(&c->device);
	assert_int_equal(c->config_changes, 2);
	assert_int_equal(le64toh(image_config(c)->capacity), 2 * IMAGE_SIZE / 512);
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_OUT, IMAGE_SIZE / 512, data, 512), VIRTIO_BLK_S_OK);

	assert_int_equal(truncate(image_path, 512), 0);
	virtio_device_ops.reload(&c->device);
	assert_int_equal(c->config_changes, 3);
	assert_int_equal(le64toh(image_config(c)->capacity), 1);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 1, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
}

/* Zeroes beyond the end of a truncated file make it grow, as data would: they can be read. */
static void test_resize_zeroes_grow(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[4096];

	image_open(c, NULL);
	for (unsigned flags = 0; flags <= VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP; flags++) {
		struct virtio_blk_discard_write_zeroes s = { htole64(1000), htole32(24),
			htole32(flags) };

		assert_int_equal(truncate(image_path, 512 * 512), 0);
		assert_int_equal(blk_request(c, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s)),
			VIRTIO_BLK_S_OK);
		for (unsigned sector = 1000; sector < 1024; sector += 8) {
			memset(data, 0xff, sizeof(data));
			assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, sector, data, 4096),
				VIRTIO_BLK_S_OK);
			for (unsigned i = 0; i < sizeof(data); i++)
				assert_int_equal(data[i], 0);
		}
	}
}

static void reload_logs(struct kit_core *c, const char *text)
{
	c->log[0] = '\0';
	virtio_device_ops.reload(&c->device);
	if (text && (!strstr(c->log, text) || !strstr(c->log, image_path)))
		fail_msg("not in the log: %s\n%s", text, c->log);
	if (!text)
		assert_string_equal(c->log, "");
}

static void test_resize_renamed(void **state)
{
	g_autofree char *other = g_strconcat(image_path, ".other", NULL);
	struct kit_core *c = *state;
	uint8_t data[512];

	image_open(c, NULL);
	reload_logs(c, NULL);
	assert_int_equal(g_rename(image_path, other), 0);
	reload_logs(c, "has been renamed or removed");
	/* Another one has its name now; what is served does not change. */
	image_fill(IMAGE_SIZE / 2);
	reload_logs(c, "is another file now");
	assert_int_equal(le64toh(image_config(c)->capacity), IMAGE_SIZE / 512);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, IMAGE_SIZE / 512 - 1, data, 512), 0);
	assert_int_equal(g_rename(other, image_path), 0);
	reload_logs(c, NULL);
	/* Replaced, so that the old one has no name. */
	image_fill(IMAGE_SIZE);
	reload_logs(c, "has been removed or replaced");
	assert_non_null(strstr(c->log, "restart virtiod-blk"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_resize, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_resize_zeroes_grow, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_resize_renamed, image_setup, kit_core_teardown),
	};

	if (!image_set_engine(argv[1]))
		return 77;
	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
