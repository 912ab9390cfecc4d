/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How every program starts and ends, whatever it inherited: closed standard fds, other open fds,
 * blocked or ignored signals.
 *
 *	main()  start_program(), options, start_close_fds(), loop_watch_signal(), ...
 */
#pragma once

/*
 * To be called first in main(). Opens /dev/null as those of fds 0-2 that are closed, so that no
 * file opened later becomes the console of the program. Leaves no core file (core_dump.h). Blocks
 * the signals that `pending` lists (it ends in 0), which would end the program before
 * loop_watch_signal(), and no others: SIGTERM and SIGINT end a program that hangs while it opens a
 * file. From now on exit() checks standard output, and the status is 1 if it could not be written
 * (a full disk).
 *
 * name: log lines begin with it (in the journal: with their priority), and so does --help; the
 * caller keeps it.
 */
void start_program(const char *name, const int *pending);
/*
 * To be called once the options are known. Closes the inherited fds but 0-2, those of `keep` (it
 * ends in -1; NULL: none) and those that an argument names, such as /dev/fd/63 of the shell's
 * <(command). From now on log lines wait for no reader, even if another process fills the pipe.
 */
void start_close_fds(char *const *argv, const int *keep);
