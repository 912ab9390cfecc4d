/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that a guest has taken over: it sends its supervisor what no worker sends, with files of
 * every kind, or too much, or nothing. In the worker's process, which then does nothing more.
 */
#pragma once

#include <stdbool.h>

#include "xen/ipc.h"

/* How many tricks there are; what one is called (to be freed). */
unsigned hostile_worker_tricks(void);
char *hostile_worker_name(unsigned trick);
/* Returns whether the supervisor has no reason to end such a worker. */
bool hostile_worker_lives(unsigned trick);
/* Does it, by the worker's sockets; device is one of its guest's. Does not return. */
void hostile_worker_act(unsigned trick, int commands, int requests, uint32_t device)
	__attribute__((noreturn));
