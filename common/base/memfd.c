/* SPDX-License-Identifier: Apache-2.0 */
/* See memfd.h. */
#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"

int memfd_sealed(const char *name, uint64_t size)
{
	autofd fd = -1;

	if (size > INT64_MAX) {
		errno = EFBIG;
		return -1;
	}
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	return fd_steal(&fd);
}
