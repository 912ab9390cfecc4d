/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON objects that become members of structs, as tables. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_read.h"

struct field {
	const char *key; /* NULL ends a table */
	size_t offset;
	size_t name_size; /* of a name, with its NUL; 0: a number, uint64_t */
};

#define FIELD_NUMBER(type, member)                        \
	{                                                 \
#member, offsetof(struct type, member), 0 \
	}
#define FIELD_NAME(type, key, member)                                                     \
	{                                                                                 \
		key, offsetof(struct type, member), sizeof(((struct type *)NULL)->member) \
	}

/*
 * Sets the member that the key names, if there is one; false: its value is of another kind. Names
 * are cut, and have no odd characters then.
 */
bool fields_set(const struct field *fields, void *to, const char *key, const struct json_value *v);
bool field_number(uint64_t *to, const struct json_value *v);
