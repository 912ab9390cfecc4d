/* SPDX-License-Identifier: Apache-2.0 */
/* What every subcommand does first: options about the back-end, and the connection to it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/option.h"
#include "launch/backend_keys.h"
#include "vhost-user/front/vu_front.h"

struct connect_options {
	struct backend_keys keys;
	bool inflight; /* accept an in-flight area */
	bool speaks_probe; /* as in struct vu_front_options */
	unsigned sandbox; /* --sandbox: an enum sandbox_mode */
	/*
	 * Called by connect_socket() when fd is connected, before the sandbox: opens files. False:
	 * an error. NULL: there are none.
	 */
	bool (*open_files)(void *opaque, int fd, GError **error);
	void *opaque;
};
#define CONNECT_OPTIONS_INIT               \
	{                                  \
		.keys = BACKEND_KEYS_INIT, \
	}

/*
 * Parses the command line by the subcommand's syntax, of which the first table is its own, and by
 * the options of struct connect_options: those whose name the first table does not use otherwise.
 * Returns what option_parse() leaves, for g_strfreev(); NULL: error.
 */
char **connect_parse(
	char **argv, struct option_syntax syntax, struct connect_options *o, GError **error);

/* Returns whether connect_socket() enters a sandbox. */
bool connect_is_confined(const struct connect_options *o);
/* Connects as the options tell. */
struct vu_front *connect_dial(const char *path, const struct connect_options *o, GError **error);
/*
 * Connects, and enters the sandbox before the first byte. *status is the exit status on failure; a
 * message is printed.
 */
struct vu_front *connect_socket(const char *path, const struct connect_options *o, int *status);
