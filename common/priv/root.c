/* SPDX-License-Identifier: Apache-2.0 */
/* chroot(2) to a directory that was opened earlier, or to none. */
#include "priv/root.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
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

/* Runs in another process, which has our memory, root and working directory. */
static int enter_own_folder(void *unused)
{
	_exit(chdir("/proc/self/fdinfo") == 0 && chroot(".") == 0 && chdir("/") == 0 ? 0 : errno);
}

/* Enters what /proc has of a process, which then ends: it is empty, and stays so. */
bool root_leave(void)
{
	char stack[8 << 10] __attribute__((aligned(16)));
	pid_t pid = clone(
		enter_own_folder, stack + sizeof(stack), CLONE_FS | CLONE_VM | CLONE_VFORK, NULL);
	int status;

	if (pid < 0 || waitpid(pid, &status, __WALL) < 0)
		return false;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	return errno == 0;
}
