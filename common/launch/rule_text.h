/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of a key file as bytes, by GKeyFile's rules: "\s", "\n", "\t", "\r" and "\\" stand for a
 * blank, a newline, a tab, a carriage return and a backslash. GKeyFile itself takes UTF-8 only, and
 * a file name is bytes.
 */
#pragma once

#include <glib.h>

/* Returns the value of raw text (g_key_file_get_value()), to be freed; NULL with an error. */
char *rule_text_string(const char *raw, GError **error);
/* Splits raw text at its semicolons; "\;" is one within a value. For g_strfreev(). */
char **rule_text_list(const char *raw, GError **error);
