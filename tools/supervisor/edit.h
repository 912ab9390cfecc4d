/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the files, which are written before anything else happens: they are the truth. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * Writes FOLDER/GUEST+DEVICE.conf: the group `name` with these lines, KEY=VALUE each. All is
 * checked before, also by the program.
 */
bool edit_add(const char *folder, const char *programs, const char *name, const char *lines,
	GError **error);
/* Takes the group out of its file, which is removed if it has no other. */
bool edit_remove(const char *folder, const char *name, GError **error);
