/* SPDX-License-Identifier: Apache-2.0 */
/* How long something takes, again and again, and whether that is within a limit. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A moment, or the time between two, in µs. idle is a clock that runs only while CPUs are idle: at
 * full speed if all are, at half its speed if half of them are. It hardly moves on a loaded
 * machine, however long something takes there. It does run while something waits on a machine that
 * has nothing else to do.
 */
struct figures_time {
	int64_t us, idle;
};

struct figures {
	const char *what; /* for messages: "served again" */
	int64_t sum, longest; /* µs */
	unsigned n;
};

struct figures_time figures_now(void);
struct figures_time figures_since(struct figures_time start);

/* Returns the idle clock of so many CPUs, by the text of /proc/stat; -1: it has none. */
int64_t figures_idle(const char *stat, unsigned cpus);

/*
 * Returns whether the idle clock ran at most a second × test_patience() more than usual_us, the
 * time that the same took just before, where nothing was wrong.
 */
bool figures_within(struct figures_time took, int64_t usual_us);
/* Adds a time; the test fails if it is not within that limit. when: for the message. */
void figures_add(struct figures *f, const char *when, struct figures_time took, int64_t usual_us);
void figures_print(const struct figures *f);
