/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file descriptor is that another process has sent. This is found out without a call that
 * its file system may answer: one of FUSE may be that other process, which never answers, and a
 * thread that waits for it cannot even be killed. fstat(), read(), write(), mmap() with an access,
 * and close() are such calls.
 */
#pragma once

#include <stdbool.h>

enum fd_kind {
	FD_NONE, /* not open */
	FD_EVENTFD,
	FD_PIPE, /* or a FIFO */
	FD_MEMORY, /* a memfd, or a file of tmpfs or hugetlbfs */
	FD_DMABUF,
	FD_SOCKET, /* a Unix socket */
	FD_DEVICE, /* a character device */
	FD_ANONYMOUS, /* another object of the kernel without a file system */
	FD_OTHER, /* a file of any other file system, or a network socket: close() may wait */
};

/*
 * Keeps what it asks of /proc open, for the time when its path cannot be found or not be opened (in
 * another root directory, in a sandbox). Linux 6.16 made dma-bufs look like files: these cannot be
 * told apart then, and are FD_OTHER.
 */
void fd_kind_keep_proc(void);
/*
 * Returns the name by which the kernel knows an open file now: its path, with " (deleted)" after
 * one that is removed. The caller frees; NULL: there is no /proc.
 */
char *fd_link(int fd);
/* Without /proc, which was not kept either, FD_ANONYMOUS is also reported as FD_EVENTFD. */
enum fd_kind fd_kind(int fd);
/* "an eventfd" and so on, for messages. */
const char *fd_kind_name(enum fd_kind kind);
/* Returns whether the kernel's objects that signal are: eventfds and pipes. */
bool fd_can_signal(int fd);

/*
 * Closes an fd of another process, -1 is nothing. If close() may wait (FD_OTHER), a process of its
 * own does it, which shares our fds and may stay until that file system answers or ends. Any
 * thread.
 */
void fd_discard(int fd);
/* Likewise n of them, which become -1. */
void fds_discard(int *fds, unsigned n);
