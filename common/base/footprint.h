/* SPDX-License-Identifier: Apache-2.0 */
/* For programs that do much to start and little afterwards. */
#pragma once

/*
 * Gives memory that start-up took back to the host: freed heap, and the mapped pages of code of
 * the program and its libraries. Pages that are still needed return from the page cache (a
 * debugger's breakpoints do not). Best effort: failures are not reported.
 */
void footprint_trim(void);
