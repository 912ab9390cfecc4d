/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock: what paths can be used for, whatever directories are open (Linux 5.13). */
#pragma once

#include <stdbool.h>

/* What stays permitted below a directory, or with a file. */
enum landlock_use {
	LANDLOCK_READ = 1 << 0, /* open for reading, and list */
	LANDLOCK_WRITE = 1 << 1, /* open files that exist for writing; connect to sockets */
	LANDLOCK_REMOVE = 1 << 2, /* remove names of files and sockets */
};

struct landlock_path {
	int fd; /* the directory or file, O_PATH */
	unsigned use; /* of enum landlock_use; 0 ends a list */
};

/* What else stays permitted. */
enum landlock_keep {
	LANDLOCK_NETWORK = 1 << 0, /* TCP, abstract Unix sockets of other processes */
	LANDLOCK_SIGNALS = 1 << 1, /* signals to other processes */
};

/* Returns whether the kernel has Landlock. */
bool landlock_is_there(void);
/*
 * Forbids the calling thread, and those that it makes, to open, make, rename or remove anything but
 * for paths, and as far as the kernel knows how what is not in keep (of enum landlock_keep). No new
 * privileges must be set. Returns 0 or -errno; -ENOSYS, -EOPNOTSUPP: the kernel has no Landlock.
 */
int landlock_enter(const struct landlock_path *paths, unsigned keep);
