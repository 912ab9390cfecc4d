/* SPDX-License-Identifier: Apache-2.0 */
/* How long something takes, again and again, and whether that is within a limit. */
#pragma once

#include <stdint.h>

struct figures {
	const char *what; /* for messages: "served again" */
	int64_t sum, longest, usual; /* µs; usual: the longest of those */
	unsigned n;
};

/*
 * Adds a time. The test fails if it is longer than a second, which an idle machine is far from, and
 * than 50 times what the same took where nothing was wrong: usual_us, just before, or before that.
 * when: for the message.
 */
void figures_add(struct figures *f, const char *when, int64_t us, int64_t usual_us);
void figures_print(const struct figures *f);
