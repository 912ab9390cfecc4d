/* SPDX-License-Identifier: Apache-2.0 */
/* What every subcommand does first: options about the back-end, and the connection to it. */
#pragma once

#include <glib.h>

#include "vhost-user/front/vu_front.h"

typedef struct connect_options connect_options; /* for g_auto */

struct connect_options {
	char *probe, *type; /* g_free() through connect_options_clear() */
	int config_size, queues;
	bool inflight; /* will take an in-flight area */
	bool own_queues; /* --queues is the subcommand's own */
};
#define CONNECT_OPTIONS_INIT      \
	{                         \
		.config_size = -1 \
	}
void connect_options_clear(struct connect_options *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(connect_options, connect_options_clear)

/*
 * Parses argv by these entries and by those of struct connect_options, which may be NULL. What is
 * left in argv are the arguments; fewer than min or more than max of them are a usage error.
 */
bool connect_parse(int *argc, char ***argv, const GOptionEntry *entries, struct connect_options *o,
	const char *arguments, const char *summary, int min, int max, GError **error);

/* Connects as the options say. *status is the exit status on failure; a message is printed. */
struct vu_front *connect_socket(const char *path, const struct connect_options *o, int *status);
