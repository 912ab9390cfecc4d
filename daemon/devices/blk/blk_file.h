/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk image of virtiod-blk: a raw file or a block device of the host, locked against other
 * users as QEMU locks it. After open nothing here changes but the size, and whether it is locked.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct blk_file {
	int fd; /* through the page cache, also with `direct` */
	int lock; /* for the locks alone */
	bool locked;
	char *path;
	char *link; /* fd_link() at the start; NULL: not known */
	bool read_only;
	bool direct; /* past the page cache, where alignment allows */
	bool is_device;
	dev_t device, rdev; /* which file it is */
	ino_t inode;
	dev_t root_device; /* where its path begins */
	ino_t root_inode;
	uint64_t size; /* in bytes */
	/* As the host reports them, in bytes; a plain file's logical block is 512. */
	uint32_t logical_block, physical_block, min_io, opt_io;
	/* direct: the alignment of addresses, and of offsets and lengths. */
	uint32_t mem_align, offset_align;
};

struct blk_file_setup {
	const char *path;
	bool read_only, direct;
	bool raw; /* whatever it begins with */
	bool force; /* although this host uses it */
	bool incoming; /* not locked yet: blk_file_lock() follows */
};

/* Opens and locks it (but see incoming). False: it remains closed, and the error names the file. */
bool blk_file_open(struct blk_file *f, const struct blk_file_setup *setup, GError **error);
/* Releases the locks, too. Does nothing if it is not open (zeroes; fd and lock -1). */
void blk_file_close(struct blk_file *f);
/* Locks it unless it is. False: another process uses it, which the error says. */
bool blk_file_lock(struct blk_file *f, GError **error);
/* Makes stable what was written, and lets others use it. */
void blk_file_unlock(struct blk_file *f);
/* Others have used it: forgets what is cached of it. */
void blk_file_refresh(const struct blk_file *f);
/* Returns an fd for one queue, O_DIRECT if f->direct; -1 with an error. */
int blk_file_open_queue(const struct blk_file *f, GError **error);
/* Logs it if the path does not lead to the file any more. */
void blk_file_check_name(const struct blk_file *f);
/* Reads the size again. */
bool blk_file_update_size(struct blk_file *f, GError **error);
