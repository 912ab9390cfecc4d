// SPDX-License-Identifier: Apache-2.0
/*
 * Runs a command with each of another process's files of a path: take_fd PID PATH COMMAND
 * [ARGUMENT...]
 *
 * Every descriptor of the process that is open at PATH is taken as it is (pidfd_getfd(), not opened
 * anew) and left to a run of the command as descriptor 9. There must be one; each run must succeed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKEN 9

/* Returns the command's exit status. */
static int run(int fd, char **command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (fd >= 0 && dup2(fd, TAKEN) >= 0)
			execvp(*command, command);
		perror("take_fd");
		_exit(2);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return 2;
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	char folder[64], target[64];
	struct dirent *entry;
	int pidfd, fd, runs = 0, status = 0;
	ssize_t len;
	DIR *fds;

	if (argc < 4) {
		fprintf(stderr, "usage: take_fd PID PATH COMMAND [ARGUMENT...]\n");
		return 2;
	}
	pidfd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	snprintf(folder, sizeof(folder), "/proc/%s/fd", argv[1]);
	fds = opendir(folder);
	while (fds && (entry = readdir(fds))) {
		len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (strcmp(target, argv[2]) != 0)
			continue;
		fd = syscall(SYS_pidfd_getfd, pidfd, atoi(entry->d_name), 0);
		status |= run(fd, argv + 3);
		close(fd);
		runs++;
	}
	printf("%d of %s\n", runs, argv[2]);
	return runs ? status : 2;
}
