/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a transfer is: a bar on stderr, redrawn ten times a second, if that is a terminal;
 * otherwise nothing.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
	uint64_t total; /* bytes; 0: not known */
	int64_t start_us;
	int64_t drawn_us;
	bool shown; /* stderr is a terminal */
};

void progress_start(struct progress *p, uint64_t total);
void progress_update(struct progress *p, uint64_t done);
/* Another line than the bar, as often. */
void progress_show(struct progress *p, const char *line);
/* Takes the bar away; with verb ("read") and verbose, or on a terminal, says how fast it was. */
void progress_end(struct progress *p, uint64_t done, const char *verb, bool verbose);

/* One line of at most columns characters, without a line end. The caller frees. */
char *progress_line(uint64_t done, uint64_t total, uint64_t elapsed_us, unsigned columns);
