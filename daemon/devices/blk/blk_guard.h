/* SPDX-License-Identifier: Apache-2.0 */
/* Refuses files that are plainly not meant to be a guest's disk. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* Enough of the beginning of a file for blk_guard_format(). */
#define BLK_GUARD_HEAD 512

/* Returns the format of a file that begins so ("a qcow2 image"); NULL: raw, or not known. */
const char *blk_guard_format(const void *head, size_t len);

/* Refuses a file whose beginning is that of another format than raw. */
bool blk_guard_check_format(int fd, const char *path, GError **error);
/* Refuses a block device that this host uses: mounted, or claimed by a driver. */
bool blk_guard_check_use(const char *path, GError **error);
