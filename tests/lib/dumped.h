/* SPDX-License-Identifier: Apache-2.0 */
/* Which mappings of this process a core dump would hold. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Returns whether the mapping at addr is part of a core dump (proc(5): VmFlags of smaps). */
static inline bool is_dumped(const void *addr)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	bool found = false;

	g_assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		uint64_t from, to;

		if (sscanf(*line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
			found = (uintptr_t)addr >= from && (uintptr_t)addr < to;
		else if (found && g_str_has_prefix(*line, "VmFlags:"))
			return !strstr(*line, " dd");
	}
	g_assert_not_reached();
}
