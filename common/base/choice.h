/* SPDX-License-Identifier: Apache-2.0 */
/* Values that a user gives as one of a few words. */
#pragma once

#include <stdbool.h>

/* Use a feature if possible; demand it; do without. Its words: "auto", "on", "off". */
enum choice { CHOICE_AUTO, CHOICE_ON, CHOICE_OFF };
extern const char *const choice_words[];

/*
 * Sets *which to the index of text in words, a NULL-terminated list. "yes", "true" and "1" are
 * other spellings of "on", and "no", "false" and "0" of "off", where the list has these. Returns
 * false, leaving *which alone, if text is none of them.
 */
bool choice_parse(const char *text, const char *const *words, unsigned *which);
/* Returns "one, two or three"; the caller frees. */
char *choice_list(const char *const *words);
