/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the programs of devices what they think of their options: no other one knows them. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "launch/device_file.h"

/*
 * Runs the program of a device with --check-options, and waits. The error (G_KEY_FILE_ERROR) names
 * file, line and group, and says what the program does.
 */
bool check_entry(const struct device_entry *e, const char *programs, GError **error);
/* Checks all, and logs each error. Returns how many there are. */
unsigned check_entries(const GPtrArray *entries, const char *programs);
