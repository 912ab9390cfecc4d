/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd offers a service, by its documented protocol and without its library. */
#pragma once

#include <stdbool.h>

/* sd_notify(3): sends state ("READY=1") to $NOTIFY_SOCKET, if there is one. */
void service_notify(const char *state);
/* Connects to it now and stays so: for a process that will not find it later (chroot). */
void service_notify_keep(void);
/*
 * sd_listen_fds(3): the one socket passed by activation (fd 3, made CLOEXEC and non-blocking), or
 * -1. -2: more than one was passed. Unsets the variables, so that children do not see them.
 */
int service_listen_fd(void);
