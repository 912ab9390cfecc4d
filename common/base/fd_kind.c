/* SPDX-License-Identifier: Apache-2.0 */
/* See fd_kind.h. */
#include "base/fd_kind.h"

#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/util.h"

static bool is_kept; /* nothing can be opened any more */
static int kept_links = AT_FDCWD; /* /proc/self/fd, O_PATH; -1: there is no /proc */

void fd_kind_keep_proc(void)
{
	if (!is_kept)
		kept_links = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	is_kept = true;
}

/* Reads what the kernel itself says in /proc; false: there is no /proc, or no such file. */
static bool read_link(int fd, char *to, size_t size)
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s%d", is_kept ? "" : "/proc/self/fd/", fd);
	n = readlinkat(kept_links, path, to, size - 1);
	if (n < 0)
		return false;
	to[n] = '\0';
	return true;
}

char *fd_link(int fd)
{
	g_autofree char *text = g_malloc(PATH_MAX);

	return read_link(fd, text, PATH_MAX) ? g_strdup(text) : NULL;
}

static bool is_dmabuf(int fd)
{
	char path[32], text[512];
	autofd info = -1;
	ssize_t n;

	if (is_kept)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, "\nexp_name:") != NULL;
}

static enum fd_kind socket_kind(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX
		? FD_SOCKET
		: FD_OTHER;
}

/*
 * Tells the kind by the name. Files of file systems have a type, so that none with a path like one
 * of these names comes here.
 */
static enum fd_kind anonymous_kind(int fd)
{
	char name[32];

	if (!read_link(fd, name, sizeof(name)) || !strcmp(name, "anon_inode:[eventfd]"))
		return FD_EVENTFD;
	return g_str_has_prefix(name, "/dmabuf:") || is_dmabuf(fd) ? FD_DMABUF : FD_ANONYMOUS;
}

enum fd_kind fd_kind(int fd)
{
	struct statx st;

	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return FD_NONE;
	/* Seals are the page cache's; no file system is asked for them. */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return FD_MEMORY;
	/* The type of an open file is known; DONT_SYNC: FUSE is not asked for the rest. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return FD_OTHER;
	switch (st.stx_mode & S_IFMT) {
	case 0:
		return anonymous_kind(fd);
	case S_IFIFO:
		return FD_PIPE;
	case S_IFSOCK:
		return socket_kind(fd);
	case S_IFCHR:
		return FD_DEVICE;
	case S_IFREG:
		return is_dmabuf(fd) ? FD_DMABUF : FD_OTHER;
	}
	return FD_OTHER;
}

const char *fd_kind_name(enum fd_kind kind)
{
	static const char *const names[] = {
		[FD_NONE] = "no open file",
		[FD_EVENTFD] = "an eventfd",
		[FD_PIPE] = "a pipe",
		[FD_MEMORY] = "a file of tmpfs or hugetlbfs",
		[FD_DMABUF] = "a dma-buf",
		[FD_SOCKET] = "a socket",
		[FD_DEVICE] = "a character device",
		[FD_ANONYMOUS] = "an object of the kernel that is not an eventfd",
		[FD_OTHER] = "a file of another file system, or a network socket",
	};

	return names[kind];
}

bool fd_can_signal(int fd)
{
	enum fd_kind kind = fd_kind(fd);

	return kind == FD_EVENTFD || kind == FD_PIPE;
}
