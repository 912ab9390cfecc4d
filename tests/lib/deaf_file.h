/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of a FUSE file system whose server has stopped answering: fstat(), read(), write() and
 * close() hang, beyond SIGKILL, until the server ends.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct deaf_file {
	int fd;
	pid_t server;
};

/*
 * False, which is printed: this machine or this user has no FUSE, or valgrind runs this process,
 * which cannot follow how such a file is closed (base/fd_kind.h).
 */
bool deaf_file_open(struct deaf_file *f);
/*
 * Ends the server, and closes fd: whatever hangs goes on. Once. No child may be made before, as its
 * exec() or end closes its copy.
 */
void deaf_file_end(struct deaf_file *f);

/* Fails if a thread of the process stays in state D, in which nothing can end it. */
void deaf_file_check_threads(pid_t pid);
