/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sleep costs the driver a kick and us a wake-up, tens of microseconds together where CPUs are
 * virtual; polling costs CPU time whether something comes or not. So the window is a little more
 * than what it usually took until the next request was seen, and there is none where that is longer
 * than the cap.
 *
 * What a sleep took says little about that: it includes the wake-up; and where the driver needs the
 * very CPU that we would poll on, nothing comes before we sleep. So only polling itself can show
 * that it is of use again. While it is off it is tried now and then, ever less often as that fails,
 * and not at all while requests come so rarely that no wake-up can be to blame.
 */
#include "daemon/worker/poll_window.h"

#include <glib.h>

/* The least window: a driver that polls, too, answers within this. */
#define FLOOR_NS 10000
/* A window without a hit counts as a gap of so many caps, at least. */
#define MISS_CAPS 2
/* A gap of more caps than these counts as these, so that an old pause is soon forgotten. */
#define LONGEST_CAPS 8
/* At most one trial in 2^n windows. */
#define MAX_MISSES 10

void poll_window_init(struct poll_window *p, int64_t cap)
{
	*p = (struct poll_window){ .cap = cap, .gap = cap / 2 };
}

int64_t poll_window_next(struct poll_window *p)
{
	p->open = 0;
	if (p->gap <= p->cap) {
		p->open = MIN(p->cap, FLOOR_NS + 2 * p->gap);
	} else if (!p->hopeless) {
		if (p->skip)
			p->skip--;
		else
			p->open = p->cap;
	}
	return p->open;
}

static void average(struct poll_window *p, int64_t gap)
{
	p->gap += (gap - p->gap) / 8;
}

void poll_window_hit(struct poll_window *p, int64_t gap)
{
	/* Another thread had the CPU: sleeping would have been as good. */
	if (gap > p->cap) {
		poll_window_slept(p, gap);
		return;
	}
	if (p->gap > p->cap)
		p->gap = gap;
	else
		average(p, gap);
	p->misses = 0;
}

void poll_window_slept(struct poll_window *p, int64_t gap)
{
	bool trial = p->open && p->gap > p->cap;

	gap = MIN(gap, LONGEST_CAPS * p->cap);
	p->hopeless = gap >= LONGEST_CAPS * p->cap;
	if (p->open)
		gap = MAX(gap, MISS_CAPS * p->cap);
	if (gap > p->gap)
		average(p, gap);
	if (!trial)
		return;
	p->misses = MIN(p->misses + 1, MAX_MISSES);
	p->skip = 1u << p->misses;
}
