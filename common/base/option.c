/* SPDX-License-Identifier: Apache-2.0 */
/* See option.h. */
#include "base/option.h"

#include <string.h>

bool option_bad(GError **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (error)
		*error = g_error_new_valist(G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, args);
	va_end(args);
	return false;
}

bool option_word(const char *text, const char *const *words, unsigned *which, GError **error)
{
	g_autofree char *list = NULL;

	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*which = i;
			return true;
		}
	}
	list = g_strjoinv(", ", (char **)words);
	return option_bad(error, "not one of %s", list);
}

bool option_log_level(const char *text, enum log_level *level, GError **error)
{
	return !text || log_parse_level(text, level) ||
		option_bad(error, "--log-level=%s: not one of error, warning, info, debug", text);
}
