/* SPDX-License-Identifier: Apache-2.0 */
/* Asks many daemons at the same time: one that is silent delays no other. */
#pragma once

#include <stdbool.h>

#include "tools/control/client.h"

struct round_daemon {
	const char *path; /* of its control socket */
	struct daemon_client client; /* fd -1: not connected */
	bool asked; /* an answer is to come, at client.fd */
};

enum round_result {
	ROUND_WAIT, /* there is not all of the answer yet */
	ROUND_ANSWERED,
	ROUND_LOST, /* it has left, or said what is no answer: it is not connected any more */
};

/*
 * Sends a request for "stats", unless an answer to the one before is still to come; connects
 * first if need be. Waits for nothing. False: it is not reachable, or takes nothing.
 */
bool round_ask(struct round_daemon *d);
/* Takes what has come. ROUND_ANSWERED: *line, the caller's, is what *result points into. */
enum round_result round_take(struct round_daemon *d, char **line, struct json_value *result);
/* Ends the connection, if there is one. */
void round_leave(struct round_daemon *d);
