/* SPDX-License-Identifier: Apache-2.0 */
/* See new_file.h. The process removes the file also if this one is killed. */
#include "tools/new_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/start.h"
#include "base/util.h"
#include "priv/syscall_filter.h"

/* Gives up all but what is called later; sanitizers need more. */
static void confine(void)
{
#ifndef SANITIZED
	static const struct syscall_rule calls[] = { SYSCALL(unlinkat), SYSCALL_END };
	static const struct syscall_rule *const tables[] = { syscall_core, calls, NULL };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		syscall_filter_load(tables);
#endif
}

static void remove_unless_kept(int order, const char *path, const struct stat *made)
{
	struct stat st;
	char byte;

	start_close_fds((char *[]){ NULL }, (const int[]){ order, -1 });
	confine();
	if (read(order, &byte, 1) == 0 && fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		st.st_dev == made->st_dev && st.st_ino == made->st_ino && st.st_size == 0)
		unlinkat(AT_FDCWD, path, 0);
	_exit(0);
}

void new_file_guard(struct new_file *f, const char *path, int fd)
{
	sigset_t all, before;
	struct stat made;
	int ends[2];

	if (fstat(fd, &made) < 0 || !S_ISREG(made.st_mode) || pipe2(ends, O_CLOEXEC) < 0)
		return;
	/* Signals of the terminal are for this process, which then closes its end. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	f->pid = fork();
	if (f->pid == 0) {
		close(ends[1]);
		remove_unless_kept(ends[0], path, &made);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ends[0]);
	f->order = ends[1];
	if (f->pid > 0)
		return;
	f->pid = 0;
	close(ends[1]);
}

void new_file_keep(struct new_file *f)
{
	if (f->pid > 0)
		(void)!write(f->order, "", 1);
}

void new_file_end(struct new_file *f)
{
	if (f->pid <= 0)
		return;
	fd_close(&f->order);
	waitpid(f->pid, NULL, 0);
	f->pid = 0;
}
