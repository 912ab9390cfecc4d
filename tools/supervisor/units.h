/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of the files as units of systemd: instances of the templates that are installed with each
 * program, virtiod-TYPE@.socket and .service. A drop-in of each says what is special about them.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "launch/device_file.h"

/* Returns the name of its unit without ".socket" and ".service"; the caller frees. */
char *units_name(const struct device_entry *e);
/* Returns the text of its drop-ins; entries: all, for after=. The caller frees. */
char *units_socket(const struct device_entry *e, const char *run);
char *units_service(const struct device_entry *e, const char *programs, const GPtrArray *entries);
/*
 * Writes all of them to a folder, as systemd.generator(7) has it: the sockets are started at boot.
 * templates: the folder of those.
 */
bool units_write(const GPtrArray *entries, const char *folder, const char *templates,
	const char *run, const char *programs, GError **error);
