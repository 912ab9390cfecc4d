/* SPDX-License-Identifier: Apache-2.0 */
/* See fields.h. */
#include "tools/control/fields.h"

#include <glib.h>
#include <string.h>

bool field_number(uint64_t *to, const struct json_value *v)
{
	if (v->type != JSON_NUMBER)
		return false;
	*to = g_ascii_strtoull(v->text, NULL, 10);
	return true;
}

static bool set_name(char *to, size_t size, const struct json_value *v)
{
	if (v->type != JSON_STRING)
		return false;
	g_strlcpy(to, v->text, size);
	for (; *to; to++) {
		if (!g_ascii_isalnum(*to) && !strchr("-_.", *to))
			*to = '?';
	}
	return true;
}

bool fields_set(const struct field *fields, void *to, const char *key, const struct json_value *v)
{
	for (const struct field *f = fields; f->key; f++) {
		if (strcmp(f->key, key) != 0)
			continue;
		if (f->name_size)
			return set_name((char *)to + f->offset, f->name_size, v);
		return field_number((void *)((char *)to + f->offset), v);
	}
	return true;
}
