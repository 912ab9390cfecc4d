/* SPDX-License-Identifier: Apache-2.0 */
/* The daemons that subcommands such as "stats" ask: control sockets, or folders of them. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* In a folder, the control sockets are those whose names end so. */
#define CONTROL_SUFFIX ".control"

/*
 * Returns the paths of the control sockets that args name, in their order, those of a folder
 * sorted. NULL: a folder cannot be read, or has none.
 */
GStrv asked_paths(char *const *args, GError **error);
