/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk's requests over the kit's matrix; tests/devices has more, of parts of the device. */
#include "tests/lib/kit.h"

#include <linux/virtio_blk.h>

#define SECTOR 512
#define SECTORS 256

static char *blk_file(struct kit *k)
{
	static char option[256];
	char image[SECTORS * SECTOR];

	for (unsigned i = 0; i < SECTORS; i++)
		memset(image + i * SECTOR, 'a' + i % 26, SECTOR);
	assert_true(g_file_set_contents(kit_path(k, "image"), image, sizeof(image), NULL));
	g_snprintf(option, sizeof(option), "--blk-file=%s", kit_path(k, "image"));
	return option;
}

static void start(struct kit *k)
{
	kit_start(k, blk_file(k), NULL);
}

/* Sends a request: the data that is written, or room for what is read. */
static struct kit_request *send(
	struct kit *k, uint32_t type, uint64_t sector, const void *data, size_t size, size_t room)
{
	struct virtio_blk_outhdr header = { htole32(type), 0, htole64(sector) };
	g_autofree char *out = g_malloc(sizeof(header) + size);

	memcpy(out, &header, sizeof(header));
	if (size)
		memcpy(out + sizeof(header), data, size);
	return kit_send(k, 0, out, sizeof(header) + size, room + 1);
}

static uint8_t status(struct kit *k, struct kit_request *r)
{
	kit_wait(k, r);
	return r->in[r->in_size - 1];
}

static void expect(struct kit *k, uint64_t sector, char value)
{
	struct kit_request *r = send(k, VIRTIO_BLK_T_IN, sector, NULL, 0, SECTOR);
	char want[SECTOR];

	memset(want, value, SECTOR);
	assert_int_equal(status(k, r), VIRTIO_BLK_S_OK);
	assert_int_equal(r->used, SECTOR + 1);
	assert_memory_equal(r->in, want, SECTOR);
}

static void test_read_write(struct kit *k)
{
	struct kit_request *w[8];
	char data[SECTOR];

	start(k);
	expect(k, 0, 'a');
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++) {
		memset(data, 'A' + i, sizeof(data));
		w[i] = send(k, VIRTIO_BLK_T_OUT, i, data, sizeof(data), 0);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		assert_int_equal(status(k, w[i]), VIRTIO_BLK_S_OK);
	assert_int_equal(status(k, send(k, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0)), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		expect(k, i, 'A' + i);
	expect(k, SECTORS - 1, 'a' + (SECTORS - 1) % 26);
}

static void test_zeroes(struct kit *k)
{
	const struct virtio_blk_discard_write_zeroes s = { htole64(8), htole32(8), 0 };

	start(k);
	assert_int_equal(status(k, send(k, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s), 0)),
		VIRTIO_BLK_S_OK);
	expect(k, 7, 'h');
	expect(k, 8, 0);
	expect(k, 15, 0);
	expect(k, 16, 'q');
}

static void test_refused(struct kit *k)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint8_t status;
	} refused[] = {
		{ VIRTIO_BLK_T_IN, SECTORS, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, UINT64_MAX, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_SCSI_CMD, 0, VIRTIO_BLK_S_UNSUPP },
		{ 99, 0, VIRTIO_BLK_S_UNSUPP },
	};

	start(k);
	for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++)
		assert_int_equal(
			status(k, send(k, refused[i].type, refused[i].sector, NULL, 0, SECTOR)),
			refused[i].status);
}

static void test_short_header(struct kit *k)
{
	start(k);
	kit_send(k, 0, "fifteen bytes..", 15, 1);
	kit_wait_broken(k, "15 bytes");
	kit_reset(k);
	expect(k, 1, 'b');
}

static void test_config(struct kit *k)
{
	struct virtio_blk_config config;

	start(k);
	kit_config_read(
		k, 0, &config, offsetof(struct virtio_blk_config, max_secure_erase_sectors));
	assert_int_equal(le64toh(config.capacity), SECTORS);
	assert_int_equal(config.wce, 1);
	config.wce = 0;
	kit_config_write(k, offsetof(struct virtio_blk_config, wce), &config.wce, 1);
	kit_config_read(k, offsetof(struct virtio_blk_config, wce), &config.wce, 1);
	assert_int_equal(config.wce, 0);
}

static const struct kit_test tests[] = {
	{ "read and write", test_read_write },
	{ "zeroes", test_zeroes },
	{ "refused", test_refused },
	{ "short header", test_short_header },
	{ "configuration", test_config },
};

int main(int argc, char **argv)
{
	return kit_main(tests, G_N_ELEMENTS(tests), argc, argv);
}
