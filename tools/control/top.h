/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of "virtioctl top" share: what is shown of each daemon, and the screen. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "tools/control/counters.h"
#include "tools/control/round.h"

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
	struct round_daemon round;
	uint64_t asked_ns; /* when: if round.asked */
	bool silent; /* no answer came for a second */
	struct top_sample last; /* uptime_us 0: there is none */

	/* What is shown, of the time between the last two answers. */
	char device[24];
	const char *state;
	double value[TOP_COLUMNS]; /* from TOP_IOPS on */
};

/* top_daemon.c */

/* Asks all, and waits for none. One whose answer is late stays asked. */
void top_ask(struct top_daemon *daemons, unsigned n);
/* Takes what has come from one that is asked. */
void top_take(struct top_daemon *d);
/* Returns whether answers are to come soon. */
bool top_expects(const struct top_daemon *daemons, unsigned n);

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
