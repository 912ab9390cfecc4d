/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks as QEMU's (block/file-posix.c), which announces how an image is used by shared locks on
 * single bytes, two for each permission p: 100 + p for using p, 200 + p for denying p to others. A
 * user takes its bytes, then tests with a write lock whether another process denies what it uses or
 * uses what it denies. No byte is locked exclusively. This program takes what QEMU takes for a
 * guest's disk: it reads, writes unless read-only, and denies writing to others. A second writer is
 * therefore refused, in whichever order they start; read-only users coexist.
 */
#include "daemon/devices/blk/blk_lock.h"

#include <errno.h>
#include <fcntl.h>

#include "base/log.h"

#define LOCK_DOES(permission) (100 + (permission))
#define LOCK_FORBIDS(permission) (200 + (permission))
enum { PERM_READ, PERM_WRITE };

static bool lock_byte(int fd, off_t byte, short type)
{
	struct flock lock = { .l_type = type, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Tests for other users: an open file description does not conflict with itself. */
static bool is_locked(int fd, off_t byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Returns NULL, or in which way another process uses the image. */
static const char *take(int fd, const char *path, bool read_only)
{
	if (!lock_byte(fd, LOCK_DOES(PERM_READ), F_RDLCK) ||
		!lock_byte(fd, LOCK_FORBIDS(PERM_WRITE), F_RDLCK) ||
		(!read_only && !lock_byte(fd, LOCK_DOES(PERM_WRITE), F_RDLCK))) {
		if (errno == EAGAIN || errno == EACCES)
			return "locked";
		/* A file system without locks has no conflicts. */
		log_warning(path, "cannot be locked: %s", g_strerror(errno));
		return NULL;
	}
	if (is_locked(fd, LOCK_DOES(PERM_WRITE)))
		return "open for writing";
	if (is_locked(fd, LOCK_FORBIDS(PERM_READ)))
		return "in exclusive use";
	if (!read_only && is_locked(fd, LOCK_FORBIDS(PERM_WRITE)))
		return "protected against other writers";
	return NULL;
}

bool blk_lock_take(int fd, const char *path, bool read_only, GError **error)
{
	const char *conflict = take(fd, path, read_only);

	if (!conflict)
		return true;
	blk_lock_drop(fd);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN,
		"'%s' is %s by another process: is another virtiod-blk or QEMU using it?", path,
		conflict);
	return false;
}

void blk_lock_drop(int fd)
{
	lock_byte(fd, LOCK_DOES(PERM_READ), F_UNLCK);
	lock_byte(fd, LOCK_DOES(PERM_WRITE), F_UNLCK);
	lock_byte(fd, LOCK_FORBIDS(PERM_WRITE), F_UNLCK);
}
