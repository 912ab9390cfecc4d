/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that was taken over would try, from inside it. Each attempt is one line of
 * standard error: "attempt: NAME: RESULT", where RESULT is "forbidden" (the filter caught it),
 * "errno NUMBER", or "works". tests/sandbox/reach.py has the results that are expected.
 *
 * All functions may be called by a signal handler.
 */
#pragma once

#include <stdbool.h>

/*
 * Tries all of them, catching SIGSYS as an attacker would. victim: the pid of another process of
 * the same user.
 */
void attempts_run(int victim);
/* Tries ioctls: "attempt: ioctls: NUMBER ...", those that the filter does not catch. */
void attempts_ioctls(void);
/* Tries all system calls, with arguments without a sense: "attempt: calls: NAME ...", likewise. */
void attempts_calls(void);
/* Writes one line: the result is "works", or "errno NUMBER" if error is not 0. */
void attempts_note(const char *name, int error);
