/* SPDX-License-Identifier: Apache-2.0 */
/* One line of a client of the control socket: JSON-RPC 2.0. Pure functions. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/json.h"
#include "base/json_read.h"
#include "control/param.h"

/* Codes of errors in a reply. */
enum control_error {
	CONTROL_PARSE_ERROR = -32700,
	CONTROL_INVALID_REQUEST = -32600,
	CONTROL_NO_METHOD = -32601,
	CONTROL_INVALID_PARAMS = -32602,
	CONTROL_FAILED = -32000, /* the method's own error */
};

#define CONTROL_MAX_ID 64 /* bytes, as it came */

struct control_request {
	char id[CONTROL_MAX_ID + 1]; /* a number, a string or null, as JSON */
	bool is_notification; /* no id: it gets no answer */
	const char *method;
	struct control_param {
		const char *name;
		struct json_value v; /* no array, no object; its text ends in NUL */
	} params[VIRTIO_MAX_PARAMS];
	unsigned n_params;
	/* 0: a request; else the rest, but for the id, means nothing. */
	enum control_error error;
	const char *why;
};

/* Reads a line, without its end; r points into it, and it is changed. */
void control_request_read(struct control_request *r, char *line, size_t len);
/*
 * Sets args, VIRTIO_MAX_PARAMS of them, by the method's table, whose last one has no name. On error
 * the message names the parameter.
 */
bool control_request_match(const struct control_request *r, const struct virtio_param *params,
	struct virtio_arg *args, GError **error);

/* Begins a reply up to its result, which becomes an open object; control_reply_end() ends it. */
void control_reply_begin(struct json *j, const struct control_request *r);
void control_reply_end(struct json *j);
/* Writes a whole reply, line end included, that is an error. */
void control_reply_error(GString *out, const struct control_request *r, enum control_error code,
	const char *message);
/* Adds an object that describes a method, for the method "help". */
void control_describe(
	struct json *j, const char *name, const char *summary, const struct virtio_param *params);
