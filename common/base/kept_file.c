/* SPDX-License-Identifier: Apache-2.0 */
/* See kept_file.h. */
#include "base/kept_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/util.h"

int kept_file_open(const char *path, off_t *size, GError **error)
{
	autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(error, errno, "cannot use the file '%s'", path);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"cannot use the file '%s': it is no regular file", path);
		return -1;
	}
	if (size)
		*size = st.st_size;
	return fd_steal(&fd);
}
