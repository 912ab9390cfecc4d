/* SPDX-License-Identifier: Apache-2.0 */
/* The block device's configuration space, decoded. */
#include "tests/lib/test.h"

#include <linux/virtio_blk.h>

#include "base/util.h"
#include "tools/block/blk_config.h"

static const struct blk_field *field(const char *key)
{
	for (size_t i = 0; i < blk_n_fields; i++) {
		if (!strcmp(blk_fields[i].key, key))
			return &blk_fields[i];
	}
	fail_msg("no field %s", key);
	return NULL;
}

static void test_value(void **state)
{
	struct virtio_blk_config config = {
		.capacity = htole64(UINT64_C(0x123456789a)),
		.seg_max = htole32(126),
		.wce = 1,
		.num_queues = htole16(0x1234),
	};
	const uint8_t *bytes = (const uint8_t *)&config;
	uint64_t value;

	assert_true(blk_field_value(field("capacity"), bytes, sizeof(config), 0, &value));
	assert_true(value == UINT64_C(0x123456789a));
	assert_true(blk_field_value(
		field("seg_max"), bytes, sizeof(config), 1 << VIRTIO_BLK_F_SEG_MAX, &value));
	assert_int_equal(value, 126);
	assert_true(blk_field_value(
		field("wce"), bytes, sizeof(config), 1 << VIRTIO_BLK_F_CONFIG_WCE, &value));
	assert_int_equal(value, 1);
	assert_true(blk_field_value(
		field("num_queues"), bytes, sizeof(config), 1 << VIRTIO_BLK_F_MQ, &value));
	assert_int_equal(value, 0x1234);
}

static void test_needs_its_feature(void **state)
{
	const uint8_t config[sizeof(struct virtio_blk_config)] = { 0 };
	unsigned without = 0;
	uint64_t value;

	for (size_t i = 0; i < blk_n_fields; i++) {
		without += blk_field_value(&blk_fields[i], config, sizeof(config), 0, &value);
		assert_true(blk_field_value(&blk_fields[i], config, sizeof(config), ~0ULL, &value));
	}
	assert_int_equal(without, 1); /* capacity */
}

static void test_short_space(void **state)
{
	for (size_t size = 0; size <= sizeof(struct virtio_blk_config); size++) {
		g_autofree uint8_t *config = g_malloc0(size + 1);

		for (size_t i = 0; i < blk_n_fields; i++) {
			const struct blk_field *f = &blk_fields[i];
			uint64_t value;

			assert_int_equal(blk_field_value(f, config, size, ~0ULL, &value),
				f->offset + f->size <= size);
		}
	}
}

static void check_text(const char *key, uint64_t value, const char *expected)
{
	g_autofree char *text = blk_field_text(field(key), value);

	assert_string_equal(text, expected);
}

static void test_text(void **state)
{
	check_text("capacity", 131072, "64 MiB (131072 sectors)");
	check_text("capacity", UINT64_MAX, "18446744073709551615 sectors");
	check_text("blk_size", 512, "512 bytes");
	check_text("seg_max", 126, "126");
	check_text("physical_block_exp", 3, "2^3 blocks");
	check_text("min_io_size", 8, "8 blocks");
	check_text("min_io_size", 1, "1 block");
	check_text("discard_sector_alignment", 1, "512 bytes (1 sector)");
	check_text("wce", 1, "writeback");
	check_text("wce", 0, "writethrough");
	check_text("write_zeroes_may_unmap", 1, "yes");
	check_text("write_zeroes_may_unmap", 0, "no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_needs_its_feature),
		cmocka_unit_test(test_short_space),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("blk_config", tests, NULL, NULL);
}
