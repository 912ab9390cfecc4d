/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of a program that answers each at once, as a table. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/json.h"
#include "control/param.h"
#include "control/server.h"

#define CONTROL_METHOD_PARAMS 3

struct control_method {
	const char *name, *summary; /* no name: the end of the table */
	/* Adds members to the result, an open object; or returns false, with an error. */
	bool (*run)(void *opaque, const struct virtio_arg *args, struct json *j, GError **error);
	struct virtio_param params[CONTROL_METHOD_PARAMS]; /* the last one has no name */
};

/*
 * Answers a line by one of these methods; every program has "help", "log-level" and "quit" besides,
 * which sets the server's quit.
 */
void control_serve(struct control_client *client, const char *line, size_t len,
	const struct control_method *methods, void *opaque);
