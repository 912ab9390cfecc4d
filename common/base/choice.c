/* SPDX-License-Identifier: Apache-2.0 */
/* See choice.h. */
#include "base/choice.h"

#include <glib.h>
#include <string.h>

const char *const choice_words[] = {
	[CHOICE_AUTO] = "auto",
	[CHOICE_ON] = "on",
	[CHOICE_OFF] = "off",
	NULL,
};

static const char *canonical(const char *text)
{
	static const char *const on[] = { "yes", "true", "1", NULL };
	static const char *const off[] = { "no", "false", "0", NULL };

	if (g_strv_contains(on, text))
		return choice_words[CHOICE_ON];
	return g_strv_contains(off, text) ? choice_words[CHOICE_OFF] : text;
}

static bool find(const char *text, const char *const *words, unsigned *which)
{
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*which = i;
			return true;
		}
	}
	return false;
}

bool choice_parse(const char *text, const char *const *words, unsigned *which)
{
	return find(text, words, which) || find(canonical(text), words, which);
}

char *choice_list(const char *const *words)
{
	GString *list = g_string_new(NULL);

	for (unsigned i = 0; words[i]; i++)
		g_string_append_printf(list, "%s%s",
			i == 0		       ? ""
				: words[i + 1] ? ", "
					       : " or ",
			words[i]);
	return g_string_free(list, FALSE);
}
