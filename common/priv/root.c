/* SPDX-License-Identifier: Apache-2.0 */
/* chroot(2) to a directory that was opened earlier. */
#include "priv/root.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
		"cannot change the root directory: %s", g_strerror(errno));
	return false;
}
