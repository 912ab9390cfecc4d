/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_image.h. */
#include "tests/lib/test.h"

#include "blk_image.h"

#include <sys/stat.h>

#define F(bit) (1ull << VIRTIO_BLK_F_##bit)
/* As Linux negotiates. */
#define USUAL (F(FLUSH) | F(CONFIG_WCE) | F(DISCARD) | F(WRITE_ZEROES) | F(BLK_SIZE))

char *image_dir, *image_path, *image_arg;
static const char *engine = "auto";
static bool direct;

void image_fill(size_t size)
{
	g_autofree uint8_t *data = g_malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = i / 512 * 7 + i % 251 + i / 512 / 256 + 1;
	assert_true(g_file_set_contents(image_path, (char *)data, size, NULL));
}

void image_read(void *to, uint64_t offset, size_t len)
{
	int fd = open(image_path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(fd, to, len, offset), len);
	close(fd);
}

blkcnt_t image_blocks(void)
{
	struct stat st;

	assert_int_equal(stat(image_path, &st), 0);
	return st.st_blocks;
}

int image_setup(void **state)
{
	image_fill(IMAGE_SIZE);
	return kit_core_setup(state);
}

void image_open(struct kit_core *c, const char *option)
{
	g_autofree char *engine_arg = g_strconcat("--engine=", engine, NULL);
	const char *direct_arg = direct ? "--direct" : engine_arg;
	g_autoptr(GError) error = NULL;

	if (!kit_core_open(c, &error, image_arg, engine_arg, direct_arg, option, NULL))
		fail_msg("%s", error->message);
	kit_core_start(c, USUAL);
}

const struct virtio_blk_config *image_config(struct kit_core *c)
{
	return (const struct virtio_blk_config *)c->device.config;
}

bool image_set_engine(const char *name)
{
	g_autofree char *path = NULL;
	autofd fd = -1;

	if (!name)
		return true;
	if (!strncmp(name, "direct-", 7)) {
		direct = true;
		fd = g_file_open_tmp("virtiod-blk-XXXXXX", &path, NULL);
		fd_close(&fd);
		fd = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
		g_unlink(path);
		if (fd < 0) {
			printf("SKIPPED: no direct I/O in %s\n", g_get_tmp_dir());
			return false;
		}
		name += 7;
	}
	engine = name;
	return true;
}

bool image_engine_is(const char *name)
{
	return g_str_equal(engine, name);
}

int image_make_dir(void **state)
{
	image_dir = g_dir_make_tmp("virtiod-blk-XXXXXX", NULL);
	image_path = g_build_filename(image_dir, "image", NULL);
	image_arg = g_strdup_printf("--blk-file=%s", image_path);
	return image_dir ? 0 : -1;
}

int image_remove_dir(void **state)
{
	g_unlink(image_path);
	g_rmdir(image_dir);
	g_free(image_dir);
	g_free(image_path);
	g_free(image_arg);
	return 0;
}
