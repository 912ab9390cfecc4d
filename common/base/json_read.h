/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads JSON (RFC 8259) strictly, from hostile sources, too: nothing is allocated, nesting is
 * limited, and what is not JSON to its last byte is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
	enum json_type type;
	/*
	 * The bytes of the value. A string is decoded, without its quotes, and ends in NUL; an
	 * array or object is as it came, for json_read_object() or json_read_array(), once.
	 */
	char *text;
	size_t len;
};

/*
 * Reads an object, which is decoded in place: text is valid UTF-8 and is changed. Calls member for
 * each member in turn, until that returns false; key ends in NUL. Returns false if the text is not
 * one object, or member did; members may have been passed before.
 */
bool json_read_object(char *text, size_t len,
	bool (*member)(void *opaque, const char *key, const struct json_value *v), void *opaque);
/* Reads an array likewise, element by element. */
bool json_read_array(char *text, size_t len,
	bool (*element)(void *opaque, const struct json_value *v), void *opaque);
