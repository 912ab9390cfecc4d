/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that was taken over would try, from inside it. Each attempt is one log line:
 * "attempt: NAME: RESULT", where RESULT is "forbidden" (the filter caught it), an errno's name in
 * words, or "works".
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
