// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a command with another process's open file: take_fd PID PATH COMMAND [ARGUMENT...]
 *
 * The first descriptor of the process that is open at PATH is taken as it is (pidfd_getfd(), not
 * opened anew) and left to the command as descriptor 9.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TAKEN 9

/* -1: none. */
static int find(const char *pid, const char *path)
{
	char folder[64], target[64];
	struct dirent *entry;
	int found = -1;
	ssize_t len;
	DIR *fds;

	snprintf(folder, sizeof(folder), "/proc/%s/fd", pid);
	fds = opendir(folder);
	while (fds && found < 0 && (entry = readdir(fds))) {
		len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (strcmp(target, path) == 0)
			found = atoi(entry->d_name);
	}
	if (fds)
		closedir(fds);
	return found;
}

int main(int argc, char **argv)
{
	int theirs, pidfd, fd;

	if (argc < 4) {
		fprintf(stderr, "usage: take_fd PID PATH COMMAND [ARGUMENT...]\n");
		return 2;
	}
	theirs = find(argv[1], argv[2]);
	if (theirs < 0) {
		fprintf(stderr, "take_fd: process %s has no %s open\n", argv[1], argv[2]);
		return 2;
	}
	pidfd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	if (fd < 0 || dup2(fd, TAKEN) < 0) {
		perror("take_fd");
		return 2;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 2;
}
