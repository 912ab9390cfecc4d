/* SPDX-License-Identifier: Apache-2.0 */
/* Locks ranges of a file, which has no contents: the kernel finds overlaps. */
#include "xen/supervisor/range_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/error.h"
#include "base/util.h"

/* Guest addresses have at most 48 bits, domids 15: together an offset in the file. */
#define ADDRESS_BITS 48

int range_lock(const char *run, unsigned domid, uint64_t base, uint64_t size, GError **error)
{
	g_autofree char *path = g_strdup_printf("%s/xen.ranges", run);
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_start = (off_t)((uint64_t)domid << ADDRESS_BITS | base),
		.l_len = (off_t)size,
	};
	autofd fd = -1;

	if (base >> ADDRESS_BITS || (base + size) >> ADDRESS_BITS) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"base 0x%" PRIx64 ": beyond the guest's address space", base);
		return -1;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd_steal(&fd);
	if (fd >= 0 && (errno == EAGAIN || errno == EACCES))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"base 0x%" PRIx64 ": another virtiod-xen serves a device there", base);
	else
		error_errno(error, errno, "%s", path);
	return -1;
}
