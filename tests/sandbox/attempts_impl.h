/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of attempts share. */
#pragma once

#include <signal.h>

#include "tests/sandbox/attempts.h"

struct escape_attempt {
	const char *name;
	long (*try)(void); /* -1, with errno, if it fails */
};

#define ATTEMPT(name)             \
	{                         \
#name, try_##name \
	}

/* By what is open. Ends with a NULL name. */
extern const struct escape_attempt attempts_open[];

/* How many system calls SIGSYS has ended. */
extern volatile sig_atomic_t attempts_caught;

/* Writes one line. */
void attempts_say(const char *name, const char *result);
/* Counts each SIGSYS from now on. */
void attempts_catch(struct sigaction *before);
