/* SPDX-License-Identifier: Apache-2.0 */
/* virtiod-metrics, which serves what the devices count: a process that is kept running. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/loop.h"
#include "base/tcp.h"
#include "launch/child.h"

struct metrics_process {
	struct tcp_address address;
	char *text; /* the address as the user wrote it; NULL: none of this is wanted */
	char *program;
	int listener; /* -1: none */
	GPtrArray *sockets; /* char *: what it asks, as its arguments */
	struct child *child; /* NULL: it does not run */
	struct loop_watch *timer;
	unsigned delay_ms;
	gint64 started;
};

/* Makes the socket. False: it cannot, or there is no such program. */
bool metrics_process_listen(struct metrics_process *m, const char *programs, GError **error);
/*
 * Has it ask these devices (struct device_entry), as far as they have a control socket. NULL is
 * nothing.
 */
void metrics_process_set(struct metrics_process *m, const GPtrArray *entries);
/* Ends it, and waits for that; likewise. metrics_process_set() starts it again. */
void metrics_process_stop(struct metrics_process *m);
