/* SPDX-License-Identifier: Apache-2.0 */
/* For programs that do much to start and little afterwards. */
#pragma once

/*
 * Gives back what starting took: freed heap, and the mapped pages of the program's and its
 * libraries' code, of which those that are still needed come back by themselves, from the page
 * cache (a debugger's breakpoints do not). A wish: nothing tells whether it was granted.
 */
void footprint_trim(void);
