/* SPDX-License-Identifier: Apache-2.0 */
/* See rule_text.h. */
#include "launch/rule_text.h"

#include <stdbool.h>
#include <string.h>

/*
 * Appends the value that begins at raw, up to end (a character, or '\0' alone). Returns where it
 * ends; NULL with an error.
 */
static const char *unescape(GString *value, const char *raw, char end, GError **error)
{
	static const char escaped[] = "sntr\\", meant[] = " \n\t\r\\";
	const char *p, *which;

	for (p = raw; *p && *p != end; p++) {
		if (*p != '\\') {
			g_string_append_c(value, *p);
			continue;
		}
		p++;
		which = *p ? strchr(escaped, *p) : NULL;
		if (which || (end && *p == end)) {
			g_string_append_c(value, which ? meant[which - escaped] : end);
			continue;
		}
		g_set_error_literal(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE,
			"one of s, n, t, r, \\ after each backslash");
		return NULL;
	}
	return p;
}

char *rule_text_string(const char *raw, GError **error)
{
	GString *value = g_string_new(NULL);
	bool ok = unescape(value, raw, '\0', error);

	return g_string_free(value, !ok);
}

char **rule_text_list(const char *raw, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

	/* What follows the last semicolon is a value only if there is something. */
	while (*raw) {
		GString *value = g_string_new(NULL);

		raw = unescape(value, raw, ';', error);
		g_ptr_array_add(list, g_string_free(value, FALSE));
		if (!raw)
			return NULL;
		if (*raw)
			raw++;
	}
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}
