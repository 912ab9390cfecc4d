/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-blk: files that are plainly not meant to be served as they are. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "blk_image.h"

static const struct {
	const char *name; /* NULL: it is raw */
	unsigned offset, len;
	const char *bytes;
} heads[] = {
	{ "a qcow image", 0, 8, "QFI\xfb\0\0\0\1" },
	{ "a qcow2 image", 0, 8, "QFI\xfb\0\0\0\3" },
	{ "a qed image", 0, 4, "QED\0" },
	{ "a vmdk image", 0, 8, "KDMV\1\0\0\0" },
	{ "a vmdk image", 0, 8, "COWD\1\0\0\0" },
	{ "a vmdk descriptor", 0, 32, "# Disk DescriptorFile\nversion=1\n" },
	{ "a vhdx image", 0, 8, "vhdxfile" },
	{ "a vhd image", 0, 8, "conectix" },
	{ "a VDI image", 64, 4, "\x7f\x10\xda\xbe" },
	{ "a Parallels image", 0, 16, "WithoutFreeSpace" },
	{ "a gzip file", 0, 4, "\x1f\x8b\x08\0" },
	{ "an xz file", 0, 6, "\xfd\x37zXZ\0" },
	{ "a zstd file", 0, 4, "\x28\xb5\x2f\xfd" },
	{ "a bzip2 file", 0, 10, "BZh91AY&SY" },
	{ "an lz4 file", 0, 4, "\x04\x22\x4d\x18" },
	{ "a zip file", 0, 4, "PK\3\4" },
	{ "a 7z file", 0, 6, "7z\xbc\xaf\x27\x1c" },
	{ NULL, 0, 6, "LUKS\xba\xbe" },
	{ NULL, 510, 2, "\x55\xaa" },
	{ NULL, 512, 8, "EFI PART" },
	{ NULL, 512, 4, "QFI\xfb" },
	{ NULL, 0, 0, "" },
};

/* Makes an image that begins so, and holds nothing else. */
static void make_image(unsigned i)
{
	g_autofree char *data = g_malloc0(IMAGE_SIZE);

	memcpy(data + heads[i].offset, heads[i].bytes, heads[i].len);
	assert_true(g_file_set_contents(image_path, data, IMAGE_SIZE, NULL));
}

static void opens(struct kit_core *c, const char *option)
{
	g_autoptr(GError) error = NULL;

	if (!kit_core_open(c, &error, image_arg, option, NULL))
		fail_msg("%s", error->message);
	kit_core_close(c);
}

static void test_unmeant_formats(void **state)
{
	struct kit_core *c = *state;

	for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++) {
		make_image(i);
		opens(c, "--format=raw");
		if (!heads[i].name) {
			opens(c, "--format=auto");
			continue;
		}
		kit_core_open_fails(c, image_path, image_arg, NULL);
		kit_core_open_fails(c, heads[i].name, image_arg, "--read-only", NULL);
		kit_core_open_fails(c, "--format=raw", image_arg, "--direct", NULL);
	}
	kit_core_open_fails(c, "--format=qcow2: auto or raw", image_arg, "--format=qcow2", NULL);
}

/* A file too short for a magic has none. */
static void test_unmeant_short(void **state)
{
	struct kit_core *c = *state;

	assert_true(g_file_set_contents(image_path, "QFI", 3, NULL));
	opens(c, NULL);
	assert_true(g_file_set_contents(image_path, "", 0, NULL));
	opens(c, NULL);
}

/* A guest may do with its disk what it likes, and the administrator learns what follows from it. */
static void test_unmeant_by_guest(void **state)
{
	struct kit_core *c = *state;
	uint8_t data[1024] = "QFI\xfb";

	image_open(c, NULL);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 1, data, 1024), VIRTIO_BLK_S_OK);
	assert_string_equal(c->log, "");
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 0, data, 1024), VIRTIO_BLK_S_OK);
	assert_non_null(strstr(c->log, image_path));
	assert_non_null(strstr(c->log, "a qcow2 image"));
	assert_non_null(strstr(c->log, "--format=raw"));
	kit_core_stop(c);
	kit_core_close(c);
	kit_core_open_fails(c, "a qcow2 image", image_arg, NULL);
	c->log[0] = '\0';
	assert_true(kit_core_open(c, NULL, image_arg, "--format=raw", NULL));
	kit_core_resume(c);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 0, data, 1024), VIRTIO_BLK_S_OK);
	assert_string_equal(c->log, "");
}

/* Makes a loop device on the image, until it is closed; -1: this machine or user has none. */
static int loop_open(char **path)
{
	autofd control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image = -1, loop = -1;
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };

	*path = g_strdup_printf("/dev/loop%d", number);
	loop = number < 0 ? -1 : open(*path, O_RDWR | O_CLOEXEC);
	image = open(image_path, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_SET_FD, image) < 0)
		return -1;
	assert_int_equal(ioctl(loop, LOOP_SET_STATUS64, &info), 0);
	return fd_steal(&loop);
}

static void test_unmeant_device_in_use(void **state)
{
	g_autofree char *path = NULL, *arg = NULL;
	struct kit_core *c = *state;
	autofd loop = loop_open(&path), claim = -1;
	uint8_t data[512] = "data";

	if (loop < 0) {
		printf("SKIPPED: no loop device can be made here\n");
		skip();
	}
	arg = g_strconcat("--blk-file=", path, NULL);
	assert_true(kit_core_open(c, NULL, arg, NULL));
	kit_core_close(c);
	/* As a mount does. */
	claim = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(claim >= 0);
	kit_core_open_fails(c, path, arg, NULL);
	kit_core_open_fails(c, "is in use on this host", arg, "--format=raw", NULL);
	kit_core_open_fails(c, "--force", arg, "--direct", NULL);
	assert_true(kit_core_open(c, NULL, arg, "--read-only", NULL));
	kit_core_close(c);
	assert_true(kit_core_open(c, NULL, arg, "--force", NULL));
	kit_core_start(c, 0);
	assert_int_equal(blk_request(c, VIRTIO_BLK_T_OUT, 1, data, 512), VIRTIO_BLK_S_OK);
	kit_core_stop(c);
	kit_core_close(c);
	/* Serving it claims nothing. */
	fd_close(&claim);
	assert_true(kit_core_open(c, NULL, arg, NULL));
	claim = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	assert_true(claim >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_unmeant_formats, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(test_unmeant_short, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_unmeant_by_guest, image_setup, kit_core_teardown),
		cmocka_unit_test_setup_teardown(
			test_unmeant_device_in_use, image_setup, kit_core_teardown),
	};

	return cmocka_run_group_tests(tests, image_make_dir, image_remove_dir);
}
