/* SPDX-License-Identifier: Apache-2.0 */
/* chroot(2) to a directory that was opened earlier. */
#include "priv/root.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"

int root_open(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool root_change(int *dir, GError **error)
{
	if (fchdir(*dir) == 0 && chroot(".") == 0 && chdir("/") == 0) {
		fd_close(dir);
		return true;
	}
	error_errno(error, errno, "cannot change the root directory");
	return false;
}
