/* SPDX-License-Identifier: Apache-2.0 */
/* Internals shared by option.c (the values) and option_parse.c (the command line). */
#pragma once

#include "base/option.h"

/* Returns what --help calls the value, to be freed; NULL: the option takes none. */
char *option_argument(const struct option_entry *o);
