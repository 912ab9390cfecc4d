/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw mode of the terminal that is standard input. It is left by raw_mode_leave(), exit() and
 * fatal signals, and while the process is stopped by SIGTSTP; SIGCONT enters it again, unless the
 * process is in the background.
 */
#pragma once

#include <stdbool.h>

/*
 * Enters raw mode, now or when the process is continued in the foreground. Each SIGCONT also adds
 * one to the eventfd: the process may have changed between foreground and background. Nothing is
 * done where standard input is no terminal.
 */
void raw_mode_enter(int continued);
/* Restores the mode; nothing is done if raw_mode_enter() did nothing. */
void raw_mode_leave(void);
/* Returns whether reading from the terminal, as a background job, would stop the process. */
bool raw_mode_in_background(void);
