/* SPDX-License-Identifier: Apache-2.0 */
/* Asks several daemons for the result of the same method: "stats", "inflight", "metrics". */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/json_read.h"
#include "base/option.h"

struct ask {
	const char *summary; /* of the subcommand */
	const char *method;
	const struct option_entry *options; /* its own; NULL: none */
	/* Takes an answer; false: it is none that makes sense. */
	bool (*answered)(const char *path, const struct json_value *result);
	/* There is none; a message has told why. NULL: nothing is to do. */
	void (*failed)(const char *path);
	/* All have answered, or failed. NULL: nothing is to do. */
	void (*done)(void);
};

/* Prints an answer as an object with the path; true. */
bool ask_print_json(const char *path, const struct json_value *result);
/* Parses the command line and asks; an exit status, the first that is not CTL_OK. */
int ask_run(const struct ask *ask, char **argv);
