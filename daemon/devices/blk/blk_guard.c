/* SPDX-License-Identifier: Apache-2.0 */
/* See blk_guard.h. */
#include "daemon/devices/blk/blk_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"

/* Encryption (LUKS) and partition tables are what raw disks hold. */
static const struct {
	const char *name;
	const char *magic;
	unsigned len, offset;
	bool compressed;
} formats[] = {
	{ "a qcow image", "QFI\xfb\0\0\0\1", 8 },
	{ "a qcow2 image", "QFI\xfb", 4 },
	{ "a qed image", "QED\0", 4 },
	{ "a vmdk image", "KDMV", 4 },
	{ "a vmdk image", "COWD", 4 },
	{ "a vmdk descriptor", "# Disk DescriptorFile", 21 },
	{ "a vhdx image", "vhdxfile", 8 },
	{ "a vhd image", "conectix", 8 },
	{ "a VDI image", "\x7f\x10\xda\xbe", 4, .offset = 64 },
	{ "a Parallels image", "WithoutFreeSpace", 16 },
	{ "a Parallels image", "WithouFreSpacExt", 16 },
	{ "a gzip file", "\x1f\x8b\x08", 3, .compressed = true },
	{ "an xz file",
		"\xfd"
		"7zXZ\0",
		6, .compressed = true },
	{ "a zstd file", "\x28\xb5\x2f\xfd", 4, .compressed = true },
	{ "a bzip2 file", "1AY&SY", 6, .offset = 4, .compressed = true },
	{ "an lz4 file", "\x04\x22\x4d\x18", 4, .compressed = true },
	{ "a zip file", "PK\3\4", 4, .compressed = true },
	{ "a 7z file", "7z\xbc\xaf\x27\x1c", 6, .compressed = true },
};

static int find_format(const void *head, size_t len)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
		unsigned at = formats[i].offset, n = formats[i].len;

		if (at + n <= len && !memcmp((const char *)head + at, formats[i].magic, n))
			return i;
	}
	return -1;
}

const char *blk_guard_format(const void *head, size_t len)
{
	int i = find_format(head, len);

	return i < 0 ? NULL : formats[i].name;
}

bool blk_guard_check_format(int fd, const char *path, GError **error)
{
	char head[BLK_GUARD_HEAD];
	ssize_t len = pread(fd, head, sizeof(head), 0);
	int i = len < 0 ? -1 : find_format(head, len);

	/* What cannot be read fails later, by name. */
	if (i < 0)
		return true;
	/* The guest may have written that: it is no reason to trust what an image refers to. */
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"'%s' begins as %s does, but only raw images are served (%s first; or, if it is "
		"the raw disk of a guest that wrote this into it, add --format=raw)",
		path, formats[i].name,
		formats[i].compressed ? "decompress it" : "convert it by qemu-img convert -O raw");
}

bool blk_guard_check_use(const char *path, GError **error)
{
	/* On a block device, O_EXCL fails while the kernel uses it or one of its partitions. */
	autofd fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 || errno != EBUSY)
		return true;
	return error_set(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"'%s' is in use on this host (mounted, swap, or part of a volume group or a RAID): "
		"a guest that writes to it destroys what it holds (unmount it, or add --read-only; "
		"--force serves it all the same)",
		path);
}
