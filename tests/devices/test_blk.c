/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: options, configuration space, and requests of every form and type. */
#include "tests/lib/test.h"

#include "blk_image.h"

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)

static void test_config(void **state)
{
	struct kit_core *c = *state;
	const struct virtio_blk_config *cfg = image_config(c);

	image_open(c, "--num-queues=3");
	assert_int_equal(c->device.config_size, 60);
	assert_int_equal(c->device.num_queues, 3);
	assert_int_equal(le64toh(cfg->capacity), IMAGE_SIZE / 512);
	assert_int_equal(le32toh(cfg->blk_size), 512);
	assert_int_equal(le32toh(cfg->seg_max), 126);
	assert_int_equal(le16toh(cfg->num_queues), 3);
	assert_int_equal(cfg->wce, 1);
	assert_int_equal(cfg->write_zeroes_may_unmap, 1);
	assert_true(le32toh(cfg->size_max) >= 65536);
	assert_int_equal(c->device.features & F(RO), 0);
	assert_int_equal(c->device.features,
		F(SIZE_MAX) | F(SEG_MAX) | F(BLK_SIZE) | F(FLUSH) | F(TOPOLOGY) | F(CONFIG_WCE) |
			F(MQ) | F(DISCARD) | F(WRITE_ZEROES));
	assert_int_equal(virtio_device_ops.config_writable[0].offset, 32);
	assert_int_equal(virtio_device_ops.config_writable[0].size, 1);
	assert_int_equal(virtio_device_ops.config_writable[1].size, 0);
}

static void test_default_queues(void **state)
{
	struct kit_core *c = *state;

	image_open(c, NULL);
	assert_int_equal(c->device.num_queues, KIT_WORKERS);
	assert_int_equal(le16toh(image_config(c)->num_queues), KIT_WORKERS);
}

static void test_block_size(void **state)
{
	struct kit_core *c = *state;
	const struct virtio_blk_config *cfg = image_config(c);
	uint8_t data[512];

	assert_int_equal(truncate(image_path, IMAGE_SIZE + 4096 + 512), 0);
	image_open(c, "--block-size=8192");
	assert_int_equal(le32toh(cfg->blk_size), 8192);
	assert_int_equal(cfg->physical_block_exp, 0);
	assert_int_equal(le64toh(cfg->capacity), IMAGE_SIZE / 512);
	assert_non_null(strstr(c->log, "last 4608 bytes"));
	/* The unit of the protocol is the sector all the same. */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 1, data, 512), VIRTIO_BLK_S_OK);
}

/* 0 is the same as not giving the option. */
static void test_zero_is_default(void **state)
{
	struct kit_core *c = *state;

	assert_true(kit_core_open(c, NULL, image_arg, "--block-size=0", "--num-queues=0", NULL));
	assert_int_equal(le32toh(image_config(c)->blk_size), 512);
	assert_int_equal(c->device.num_queues, KIT_WORKERS);
}

/* A disk all the same: the file may grow. */
static void test_empty(void **state)
{
	struct kit_core *c = *state;

	assert_int_equal(truncate(image_path, 511), 0);
	image_open(c, NULL);
	assert_int_equal(le64toh(image_config(c)->capacity), 0);
	assert_non_null(strstr(c->log, "smaller than a block of 512 bytes: the disk is empty"));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, NULL, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(
		blk_request(c, VIRTIO_BLK_T_IN, 0, (uint8_t[512]){ 0 }, 512), VIRTIO_BLK_S_IOERR);
}

static void test_bad_options(void **state)
{
	g_autofree char *dir_arg = g_strdup_printf("--blk-file=%s", image_dir);
	struct kit_core *c = *state;

	kit_core_open_fails(c, "--blk-file", NULL);
	kit_core_open_fails(c, "/nowhere/image", "--blk-file=/nowhere/image", NULL);
	kit_core_open_fails(c, "/dev/null", "--blk-file=/dev/null", NULL);
	kit_core_open_fails(c, "neither a regular file", dir_arg, NULL);
	kit_core_open_fails(c, "--num-queues=-1", image_arg, "--num-queues=-1", NULL);
	kit_core_open_fails(c, "--num-queues=65", image_arg, "--num-queues=65", NULL);
	kit_core_open_fails(c, "invalid --engine=fast: auto, sync, uring or mmap", image_arg,
		"--engine=fast", NULL);
	kit_core_open_fails(c, "--direct", image_arg, "--engine=mmap", "--direct", NULL);
	kit_core_open_fails(c, "--block-size=256", image_arg, "--block-size=256", NULL);
	kit_core_open_fails(c, "--block-size=131072", image_arg, "--block-size=131072", NULL);
	kit_core_open_fails(c, "--block-size=1000", image_arg, "--block-size=1000", NULL);
	kit_core_open_fails(
		c, "123456789012345678901", image_arg, "--serial=123456789012345678901", NULL);
}

static void test_read_write(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[4096], want[4096];

	image_open(c, NULL);
	image_read(want, 5 * 512, sizeof(want));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 5, data, sizeof(data)), 0);
	assert_memory_equal(data, want, sizeof(want));

	memset(data, 0xa5, sizeof(data));
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 9, data, sizeof(data)), 0);
	image_read(want, 9 * 512, sizeof(want));
	assert_memory_equal(data, want, sizeof(want));
	image_read(want, 8 * 512, 512);
	assert_memory_not_equal(data, want, 512);
	image_read(want, 17 * 512, 512);
	assert_memory_not_equal(data, want, 512);

	/* The last sector, and no data at all. */
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, IMAGE_SIZE / 512 - 1, data, 512), 0);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, NULL, 0), 0);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	assert_string_equal(c->log, "");
}

/* Header, data and status in descriptors of any size (virtio 1.2 §2.7.4.2). */
static void test_layouts(void **state)
{
	struct kit_core *c = *state;
	struct driver_buf buf[160];
	struct blk_driver_request r;
	uint8_t want[512 * 4];
	uint64_t h, d;
	unsigned n;

	image_open(c, NULL);
	image_read(want, 3 * 512, sizeof(want));

	/* Header in three pieces; data and status in one. */
	h = blk_header(c, VIRTIO_BLK_T_IN, 3);
	d = kit_core_alloc(c, sizeof(want) + 1, 0xdd);
	buf[0] = (struct driver_buf){ h, 1 };
	buf[1] = (struct driver_buf){ h + 1, 8 };
	buf[2] = (struct driver_buf){ h + 9, 7 };
	buf[3] = (struct driver_buf){ d, sizeof(want) + 1 };
	blk_raw(c, buf, 3, 1, &r);
	assert_int_equal(r.used, sizeof(want) + 1);
	assert_memory_equal(kit_core_host(c, d), want, sizeof(want));
	assert_int_equal(*(uint8_t *)kit_core_host(c, d + sizeof(want)), VIRTIO_BLK_S_OK);

	/* Data in more pieces than one system call takes, the last one with the status. */
	d = kit_core_alloc(c, sizeof(want) + 1, 0xdd);
	n = 0;
	buf[n++] = (struct driver_buf){ h, 16 };
	for (uint64_t at = 0; at < 99 * 7; at += 7)
		buf[n++] = (struct driver_buf){ d + at, 7 };
	buf[n++] = (struct driver_buf){ d + 99 * 7, sizeof(want) + 1 - 99 * 7 };
	blk_raw(c, buf, 1, n - 1, &r);
	assert_int_equal(r.used, sizeof(want) + 1);
	assert_memory_equal(kit_core_host(c, d), want, sizeof(want));
	assert_int_equal(*(uint8_t *)kit_core_host(c, d + sizeof(want)), VIRTIO_BLK_S_OK);

	/* Header and data in one. */
	h = kit_core_alloc(c, 16 + 512, 0x5a);
	d = kit_core_alloc(c, 1, NO_STATUS);
	memcpy(kit_core_host(c, h), kit_core_host(c, blk_header(c, VIRTIO_BLK_T_OUT, 20)), 16);
	buf[0] = (struct driver_buf){ h, 16 + 512 };
	buf[1] = (struct driver_buf){ d, 1 };
	blk_raw(c, buf, 1, 1, &r);
	assert_int_equal(r.used, 1);
	assert_int_equal(*(uint8_t *)kit_core_host(c, d), VIRTIO_BLK_S_OK);
	image_read(want, 20 * 512, 512);
	assert_memory_equal(kit_core_host(c, h + 16), want, 512);
}

static void test_bad_ranges(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ 0, 511 },
		{ 0, 513 },
		{ IMAGE_SIZE / 512, 512 },
		{ IMAGE_SIZE / 512 - 1, 1024 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX - 1, 1024 },
		{ UINT64_MAX / 512 + 1, 512 },
		{ 1ull << 55, 512 },
	};
	g_autofree uint8_t *before = g_malloc(IMAGE_SIZE), *after = g_malloc(IMAGE_SIZE);
	struct kit_core *c = *state;
	uint8_t data[1024];

	image_open(c, NULL);
	image_read(before, 0, IMAGE_SIZE);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		memset(data, 0x77, sizeof(data));
		assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, bad[i].sector, data, bad[i].len),
			VIRTIO_BLK_S_IOERR);
		assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, bad[i].sector, data, bad[i].len),
			VIRTIO_BLK_S_IOERR);
	}
	image_read(after, 0, IMAGE_SIZE);
	assert_memory_equal(before, after, IMAGE_SIZE);
	assert_non_null(strstr(c->log, "beyond the disk"));
	assert_null(c->broken);
}

static void test_short_header(void **state)
{
	struct kit_core *c = *state;
	struct driver_buf buf[2];
	struct blk_driver_request r;

	image_open(c, NULL);
	buf[0] = (struct driver_buf){ blk_header(c, VIRTIO_BLK_T_FLUSH, 0), 15 };
	buf[1] = (struct driver_buf){ kit_core_alloc(c, 1, NO_STATUS), 1 };
	blk_raw(c, buf, 1, 1, &r);
	assert_int_equal(r.used, UINT32_MAX);
	assert_non_null(c->broken);
	assert_non_null(strstr(c->broken, "15 bytes"));
}

static void test_no_status(void **state)
{
	struct kit_core *c = *state;
	struct driver_buf buf;
	struct blk_driver_request r;

	image_open(c, NULL);
	buf = (struct driver_buf){ blk_header(c, VIRTIO_BLK_T_FLUSH, 0), 16 };
	blk_raw(c, &buf, 1, 0, &r);
	assert_int_equal(r.used, UINT32_MAX);
	assert_non_null(c->broken);
	assert_non_null(strstr(c->broken, "status"));
}

static void test_unknown_type(void **state)
{
	static const uint32_t types[] = { 2, 3, 5, 10, 12, 14, 0x80000000, UINT32_MAX };
	struct kit_core *c = *state;
	uint8_t data[512];

	image_open(c, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
		assert_int_equal(blk_request(c, types[i], 0, data, 512), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
}

static void test_serial(void **state)
{
	struct kit_core *c = *state;
	char id[20];

	image_open(c, "--serial=12345678901234567890");
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_GET_ID, 0, id, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(id, "12345678901234567890", 20);
}

static void test_short_serial(void **state)
{
	struct kit_core *c = *state;
	char id[20];

	image_open(c, "--serial=disk-7");
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_GET_ID, 0, id, 20), VIRTIO_BLK_S_OK);
	assert_memory_equal(id, "disk-7\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_GET_ID, 0, id, 4), VIRTIO_BLK_S_OK);
	assert_memory_equal(id, "disk", 4);
}

static void test_wce(void **state)
{
	struct kit_core *c = *state;

	image_open(c, NULL);
	c->device.config[32] = 0;
	virtio_device_ops.reset(&c->device);
	assert_int_equal(image_config(c)->wce, 1);
	kit_core_stop(c);
	/* CONFIG_WCE without FLUSH. */
	c->device.driver_features = F(CONFIG_WCE) | 1ull << 32;
	kit_core_resume(c);
	assert_int_equal(image_config(c)->wce, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_config, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_default_queues, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_block_size, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_zero_is_default, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_empty, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_bad_options, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_read_write, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_layouts, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_bad_ranges, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_short_header, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_no_status, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_unknown_type, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_serial, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_short_serial, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_wce, image_setup, kit_core_teardown),
	};

	if (!image_set_engine(argv[1]))
		return 77;
	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
