/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd offers a service, by its documented protocol and without its library. */
#pragma once

#include <stdbool.h>

/* sd_notify(3): sends state ("READY=1") to $NOTIFY_SOCKET, if there is one, within 100 ms. */
void service_notify(const char *state);
/*
 * Says that all is ready. From then on the main loop also says again and again that it runs, if the
 * manager wants to know (WatchdogSec=): one that hangs is killed.
 */
void service_ready(void);
/* Says that the program is about to end, and no more that it runs. */
void service_stopping(void);
/* Connects to it now and stays so: for a process that will not find it later (chroot). */
void service_notify_keep(void);
/*
 * sd_listen_fds(3): how many fds were passed by socket activation, from SERVICE_LISTEN_FD on; they
 * are not checked. Unsets the variables, so that children do not see them.
 */
#define SERVICE_LISTEN_FD 3
unsigned service_listen_fds(void);
