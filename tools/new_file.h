/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was just made, and is removed unless there is something to write to it. The sandbox
 * forbids that by then, so a process of its own does it: it knows this one name, and waits.
 */
#pragma once

#include <sys/types.h>

struct new_file {
	pid_t pid; /* 0: none */
	int order; /* to that process */
};

/* Starts it, while the process has one thread. fd: the file. If it cannot, the file stays. */
void new_file_guard(struct new_file *f, const char *path, int fd);
/* Keeps the file. */
void new_file_keep(struct new_file *f);
/* Removes the file, if it is that, and empty, unless it was kept; then the process has ended. */
void new_file_end(struct new_file *f);
