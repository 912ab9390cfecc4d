/* SPDX-License-Identifier: Apache-2.0 */
/* chroot(2) to a directory that was opened earlier, or to none. */
#include "priv/root.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

static void *enter_own_folder(void *unused)
{
	bool ok = chdir("/proc/thread-self/fdinfo") == 0 && chroot(".") == 0 && chdir("/") == 0;

	return GINT_TO_POINTER(ok ? 0 : errno);
}

/*
 * Enters what /proc has of a thread, which then ends: it is empty, and stays so. Threads share the
 * root; another process would keep our files open for a moment if this one were killed here.
 */
bool root_leave(void)
{
	pthread_t thread;
	void *err;

	errno = pthread_create(&thread, NULL, enter_own_folder, NULL);
	if (errno)
		return false;
	pthread_join(thread, &err);
	errno = GPOINTER_TO_INT(err);
	return errno == 0;
}
