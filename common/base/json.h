/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON, indented or on one line. A key is given inside objects and NULL inside arrays (and
 * at the top). Any bytes may be in strings: what is not UTF-8 becomes U+FFFD.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct json {
	GString *out; /* the caller's */
	unsigned depth;
	bool one_line;
	bool follows; /* something stands before in this object or array */
};

void json_open_object(struct json *j, const char *key);
void json_close_object(struct json *j);
void json_open_array(struct json *j, const char *key);
void json_close_array(struct json *j);
/* value NULL: null */
void json_string(struct json *j, const char *key, const char *value);
void json_uint(struct json *j, const char *key, uint64_t value);
void json_int(struct json *j, const char *key, int64_t value);
/* Three decimals, six below 1; null if it is not finite. */
void json_double(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
/* "0x0000000000000001", as a string: 64 bits do not survive every parser's numbers. */
void json_hex64(struct json *j, const char *key, uint64_t value);
