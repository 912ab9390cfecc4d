/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk image of virtiod-blk: opening, its size and limits. Its locks: blk_lock.c.
 *
 * The locks have an open file description of their own. Locks last as long as their description,
 * and an io_uring holds the files registered with it for a while after its process has died: a
 * program started as a replacement would be refused.
 *
 * Each queue opens the file separately. Threads that share a file description contend for its
 * reference count, and the kernel reports a failed write-back once for each description: of two
 * queues that sync one description at the same time, one would see success.
 */
#include "daemon/devices/blk/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd_kind.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/devices/blk/blk_guard.h"
#include "daemon/devices/blk/blk_lock.h"

#define DIRECT_ALIGN_MAX 4096

static bool errno_error(GError **error, const char *what, const char *path)
{
	int saved = errno;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(saved), "%s '%s': %s", what, path,
		g_strerror(saved));
	return false;
}

bool blk_file_update_size(struct blk_file *f, GError **error)
{
	uint64_t size;
	struct stat st;

	if (f->is_device) {
		if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
			return errno_error(error, "cannot tell the size of", f->path);
	} else {
		if (fstat(f->fd, &st) < 0)
			return errno_error(error, "cannot tell the size of", f->path);
		size = st.st_size;
	}
	f->size = size;
	return true;
}

static bool is_power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/*
 * Reads block sizes, and the I/O sizes that the host prefers; what it does not tell keeps a
 * default.
 */
static void query_limits(struct blk_file *f, const struct stat *st)
{
	unsigned physical = 0, min_io = 0, opt_io = 0;
	int logical = 512;

	if (f->is_device) {
		if (ioctl(f->fd, BLKSSZGET, &logical) < 0 || logical < 512)
			logical = 512;
		if (ioctl(f->fd, BLKPBSZGET, &physical) < 0)
			physical = 0;
		if (ioctl(f->fd, BLKIOMIN, &min_io) < 0)
			min_io = 0;
		if (ioctl(f->fd, BLKIOOPT, &opt_io) < 0)
			opt_io = 0;
	} else if (st->st_blksize <= 65536) {
		physical = st->st_blksize;
	}
	f->logical_block = logical;
	f->physical_block =
		is_power_of_two(physical) ? MAX(physical, f->logical_block) : f->logical_block;
	f->min_io = MAX(min_io, f->physical_block);
	f->opt_io = opt_io;
}

/* Takes the alignment of direct I/O from statx() (Linux 6.1); false: not known there. */
static bool ask_alignment(struct blk_file *f)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
		sx.stx_mask & STATX_DIOALIGN && is_power_of_two(sx.stx_dio_mem_align) &&
		is_power_of_two(sx.stx_dio_offset_align)) {
		f->mem_align = sx.stx_dio_mem_align;
		f->offset_align = MAX(sx.stx_dio_offset_align, 512);
		return true;
	}
#endif
	return false;
}

/* Returns the least of 512, 1024 ... that works as length and address alignment of a read. */
static uint32_t try_alignment(int fd, char *buf, bool memory)
{
	for (uint32_t align = 512; align < DIRECT_ALIGN_MAX; align *= 2) {
		ssize_t n = memory ? pread(fd, buf + align, DIRECT_ALIGN_MAX, 0)
				   : pread(fd, buf, align, 0);

		if (n >= 0 || errno != EINVAL)
			return align;
	}
	return DIRECT_ALIGN_MAX;
}

/* Finds what direct I/O asks of addresses and offsets, said by the kernel or found out. */
static bool query_alignment(struct blk_file *f, GError **error)
{
	autofd fd = blk_file_open_queue(f, error);
	void *buf;

	if (fd < 0)
		return false;
	if (!ask_alignment(f)) {
		buf = g_aligned_alloc(2, DIRECT_ALIGN_MAX, DIRECT_ALIGN_MAX);
		f->offset_align = try_alignment(fd, buf, false);
		f->mem_align = try_alignment(fd, buf, true);
		g_aligned_free(buf);
	}
	/* The guest's blocks stay as small: it may have been installed without direct I/O. */
	f->physical_block = MAX(f->physical_block, f->offset_align);
	f->min_io = MAX(f->min_io, f->physical_block);
	return true;
}

/* Checks before open(), which would wait for the writer of a FIFO named by mistake. */
static bool check_kind(struct blk_file *f, GError **error)
{
	struct stat st;

	if (stat("/", &st) == 0) {
		f->root_device = st.st_dev;
		f->root_inode = st.st_ino;
	}
	if (stat(f->path, &st) < 0)
		return errno_error(error, "cannot open", f->path);
	f->is_device = S_ISBLK(st.st_mode);
	f->device = st.st_dev;
	f->inode = st.st_ino;
	f->rdev = st.st_rdev;
	if (f->is_device || S_ISREG(st.st_mode))
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"'%s' is neither a regular file nor a block device", f->path);
	return false;
}

/*
 * Does the same where no path leads anywhere, but for devices: udev makes nodes of the same one
 * again and again.
 */
static const char *lost_link(const struct blk_file *f)
{
	g_autofree char *now = f->is_device || !f->link ? NULL : fd_link(f->fd);

	return now && !g_str_equal(now, f->link) ? "has been renamed, removed or replaced" : NULL;
}

/* Returns what has become of the file's name; NULL: it still leads to the file, or cannot. */
static const char *lost_name(const struct blk_file *f)
{
	struct stat st, root;

	if (fstat(f->fd, &st) == 0 && !st.st_nlink)
		return "has been removed or replaced";
	/* In another root directory (--chroot, --sandbox) no name leads anywhere. */
	if (stat("/", &root) < 0 || root.st_dev != f->root_device || root.st_ino != f->root_inode)
		return lost_link(f);
	if (stat(f->path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? "has been renamed or removed" : NULL;
	/* udev makes nodes of the same device again and again. */
	if (f->is_device ? !S_ISBLK(st.st_mode) || st.st_rdev != f->rdev
			 : st.st_dev != f->device || st.st_ino != f->inode)
		return "is another file now";
	return NULL;
}

void blk_file_check_name(const struct blk_file *f)
{
	const char *how = lost_name(f);

	if (how)
		log_warning(f->path,
			"%s: the file that was opened at the start is served all the same "
			"(restart virtiod-blk to serve another)",
			how);
}

/*
 * Reports it. Writing may be what is not permitted, or the mount is read-only: then there is a
 * remedy.
 */
static int open_failed(const struct blk_file *f, const char *what, GError **error)
{
	int err = errno;
	bool readable = !f->read_only && (err == EROFS || err == EACCES || err == EPERM) &&
		access(f->path, R_OK) == 0;

	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "%s '%s': %s%s", what,
		f->path, g_strerror(err), readable ? " (it can be read: try --read-only)" : "");
	return -1;
}

/* Opens the same file each time, whatever becomes of its name. -1: error is set. */
static int open_again(const struct blk_file *f, int flags, GError **error)
{
	int mode = (f->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | flags;
	/* Each read would look whether to note the time; only the file's owner may do without. */
	autofd fd = open(f->path, mode | O_NOATIME);
	struct stat st;

	if (fd < 0 && errno == EPERM)
		fd = open(f->path, mode);
	if (fd < 0 || fstat(fd, &st) < 0)
		return open_failed(
			f, flags & O_DIRECT ? "cannot open for direct I/O" : "cannot open", error);
	if (st.st_dev != f->device || st.st_ino != f->inode) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
			"'%s' was replaced while it was opened", f->path);
		return -1;
	}
	return fd_steal(&fd);
}

static bool open_file(struct blk_file *f, GError **error)
{
	if (!check_kind(f, error))
		return false;
	f->fd = open_again(f, 0, error);
	f->link = f->fd < 0 ? NULL : fd_link(f->fd);
	return f->fd >= 0;
}

bool blk_file_lock(struct blk_file *f, GError **error)
{
	if (f->locked)
		return true;
	if (!blk_lock_take(f->lock, f->path, f->read_only, error))
		return false;
	f->locked = true;
	return true;
}

void blk_file_unlock(struct blk_file *f)
{
	/* Who uses the image next may be on another host, where only what is stable is seen. */
	if (!f->read_only && fdatasync(f->fd) < 0)
		log_error(NULL, "cannot flush '%s': %s", f->path, g_strerror(errno));
	blk_lock_drop(f->lock);
	f->locked = false;
}

void blk_file_refresh(const struct blk_file *f)
{
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static bool query_file(struct blk_file *f, GError **error)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return errno_error(error, "cannot open", f->path);
	query_limits(f, &st);
	return blk_file_update_size(f, error) && (!f->direct || query_alignment(f, error));
}

static bool lock_file(struct blk_file *f, bool incoming, GError **error)
{
	f->lock = open_again(f, 0, error);
	return f->lock >= 0 && (incoming || blk_file_lock(f, error)) && query_file(f, error);
}

/* Checks before the locks: a file that is not meant is left alone. */
static bool check_meaning(
	const struct blk_file *f, const struct blk_file_setup *setup, GError **error)
{
	if (f->is_device && !f->read_only && !setup->force && !blk_guard_check_use(f->path, error))
		return false;
	return setup->raw || blk_guard_check_format(f->fd, f->path, error);
}

bool blk_file_open(struct blk_file *f, const struct blk_file_setup *setup, GError **error)
{
	f->path = g_strdup(setup->path);
	f->read_only = setup->read_only;
	f->direct = setup->direct;
	f->fd = f->lock = -1;
	if (open_file(f, error) && check_meaning(f, setup, error) &&
		lock_file(f, setup->incoming, error))
		return true;
	blk_file_close(f);
	return false;
}

int blk_file_open_queue(const struct blk_file *f, GError **error)
{
	return open_again(f, f->direct ? O_DIRECT : 0, error);
}

void blk_file_close(struct blk_file *f)
{
	fd_close(&f->fd);
	fd_close(&f->lock);
	f->locked = false;
	g_clear_pointer(&f->path, g_free);
	g_clear_pointer(&f->link, g_free);
}
