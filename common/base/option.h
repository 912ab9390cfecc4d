/* SPDX-License-Identifier: Apache-2.0 */
/* What the command lines of all programs have in common. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/log.h"

/* Sets error (G_OPTION_ERROR_BAD_VALUE). False. */
bool option_bad(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Which of words (NULL-terminated) text is; false, with an error that lists them: none. */
bool option_word(const char *text, const char *const *words, unsigned *which, GError **error);
/* --log-level=text; NULL: not given, *level stays. */
bool option_log_level(const char *text, enum log_level *level, GError **error);
