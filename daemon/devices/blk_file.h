/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk image of virtiod-blk: a raw file or a block device of the host, locked against other
 * users as QEMU locks it. After open nothing here changes but the size, so that any number of
 * threads may read and write at once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/iov.h"

struct blk_file {
	int fd; /* -1: not open */
	char *path;
	bool read_only;
	bool is_device;
	int sync_error; /* see blk_file_sync() */
	uint64_t size; /* in bytes */
	/* What the host says of it, in bytes; a plain file's logical block is 512. */
	uint32_t logical_block, physical_block, min_io, opt_io;
};

/* False: closed as before, and the error names the file. f->fd must be -1. */
bool blk_file_open(struct blk_file *f, const char *path, bool read_only, GError **error);
/* Releases the locks, too. A file that is not open is nothing. */
void blk_file_close(struct blk_file *f);
/* Takes the size anew. */
bool blk_file_update_size(struct blk_file *f, GError **error);

/*
 * All of these return 0 or -errno. Reading and writing move the cursor by what was done, to its
 * end unless they fail; -ENODATA: the file ends there.
 */
int blk_file_read(const struct blk_file *f, struct iov_cursor *in, uint64_t offset);
int blk_file_write(const struct blk_file *f, struct iov_cursor *out, uint64_t offset);
/*
 * Makes all completed writes stable. Fails for ever after it failed once: the kernel forgets what
 * it could not write, and a second fdatasync() would claim success for lost data.
 */
int blk_file_sync(struct blk_file *f);
/* The contents do not matter any more. -EOPNOTSUPP: the host cannot use the hint. */
int blk_file_discard(const struct blk_file *f, uint64_t offset, uint64_t len);
/* Always possible, if slowly. unmap: the space may be given back to the host. */
int blk_file_write_zeroes(const struct blk_file *f, uint64_t offset, uint64_t len, bool unmap);
