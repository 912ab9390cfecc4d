/* SPDX-License-Identifier: Apache-2.0 */
/* Another root directory. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Returns the directory's fd (O_PATH), which the caller owns; -1 with errno. */
int root_open(const char *path);
/* Makes the directory the root and the working directory, then closes it: it would be a way out. */
bool root_change(int *dir, GError **error);
/*
 * Makes an empty directory, in which nothing can ever be made, the root and the working directory.
 * On error errno is set. It takes a capability, and /proc.
 */
bool root_leave(void);
