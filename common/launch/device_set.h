/* SPDX-License-Identifier: Apache-2.0 */
/* All devices of a folder of configuration files (device_file.h). */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "launch/device_file.h"

#define DEVICE_SET_MAX 1024 /* devices, and files */

/*
 * Reads the files of the folder whose names end in ".conf" and do not begin with ".", in order of
 * their names. Returns an array of struct device_entry, checked and sorted as by device_set_sort();
 * the caller unrefs. A folder that does not exist has none. NULL: an error.
 */
GPtrArray *device_set_read(const char *folder, GError **error);
/*
 * Checks that no name occurs twice, that those of after= exist and that none waits for itself, and
 * has each follow those that it waits for.
 */
bool device_set_sort(GPtrArray *entries, GError **error);
/* Returns the device of this name; NULL: there is none. */
struct device_entry *device_set_find(const GPtrArray *entries, const char *name);
