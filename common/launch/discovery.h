/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back-end programs by their discovery files (vhost-user.rst, "Backend program conventions", and
 * vhost-user.json). Files NN-name.json of all folders, sorted by base name; a file of a more
 * specific folder hides one of the same name in the others, an empty one hides it altogether; the
 * first of the type wins.
 */
#pragma once

#include <glib.h>

/*
 * The binary that serves type. folders: most specific first, NULL-terminated; NULL: vhost-user
 * below each of $XDG_CONFIG_HOME/qemu, /etc/qemu, /usr/share/qemu, and then of virtiod's own, for
 * types that QEMU's schema does not know. Files that cannot be read or are no such JSON are
 * skipped with a warning, other types with a debug line. NULL, with an error that says where it
 * looked.
 */
char *discovery_find(const char *type, const char *const *folders, GError **error);
