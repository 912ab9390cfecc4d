/* SPDX-License-Identifier: Apache-2.0 */
/* Files in which a device keeps what must outlive its process. */
#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * Opens a regular file for reading and writing, and makes it (mode 0600) if it is not there.
 * Anything else is refused, without waiting for it. size: its bytes; NULL: not wanted. Returns the
 * fd, which is the caller's, or -1.
 */
int kept_file_open(const char *path, off_t *size, GError **error);
