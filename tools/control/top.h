/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of "virtioctl top" share: what is shown of each daemon, and the screen. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "tools/control/client.h"
#include "tools/control/counters.h"

enum top_column {
	TOP_SOCKET,
	TOP_DEVICE,
	TOP_STATE,
	TOP_IOPS,
	TOP_MB,
	TOP_P50,
	TOP_P99,
	TOP_IN_FLIGHT,
	TOP_CPU,
	TOP_COLUMNS,
};

/* What counters came to at a time. */
struct top_sample {
	uint64_t uptime_us, cpu_us;
	struct counters_type sum;
};

struct top_daemon {
	const char *path;
	struct daemon_client client; /* fd -1: not connected */
	bool asked; /* an answer is to come */
	struct top_sample last; /* uptime_us 0: there is none */

	/* What is shown, of the time between the last two answers. */
	char device[24];
	const char *state;
	double value[TOP_COLUMNS]; /* from TOP_IOPS on */
};

/* top_daemon.c: asks all, and waits for their answers for at most a second. */
void top_update(struct top_daemon *daemons, unsigned n);

struct top_view {
	struct top_daemon **daemons; /* in the order in which they are shown */
	unsigned n;
	unsigned rows, columns; /* of the terminal */
	unsigned first; /* of the daemons that is shown: one that there is */
	enum top_column sort;
	bool help;
};

/* top_screen.c */

/* Sorts the daemons: numbers the largest first. */
void top_sort(struct top_view *v);
/* Returns how many daemons there is room for. */
unsigned top_room(const struct top_view *v);
/* Writes the whole screen. */
void top_draw(GString *to, const struct top_view *v);
