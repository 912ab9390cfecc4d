/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk image of virtiod-blk: a raw file or a block device of the host, locked against other
 * users as QEMU locks it. After open nothing here changes but the size.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct blk_file {
	int fd; /* through the page cache, whatever `direct` says */
	int lock; /* holds the locks */
	char *path;
	bool read_only;
	bool direct; /* past the page cache, where alignment allows */
	bool is_device;
	dev_t device; /* which file it is */
	ino_t inode;
	uint64_t size; /* in bytes */
	/* What the host says of it, in bytes; a plain file's logical block is 512. */
	uint32_t logical_block, physical_block, min_io, opt_io;
	/* direct: what addresses, and offsets and lengths, are to be multiples of. */
	uint32_t mem_align, offset_align;
};

/* False: closed as before, and the error names the file. */
bool blk_file_open(
	struct blk_file *f, const char *path, bool read_only, bool direct, GError **error);
/* Releases the locks, too. A file that is not open (all zeroes but fd, lock: -1) is nothing. */
void blk_file_close(struct blk_file *f);
/* An fd of its own for a queue, O_DIRECT if f->direct; -1: error is set. */
int blk_file_open_queue(const struct blk_file *f, GError **error);
/* Takes the size anew. */
bool blk_file_update_size(struct blk_file *f, GError **error);
