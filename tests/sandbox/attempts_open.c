/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts by means of what the process has open: folders, sockets, its log. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandbox/attempts_impl.h"

#define MAX_FDS 64
#define HOST_ROOT "../../../../../../../../"

/*
 * Descriptors of folders that the process still has: do they lead anywhere? The filter catches the
 * use of some.
 */
static long via_folders(long (*use)(int folder))
{
	int err = 0;

	for (int fd = 3; fd < MAX_FDS; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		attempts_caught = 0;
		if (use(fd) >= 0 && !attempts_caught)
			return 0;
		if (!attempts_caught)
			err = errno;
	}
	attempts_caught = !err;
	errno = err;
	return -1;
}

/* Looks up a name of the host. */
static long stat_outside(int folder)
{
	struct stat st;

	return fstatat(folder, HOST_ROOT "etc/passwd", &st, 0);
}

static long try_stat_outside(void)
{
	return via_folders(stat_outside);
}

static long readlink_outside(int folder)
{
	char to[64];

	return readlinkat(folder, HOST_ROOT "proc/self", to, sizeof(to));
}

static long try_readlink_outside(void)
{
	return via_folders(readlink_outside);
}

static long open_outside(int folder)
{
	return openat(folder, HOST_ROOT "etc/passwd", O_RDONLY);
}

static long try_open_outside(void)
{
	return via_folders(open_outside);
}

static long unlink_outside(int folder)
{
	return unlinkat(folder, "../victim", 0);
}

static long try_unlink_outside(void)
{
	return via_folders(unlink_outside);
}

/* Removes a file in the socket's own folder: permitted, so that the socket can be removed. */
static long unlink_sibling(int folder)
{
	return unlinkat(folder, "sibling", 0);
}

static long try_unlink_sibling(void)
{
	return via_folders(unlink_sibling);
}

/* Returns a socket of this type that is open and has a peer: to send nothing succeeds. Or -1. */
static int find_socket(int wanted)
{
	errno = EBADF;
	for (int fd = 3; fd < MAX_FDS; fd++) {
		int type;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){ sizeof(type) }) == 0 &&
			type == wanted &&
			(send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0 || errno == EAGAIN))
			return fd;
	}
	return -1;
}

/* Sends a datagram by a socket that is open (the service manager's) to another of the host. */
static long try_abstract_socket(void)
{
	static const struct sockaddr_un to = { AF_UNIX, "\0virtiod-victim" };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof("virtiod-victim");

	return sendto(find_socket(SOCK_DGRAM), "x", 1, 0, (const struct sockaddr *)&to, len);
}

static long try_datagram(void)
{
	return find_socket(SOCK_DGRAM);
}

static long try_peer(void)
{
	return find_socket(SOCK_STREAM);
}

static long try_write_log(void)
{
	return write(STDERR_FILENO, "!\n", 2);
}

/* Does what base/fd_discard.c does. */
static long try_closer(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return pid < 0 ? -1 : waitpid(pid, NULL, __WALL);
}

const struct escape_attempt attempts_open[] = {
	ATTEMPT(stat_outside),
	ATTEMPT(readlink_outside),
	ATTEMPT(open_outside),
	ATTEMPT(unlink_outside),
	ATTEMPT(unlink_sibling),
	ATTEMPT(abstract_socket),
	ATTEMPT(datagram),
	ATTEMPT(peer),
	ATTEMPT(write_log),
	ATTEMPT(closer),
	{ NULL },
};
