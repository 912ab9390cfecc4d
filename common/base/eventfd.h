/* SPDX-License-Identifier: Apache-2.0 */
/* Eventfds that other processes hand over, and whatever they hand over in the place of one. */
#pragma once

#include <stdbool.h>

/* Adds one to an eventfd without ever waiting, errors ignored; -1 is nothing. */
void eventfd_signal(int fd);
/*
 * Returns whether fd is an eventfd, or something as simple (the kernel does not say exactly): its
 * write() can block for no other reason than a full count.
 */
bool eventfd_is(int fd);
