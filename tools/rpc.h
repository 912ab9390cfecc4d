/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a control socket: one request (JSON-RPC 2.0), its answer, and lines after it. */
#pragma once

#include <glib.h>
#include <stdint.h>

struct rpc {
	int fd;
	int64_t until; /* monotonic µs; -1: no limit */
	GString *in; /* what follows the last line */
};

/*
 * Connects, enters the sandbox and sends the request, a line. Returns an exit status; unless it is
 * CTL_OK, a message is printed. In any case rpc_close() follows.
 */
int rpc_open(struct rpc *s, const char *path, const GString *request, unsigned sandbox,
	unsigned timeout_s);
/* Returns the result, a JSON object in valid UTF-8; the caller frees. NULL: an error. */
char *rpc_result(struct rpc *s, GError **error);
/* Returns the next line without its end, which the caller frees; NULL: there is none. */
char *rpc_next_line(struct rpc *s, GError **error);
/* Returns valid UTF-8 without control characters, which could move a terminal's cursor. */
char *rpc_printable(const char *text, size_t len);
void rpc_close(struct rpc *s);
