/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a program takes from before fork() to a socket that can be connected to:
 *
 *	start_bench RUNS CPU SOCKET PROGRAM [ARGUMENT...]
 *
 * prints one figure a run, in microseconds. The program runs on that CPU; its parent, on another
 * one if there is, does nothing but try to connect.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define PATIENCE_NS UINT64_C(10000000000)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static bool wait_connected(int fd, const struct sockaddr_un *address, pid_t pid, uint64_t end)
{
	siginfo_t ended = { 0 };

	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno != ENOENT && errno != ECONNREFUSED) {
			perror("start_bench: connect");
			return false;
		}
		waitid(P_PID, pid, &ended, WEXITED | WNOHANG | WNOWAIT);
		if (ended.si_pid || now_ns() > end) {
			fprintf(stderr, "start_bench: process %d does not listen\n", (int)pid);
			return false;
		}
	}
	return true;
}

/* Ends the program that ran; one that had ended by itself is a failure. */
static bool end_process(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) == pid && status == 0)
		return true;
	fprintf(stderr, "start_bench: process %d ended with status %#x\n", (int)pid, status);
	return false;
}

static bool run_once(const struct sockaddr_un *address, int cpu, char **argv)
{
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t begin, end;
	bool connected;
	cpu_set_t cpus;
	pid_t pid;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	unlink(address->sun_path);
	begin = now_ns();
	pid = fork();
	if (pid < 0) {
		perror("start_bench: fork");
		return false;
	}
	if (pid == 0) {
		sched_setaffinity(0, sizeof(cpus), &cpus);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	connected = wait_connected(fd, address, pid, begin + PATIENCE_NS);
	end = now_ns();
	if (!end_process(pid) || !connected)
		return false;
	printf("%.1f\n", (end - begin) / 1000.0);
	return true;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (argc < 5 || strlen(argv[3]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "usage: start_bench RUNS CPU SOCKET PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	strcpy(address.sun_path, argv[3]);
	for (int runs = atoi(argv[1]); runs > 0; runs--) {
		if (!run_once(&address, atoi(argv[2]), argv + 4))
			return 1;
	}
	return 0;
}
