/* SPDX-License-Identifier: Apache-2.0 */
/* The locks of a disk image, which tell other programs how it is used: see blk_lock.c. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * Takes the locks of a guest's disk on the file that fd refers to, whose name is path; never waits.
 * False, with an error and no lock taken: another process uses it in a way that excludes this one.
 */
bool blk_lock_take(int fd, const char *path, bool read_only, GError **error);
void blk_lock_drop(int fd);
