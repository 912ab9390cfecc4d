/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk image of virtiod-blk: opening, locking, and synchronous input and output.
 *
 * Locks. QEMU (block/file-posix.c) tells others what a user of an image does, and what it cannot
 * bear others to do, by shared locks on single bytes, two for each permission: 100 + p says "I do
 * p", 200 + p says "nobody else may do p". A user takes its bytes, then tests, as a writer would,
 * whether anybody holds a byte that forbids what it does or does what it forbids. No byte is ever
 * locked exclusively. We take what QEMU takes for a guest's disk: reading, writing unless
 * read-only, and no writing by others. So a second writer is refused, whoever came first, and
 * read-only users coexist.
 */
#include "daemon/devices/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"

#define LOCK_DOES(permission) (100 + (permission))
#define LOCK_FORBIDS(permission) (200 + (permission))
enum { PERM_READ, PERM_WRITE };

/* For one system call; longer lists take several. */
#define MAX_IOV 64

static bool lock_byte(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* By anybody else: an open file description does not conflict with itself. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* NULL, or in which way somebody else uses the image. */
static const char *lock_image(const struct blk_file *f)
{
	if (!lock_byte(f->fd, LOCK_DOES(PERM_READ)) ||
		!lock_byte(f->fd, LOCK_FORBIDS(PERM_WRITE)) ||
		(!f->read_only && !lock_byte(f->fd, LOCK_DOES(PERM_WRITE)))) {
		if (errno == EAGAIN || errno == EACCES)
			return "locked";
		/* A file system without locks: nobody can be in conflict there. */
		log_warning(f->path, "cannot be locked: %s", g_strerror(errno));
		return NULL;
	}
	if (is_locked(f->fd, LOCK_DOES(PERM_WRITE)))
		return "open for writing";
	if (is_locked(f->fd, LOCK_FORBIDS(PERM_READ)))
		return "in exclusive use";
	if (!f->read_only && is_locked(f->fd, LOCK_FORBIDS(PERM_WRITE)))
		return "protected against other writers";
	return NULL;
}

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

/* Block sizes, and the I/O sizes that the host prefers; what it does not tell keeps a default. */
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

static bool open_locked(struct blk_file *f, GError **error)
{
	const char *conflict;
	struct stat st;

	/* Before open(), which would wait for the writer of a FIFO named by mistake. */
	if (stat(f->path, &st) < 0)
		return errno_error(error, "cannot open", f->path);
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"'%s' is neither a regular file nor a block device", f->path);
		return false;
	}
	f->fd = open(f->path, (f->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return errno_error(error, "cannot open", f->path);
	f->is_device = S_ISBLK(st.st_mode);
	conflict = lock_image(f);
	if (conflict) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
			"'%s' is %s by another process: is another virtiod-blk or QEMU using it?",
			f->path, conflict);
		return false;
	}
	query_limits(f, &st);
	return blk_file_update_size(f, error);
}

bool blk_file_open(struct blk_file *f, const char *path, bool read_only, GError **error)
{
	f->path = g_strdup(path);
	f->read_only = read_only;
	if (open_locked(f, error))
		return true;
	blk_file_close(f);
	return false;
}

void blk_file_close(struct blk_file *f)
{
	fd_close(&f->fd);
	g_clear_pointer(&f->path, g_free);
}

/* preadv() and pwritev() are alike but for a const. */
typedef ssize_t (*transfer_fn)(int fd, const struct iovec *iov, int n, off_t offset);

/* Straight between guest memory and the file; short results are resumed. */
static int transfer(int fd, struct iov_cursor *c, uint64_t offset, transfer_fn call)
{
	struct iovec iov[MAX_IOV];
	unsigned n;
	ssize_t done;

	while (iov_left(c) > 0) {
		iov_peek(c, SIZE_MAX, iov, MAX_IOV, &n);
		done = call(fd, iov, n, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return -ENODATA;
		iov_skip(c, done);
		offset += done;
	}
	return 0;
}

int blk_file_read(const struct blk_file *f, struct iov_cursor *in, uint64_t offset)
{
	return transfer(f->fd, in, offset, preadv);
}

int blk_file_write(const struct blk_file *f, struct iov_cursor *out, uint64_t offset)
{
	return transfer(f->fd, out, offset, pwritev);
}

int blk_file_sync(struct blk_file *f)
{
	int failed = __atomic_load_n(&f->sync_error, __ATOMIC_RELAXED);

	if (failed)
		return failed;
	while (fdatasync(f->fd) < 0) {
		if (errno != EINTR) {
			failed = -errno;
			__atomic_store_n(&f->sync_error, failed, __ATOMIC_RELAXED);
			return failed;
		}
	}
	return 0;
}

/* 0 or -errno; what the kernel, the file system or the disk cannot do is always -EOPNOTSUPP. */
static int allocate(const struct blk_file *f, int mode, uint64_t offset, uint64_t len)
{
	while (fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, offset, len) < 0) {
		if (errno == ENOSYS || errno == ENODEV)
			return -EOPNOTSUPP;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int blk_file_discard(const struct blk_file *f, uint64_t offset, uint64_t len)
{
	uint64_t first = align_up(offset, f->logical_block);
	uint64_t end = (offset + len) & ~(uint64_t)(f->logical_block - 1);
	uint64_t range[2] = { first, end - first };

	/* Punching a hole in a device would insist on zeroes, which a discard need not leave. */
	if (!f->is_device)
		return allocate(f, FALLOC_FL_PUNCH_HOLE, offset, len);
	/* Whole blocks are all that a device takes; the guest's may be smaller. */
	if (first >= end)
		return 0;
	while (ioctl(f->fd, BLKDISCARD, range) < 0) {
		if (errno == ENOTTY)
			return -EOPNOTSUPP;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

int blk_file_write_zeroes(const struct blk_file *f, uint64_t offset, uint64_t len, bool unmap)
{
	static const uint8_t zeroes[4096];
	struct iovec iov[MAX_IOV];
	struct iov_cursor c;
	uint64_t done;
	int r = 0;

	if (unmap && allocate(f, FALLOC_FL_PUNCH_HOLE, offset, len) == 0)
		return 0;
	if (allocate(f, FALLOC_FL_ZERO_RANGE, offset, len) == 0)
		return 0;
	for (unsigned i = 0; i < MAX_IOV; i++)
		iov[i] = (struct iovec){ (void *)zeroes, sizeof(zeroes) };
	for (; r == 0 && len > 0; offset += done, len -= done) {
		c = iov_cursor(iov, MAX_IOV, MIN(len, MAX_IOV * sizeof(zeroes)));
		done = iov_left(&c);
		r = blk_file_write(f, &c, offset);
	}
	return r;
}
