/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a daemon's control socket: requests of one line each, and their answers. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/json_read.h"

struct daemon_client {
	int fd; /* connected, the client's; -1: none */
	int64_t until; /* monotonic µs, for what is waited for; -1: no limit */
	GString *in;
};

/* Takes over a connected socket. */
void daemon_client_init(struct daemon_client *c, int fd);
void daemon_client_clear(struct daemon_client *c);
/* Sends a request, with its line's end; its answer is to come within so long. */
bool daemon_client_send(struct daemon_client *c, const char *request, size_t len,
	unsigned timeout_s, GError **error);
/* Returns the next line without its end, which the caller frees; NULL: there is none. */
char *daemon_client_line(struct daemon_client *c, GError **error);
/*
 * Takes what has come, without waiting. 1: there is a line; 0: not yet; -1: the daemon closed the
 * connection, or has sent too long a line.
 */
int daemon_client_receive(struct daemon_client *c);
/*
 * Returns the next line, which the caller frees and *result points into: it is an answer. NULL: it
 * is none, or one that is an error, of which error has the message.
 */
char *daemon_client_answer(struct daemon_client *c, struct json_value *result, GError **error);
/* Asks for the result of a method without parameters; as daemon_client_answer(). */
char *daemon_client_ask(struct daemon_client *c, const char *method, unsigned timeout_s,
	struct json_value *result, GError **error);
/*
 * Returns UTF-8 without control characters, which could move a terminal's cursor; the caller frees.
 */
char *daemon_client_text(const char *text, size_t len);
