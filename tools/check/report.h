/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a run, in one of three formats, on standard output. */
#pragma once

#include "tools/check/check.h"

struct check_report {
	const struct check *k;
	GPtrArray *cases; /* those of this run: struct check_case */
	unsigned done, failed, skipped;
	GString *body; /* of formats that cannot be written piece by piece */
};

struct check_format {
	void (*begin)(struct check_report *r);
	void (*result)(struct check_report *r, enum check_result result, uint64_t elapsed_us);
	/* why: what ended the run before its last case; NULL: nothing. */
	void (*end)(struct check_report *r, const char *why);
};

extern const struct check_format check_tap, check_json, check_junit;

/* The command that repeats the current case alone. The caller frees. */
char *check_repeat(const struct check *k);
